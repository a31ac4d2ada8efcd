"""Writing to one contact without losing what is not named: read it, change that, and send the rest back as it was."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    ServerError,
    TransportError,
)
from cc_async.limits import Turn
from cc_async.models.contact import Contact
from cc_async.models.requests import ContactChanges, CreateContactRequest, EmailAddressUpdate
from cc_async.resources import contact_calls as calls
from cc_async.resources.contact_calls import ContactFilters, Several
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


@attrs.frozen(kw_only=True)
class Edit:
    """How one contact is to be read, changed and written back."""

    session: Session
    contact_id: str
    update_source: str = "Account"
    include: Sequence[str] = ()
    revive: bool = False
    unless_changed_since: datetime | None = None
    background: bool = False

    async def run(self, decide: Callable[[dict[str, Any]], ContactChanges | None]) -> Contact:
        """Write what `decide` makes of the contact, None being nothing; start again where an answer was lost."""
        # One lock a contact: of two edits at once, the later would undo the earlier.
        locks = _locks.setdefault(self.session, WeakValueDictionary())
        async with locks.setdefault(self.contact_id, asyncio.Lock()):
            began = asyncio.get_running_loop().time()
            attempt = 0
            while True:
                attempt += 1
                raw = (await self.session.request(self._read())).data
                if attempt == 1:
                    self._check(raw)
                changes = decide(raw)
                if changes is None:
                    return decode(raw, Contact).value
                try:
                    return (await self.session.request(self._write(merged(raw, changes, self.update_source)))).data
                except ConstantContactError as failure:
                    elapsed = asyncio.get_running_loop().time() - began
                    pause = self.session.retry.pause(failure, repeat=Repeat.SAFE, attempt=attempt, elapsed=elapsed)
                    if pause is None or not failure.maybe_applied:
                        raise
                await asyncio.sleep(pause)

    def _read(self) -> Call[dict[str, Any]]:
        path = calls.get(self.contact_id, self.include).path
        return Call(method="GET", path=path, parse=_object, turn=Turn(stream=self.background))

    def _write(self, body: dict[str, Any]) -> Call[Contact]:
        return Call(
            method="PUT",
            path=calls.contact_path(self.contact_id),
            body=dumps(body),
            parse=lambda answer: decode(answer.body, Contact),
            turn=Turn(stream=self.background),
            repeat=Repeat.NEVER,  # as it stands: after a lost answer somebody else may have written
        )

    def _check(self, raw: dict[str, Any]) -> None:
        if raw.get("deleted_at") and not self.revive:
            raise InvalidRequestError("The contact is deleted and an update would revive it: call contacts.revive.")
        if self.unless_changed_since is not None:
            updated_at = decode(raw, Contact).value.updated_at
            if updated_at is None or updated_at > self.unless_changed_since:
                raise ContactChangedError("The contact has been changed meanwhile.", contact_id=self.contact_id)


async def patch(edit: Edit, changes: ContactChanges) -> Contact:
    """Change what is named and nothing else."""
    check_changes(changes)
    edits_collections = not _EDITS.keys().isdisjoint(changes)
    # Both are asked for, since an answer with either shows that an absent one is empty rather than not told.
    include = ("list_memberships", "taggings") if edits_collections else ()
    return await attrs.evolve(edit, include=include).run(lambda _: changes)


async def unsubscribe(edit: Edit, reason: str | None) -> Contact:
    """Set the permission to send to unsubscribed, unless it is."""

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


def check_changes(changes: ContactChanges) -> None:
    """Refuse changes that contradict each other or that have no such name."""
    unknown = changes.keys() - ContactChanges.__annotations__.keys()
    if unknown:
        raise TypeError(f"patch() got an unexpected keyword argument {min(unknown)!r}")
    for edit, name in _EDITS.items():
        if edit in changes and name in changes:
            raise InvalidRequestError(f"{edit} edits what {name} replaces: give one of them.")


def _object(answer: Answer) -> Decoded[dict[str, Any]]:
    raw = loads(answer.body, exact=True)
    if not isinstance(raw, dict):
        raise DecodeError("The answer is no contact: expected an object.")
    return Decoded(raw)


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


async def find(session: Session, email: str, *, deleted: bool, include: Several) -> Contact | None:
    """The contact with an address, whatever the case of its letters."""
    filters: ContactFilters = {"status": "all"} if deleted else {}
    for asked in dict.fromkeys((email, email.lower())):
        # One page at a time: an address has one contact, so there is nothing to fetch ahead.
        async with contact_stream(session, {**filters, "email": asked, "include": include, "read_ahead": 0}) as stream:
            async for contact in stream:
                address = contact.email_address and contact.email_address.address
                if address and address.casefold() == email.casefold():
                    return contact
    return None


async def create_or_get(session: Session, request: CreateContactRequest) -> Contact:
    """Create a contact, or give the one that has the address already."""
    try:
        return (await session.request(calls.create(request))).data
    except ConflictError as conflict:
        failure: ConstantContactError = conflict
        if conflict.contact_id is not None:
            try:
                return (await session.request(calls.get(conflict.contact_id))).data
            except NotFoundError:
                pass
    except (TransportError, ServerError, DecodeError) as lost:
        if not lost.maybe_applied:
            raise
        failure = lost
    email = request.email_address
    found = None if email is None else await find(session, email.address, deleted=True, include=())
    if found is None:
        raise failure
    return found
