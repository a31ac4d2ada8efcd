"""Edit a contact without losing other properties: read it, change it, and send everything back."""

import asyncio
import copy
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn, cast

import attrs

from cc_async.codec.decode import Decoded, decode, dumps, loads
from cc_async.codec.tolerant import unstructure
from cc_async.errors import (
    ApiError,
    ConstantContactError,
    ContactChangedError,
    DecodeError,
    InvalidRequestError,
)
from cc_async.http.call import Call, RawResponse
from cc_async.http.retry import Idempotency
from cc_async.http.session import Session
from cc_async.limits.protocol import Turn
from cc_async.models.contact_requests import COLLECTIONS, ContactChanges, EmailAddressUpdate, ids_of_lists, ids_of_tags
from cc_async.models.contacts import Contact
from cc_async.models.lists import ContactList
from cc_async.models.tags import Tag
from cc_async.resources._lookup import Locks
from cc_async.resources._operation import reads
from cc_async.resources.contacts import calls
from cc_async.resources.contacts.checks import check_value
from cc_async.wire.errors import retry_after

_EDITS = {
    "add_lists": "list_memberships",
    "remove_lists": "list_memberships",
    "add_tags": "taggings",
    "remove_tags": "taggings",
}
# Properties that the API sets itself, or keeps unless they are sent. All others are sent back as received, so that
# properties unknown to this library survive.
_SERVER_MANAGED = {
    "contact_id",
    "create_source",
    "created_at",
    "updated_at",
    "deleted_at",
    "sms_channel",
    *COLLECTIONS,
}
_EMAIL_SERVER_MANAGED = {
    "created_at",
    "updated_at",
    "opt_in_source",
    "opt_in_date",
    "opt_out_source",
    "opt_out_date",
    "confirm_status",
}


@attrs.frozen(kw_only=True)
class Edit:
    """A change of one contact: how to read it, what to refuse, and how to write it."""

    session: Session
    locks: Locks
    """The locks of a client, by contact id."""
    contact_id: str
    update_source: str = "Account"
    include: Sequence[str] = ()
    revive: bool = False
    unless_changed_since: datetime | None = None
    background: bool = False

    async def run(self, decide: Callable[[dict[str, Any]], ContactChanges | None]) -> Contact:
        """Write the changes that `decide` returns, None for no write; start again if the response was lost."""
        # One lock for each contact: of two simultaneous edits, the later would undo the earlier.
        async with self.locks.of(self.contact_id):
            lost: ConstantContactError | None = None  # a copy, whose traceback does not hold this frame
            try:
                began, attempt = asyncio.get_running_loop().time(), 0
                while True:
                    attempt += 1
                    raw = (await self.session.request(self._read())).data
                    self._check(raw, lost)
                    changes = decide(raw)
                    if changes is None:
                        return decode(raw, Contact).value
                    try:
                        return (await self.session.request(self._write(merged(raw, changes, self.update_source)))).data
                    except ConstantContactError as error:
                        pause = self._pause(error, attempt, asyncio.get_running_loop().time() - began)
                        if pause is None:
                            raise
                        lost = copy.copy(error)
                    await self.session.sleep(pause)
            except ConstantContactError as error:
                error.maybe_applied = error.maybe_applied or lost is not None
                raise

    def _read(self) -> Call[dict[str, Any]]:
        path = calls.get(self.contact_id, include=self.include).path
        return Call(operation="contacts.get", method="GET", path=path, parse=_object, turn=Turn(stream=self.background))

    def _write(self, body: dict[str, Any]) -> Call[Contact]:
        return Call(
            operation="contacts.update",
            method="PUT",
            path=calls.contact_path(self.contact_id),
            body=dumps(body),
            parse=reads(Contact),
            turn=Turn(stream=self.background),
            idempotency=Idempotency.UNSAFE,  # after a lost response, another client may have written meanwhile
        )

    def _check(self, raw: dict[str, Any], lost: ConstantContactError | None) -> None:
        """Refuse to overwrite a deleted contact or an unexpected change; `lost` is the error of the previous write."""
        if raw.get("deleted_at") and not self.revive:
            raise InvalidRequestError("The contact is deleted and an update would revive it: call contacts.revive.")
        if self.unless_changed_since is not None:
            updated_at = decode(raw, Contact).value.updated_at
            if updated_at is None or updated_at > self.unless_changed_since:
                # After a lost response the change may be our own or somebody else's: only the caller can tell.
                raise copy.copy(lost) or ContactChangedError(
                    "The contact was changed since it was read: read it again.", contact_id=self.contact_id
                )

    def _pause(self, error: ConstantContactError, attempt: int, elapsed: float) -> float | None:
        """Return the seconds to wait before a write whose response was lost is repeated, or None to give up."""
        if not error.maybe_applied:
            return None
        asked = retry_after(error.headers) if isinstance(error, ApiError) else None
        return self.session.retry.pause(
            error, idempotency=Idempotency.SAFE, attempt=attempt, elapsed=elapsed, retry_after=asked
        )


async def patch(edit: Edit, changes: ContactChanges) -> Contact:
    """Change the named properties and keep all others."""
    changes = checked(changes)
    if edit.unless_changed_since is not None and edit.unless_changed_since.utcoffset() is None:
        raise InvalidRequestError("unless_changed_since must be an aware datetime, such as the updated_at of a read.")
    edits_collections = not _EDITS.keys().isdisjoint(changes)
    # Both are requested: a response that has one of them shows that the other is empty rather than omitted.
    include = ("list_memberships", "taggings") if edits_collections else ()
    return await attrs.evolve(edit, include=include).run(lambda _: changes or None)


async def unsubscribe(edit: Edit, reason: str | None) -> Contact:
    """Set the permission to send to unsubscribed, unless it already is."""
    check_value("reason", reason, str | None)

    def decide(raw: dict[str, Any]) -> ContactChanges | None:
        email = decode(raw, Contact).value.email_address
        if email is None or email.address is None:
            raise InvalidRequestError("The contact has no e-mail address that could be unsubscribed.")
        if email.permission_to_send == "unsubscribed":
            return None
        address = EmailAddressUpdate(address=email.address, permission_to_send="unsubscribed", opt_out_reason=reason)
        return {"email_address": address}

    return await edit.run(decide)


async def revive(edit: Edit) -> Contact:
    """Write a deleted contact back as it is, which revives it."""
    edit = attrs.evolve(edit, revive=True, update_source="Account")
    return await edit.run(lambda raw: {} if raw.get("deleted_at") else None)


def checked(changes: ContactChanges) -> ContactChanges:
    """Return the changes in a form that can be applied more than once.

    Raises:
        InvalidRequestError: One of them is of the wrong type, or they contradict each other.

    """
    if not isinstance(changes, Mapping):
        raise InvalidRequestError(f"The changes of a patch must be a mapping, not {type(changes).__name__}.")
    unknown = changes.keys() - ContactChanges.__annotations__.keys()
    if unknown:  # `patch_many` is given mappings
        raise TypeError(f"A contact has no property {min(unknown)!r} that could be patched.")
    plain = {name: _with_ids(name, value) for name, value in changes.items()}
    for name, value in plain.items():
        check_value(name, value, ContactChanges.__annotations__[name])
        if name in _EDITS and _EDITS[name] in changes:
            raise InvalidRequestError(f"{name} edits what {_EDITS[name]} replaces: give one of them.")
    if plain.get("email_address") == "":
        raise InvalidRequestError("email_address must not be empty; None removes it.")
    for kind in ("lists", "tags"):
        if not set(plain.get(f"add_{kind}", ())).isdisjoint(plain.get(f"remove_{kind}", ())):
            raise InvalidRequestError(f"Both add_{kind} and remove_{kind} name the same one.")
    return cast(ContactChanges, plain)


def _with_ids(name: str, value: Any) -> Any:
    """Return the ids of a change that consists of lists or tags, in any accepted form."""
    if name in _EDITS and isinstance(value, str | ContactList | Tag):
        value = [value]
    if name in {"list_memberships", "add_lists", "remove_lists"}:
        return ids_of_lists(value)
    return ids_of_tags(value) if name in {"taggings", "add_tags", "remove_tags"} else value


def _object(response: RawResponse) -> Decoded[dict[str, Any]]:
    raw = loads(response.body, exact=True)
    if not isinstance(raw, dict):
        raise DecodeError("The response is not a contact: expected an object.")
    return Decoded(raw)


def merged(raw: Mapping[str, Any], changes: ContactChanges, update_source: str) -> dict[str, Any]:
    """Return the body of an update that changes only what is named.

    Raises:
        DecodeError: A property that must be sent back cannot be read, and would be lost.

    """
    body = {
        name: value
        for name, value in raw.items()
        if value is not None and name not in _SERVER_MANAGED and name != "email_address" and not name.startswith("_")
    }
    body["update_source"] = update_source
    email = _email_to_send(raw.get("email_address"), changes)
    if email is not None:
        body["email_address"] = email
    for name, value in unstructure(changes).items():
        if name in _EDITS or name == "email_address":
            continue
        body[name] = [] if value is None and name in COLLECTIONS else value
    for name in {_EDITS[edit] for edit in changes.keys() & _EDITS.keys()}:
        body[name] = _edited(raw, name, changes)
    return {name: value for name, value in body.items() if value is not None or name == "sms_channel"}


def _email_to_send(read: Any, changes: ContactChanges) -> Any:
    """Return the e-mail address to send: as it was read, with its permission, plus the named changes."""
    given = changes.get("email_address")
    if "email_address" in changes and given is None:
        return None
    if not isinstance(read, dict | None):
        _lost("email_address")
    named = {"address": given} if isinstance(given, str) else unstructure(given or {})
    kept = {
        name: value for name, value in (read or {}).items() if name not in _EMAIL_SERVER_MANAGED and value is not None
    }
    if named.get("permission_to_send", kept.get("permission_to_send")) != kept.get("permission_to_send"):
        kept.pop("opt_out_reason", None)  # it was the reason for the previous permission
    sent = kept | named
    if sent and not sent.get("address"):
        _lost("email_address")
    return sent or None


def _edited(raw: Mapping[str, Any], name: str, changes: Mapping[str, Any]) -> list[str]:
    # null means an empty collection, but an absent one may just have been omitted.
    if "list_memberships" not in raw and "taggings" not in raw:
        message = f"The response leaves out {name}, so an edit could lose it: give the whole list with {name}=[...]."
        raise DecodeError(message, path=f"$.{name}")
    found = raw.get(name) or []
    if not isinstance(found, list) or not all(isinstance(entry, str) for entry in found):
        _lost(name)
    kind = "lists" if name == "list_memberships" else "tags"
    added, removed = changes.get(f"add_{kind}", ()), changes.get(f"remove_{kind}", ())
    return [entry for entry in dict.fromkeys([*found, *added]) if entry not in removed]


def _lost(name: str) -> NoReturn:
    raise DecodeError(f"{name} of the contact cannot be read, so an update would lose it.", path=f"$.{name}")
