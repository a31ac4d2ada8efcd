"""The contacts of the account, and the rules by which they change."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from cc_async.sandbox.data import Data
from cc_async.sandbox.generate import DELETED, SUBRESOURCES
from cc_async.sandbox.requests import Document, check
from cc_async.sandbox.responses import conflict, invalid, not_found
from cc_async.sandbox.stamps import DAY, day, stamp

from .rules import CORE, Lists, check_create, check_sign_up, check_update

_FIRST_SEQUENCE = 1_600_000_000
_MEMBERSHIPS = ("list_memberships", "taggings")
_NOT_EDITS = {*_MEMBERSHIPS, "updated_at", "update_source"}
_LIMITS = {"list_memberships": 50, "custom_fields": 50, "phone_numbers": 3, "street_addresses": 3}


class Store:
    """The contacts of a sandbox; tests may read and change them here like another client. See `Sandbox`."""

    def __init__(self, data: Data) -> None:
        self._data, self._settings = data, data.settings
        self.table = data.contacts
        self._asked_back: set[int] = set()

    def __len__(self) -> int:
        return len(self.table)

    @property
    def lists(self) -> tuple[str, ...]:
        """The ids of all contact lists for e-mail, in the order of GET /contact_lists."""
        return tuple(sorted(self._data.lists))

    @property
    def tags(self) -> tuple[str, ...]:
        """The ids of all tags, in the order of GET /contact_tags."""
        return tuple(sorted(self._data.tags))

    @property
    def tag_names(self) -> dict[str, str]:
        """The names of all tags by id."""
        return {tag_id: tag["name"] for tag_id, tag in self._data.tags.items()}

    @property
    def custom_fields(self) -> tuple[str, ...]:
        """The ids of all custom fields, in the order of GET /contact_custom_fields."""
        return tuple(sorted(self._data.custom_fields, key=lambda one: str(self._data.custom_fields[one]["label"])))

    def ids(self) -> list[str]:
        """Return the ids of all contacts, deleted ones too, in the order of their creation."""
        return self.table.ids()

    def get(self, contact_id: str) -> Document:
        """Return a contact with all its sub-resources; raises Refused (404)."""
        return self.table.document(self.row(contact_id))

    def row(self, contact_id: str) -> int:
        """Return the row of a contact in the table; raises Refused (404)."""
        row = self.table.find("contact_id", contact_id.lower())
        if row is None:
            raise not_found()
        return row

    def sequence_id(self, contact_id: str) -> str:
        """Return the number of a contact in the older version of the API."""
        return str(_FIRST_SEQUENCE + self.row(contact_id))

    def by_sequence(self, sequence_id: str) -> str | None:
        """Return the contact with that number in the older version of the API."""
        row = int(sequence_id) - _FIRST_SEQUENCE if sequence_id.isdecimal() else -1
        return self.table.entry(row).contact_id if 0 <= row < len(self) else None

    def create(self, body: Document) -> Document:
        """Do what POST /contacts does."""
        given = check_create(body)
        self._check_ids(given)
        address = (given.get("email_address") or {}).get("address")
        self._check_address(address)
        now = self._data.now()
        document = self.blank(given["create_source"], now)
        if address:
            permission = given["email_address"].get("permission_to_send") or "implicit"
            document["email_address"] = make_email(address, permission, given["create_source"], now)
        document |= {name: given[name] for name in CORE if given.get(name) is not None}
        document |= self._subresources(given, now)
        return self.table.document(self.table.save(document))

    def put(self, contact_id: str, body: Document) -> Document:
        """Do what PUT /contacts/{contact_id} does: replace the core, and the sub-resources that are sent."""
        given, row = check_update(body), self.row(contact_id)
        self._check_ids(given)
        old, now = self.table.document(row), self._data.now()
        if old.get("deleted_at") and given["update_source"] != "Account":
            raise invalid("update_source must be Account to revive a deleted contact")
        email = given.get("email_address")
        self._check_address((email or {}).get("address"), row)
        new = old | {name: given.get(name) for name in CORE} | self._subresources(given, now)
        if email:
            new["email_address"] = _replaced(old.get("email_address"), email, given["update_source"], now)
        elif not self._settings.put_keeps_email:
            new["email_address"] = None
        new.pop("deleted_at", None)
        new["update_source"] = given["update_source"]
        return self._save(row, old, new, now)

    def delete(self, contact_id: str) -> None:
        """Do what DELETE /contacts/{contact_id} does; raises Refused (404) for a deleted contact too."""
        row = self.row(contact_id)
        if self.table.entry(row).status == DELETED:
            raise not_found()
        self.delete_row(row)

    def delete_row(self, row: int) -> None:
        """Mark a contact as deleted."""
        document, now = self.table.document(row), self._data.now()
        document["deleted_at"] = day(now)
        if self._settings.touch_on_delete:
            document["updated_at"] = stamp(now)
        self.table.save(document, row)

    def sign_up(self, body: Document) -> tuple[str, bool]:
        """Do what POST /contacts/sign_up_form does; return the contact's id and whether it is new."""
        given, now = check_sign_up(body), self._data.now()
        self._check_ids(given)
        row = self._known(given)
        old = self.blank("Contact", now) if row is None else self.table.document(row)
        new = old | {name: given[name] for name in CORE if given.get(name) is not None}
        address = given.get("email_address")
        if address:
            waits = row is None and self._settings.confirmed_opt_in
            new["email_address"] = _signed_up(old.get("email_address"), address, now, waits=waits)
        new |= self._appended(old, given, now)
        new.pop("deleted_at", None)
        if row is None:
            self.table.save(new)
        else:
            new["update_source"] = "Contact"
            self._save(row, old, new, now)
        return new["contact_id"], row is None

    def resubscribe(self, contact_id: str, body: Document) -> None:
        """Do what PUT /contacts/resubscribe/{contact_id} does; it works once, and only for the unsubscribed."""
        lists, row = check(body, Lists)["list_ids"], self.row(contact_id)
        self._check_ids({"list_memberships": lists})
        if self.table.entry(row).status != "unsubscribed":
            raise conflict("The contact is not unsubscribed.")
        if row in self._asked_back:
            raise conflict("The contact was already sent an email to resubscribe.")
        self._asked_back.add(row)
        old = self.table.document(row)
        self._save(row, old, old | {"list_memberships": _united(old["list_memberships"], lists)}, self._data.now())

    def unsubscribe(self, contact_id: str, reason: str | None = None) -> None:
        """Opt a contact out like the link in an email: only the dates of the email address move."""
        row = self.row(contact_id)
        document, now = self.table.document(row), self._data.now()
        if not document.get("email_address"):
            raise invalid("a contact without an email address cannot unsubscribe")
        document["email_address"] |= _opted_out("Contact", reason, now)
        self.table.save(document, row)

    def counts(self) -> dict[str, int]:
        """Count the contacts that are not deleted, by consent."""
        counted = {"total": self.table.count("status != ?", (DELETED,))}
        for name in ("explicit", "implicit", "pending", "unsubscribed"):
            status = "pending_confirmation" if name == "pending" else name
            counted[name] = self.table.count("status = ?", (status,))
        return counted

    def new_subscribers(self) -> int:
        """Count the contacts of the last 30 days that may be mailed."""
        since = self._data.now() - 30 * DAY
        return self.table.count("created > ? AND status IN ('explicit', 'implicit')", (since,))

    def _save(self, row: int, old: Document, new: Document, now: int) -> Document:
        edited = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
        if self._settings.touch_on_membership_edits or edited - _NOT_EDITS:
            new["updated_at"] = stamp(now)
        return self.table.document(self.table.save(new, row))

    def blank(self, source: str, now: int) -> Document:
        """Return a contact without any properties."""
        stamped = stamp(now)
        return {
            "contact_id": self._data.new_id(),
            "create_source": source,
            "created_at": stamped,
            "updated_at": stamped,
        }

    def _check_ids(self, given: Document) -> None:
        """Refuse lists, tags and custom fields that the account does not have."""
        fields = [field["custom_field_id"] for field in given.get("custom_fields") or ()]
        _refuse_unknown(given.get("list_memberships") or (), self._data.lists, "list_memberships")
        _refuse_unknown(given.get("taggings") or (), self._data.tags, "taggings")
        _refuse_unknown(fields, self._data.custom_fields, "custom_fields")

    def _check_address(self, address: str | None, row: int | None = None) -> None:
        other = self.table.find("email", (address or "").lower())
        if other is not None and other != row:
            taken = self.table.entry(other).contact_id
            raise conflict(f"Validation failed: Email already exists for contact {taken}")

    def _known(self, given: Document) -> int | None:
        """Return the row of the contact that signs up, by email address or else SMS number."""
        if given.get("email_address"):
            return self.table.find("email", given["email_address"].lower())
        number = given["sms_channel"]["sms_address"]
        for row in self.table.search("sms != 'not_set'"):
            if self.table.document(row)["sms_channel"]["sms_address"] == number:
                return row
        return None

    def _subresources(self, given: Document, now: int) -> Document:
        makers: dict[str, Callable[[Any], Any]] = {
            "phone_numbers": lambda items: [self._part("phone_number_id", item, now) for item in items],
            "street_addresses": lambda items: [self._part("street_address_id", item, now) for item in items],
            "notes": lambda items: [self._note(item, now) for item in items],
            "list_memberships": lambda items: _united((), items),
            "taggings": lambda items: _united((), items),
            "sms_channel": lambda channel: self._channel(channel, now),
        }
        sent = [name for name in SUBRESOURCES if given.get(name) is not None]
        return {name: makers.get(name, _same)(given[name]) for name in sent}

    def _part(self, id_name: str, item: Document, now: int) -> Document:
        return {id_name: self._data.new_id(), **item, "created_at": stamp(now), "updated_at": stamp(now)}

    def _note(self, item: Document, now: int) -> Document:
        return {"note_id": self._data.new_id(), "created_at": stamp(now), "content": item.get("content", "")}

    def _channel(self, channel: Document, now: int) -> Document:
        """Convert an SMS channel from its shapes in requests to the one in responses."""
        number = channel.get("full_sms_address", "").lstrip("+")
        stamped = stamp(now)
        return {
            "sms_channel_id": self._data.new_id(),
            "sms_address": channel.get("sms_address", number[1:]),
            "dial_code": channel.get("dial_code", number[:1]),
            "country_code": channel.get("country_code", "US"),
            "create_source": "Account",
            "sms_channel_consents": [
                {**consent, "opt_in_date": stamped, "created_at": stamped, "updated_at": stamped}
                for consent in channel["sms_channel_consents"]
            ],
        }

    def _appended(self, old: Document, given: Document, now: int) -> Document:
        """Return the sub-resources after a sign-up, which adds to them."""
        new: Document = {"list_memberships": _united(old.get("list_memberships") or (), given["list_memberships"])}
        if given.get("custom_fields"):
            fields = {field["custom_field_id"]: field for field in old.get("custom_fields") or ()}
            fields |= {field["custom_field_id"]: field for field in given["custom_fields"]}
            new["custom_fields"] = list(fields.values())
        if given.get("phone_number"):
            phone = {"phone_number": given["phone_number"], "kind": "other"}
            new["phone_numbers"] = [
                self._part("phone_number_id", phone, now),
                *(old.get("phone_numbers") or ()),
            ]
        if given.get("street_address"):
            others = [
                part for part in old.get("street_addresses") or () if part["kind"] != given["street_address"]["kind"]
            ]
            new["street_addresses"] = [self._part("street_address_id", given["street_address"], now), *others]
        if given.get("sms_channel"):
            new["sms_channel"] = self._channel(given["sms_channel"], now)
        return {name: value[: _LIMITS[name]] if name in _LIMITS else value for name, value in new.items()}


def _same(value: Any) -> Any:
    return value


def _united(old: Iterable[str], new: Iterable[str]) -> list[str]:
    return list(dict.fromkeys((*old, *new)))


def _refuse_unknown(given: Iterable[str], known: Collection[str], name: str) -> None:
    for wanted in given:
        if wanted not in known:
            raise invalid(f"{name} does not have a valid value: {wanted} does not exist")


def make_email(address: str, permission: str, source: str, now: int) -> Document:
    """Return a new email address with the dates kept by the service."""
    stamped = stamp(now)
    return {
        "address": address,
        "permission_to_send": permission,
        "created_at": stamped,
        "updated_at": stamped,
        "opt_in_source": source,
        "opt_in_date": stamped,
        "confirm_status": "pending" if permission == "pending_confirmation" else "off",
    }


def _opted_out(source: str, reason: str | None, now: int) -> Document:
    return {
        "permission_to_send": "unsubscribed",
        "updated_at": stamp(now),
        "opt_out_source": source,
        "opt_out_date": stamp(now),
        "opt_out_reason": reason,
    }


def _replaced(old: Document | None, given: Document, source: str, now: int) -> Document:
    """Return the email address after a PUT, which cannot change the dates kept by the service."""
    was = (old or {}).get("permission_to_send", "implicit")
    permission = given.get("permission_to_send") or was
    fresh = not old or old["address"].lower() != given["address"].lower()
    new = make_email(given["address"], permission, source, now)
    if old and not fresh:
        new = old | {"address": given["address"], "permission_to_send": permission, "updated_at": stamp(now)}
    if permission != "unsubscribed":
        return {name: value for name, value in new.items() if not name.startswith("opt_out")}
    return new if was == "unsubscribed" and not fresh else new | _opted_out(source, given.get("opt_out_reason"), now)


def _signed_up(old: Document | None, address: str, now: int, *, waits: bool) -> Document:
    """Return the email address after a sign-up, which raises consent."""
    permission = "pending_confirmation" if waits else "explicit"
    new = make_email(address, permission, "Contact", now)
    return new | ({"created_at": old["created_at"]} if old else {})
