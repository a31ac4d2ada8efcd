"""Contact lists."""

from typing import Annotated, Required, TypedDict

from msgspec import Meta

from cc_async.sandbox.collection import Name, cut, internal, read_query, refuse_taken, respond
from cc_async.sandbox.data import Data
from cc_async.sandbox.jobs import Jobs
from cc_async.sandbox.requests import Call, Document, Routes, read_choices, read_flag, read_ids
from cc_async.sandbox.responses import Response, document, invalid, not_found
from cc_async.sandbox.stamps import OPENED, stamp
from cc_async.sandbox.table import between_commas, has_any

from .deletions import delete_lists

_MOST_PER_PAGE, _MOST_XREFS = 1_000, 500
_SEEDED = 12
_STATUSES = ("all", "active", "deleted")
_COUNTED = {"all": "status != 'deleted'", "active": "status IN ('explicit', 'implicit')"}


class _Body(TypedDict, total=False):
    name: Required[Name]
    favorite: bool | None
    description: Annotated[str, Meta(max_length=255)] | None


class Lists:
    """The operations on contact lists."""

    def __init__(self, data: Data, jobs: Jobs) -> None:
        self._data, self._jobs = data, jobs
        for number, list_id in enumerate(data.seeded_ids(101, _SEEDED), 1):
            data.lists[list_id] = _list(list_id, {"name": f"List {number}"}, OPENED)
        (sms_id,) = data.seeded_ids(108, 1)
        data.sms_lists[sms_id] = _list(sms_id, {"name": "Text messages"}, OPENED)

    @property
    def routes(self) -> Routes:
        """The operations and their paths."""
        return (
            ("GET", "/contact_lists", self._all),
            ("POST", "/contact_lists", self._create),
            ("GET", "/contact_lists/list_id_xrefs", self._xrefs),
            ("GET", "/contact_lists/{list_id}", self._get),
            ("PUT", "/contact_lists/{list_id}", self._update),
            ("DELETE", "/contact_lists/{list_id}", self._delete),
        )

    def _all(self, call: Call) -> Response:
        given = read_query(call)
        found = sorted(self._found(given), key=lambda one: str(one["list_id"]))
        page, cursor = cut(given, found, "list_id", _MOST_PER_PAGE)
        body: Document = {"lists": [self._counted(one, given) for one in page]}
        if read_flag(given, "include_count"):
            body["lists_count"] = len(found)
        return respond(self._data.settings, call, body, cursor)

    def _found(self, given: dict[str, str]) -> list[Document]:
        channel, name = given.get("channel_type", "email"), given.get("name")
        if channel not in ("email", "sms"):
            raise invalid("channel_type does not have a valid value")
        if read_flag(given, "include_sms_membership_count") and channel != "sms":
            raise invalid("include_sms_membership_count requires channel_type sms")
        statuses = read_choices(given, "status", _STATUSES) or ("active",)
        found: list[Document] = []
        if {"all", "active"} & set(statuses):
            found += (self._data.lists if channel == "email" else self._data.sms_lists).values()
        if {"all", "deleted"} & set(statuses) and channel == "email":
            found += self._data.deleted_lists.values()
        return [one for one in found if name in (None, one["name"])]

    def _create(self, call: Call) -> Response:
        body = call.read(_Body)
        refuse_taken(body["name"], self._data.lists)
        made = _list(self._data.new_id(), dict(body), self._data.now())
        self._data.lists[made["list_id"]] = made
        return document(made, 201)

    def _get(self, call: Call) -> Response:
        return document(self._counted(self._list(call), call.pairs))

    def _update(self, call: Call) -> Response:
        body, old = call.read(_Body), self._list(call)
        refuse_taken(body["name"], self._data.lists, old["list_id"])
        new = _list(old["list_id"], dict(body), self._data.now()) | {"created_at": old["created_at"]}
        if {**new, "updated_at": 0} != {**old, "updated_at": 0}:
            self._data.lists[old["list_id"]] = new
        return document(self._data.lists[old["list_id"]])

    def _delete(self, call: Call) -> Response:
        list_id = call.args["list_id"]
        if list_id not in self._data.lists:
            raise invalid("list_id not found")

        job = self._jobs.add(lambda job: delete_lists(self._data, [list_id], job), 1)
        link = f"{internal(self._data.settings, 4)}/activities/{job.activity_id}"
        return document(self._jobs.activity(job, link), 202, {"Location": link})

    def _xrefs(self, call: Call) -> Response:
        wanted = read_ids(call.pairs, "sequence_ids", _MOST_XREFS)
        known = {_sequence_id(list_id): list_id for list_id in self._data.lists}
        found = [{"sequence_id": one, "list_id": known[one]} for one in sorted(wanted) if one in known]
        return document({"xrefs": found})

    def _list(self, call: Call) -> Document:
        list_id = call.args["list_id"]
        found = self._data.lists.get(list_id) or self._data.sms_lists.get(list_id)
        if found is None:
            raise not_found("The list was not found.")
        return found

    def _counted(self, one: Document, given: dict[str, str]) -> Document:
        """Return a list with the membership count if it is asked for; raises Refused."""
        counted = given.get("include_membership_count")
        if counted is None:
            return one
        if counted not in _COUNTED:
            raise invalid("include_membership_count does not have a valid value")
        condition = f"{_COUNTED[counted]} AND {has_any('lists', ['one'])}"
        return one | {"membership_count": self._data.contacts.count(condition, [between_commas(one["list_id"])])}


def _list(list_id: str, body: Document, now: int) -> Document:
    made = {
        "list_id": list_id,
        "name": body["name"],
        "description": body.get("description"),
        "favorite": bool(body.get("favorite")),
        "created_at": stamp(now),
        "updated_at": stamp(now),
    }
    return {name: value for name, value in made.items() if value not in (None, "")}


def _sequence_id(list_id: str) -> str:
    """Return the number of a list in the older version of the API."""
    return str(int(list_id[:8], 16))
