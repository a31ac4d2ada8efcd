"""Tags."""

from typing import Required, TypedDict

from cc_async.sandbox.collection import Name, cut, internal, next_href, read_query, refuse_taken
from cc_async.sandbox.data import Data
from cc_async.sandbox.jobs import Jobs
from cc_async.sandbox.requests import Call, Document, Routes, read_flag
from cc_async.sandbox.responses import Response, document, invalid, not_found
from cc_async.sandbox.stamps import OPENED, stamp
from cc_async.sandbox.table import between_commas, has_any

from .deletions import delete_tags

_MOST_PER_PAGE, _MOST_TAGS = 500, 500
_SEEDED = 8


class _Body(TypedDict, total=False):
    name: Required[Name]
    tag_source: str | None


class Tags:
    """The operations on tags."""

    def __init__(self, data: Data, jobs: Jobs) -> None:
        self._data, self._jobs = data, jobs
        for number, tag_id in enumerate(data.seeded_ids(102, _SEEDED), 1):
            data.tags[tag_id] = self._tag(tag_id, {"name": f"Tag {number}", "tag_source": "Contact"}, OPENED)

    @property
    def routes(self) -> Routes:
        """The operations and their paths."""
        return (
            ("GET", "/contact_tags", self._all),
            ("POST", "/contact_tags", self._create),
            ("GET", "/contact_tags/{tag_id}", self._get),
            ("PUT", "/contact_tags/{tag_id}", self._update),
            ("DELETE", "/contact_tags/{tag_id}", self._delete),
        )

    def _all(self, call: Call) -> Response:
        given = read_query(call)
        found = sorted(self._data.tags.values(), key=lambda tag: str(tag["tag_id"]))
        page, cursor = cut(given, found, "tag_id", _MOST_PER_PAGE)
        body: Document = {"tags": [self._counted(tag, given) for tag in page]}
        if read_flag(given, "include_count"):
            body["tags_count"] = len(found)
        if cursor:
            href = next_href(self._data.settings, call.path, cursor)
            body["_links"] = {"next": {"href": href, "next": {"href": href}}}  # a link within the link, as documented
        return document(body)

    def _create(self, call: Call) -> Response:
        body: Document = {**call.read(_Body)}
        self._check_name(body["name"])
        if len(self._data.tags) >= _MOST_TAGS:
            raise invalid(f"An account has at most {_MOST_TAGS} tags.")
        made = self._tag(self._data.new_id(), body, self._data.now())
        self._data.tags[made["tag_id"]] = made
        return document(made, 201)

    def _get(self, call: Call) -> Response:
        return document(self._counted(self._known(call), call.pairs))

    def _update(self, call: Call) -> Response:
        body, old = call.read(_Body), self._known(call)
        self._check_name(body["name"], old["tag_id"])
        new = old | {"name": body["name"], "updated_at": stamp(self._data.now())}
        self._data.tags[old["tag_id"]] = new
        return document(new)

    def _delete(self, call: Call) -> Response:
        tag_id = self._known(call)["tag_id"]
        job = self._jobs.add(lambda job: delete_tags(self._data, [tag_id], job), 1, {"items_completed_count": 0})
        link = f"{internal(self._data.settings, 3)}/activities/{job.activity_id}"
        return document(self._jobs.activity(job, link) | {"status": {}}, 202)

    def _known(self, call: Call) -> Document:
        tag = self._data.tags.get(call.args["tag_id"])
        if tag is None:
            raise not_found("The tag was not found.")
        return tag

    def _check_name(self, name: str, but: str = "") -> None:
        if {"<", ">"} & set(name):
            raise invalid("name must not contain < or >")
        refuse_taken(name, self._data.tags, but)

    def _counted(self, tag: Document, given: dict[str, str]) -> Document:
        if not read_flag(given, "include_count"):
            return tag
        condition = f"status != 'deleted' AND {has_any('tags', ['one'])}"
        return tag | {"contacts_count": self._data.contacts.count(condition, [between_commas(tag["tag_id"])])}

    @staticmethod
    def _tag(tag_id: str, body: Document, now: int) -> Document:
        source = {"tag_source": body["tag_source"]} if body.get("tag_source") else {}
        made = {"tag_id": tag_id, "name": body["name"], "created_at": stamp(now), "updated_at": stamp(now)}
        return made | source
