"""The tags of an account, see https://developer.constantcontact.com/api_guide/tags_overview.html."""

from cc_async.codec.decode import dumps
from cc_async.http.call import Call
from cc_async.http.retry import Idempotency
from cc_async.http.session import Session
from cc_async.models.activities import Activity
from cc_async.models.tags import Tag
from cc_async.resources._checks import checked_text, id_of, page_params
from cc_async.resources._collection import stream
from cc_async.resources._lookup import Locks, find_named, get_or_create
from cc_async.resources._operation import deletion_job, first_page, raw, reads
from cc_async.streams.collection import Collection
from cc_async.streams.pager import Page, Pager
from cc_async.wire.urls import quote_segment, with_query

_TAGS = Collection(
    operation="tags.list",
    path="/contact_tags",
    items="tags",
    model=Tag,
    key=lambda tag: tag.tag_id,
    total="tags_count",
    sent_again=("include_count",),
)


def _path(tag_id: str | Tag) -> str:
    return f"/contact_tags/{quote_segment(id_of(tag_id, 'tag_id'))}"


def _name(name: str) -> str:
    return checked_text("The name of a tag", name, at_most=255)


def create_tag(name: str, *, tag_source: str | None = None) -> Call[Tag]:
    """POST /contact_tags."""
    body = dumps({"name": _name(name)} | ({} if tag_source is None else {"tag_source": tag_source}))
    return Call(operation="tags.create", method="POST", path="/contact_tags", body=body, parse=reads(Tag))


def get_tag(tag_id: str | Tag, *, include_count: bool = False) -> Call[Tag]:
    """GET /contact_tags/{tag_id}."""
    path = with_query(_path(tag_id), {"include_count": include_count or None})
    return Call(operation="tags.get", method="GET", path=path, parse=reads(Tag))


def update_tag(tag_id: str | Tag, name: str) -> Call[Tag]:
    """PUT /contact_tags/{tag_id}."""
    body = dumps({"name": _name(name)})
    return Call(
        operation="tags.update",
        method="PUT",
        path=_path(tag_id),
        body=body,
        parse=reads(Tag),
        idempotency=Idempotency.SAFE,
    )


def delete_tag(tag_id: str | Tag) -> Call[Activity]:
    """DELETE /contact_tags/{tag_id}."""
    return deletion_job("tags.delete", _path(tag_id))


class Tags:
    """The tags that contacts can carry: at most 500, with unique names.

    Methods that take the id of a tag also take a `Tag`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._locks = Locks()

    @property
    def with_http_info(self) -> "TagsWithHttpInfo":
        """The same operations, which return the status code and headers with the data."""
        return TagsWithHttpInfo(self._session)

    def list(self, *, include_count: bool = False, limit: int = 500, start: str | None = None) -> Pager[Tag]:
        """Stream all tags (GET /contact_tags).

        `include_count` asks for the `contacts_count` of each tag. `limit` is the page size, 1 to 500. `start` is the
        `next_url` of a page to continue after, without any other filter.
        """
        return _stream(self._session, include_count=include_count, limit=limit, start=start)

    async def create(self, name: str, *, tag_source: str | None = None) -> Tag:
        """Create a tag (POST /contact_tags); not repeated once it may have been applied.

        Raises:
            ConflictError: A tag has this name: see `get_or_create`.

        """
        return (await self._session.request(create_tag(name, tag_source=tag_source))).data

    async def get(self, tag_id: str | Tag, *, include_count: bool = False) -> Tag:
        """Return a tag (GET /contact_tags/{tag_id}), with its `contacts_count` if `include_count`."""
        return (await self._session.request(get_tag(tag_id, include_count=include_count))).data

    async def update(self, tag_id: str | Tag, name: str) -> Tag:
        """Rename a tag (PUT /contact_tags/{tag_id}): the name is all that can be changed.

        Raises:
            ConflictError: Another tag has this name.

        """
        return (await self._session.request(update_tag(tag_id, name))).data

    async def delete(self, tag_id: str | Tag) -> Activity:
        """Start to delete a tag (DELETE /contact_tags/{tag_id}), which is a job; its contacts stay.

        If the response was lost and the repeated request finds no such tag, the first one has succeeded: the
        returned `Activity` then has no id and is `already_deleted`.
        """
        return (await self._session.request(delete_tag(tag_id))).data

    async def find(self, name: str) -> Tag | None:
        """Return the tag with this name, or None; one that differs in case only if no other matches.

        Reads the tags: one request for 500.
        """
        return await self._find(name, exact=False)

    async def get_or_create(self, name: str) -> Tag:
        """Return the tag with this name, created unless it exists: one or two requests.

        Clients that do this at the same time end up with one tag.
        """
        _name(name)
        lock = self._locks.of(name)
        return await get_or_create(lock, lambda exact: self._find(name, exact=exact), lambda: self.create(name))

    async def _find(self, name: str, *, exact: bool) -> Tag | None:
        return await find_named(self.list(), name, lambda tag: [tag.name], exact=exact)


class TagsWithHttpInfo:
    """The operations of `Tags`, each with the status code and the headers of its response."""

    def __init__(self, session: Session) -> None:
        self._session = session

    create = raw(create_tag)
    get = raw(get_tag)
    update = raw(update_tag)
    delete = raw(delete_tag)

    async def list(self, *, include_count: bool = False, limit: int = 500, start: str | None = None) -> Page[Tag]:
        """Return the first page of `Tags.list`."""
        return await first_page(_stream(self._session, include_count=include_count, limit=limit, start=start))


def _stream(session: Session, *, include_count: bool, limit: int, start: str | None) -> Pager[Tag]:
    params = page_params(start, limit, 500, include_count=include_count)
    return stream(session, _TAGS, params, start=start, read_ahead=0)
