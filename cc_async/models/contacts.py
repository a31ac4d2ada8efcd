"""The contacts of an account, as responses show them.

Every field may be absent: `None` means that the response left it out, or sent null. Enumerations are open strings,
because the provider adds values. Timestamps are aware datetimes; one without a zone is read as UTC. A `repr`
masks e-mail addresses and phone numbers, so that a log of a model leaks none.
"""

from datetime import date

import attrs

from cc_async.models._types import Timestamp, mask


@attrs.frozen(kw_only=True)
class EmailAddress:
    """The e-mail address of a contact and the permission to write to it. See `Contact.email_address`."""

    address: str | None = attrs.field(default=None, repr=mask)
    permission_to_send: str | None = None
    """explicit, implicit, not_set, pending_confirmation, temp_hold or unsubscribed."""
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    opt_in_source: str | None = None
    opt_in_date: Timestamp | None = None
    opt_out_source: str | None = None
    """Contact: only the contact can opt in again. Account: the account may."""
    opt_out_date: Timestamp | None = None
    opt_out_reason: str | None = None
    confirm_status: str | None = None


@attrs.frozen(kw_only=True)
class CustomField:
    """The value that a contact has in one custom field of the account.

    See `Contact.custom_fields`, and `CustomFieldCatalog` to read values by label.
    """

    custom_field_id: str | None = None
    value: str | None = None
    choice_ids: list[int | str] | None = None
    """The chosen options, for fields of a choice type; ids come as numbers and as strings."""


@attrs.frozen(kw_only=True)
class PhoneNumber:
    """A phone number of a contact, for people to call. See `Contact.phone_numbers`."""

    phone_number_id: str | None = None
    phone_number: str | None = attrs.field(default=None, repr=mask)
    kind: str | None = None
    """home, work, mobile or other."""
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    update_source: str | None = None
    create_source: str | None = None


@attrs.frozen(kw_only=True)
class StreetAddress:
    """A postal address of a contact. See `Contact.street_addresses`."""

    street_address_id: str | None = None
    kind: str | None = None
    """home, work or other."""
    street: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class Note:
    """A note that somebody of the account wrote about a contact. See `Contact.notes`."""

    note_id: str | None = None
    created_at: Timestamp | None = None
    content: str | None = None


@attrs.frozen(kw_only=True)
class SmsChannelConsent:
    """One consent that a contact gave, or withdrew, for text messages. See `SmsChannel.sms_channel_consents`."""

    sms_consent_permission: str | None = None
    consent_type: str | None = None
    opt_in_date: Timestamp | None = None
    opt_out_date: Timestamp | None = None
    advertised_frequency: int | str | None = None
    """How many messages an interval; the API writes it as a number here and as a string there."""
    advertised_interval: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None


@attrs.frozen(kw_only=True)
class SmsChannel:
    """The number that a contact receives text messages on, as the API shows it. See `Contact.sms_channel`."""

    sms_channel_id: str | None = None
    sms_address: str | None = attrs.field(default=None, repr=mask)
    """The number without its dial code."""
    dial_code: str | None = None
    country_code: str | None = None
    update_source: str | None = None
    create_source: str | None = None
    sms_channel_consents: list[SmsChannelConsent] | None = None


@attrs.frozen(kw_only=True)
class Contact:
    """One contact. Sub-resources (from `custom_fields` on) are None unless `include` asked for them.

    See `contacts.get`, `contacts.find` and `contacts.list`.
    """

    contact_id: str | None = None
    """An opaque string; not every id of the API is a valid UUID."""
    email_address: EmailAddress | None = None
    """None for contacts that can only be reached by SMS."""
    first_name: str | None = None
    last_name: str | None = None
    job_title: str | None = None
    company_name: str | None = None
    birthday_month: int | None = None
    birthday_day: int | None = None
    anniversary: str | None = None
    """A date in one of the many formats that the API accepts, as it was written."""
    update_source: str | None = None
    create_source: str | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    """Does not move when the contact unsubscribes: see `email_address.opt_out_date`."""
    deleted_at: date | None = None
    """The day of deletion; deleted contacts keep their address and are hidden unless asked for."""
    custom_fields: list[CustomField] | None = None
    phone_numbers: list[PhoneNumber] | None = None
    street_addresses: list[StreetAddress] | None = None
    list_memberships: list[str] | None = None
    taggings: list[str] | None = None
    notes: list[Note] | None = None
    sms_channel: SmsChannel | None = None


@attrs.frozen(kw_only=True)
class ContactCounts:
    """How many contacts the account has, by their consent. See `contacts.counts`."""

    total: int | None = None
    explicit: int | None = None
    implicit: int | None = None
    pending: int | None = None
    unsubscribed: int | None = None
    new_subscriber: int | None = None
    """Those that subscribed in the last 30 days; None unless asked for."""


@attrs.frozen(kw_only=True)
class ContactXref:
    """The two ids of one contact: `sequence_id` of the V2 API, `contact_id` of this one. See `contacts.id_xrefs`."""

    sequence_id: str | None = None
    contact_id: str | None = None


@attrs.frozen(kw_only=True)
class CreateOrUpdateContactResult:
    """The result of `contacts.create_or_update`."""

    contact_id: str | None = None
    action: str | None = None
    """created or updated."""


@attrs.frozen(kw_only=True)
class SmsEngagementDetails:
    """A change of a consent for text messages, in the one-letter codes of the API.

    See `SmsEngagement.history_details`.
    """

    state: str | None = None
    source: str | None = None
    consent_type: str | None = None
    consent_action_time: Timestamp | None = None
    consent_action_type: str | None = None
    consent_medium_type: str | None = None
    source_consent_timestamp: str | None = None
    """A string, because the API's own values are not always timestamps."""
    source_sms_number: str | None = attrs.field(default=None, repr=mask)
    advertised_frequency: int | str | None = None
    advertised_interval: str | None = None


@attrs.frozen(kw_only=True)
class SmsEngagement:
    """One entry of a contact's SMS engagement history. See `contacts.sms_engagement_history`."""

    contact_id: str | None = None
    sms_channel_id: str | None = None
    sms_channel_history_id: str | None = None
    insert_time: Timestamp | None = None
    history_details: SmsEngagementDetails | None = None
