"""The routes of the API: from a request to the store, and from its verdict to an answer."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote

import attrs
import msgspec

from .answers import ACCESS_DENIED, UNSUPPORTED, Answer, Refused, document, invalid, not_found
from .chance import identifier
from .generate import SUBRESOURCES
from .query import Pages, read_include, read_pairs
from .rules import check_name
from .settings import Settings
from .stamps import stamp
from .store import Store

_CONTACT_ID = re.compile(r"[0-9a-f]{6,8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOST_XREFS = 500
_WRITES = ("POST", "PUT", "DELETE")


@attrs.frozen
class Call:
    """One request, as far as the API looks at it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


Handler: TypeAlias = Callable[[Call, str], Answer]


class Api:
    """Answers calls from a store; synchronous, so that no two calls ever mix."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._pages = Pages(settings, store.table)
        self._routes: tuple[tuple[str, re.Pattern[str], Handler], ...] = tuple(
            (method, re.compile(path), handler)
            for method, path, handler in (
                ("GET", "/contacts", self._list),
                ("POST", "/contacts", self._create),
                ("POST", "/contacts/sign_up_form", self._sign_up),
                ("GET", "/contacts/counts", self._counts),
                ("GET", "/contacts/contact_id_xrefs", self._xrefs),
                ("GET", "/contacts/sms_engagement_history/([^/]+)", self._sms_history),
                ("PUT", "/contacts/resubscribe/([^/]+)", self._resubscribe),
                ("GET", "/contacts/([^/]+)", self._get),
                ("PUT", "/contacts/([^/]+)", self._put),
                ("DELETE", "/contacts/([^/]+)", self._delete),
                ("GET", "/contact_lists", self._lists),
                ("GET", "/contact_tags", self._tags),
                ("POST", "/contact_tags", self._create_tag),
                ("GET", "/contact_custom_fields", self._custom_fields),
            )
        )

    def answer(self, call: Call) -> Answer:
        """Answer a call that the gateway has let through."""
        for method, path, handler in self._routes:
            match = path.fullmatch(call.path)
            if match and method == call.method:
                try:
                    return handler(call, unquote("".join(match.groups())))
                except Refused as refusal:
                    return UNSUPPORTED if refusal.status == UNSUPPORTED.status else refusal.answer
        return ACCESS_DENIED

    def _list(self, call: Call, _: str) -> Answer:
        return Answer(200, self._pages.answer(self._pages.questions.read(call.query)))

    def _create(self, call: Call, _: str) -> Answer:
        return document(self._store.create(_json(call)), 201)

    def _sign_up(self, call: Call, _: str) -> Answer:
        contact_id, created = self._store.sign_up(_json(call))
        action = "created" if created else "updated"
        return document({"contact_id": contact_id, "action": action}, 201 if created else 200)

    def _counts(self, call: Call, _: str) -> Answer:
        include = read_pairs(call.query).get("include", "")
        if include not in ("", "new_subscriber"):
            raise invalid("include does not have a valid value")
        added = {"new_subscriber": self._store.new_subscribers()} if include else {}
        return document(self._store.counts() | added)

    def _xrefs(self, call: Call, _: str) -> Answer:
        wanted = set(read_pairs(call.query).get("sequence_ids", "").split(",")) - {""}
        if not wanted or len(wanted) > _MOST_XREFS:
            raise invalid(f"sequence_ids must hold from 1 to {_MOST_XREFS} ids.")
        found = {number: self._store.by_sequence(number) for number in sorted(wanted)}
        xrefs = [{"sequence_id": number, "contact_id": known} for number, known in found.items() if known]
        return document({"xrefs": xrefs})

    def _sms_history(self, _: Call, contact_id: str) -> Answer:
        contact = self._contact(contact_id)
        channel = contact.get("sms_channel") or {}
        return document([_history(contact, channel, consent) for consent in channel.get("sms_channel_consents", ())])

    def _resubscribe(self, call: Call, contact_id: str) -> Answer:
        self._store.resubscribe(_checked_id(contact_id), _json(call))
        return Answer(200)

    def _get(self, call: Call, contact_id: str) -> Answer:
        row = self._store.row(_checked_id(contact_id))
        include = read_include(read_pairs(call.query).get("include", ""))
        places = [place for place, name in enumerate(SUBRESOURCES, 1) if name in include]
        return Answer(200, self._store.table.json(row, places))

    def _put(self, call: Call, contact_id: str) -> Answer:
        body = _json(call)
        return document(self._store.put(_checked_id(contact_id), body))

    def _delete(self, _: Call, contact_id: str) -> Answer:
        self._store.delete(_checked_id(contact_id))
        return Answer(204)

    def _lists(self, call: Call, _: str) -> Answer:
        made = stamp(0, 0)
        lists = [
            {
                "list_id": list_id,
                "name": f"List {place}",
                "favorite": False,
                "created_at": made,
                "updated_at": made,
            }
            for place, list_id in enumerate(self._store.lists, 1)
        ]
        count = read_pairs(call.query).get("include_count") == "true"
        return document({**self._envelope("lists", lists, call), **({"lists_count": len(lists)} if count else {})})

    def _tags(self, call: Call, _: str) -> Answer:
        made = stamp(0, 0)
        tags = [
            {"tag_id": tag_id, "name": name, "created_at": made, "updated_at": made, "tag_source": "Contact"}
            for tag_id, name in self._store.tag_names.items()
        ]
        return document(self._envelope("tags", tags, call))

    def _create_tag(self, call: Call, _: str) -> Answer:
        name, made = check_name(_json(call)), stamp(int(self._settings.clock() * 1000))
        tag_id = self._store.add_tag(name)
        return document({"tag_id": tag_id, "name": name, "created_at": made, "updated_at": made}, 201)

    def _custom_fields(self, call: Call, _: str) -> Answer:
        kinds = ("string", "single_select", "multi_select", "date", "number", "currency")
        fields = [
            {"custom_field_id": field_id, "label": f"Field {kind}", "name": f"Field_{kind}", "type": kind}
            for field_id, kind in zip(self._store.custom_fields, kinds, strict=True)
        ]
        return document(self._envelope("custom_fields", fields, call))

    def _envelope(self, name: str, items: list[Any], call: Call) -> dict[str, Any]:
        """Cut one page out of a small collection; its links count items, not pages."""
        given = read_pairs(call.query)
        if not all(given.get(key, "1").isdecimal() for key in ("limit", "start")):
            raise invalid("limit must be a number.")
        limit, start = int(given.get("limit", 50)), int(given.get("start", 0))
        page: dict[str, Any] = {name: items[start : start + limit]}
        if start + limit < len(items):
            page["_links"] = {"next": {"href": f"/v3{call.path}?limit={limit}&start={start + limit}"}}
        return page

    def _contact(self, contact_id: str) -> dict[str, Any]:
        return self._store.get(_checked_id(contact_id))


def is_write(method: str) -> bool:
    """Tell whether a method changes something."""
    return method in _WRITES


def _checked_id(contact_id: str) -> str:
    if not _CONTACT_ID.fullmatch(contact_id):
        raise not_found("contact_id is in an invalid format.")
    return contact_id


def _json(call: Call) -> Any:
    if call.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(UNSUPPORTED.status, "", "")
    try:
        return msgspec.json.decode(call.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(400, "contacts.api.malformed_json", "The body is not valid JSON.") from None


def _history(contact: dict[str, Any], channel: dict[str, Any], consent: dict[str, Any]) -> dict[str, Any]:
    out = consent["sms_consent_permission"] == "unsubscribed"
    when = consent["opt_out_date" if out and "opt_out_date" in consent else "opt_in_date"]
    return {
        "contact_id": contact["contact_id"],
        "sms_channel_id": channel["sms_channel_id"],
        "sms_channel_history_id": identifier(int(channel["sms_channel_id"][:8], 16)),
        "insert_time": when,
        "history_details": {
            "state": "O" if out else "E",
            "source": "C",
            "consent_type": consent["consent_type"],
            "consent_action_time": f"{when[:10]} {when[11:19]} -0800",
            "consent_action_type": "opt_out" if out else "opt_in",
            "consent_medium_type": "MD",
            "source_consent_timestamp": f"{when[:19]}-05:0",
            "source_sms_number": channel["sms_address"],
            "advertised_frequency": int(consent.get("advertised_frequency", 1)),
            "advertised_interval": "M",
        },
    }
