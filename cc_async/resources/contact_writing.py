"""Writing to one contact without losing what is not named: read it, change that, and send the rest back as it was."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NoReturn
from weakref import WeakKeyDictionary, WeakValueDictionary

import attrs

from cc_async.codec import Decoded, decode, dumps, loads, to_plain
from cc_async.errors import (
    ConflictError,
    ConstantContactError,
    ContactChangedError,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
)
from cc_async.limits import Turn
from cc_async.models.contact import Contact
from cc_async.models.requests import ContactChanges, CreateContactRequest
from cc_async.resources import contact_calls as calls
from cc_async.resources.contact_calls import Several
from cc_async.resources.contact_stream import contact_stream
from cc_async.retry import Repeat
from cc_async.session import Answer, Call, Session

_EDITS = {
    "add_lists": "list_memberships",
    "remove_lists": "list_memberships",
    "add_tags": "taggings",
    "remove_tags": "taggings",
}
_COLLECTIONS = {"custom_fields", "phone_numbers", "street_addresses", "list_memberships", "taggings", "notes"}
# What the API keeps by itself. All else goes back as it came, so that a property of tomorrow survives.
_KEPT = {"contact_id", "create_source", "created_at", "updated_at", "deleted_at", "sms_channel", *_COLLECTIONS}
_EMAIL_KEPT = {
    "created_at",
    "updated_at",
    "opt_in_source",
    "opt_in_date",
    "opt_out_source",
    "opt_out_date",
    "confirm_status",
}
_locks: WeakKeyDictionary[Session, WeakValueDictionary[str, asyncio.Lock]] = WeakKeyDictionary()


async def patch(
    session: Session,
    contact_id: str,
    changes: ContactChanges,
    *,
    update_source: str = "Account",
    unless_changed_since: datetime | None = None,
    revive: bool = False,
    background: bool = False,
) -> Contact:
    """Read a contact and write it back with the changes in it, from the start again where an answer was lost."""
    check_changes(changes)
    include = ["list_memberships", "taggings"] if _EDITS.keys() & changes.keys() else []
    read = Call(method="GET", path=calls.get(contact_id, include or ()).path, parse=_object, turn=Turn(stream=background))
    began = asyncio.get_running_loop().time()
    locks = _locks.setdefault(session, WeakValueDictionary())
    async with locks.setdefault(contact_id, asyncio.Lock()):
        attempt = 0
        while True:
            attempt += 1
            raw = (await session.request(attrs.evolve(read, turn=Turn(stream=background)))).data
            if attempt == 1:
                _check_read(contact_id, raw, unless_changed_since, revive=revive)
            write = Call(
                method="PUT",
                path=calls.contact_path(contact_id),
                body=dumps(merged(raw, changes, update_source)),
                parse=lambda answer: decode(answer.body, Contact),
                turn=Turn(stream=background),
                repeat=Repeat.NEVER,  # as it stands: by then somebody else may have written
            )
            try:
                return (await session.request(write)).data
            except ConstantContactError as failure:
                elapsed = asyncio.get_running_loop().time() - began
                pause = session.retry.pause(failure, repeat=Repeat.SAFE, attempt=attempt, elapsed=elapsed)
                if pause is None or not failure.maybe_applied:
                    raise
            await asyncio.sleep(pause)


def check_changes(changes: ContactChanges) -> None:
    """Refuse changes that contradict each other or that have no such name."""
    unknown = changes.keys() - ContactChanges.__annotations__.keys()
    if unknown:
        raise TypeError(f"patch() got an unexpected keyword argument {min(unknown)!r}")
    for edit, name in _EDITS.items():
        if edit in changes and name in changes:
            raise InvalidRequestError(f"{edit} edits what {name} replaces: give one of them.")


def _object(answer: Answer) -> Decoded[dict[str, Any]]:
    raw = loads(answer.body)
    if not isinstance(raw, dict):
        raise DecodeError("The answer is no contact: expected an object.")
    return Decoded(raw)


def _check_read(contact_id: str, raw: Mapping[str, Any], since: datetime | None, *, revive: bool) -> None:
    if raw.get("deleted_at") and not revive:
        raise InvalidRequestError("The contact is deleted and an update would revive it: call contacts.revive first.")
    if since is not None:
        updated_at = decode(dict(raw), Contact).value.updated_at
        if updated_at is None or updated_at > since:
            raise ContactChangedError("The contact has been changed since it was read.", contact_id=contact_id)


def merged(raw: Mapping[str, Any], changes: ContactChanges, update_source: str) -> dict[str, Any]:
    """The body of an update that changes only what is named.

    Raises:
        DecodeError: what would have to be sent back cannot be read, so it would be lost.

    """
    body = {
        name: value
        for name, value in raw.items()
        if value is not None and name not in _KEPT and name != "email_address" and not name.startswith("_")
    }
    body["update_source"] = update_source
    email = _email_to_send(raw.get("email_address"), changes)
    if email is not None:
        body["email_address"] = email
    for name, value in to_plain(changes).items():
        if name in _EDITS or name == "email_address":
            continue
        body[name] = [] if value is None and name in _COLLECTIONS else value
    for name in {_EDITS[edit] for edit in changes.keys() & _EDITS.keys()}:
        body[name] = _edited(raw, name, changes)
    return {name: value for name, value in body.items() if value is not None or name == "sms_channel"}


def _email_to_send(read: Any, changes: ContactChanges) -> Any:
    """The e-mail address to send: as it was read, with the permission as it was read, but for what is named."""
    given = changes.get("email_address")
    if "email_address" in changes and not isinstance(given, str):
        kept = read.get("permission_to_send") if isinstance(read, dict) else None
        return given and ({"permission_to_send": kept} if kept else {}) | to_plain(given)
    if read is not None and not (isinstance(read, dict) and (read.get("address") or given)):
        _lost("email_address")
    sent = {name: value for name, value in (read or {}).items() if name not in _EMAIL_KEPT and value is not None}
    if given is not None:
        sent["address"] = given
    return sent or None


def _edited(raw: Mapping[str, Any], name: str, changes: ContactChanges) -> list[str]:
    # A null is an empty collection; an absent one may mean that the answer does not tell.
    told = [other for other in ("list_memberships", "taggings") if other in raw]
    found = raw.get(name) if told else _lost(name)
    if not isinstance(found, list | None) or not all(isinstance(entry, str) for entry in found or []):
        _lost(name)
    added, removed = _ids(changes, name, "add"), _ids(changes, name, "remove")
    return [entry for entry in dict.fromkeys([*(found or []), *added]) if entry not in removed]


def _ids(changes: ContactChanges, name: str, verb: str) -> list[str]:
    edit = next(edit for edit, target in _EDITS.items() if target == name and edit.startswith(verb))
    given: str | Iterable[str] = changes.get(edit, ())  # type: ignore[assignment]  # the key is one of the edits
    return [given] if isinstance(given, str) else list(given)


def _lost(name: str) -> NoReturn:
    raise DecodeError(f"{name} of the contact cannot be read, so an update would lose it.", path=f"$.{name}")


async def unsubscribe(session: Session, contact_id: str, reason: str | None, *, background: bool = False) -> Contact:
    """Set the permission to send to unsubscribed and keep all else."""
    contact = (await session.request(calls.get(contact_id))).data
    email = contact.email_address
    if email is None or email.address is None:
        raise InvalidRequestError("The contact has no e-mail address to unsubscribe.")
    if email.permission_to_send == "unsubscribed":
        return contact
    change = {"permission_to_send": "unsubscribed", "opt_out_reason": reason}
    ...


async def find(session: Session, email: str, *, deleted: bool, include: Several) -> Contact | None:
    """The contact with an address, whatever the case of its letters."""
    filters = {"status": "all"} if deleted else {}
    for asked in dict.fromkeys((email, email.lower())):
        async with contact_stream(session, {"email": asked, "include": include, **filters}) as contacts:
            async for contact in contacts:
                address = contact.email_address and contact.email_address.address
                if address and address.casefold() == email.casefold():
                    return contact
    return None
