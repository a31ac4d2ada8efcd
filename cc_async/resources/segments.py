"""The segments of an account, see https://developer.constantcontact.com/api_guide/segments_overview.html."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from cc_async.codec.decode import dumps
from cc_async.http.call import Call
from cc_async.http.retry import Idempotency
from cc_async.http.session import Session
from cc_async.models.segments import Segment
from cc_async.resources._checks import checked_text, page_params, read_for_update, segment_id_of
from cc_async.resources._collection import stream
from cc_async.resources._lookup import find_named
from cc_async.resources._operation import deletion, first_page, raw, reads
from cc_async.streams.collection import Collection
from cc_async.streams.pager import Page, Pager

SegmentId: TypeAlias = int | str | Segment
Criteria: TypeAlias = Mapping[str, Any] | str
_SEGMENTS = Collection(
    operation="segments.list",
    path="/segments",
    items="segments",
    model=Segment,
    key=lambda segment: None if segment.segment_id is None else str(segment.segment_id),
)


def _path(segment_id: SegmentId) -> str:
    return f"/segments/{segment_id_of(segment_id)}"


def _name(name: str) -> str:
    return checked_text("The name of a segment", name)


def _body(name: str, criteria: Criteria) -> bytes:
    text = criteria if isinstance(criteria, str) else dumps(criteria).decode()
    return dumps(
        {
            "name": _name(name),
            "segment_criteria": checked_text("The criteria of a segment", text, at_most=20_000),
        }
    )


def create_segment(name: str, segment_criteria: Criteria) -> Call[Segment]:
    """POST /segments."""
    return Call(
        operation="segments.create",
        method="POST",
        path="/segments",
        body=_body(name, segment_criteria),
        parse=reads(Segment),
    )


def get_segment(segment_id: SegmentId) -> Call[Segment]:
    """GET /segments/{segment_id}."""
    return Call(operation="segments.get", method="GET", path=_path(segment_id), parse=reads(Segment))


def update_segment(segment_id: SegmentId, name: str, segment_criteria: Criteria) -> Call[Segment]:
    """PUT /segments/{segment_id}."""
    body = _body(name, segment_criteria)
    return Call(
        operation="segments.update",
        method="PUT",
        path=_path(segment_id),
        body=body,
        parse=reads(Segment),
        idempotency=Idempotency.SAFE,
    )


def rename_segment(segment_id: SegmentId, name: str) -> Call[Segment]:
    """PATCH /segments/{segment_id}/name."""
    return Call(
        operation="segments.rename",
        method="PATCH",
        path=f"{_path(segment_id)}/name",
        body=dumps({"name": _name(name)}),
        parse=reads(Segment),
        idempotency=Idempotency.SAFE,
    )


def delete_segment(segment_id: SegmentId) -> Call[None]:
    """DELETE /segments/{segment_id}."""
    return deletion("segments.delete", _path(segment_id))


class Segments:
    """Saved searches for contacts, with unique names; their ids are numbers.

    Methods that take the id of a segment also take a `Segment`. `segment_criteria` is a mapping such as
    `{"version": "1.0.0", "criteria": {"type": "and", "group": [...]}}`, or the same as a string of JSON.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def with_http_info(self) -> "SegmentsWithHttpInfo":
        """The same operations, which return the status code and headers with the data."""
        return SegmentsWithHttpInfo(self._session)

    def list(self, *, sort_by: str | None = None, limit: int = 1_000, start: str | None = None) -> Pager[Segment]:
        """Stream all segments, without their criteria (GET /segments).

        `sort_by` is date (the default, newest first) or name. `limit` is the page size. `start` is the `next_url` of a
        page to continue after, without any other filter.
        """
        return _stream(self._session, sort_by, limit, start)

    async def create(self, name: str, segment_criteria: Criteria) -> Segment:
        """Create a segment (POST /segments); not repeated once it may have been applied.

        Raises:
            ConflictError: A segment has this name.
            BadRequestError: The criteria are wrong, or cover more than 500 campaigns or 1,825 days.

        """
        return (await self._session.request(create_segment(name, segment_criteria))).data

    async def get(self, segment_id: SegmentId) -> Segment:
        """Return a segment with its criteria (GET /segments/{segment_id}), even if it was deleted."""
        return (await self._session.request(get_segment(segment_id))).data

    async def update(self, segment_id: SegmentId, name: str, segment_criteria: Criteria) -> Segment:
        """Replace the name and the criteria of a segment (PUT /segments/{segment_id}); `patch` keeps what is not given.

        Raises:
            ConflictError: Another segment has this name.

        """
        return (await self._session.request(update_segment(segment_id, name, segment_criteria))).data

    async def rename(self, segment_id: SegmentId, name: str) -> Segment:
        """Change the name of a segment and nothing else (PATCH /segments/{segment_id}/name).

        Raises:
            ConflictError: Another segment has this name.

        """
        return (await self._session.request(rename_segment(segment_id, name))).data

    async def patch(
        self, segment_id: SegmentId, *, name: str | None = None, segment_criteria: Criteria | None = None
    ) -> Segment:
        """Change what is given and keep the rest: two requests, GET and PUT."""
        now = await read_for_update(self._session, get_segment(segment_id), "name", "segment_criteria")
        return await self.update(
            segment_id,
            name if name is not None else now.name or "",
            segment_criteria if segment_criteria is not None else now.segment_criteria or "",
        )

    async def delete(self, segment_id: SegmentId) -> None:
        """Delete a segment (DELETE /segments/{segment_id}).

        Make sure that no scheduled campaign uses it: the provider asks to check that first.
        """
        await self._session.request(delete_segment(segment_id))

    async def find(self, name: str) -> Segment | None:
        """Return the segment with this name, or None; one that differs in case only if no other matches.

        Reads the segments: one request for 1,000.
        """
        return await find_named(self.list(), name, lambda segment: [segment.name])


class SegmentsWithHttpInfo:
    """The operations of `Segments`, each with the status code and the headers of its response."""

    def __init__(self, session: Session) -> None:
        self._session = session

    create = raw(create_segment)
    get = raw(get_segment)
    update = raw(update_segment)
    rename = raw(rename_segment)
    delete = raw(delete_segment)

    async def list(self, *, sort_by: str | None = None, limit: int = 1_000, start: str | None = None) -> Page[Segment]:
        """Return the first page of `Segments.list`."""
        return await first_page(_stream(self._session, sort_by, limit, start))


def _stream(session: Session, sort_by: str | None, limit: int, start: str | None) -> Pager[Segment]:
    return stream(session, _SEGMENTS, page_params(start, limit, 1_000, sort_by=sort_by), start=start, read_ahead=0)
