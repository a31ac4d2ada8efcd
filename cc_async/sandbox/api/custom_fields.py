"""Custom fields."""

from itertools import count
from typing import Annotated, Literal, Required, TypeAlias, TypedDict

from msgspec import Meta

from cc_async.sandbox.collection import cut, read_query, refuse_taken, respond
from cc_async.sandbox.data import Data
from cc_async.sandbox.requests import Call, Document, Routes
from cc_async.sandbox.responses import Response, document, invalid, not_found
from cc_async.sandbox.stamps import OPENED, stamp

_MOST_PER_PAGE, _MOST_FIELDS = 100, 100
Type: TypeAlias = Literal[
    "string", "date", "datetime", "number", "boolean", "currency", "text_area", "single_select", "multi_select"
]
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=50)]
_SEEDED: tuple[tuple[str, str, Document, int], ...] = (
    ("Account note", "string", {}, 0),
    ("Branch", "single_select", {"display_type": "dropdown"}, 4),
    ("Interests", "multi_select", {"display_type": "checkbox"}, 4),
    ("Joined on", "date", {"display_format": "MM/DD/YYYY"}, 0),
    ("Orders", "number", {"integer": True}, 0),
    ("Revenue", "currency", {"currency_code": "USD", "decimal_places": 2}, 0),
)


class _Choice(TypedDict, total=False):
    choice_id: int | str | None
    choice_label: Required[Annotated[str, Meta(max_length=255)]]
    display_order: int | None


class _Metadata(TypedDict, total=False):
    display_type: Literal["dropdown", "checkbox", "radio"] | None
    decimal_places: Annotated[int, Meta(ge=0, le=4)] | None


class _New(TypedDict, total=False):
    label: Required[Label]
    type: Required[Type]
    metadata: _Metadata | None
    choices: Annotated[list[_Choice], Meta(max_length=100)] | None
    version: int | None


class _Update(TypedDict, total=False):
    label: Required[Label]
    choices: Annotated[list[_Choice], Meta(max_length=100)] | None


class CustomFields:
    """The operations on custom fields."""

    def __init__(self, data: Data) -> None:
        self._data = data
        for (label, kind, metadata, choices), field_id in zip(_SEEDED, data.seeded_ids(103, 6), strict=True):
            labels = [{"choice_label": f"{label} {number}"} for number in range(1, choices + 1)]
            body = {"label": label, "type": kind, "metadata": metadata, "choices": labels or None}
            data.custom_fields[field_id] = self._field(field_id, body, OPENED)

    @property
    def routes(self) -> Routes:
        """The operations and their paths."""
        return (
            ("GET", "/contact_custom_fields", self._all),
            ("POST", "/contact_custom_fields", self._create),
            ("GET", "/contact_custom_fields/{field_id}", self._get),
            ("PUT", "/contact_custom_fields/{field_id}", self._update),
            ("DELETE", "/contact_custom_fields/{field_id}", self._delete),
        )

    def _all(self, call: Call) -> Response:
        given = read_query(call)
        found = sorted(self._data.custom_fields.values(), key=lambda field: str(field["label"]))
        page, cursor = cut(given, found, "custom_field_id", _MOST_PER_PAGE)
        return respond(self._data.settings, call, {"custom_fields": page}, cursor)

    def _create(self, call: Call) -> Response:
        call.read(_New)
        body = call.json()
        refuse_taken(body["label"], self._data.custom_fields, key="label")
        if body["type"].endswith("_select") and not (body.get("metadata") or {}).get("display_type"):
            raise invalid("metadata.display_type is required for a select field")
        if len(self._data.custom_fields) >= _MOST_FIELDS:
            raise invalid(f"An account has at most {_MOST_FIELDS} custom fields.")
        made = self._field(self._data.new_id(), body, self._data.now())
        self._data.custom_fields[made["custom_field_id"]] = made
        return document(made, 201)

    def _get(self, call: Call) -> Response:
        return document(self._known(call))

    def _update(self, call: Call) -> Response:
        body, old = dict(call.read(_Update)), self._known(call)
        refuse_taken(str(body["label"]), self._data.custom_fields, old["custom_field_id"], "label")
        kept = {"type": old["type"], "metadata": old.get("metadata"), "version": old["version"], "choices": None}
        new = self._field(old["custom_field_id"], kept | body, self._data.now()) | {"created_at": old["created_at"]}
        self._data.custom_fields[old["custom_field_id"]] = new
        return document(new)

    def _delete(self, call: Call) -> Response:
        del self._data.custom_fields[self._known(call)["custom_field_id"]]
        return Response(204)

    def _known(self, call: Call) -> Document:
        field = self._data.custom_fields.get(call.args["field_id"])
        if field is None:
            raise not_found("The custom field was not found.")
        return field

    def _field(self, field_id: str, body: Document, now: int) -> Document:
        """Return a field; its name is made from the label, and what is left out is null."""
        return {
            "custom_field_id": field_id,
            "label": body["label"],
            "name": body["label"].lower().replace(" ", "_"),
            "type": body["type"],
            "metadata": body.get("metadata"),
            "version": body.get("version") or 1,
            "choices": _choices(field_id, body.get("choices"), now),
            "created_at": stamp(now),
            "updated_at": stamp(now),
        }


def _choices(field_id: str, choices: list[Document] | None, now: int) -> list[Document] | None:
    """Return choices with ids; one without an id is a new one."""
    if choices is None:
        return None
    ids = (choice.get("choice_id") for choice in choices)
    free = count(max((one for one in ids if isinstance(one, int)), default=0) + 1)
    return [
        {
            "custom_field_id": field_id,
            "choice_id": choice.get("choice_id") or next(free),
            "choice_label": choice["choice_label"],
            "display_order": choice.get("display_order") or place,
            "created_at": stamp(now),
            "updated_at": stamp(now),
        }
        for place, choice in enumerate(choices, 1)
    ]
