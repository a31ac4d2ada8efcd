"""Contacts: their routes; the rules are in `store` and `rules`, the searches in `search`."""

import re
from typing import Any

from cc_async.sandbox.chance import identifier
from cc_async.sandbox.data import Data
from cc_async.sandbox.generate import SUBRESOURCES
from cc_async.sandbox.requests import Call, Routes, read_choices, read_ids
from cc_async.sandbox.responses import Response, document, invalid, not_found

from .search import Pages
from .store import Store

_CONTACT_ID = re.compile(r"[0-9a-f]{6,8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_MOST_XREFS = 500


class Contacts:
    """The operations on contacts."""

    def __init__(self, data: Data) -> None:
        self.store, self.pages = Store(data), Pages(data)

    @property
    def routes(self) -> Routes:
        """The operations and their paths."""
        return (
            ("GET", "/contacts", self._list),
            ("POST", "/contacts", self._create),
            ("POST", "/contacts/sign_up_form", self._sign_up),
            ("GET", "/contacts/counts", self._counts),
            ("GET", "/contacts/contact_id_xrefs", self._xrefs),
            ("GET", "/contacts/sms_engagement_history/{contact_id}", self._sms_history),
            ("PUT", "/contacts/resubscribe/{contact_id}", self._resubscribe),
            ("GET", "/contacts/{contact_id}", self._get),
            ("PUT", "/contacts/{contact_id}", self._put),
            ("DELETE", "/contacts/{contact_id}", self._delete),
        )

    def _list(self, call: Call) -> Response:
        return Response(200, self.pages.read(call.query))

    def _create(self, call: Call) -> Response:
        return document(self.store.create(call.json()), 201)

    def _sign_up(self, call: Call) -> Response:
        contact_id, created = self.store.sign_up(call.json())
        action = "created" if created else "updated"
        return document({"contact_id": contact_id, "action": action}, 201 if created else 200)

    def _counts(self, call: Call) -> Response:
        include = call.pairs.get("include", "")
        if include not in ("", "new_subscriber"):
            raise invalid("include does not have a valid value")
        added = {"new_subscriber": self.store.new_subscribers()} if include else {}
        return document(self.store.counts() | added)

    def _xrefs(self, call: Call) -> Response:
        wanted = read_ids(call.pairs, "sequence_ids", _MOST_XREFS)
        found = {number: self.store.by_sequence(number) for number in sorted(wanted)}
        xrefs = [{"sequence_id": number, "contact_id": known} for number, known in found.items() if known]
        return document({"xrefs": xrefs})

    def _sms_history(self, call: Call) -> Response:
        contact = self.store.get(_id(call))
        channel = contact.get("sms_channel") or {}
        return document([_history(contact, channel, consent) for consent in channel.get("sms_channel_consents", ())])

    def _resubscribe(self, call: Call) -> Response:
        self.store.resubscribe(_id(call), call.json())
        return Response(200)

    def _get(self, call: Call) -> Response:
        row = self.store.row(_id(call))
        return Response(200, self.store.table.json(row, read_choices(call.pairs, "include", SUBRESOURCES)))

    def _put(self, call: Call) -> Response:
        body = call.json()
        return document(self.store.put(_id(call), body))

    def _delete(self, call: Call) -> Response:
        self.store.delete(_id(call))
        return Response(204)


def _id(call: Call) -> str:
    contact_id = call.args["contact_id"]
    if not _CONTACT_ID.fullmatch(contact_id):
        raise not_found("contact_id is in an invalid format.")
    return contact_id


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
