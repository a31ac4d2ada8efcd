"""Segments; each holds a tenth of the contacts, regardless of its criteria."""

from typing import Annotated, TypeAlias, TypedDict

import msgspec
from msgspec import Meta

from cc_async.sandbox.collection import Name, cut, next_href, read_query, refuse_taken
from cc_async.sandbox.data import Data
from cc_async.sandbox.requests import Call, Document, Routes
from cc_async.sandbox.responses import Response, document, invalid, not_found
from cc_async.sandbox.stamps import OPENED, stamp

_MOST_PER_PAGE = 1_000
_SEEDED = 10
_CRITERIA = '{"version":"1.0.0","criteria":{"type":"and","group":[]}}'
Criteria: TypeAlias = Annotated[str, Meta(max_length=20_000)]


class _NewName(TypedDict):
    name: Name


class _Body(_NewName):
    segment_criteria: Criteria


class Segments:
    """The operations on segments."""

    def __init__(self, data: Data) -> None:
        self._data = data
        for number in range(1, _SEEDED + 1):
            body = {"name": f"Segment {number}", "segment_criteria": _CRITERIA}
            data.segments[str(number)] = self._segment(number, body, OPENED)

    @property
    def routes(self) -> Routes:
        """The operations and their paths."""
        return (
            ("GET", "/segments", self._all),
            ("POST", "/segments", self._create),
            ("GET", "/segments/{segment_id}", self._get),
            ("PUT", "/segments/{segment_id}", self._update),
            ("PATCH", "/segments/{segment_id}/name", self._rename),
            ("DELETE", "/segments/{segment_id}", self._delete),
        )

    def _all(self, call: Call) -> Response:
        given = read_query(call)
        order = given.get("sort_by", "date")
        if order not in ("date", "name"):
            raise invalid("sort_by must be date or name.")
        found = [{**one} for one in self._data.segments.values()]
        found.sort(key=lambda one: str(one["name"] if order == "name" else one["edited_at"]), reverse=order == "date")
        page, cursor = cut(given, found, "segment_id", _MOST_PER_PAGE, _MOST_PER_PAGE)
        for one in page:
            del one["segment_criteria"]
        href = next_href(self._data.settings, call.path, cursor) if cursor else None
        return document({"segments": page, "_links": {"next": {"href": href}}})

    def _create(self, call: Call) -> Response:
        body = self._body(call)
        number = len(self._data.segments) + len(self._data.deleted_segments) + 1
        self._data.segments[str(number)] = made = self._segment(number, body, self._data.now())
        return document(made, 201)

    def _get(self, call: Call) -> Response:
        return document(self._known(call, deleted=True))

    def _update(self, call: Call) -> Response:
        old = self._known(call)
        return self._edited(old, self._body(call, str(old["segment_id"])))

    def _rename(self, call: Call) -> Response:
        old, body = self._known(call), call.read(_NewName)
        refuse_taken(body["name"], self._data.segments, str(old["segment_id"]))
        return self._edited(old, dict(body))

    def _delete(self, call: Call) -> Response:
        number = str(self._known(call)["segment_id"])
        self._data.deleted_segments[number] = self._data.segments.pop(number)
        return Response(204)

    def _edited(self, old: Document, body: Document) -> Response:
        new = old | body | {"edited_at": stamp(self._data.now())}
        self._data.segments[str(old["segment_id"])] = new
        return document(new)

    def _body(self, call: Call, but: str = "") -> Document:
        body = call.read(_Body)
        refuse_taken(body["name"], self._data.segments, but)
        try:
            msgspec.json.decode(body["segment_criteria"])
        except msgspec.DecodeError:
            raise invalid("segment_criteria must be a string that holds JSON.") from None
        return dict(body)

    def _known(self, call: Call, *, deleted: bool = False) -> Document:
        segment_id = call.args["segment_id"]
        if not segment_id.isdecimal():
            raise invalid("segment_id must be a number.")
        found = self._data.segments.get(segment_id) or (
            self._data.deleted_segments.get(segment_id) if deleted else None
        )
        if found is None:
            raise not_found("The segment was not found.")
        return found

    @staticmethod
    def _segment(number: int, body: Document, now: int) -> Document:
        return {**body, "segment_id": number, "created_at": stamp(now), "edited_at": stamp(now)}
