"""Validation of the bodies sent to the contacts service."""

from typing import Annotated, Any, Literal, Required, TypeAlias, TypedDict, cast

from msgspec import Meta

from cc_async.sandbox.requests import Document, check
from cc_async.sandbox.responses import invalid

SOURCES = ("Account", "Contact")
CORE = (
    *("first_name", "last_name", "job_title", "company_name"),
    *("birthday_month", "birthday_day", "anniversary"),
)
Source: TypeAlias = Literal["Account", "Contact"]
Kind: TypeAlias = Literal["home", "work", "mobile", "other"]
Permission: TypeAlias = Literal["explicit", "implicit", "not_set", "pending_confirmation", "temp_hold", "unsubscribed"]
Text10: TypeAlias = Annotated[str, Meta(max_length=10)]
Text25: TypeAlias = Annotated[str, Meta(max_length=25)]
Text50: TypeAlias = Annotated[str, Meta(max_length=50)]
Text80: TypeAlias = Annotated[str, Meta(max_length=80)]
Text255: TypeAlias = Annotated[str, Meta(max_length=255)]
Text2000: TypeAlias = Annotated[str, Meta(max_length=2000)]
Month: TypeAlias = Annotated[int, Meta(ge=1, le=12)]
Day: TypeAlias = Annotated[int, Meta(ge=1, le=31)]
Ids: TypeAlias = Annotated[list[str], Meta(max_length=50)]


class _Address(TypedDict, total=False):
    kind: Required[Kind]
    street: Text255 | None
    city: Text50 | None
    state: Text50 | None
    postal_code: Text50 | None
    country: Text50 | None


class _CustomField(TypedDict, total=False):
    custom_field_id: Required[str]
    value: Text255 | None
    choice_ids: Annotated[list[Any], Meta(max_length=100)] | None


class _Consent(TypedDict):
    sms_consent_permission: str
    consent_type: str


class _SignUpConsent(_Consent):
    consent_medium_type: str
    consent_medium_url: str
    consent_medium_details: str


class _Email(TypedDict, total=False):
    address: Required[Text80]
    permission_to_send: Permission | None
    opt_out_reason: Text255 | None


class _Phone(TypedDict, total=False):
    phone_number: Text25 | None
    kind: Kind | None


class _Note(TypedDict, total=False):
    content: Text2000 | None


class _SmsChannel(TypedDict):
    full_sms_address: str
    sms_channel_consents: Annotated[list[_Consent], Meta(max_length=10)]


class _SignUpSmsChannel(TypedDict):
    sms_address: str
    dial_code: str
    country_code: str
    sms_channel_consents: Annotated[list[_SignUpConsent], Meta(max_length=10)]


class _Shared(TypedDict, total=False):
    first_name: Text50 | None
    last_name: Text50 | None
    job_title: Text50 | None
    company_name: Text50 | None
    birthday_month: Month | None
    birthday_day: Day | None
    anniversary: Text10 | None


class _Contact(_Shared, total=False):
    email_address: _Email | None
    create_source: Source | None
    update_source: Source | None
    list_memberships: Ids | None
    custom_fields: Annotated[list[_CustomField], Meta(max_length=25)] | None
    phone_numbers: Annotated[list[_Phone], Meta(max_length=3)] | None
    street_addresses: Annotated[list[_Address], Meta(max_length=3)] | None
    taggings: Ids | None
    notes: Annotated[list[_Note], Meta(max_length=150)] | None
    sms_channel: _SmsChannel | None


class _SignUp(_Shared, total=False):
    list_memberships: Required[Annotated[list[str], Meta(min_length=1, max_length=50)]]
    email_address: Text50 | None
    phone_number: Text25 | None
    street_address: _Address | None
    custom_fields: Annotated[list[_CustomField], Meta(max_length=50)] | None
    sms_channel: _SignUpSmsChannel | None


class Lists(TypedDict):
    """The body of a request to resubscribe."""

    list_ids: Annotated[list[str], Meta(min_length=1, max_length=50)]


def check_create(body: Any) -> Document:
    """Return the body of a valid POST; raises Refused."""
    document = _checked_contact(body, "create_source")
    if not any(document.get(name) for name in ("first_name", "last_name", "email_address", "sms_channel")):
        raise invalid("one of first_name, last_name, email_address and sms_channel is required")
    return document


def check_update(body: Any) -> Document:
    """Return the body of a valid PUT; raises Refused."""
    return _checked_contact(body, "update_source")


def check_sign_up(body: Any) -> Document:
    """Return the body of a valid sign-up; raises Refused."""
    check(body, _SignUp)
    document = _checked_birthday(body)
    if not document.get("email_address") and not document.get("sms_channel"):
        raise invalid("one of email_address and sms_channel is required")
    return document


def _checked_contact(body: Any, source: str) -> Document:
    if isinstance(body, dict) and body.get(source) not in SOURCES:
        missing = f"{source} is missing, " if body.get(source) is None else ""
        raise invalid(f"{missing}{source} does not have a valid value")
    check(body, _Contact)
    return _checked_birthday(body)


def _checked_birthday(body: Any) -> Document:
    document = cast("Document", body)
    if (document.get("birthday_month") is None) is not (document.get("birthday_day") is None):
        raise invalid("birthday_month and birthday_day must be sent together")
    return document
