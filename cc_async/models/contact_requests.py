"""The requests about contacts, one class for each body that the API accepts.

A field that is left out, or None, is not sent; an empty list is sent as `[]`. The kind of every value is checked before
it is sent. Lengths, formats and enumerations are left to the server: its rules change, and a check of ours must not
refuse what it would accept. Lists, tags and custom fields can be given by id or as objects.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

import attrs

from cc_async.errors import InvalidRequestError
from cc_async.models import custom_fields as definitions, lists, tags
from cc_async.models._types import mask
from cc_async.models.contacts import Contact


def _ids(values: Any, attribute: str) -> Any:
    """Return the ids of objects; what cannot hold any is kept, for the check before sending to refuse."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        return values
    ids = [getattr(value, attribute, value) for value in values]
    return tuple(ids) if isinstance(values, tuple) else ids


def ids_of_lists(values: Iterable[str | lists.ContactList] | None) -> Sequence[str] | None:
    """Return the ids of lists given by id or as objects."""
    found: Sequence[str] | None = _ids(values, "list_id")
    return found


def ids_of_tags(values: Iterable[str | tags.Tag] | None) -> Sequence[str] | None:
    """Return the ids of tags given by id or as objects."""
    found: Sequence[str] | None = _ids(values, "tag_id")
    return found


def _required_ids_of_lists(values: Iterable[str | lists.ContactList]) -> Sequence[str]:
    found: Sequence[str] = _ids(values, "list_id")
    return found


def _id_of_field(value: str | definitions.CustomFieldDefinition) -> str:
    found: str = value.custom_field_id if isinstance(value, definitions.CustomFieldDefinition) else value  # type: ignore[assignment]  # None is refused before sending
    return found


@attrs.frozen(kw_only=True)
class EmailAddressInput:
    """An e-mail address to give to a contact. See `CreateContactRequest`."""

    address: str = attrs.field(repr=mask)
    permission_to_send: str | None = None
    """explicit, implicit, not_set, pending_confirmation, temp_hold or unsubscribed."""


@attrs.frozen(kw_only=True)
class EmailAddressUpdate(EmailAddressInput):
    """An e-mail address as an update may also write it. See `UpdateContactRequest`."""

    opt_out_reason: str | None = None


@attrs.frozen(kw_only=True)
class CustomFieldInput:
    """A value for one custom field of the account. See `CreateContactRequest.custom_fields`."""

    custom_field_id: str = attrs.field(converter=_id_of_field)
    value: str | None = None
    choice_ids: Sequence[int | str] | None = None


@attrs.frozen(kw_only=True)
class PhoneNumberInput:
    """A phone number to give to a contact; the API accepts at most three. See `CreateContactRequest.phone_numbers`."""

    phone_number: str | None = attrs.field(default=None, repr=mask)
    kind: str | None = None
    """home, work, mobile or other."""


@attrs.frozen(kw_only=True)
class StreetAddressInput:
    """A postal address to give to a contact; the API accepts at most three.

    See `CreateContactRequest.street_addresses`.
    """

    kind: str
    """home, work or other."""
    street: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


@attrs.frozen(kw_only=True)
class NoteInput:
    """A note about a contact. See `CreateContactRequest.notes`."""

    content: str | None = None
    note_id: str | None = None
    created_at: datetime | None = None
    """Aware, of any zone."""


@attrs.frozen(kw_only=True)
class SmsChannelConsentInput:
    """A consent sent with the SMS number of a create or an update. See `SmsChannelInput`."""

    sms_consent_permission: str
    consent_type: str
    consent_medium_details: str | None = None


@attrs.frozen(kw_only=True)
class SmsChannelInput:
    """The SMS number of a contact, as a create or an update sends it. See `CreateContactRequest.sms_channel`."""

    full_sms_address: str = attrs.field(repr=mask)
    """The number with its dial code."""
    sms_channel_consents: Sequence[SmsChannelConsentInput]


@attrs.frozen(kw_only=True)
class SignUpSmsChannelConsent:
    """A consent sent with the SMS number of a sign-up, for which the API requires five facts.

    See `SignUpSmsChannel`.
    """

    sms_consent_permission: str
    consent_type: str
    consent_medium_type: str
    consent_medium_url: str
    consent_medium_details: str
    advertised_frequency: int | str | None = None
    advertised_interval: str | None = None


@attrs.frozen(kw_only=True)
class SignUpSmsChannel:
    """The SMS number of a contact, as `contacts.create_or_update` sends it."""

    sms_address: str = attrs.field(repr=mask)
    """The number without its dial code."""
    dial_code: str
    country_code: str
    sms_channel_consents: Sequence[SignUpSmsChannelConsent]


@attrs.frozen(kw_only=True)
class SignUpCustomField:
    """A custom field of a sign-up, which accepts no choices. See `CreateOrUpdateContactRequest.custom_fields`."""

    custom_field_id: str = attrs.field(converter=_id_of_field)
    value: str | None = None


class ContactFields(TypedDict, total=False):
    """The properties of a contact that a write can set. See `ContactChanges`."""

    email_address: str | EmailAddressInput | None
    """A string is only the address, which keeps the permission to send."""
    first_name: str | None
    last_name: str | None
    job_title: str | None
    company_name: str | None
    birthday_month: int | None
    birthday_day: int | None
    anniversary: str | None
    custom_fields: Sequence[CustomFieldInput] | None
    phone_numbers: Sequence[PhoneNumberInput] | None
    street_addresses: Sequence[StreetAddressInput] | None
    list_memberships: Iterable[str | lists.ContactList] | None
    taggings: Iterable[str | tags.Tag] | None
    notes: Sequence[NoteInput] | None
    sms_channel: SmsChannelInput | None


class ContactChanges(ContactFields, total=False):
    """The changes that `contacts.patch` accepts: what is absent is kept, None clears, a list replaces.

    For example:

        await cc.contacts.patch(contact_id, job_title="Engineer", add_lists=[list_id])
    """

    add_lists: str | lists.ContactList | Iterable[str | lists.ContactList]
    """Lists to add to those the contact is on; not beside `list_memberships`."""
    remove_lists: str | lists.ContactList | Iterable[str | lists.ContactList]
    add_tags: str | tags.Tag | Iterable[str | tags.Tag]
    """Tags to add to those the contact has; not beside `taggings`."""
    remove_tags: str | tags.Tag | Iterable[str | tags.Tag]


@attrs.frozen(kw_only=True)
class _ContactBody:
    """The fields that a create and an update share; the collections begin with `custom_fields`."""

    email_address: EmailAddressInput | None = None
    first_name: str | None = None
    last_name: str | None = None
    job_title: str | None = None
    company_name: str | None = None
    birthday_month: int | None = None
    birthday_day: int | None = None
    anniversary: str | None = None
    custom_fields: Sequence[CustomFieldInput] | None = None
    phone_numbers: Sequence[PhoneNumberInput] | None = None
    street_addresses: Sequence[StreetAddressInput] | None = None
    list_memberships: Sequence[str] | None = attrs.field(default=None, converter=ids_of_lists)
    taggings: Sequence[str] | None = attrs.field(default=None, converter=ids_of_tags)
    notes: Sequence[NoteInput] | None = None
    sms_channel: SmsChannelInput | None = None


COLLECTIONS = ("custom_fields", "phone_numbers", "street_addresses", "list_memberships", "taggings", "notes")
"""The properties that an update keeps unless it names them."""
_CORE = tuple(
    field.name
    for field in attrs.fields(_ContactBody)
    if field.name not in {"email_address", "sms_channel", *COLLECTIONS}
)


@attrs.frozen(kw_only=True)
class CreateContactRequest(_ContactBody):
    """The body of `contacts.create`; besides `create_source` it needs a name, an e-mail address or an SMS number.

    For example:

        request = CreateContactRequest(
            create_source="Account",
            first_name="Grace",
            email_address=EmailAddressInput(address="grace@example.com", permission_to_send="implicit"),
        )
        contact = await cc.contacts.create(request)
    """

    create_source: str
    """Account or Contact: who asked for the contact to be added. For compliance it must be true."""


@attrs.frozen(kw_only=True)
class UpdateContactRequest(_ContactBody):
    """The body of `contacts.update`, which **replaces**.

        request = UpdateContactRequest(
            update_source="Account", email_address=EmailAddressUpdate(address="ada@example.com"), first_name="Ada"
        )
        await cc.contacts.update(contact_id, request)

    Every property from `email_address` to `anniversary` that is left out becomes null on the server. The collections
    and `sms_channel` are kept when left out, and replaced as a whole when given (`[]` empties one).
    """

    update_source: str
    """Account or Contact; only Account revives a deleted contact."""
    email_address: EmailAddressInput | EmailAddressUpdate | None = None

    @classmethod
    def from_contact(
        cls, contact: Contact, *, update_source: str = "Account", **changes: Unpack[ContactFields]
    ) -> "UpdateContactRequest":
        """Return a request that keeps the core of a contact as it was read, except for the changes.

        What could not be read of the contact (`problems` of the response) is lost when this is sent, and so is any
        property that this library does not know: `contacts.patch` sends those back too.

        Raises:
            InvalidRequestError: The e-mail address could not be read.

        """
        email = contact.email_address
        if email is not None and email.address is None and "email_address" not in changes:
            raise InvalidRequestError("The e-mail address could not be read, and an update without it would remove it.")
        fields: dict[str, object] = {name: getattr(contact, name) for name in _CORE}
        if email is not None and email.address is not None:
            fields["email_address"] = EmailAddressUpdate(
                address=email.address,
                permission_to_send=email.permission_to_send,
                opt_out_reason=email.opt_out_reason,
            )
        address = changes.get("email_address")
        fields |= changes
        if isinstance(address, str):
            permission = email.permission_to_send if email is not None else None
            fields["email_address"] = EmailAddressUpdate(address=address, permission_to_send=permission)
        return cls(update_source=update_source, **fields)  # type: ignore[arg-type]  # the names are those of the class


@attrs.frozen(kw_only=True)
class CreateOrUpdateContactRequest:
    """The body of `contacts.create_or_update`: a sign-up, by e-mail address or SMS number.

        wanted = CreateOrUpdateContactRequest(email_address="ada@example.com", list_memberships=[list_id])
        result = await cc.contacts.create_or_update(wanted)

    It updates only what it names, appends to lists and custom fields, raises the consent and revives a deleted
    contact.
    """

    list_memberships: Sequence[str] = attrs.field(converter=_required_ids_of_lists)
    """At least one list to add the contact to."""
    email_address: str | None = attrs.field(default=None, repr=mask)
    first_name: str | None = None
    last_name: str | None = None
    job_title: str | None = None
    company_name: str | None = None
    phone_number: str | None = attrs.field(default=None, repr=mask)
    custom_fields: Sequence[SignUpCustomField] | None = None
    anniversary: str | None = None
    birthday_month: int | None = None
    birthday_day: int | None = None
    street_address: StreetAddressInput | None = None
    sms_channel: SignUpSmsChannel | None = None
