"""What the contacts service demands of the bodies that it is sent."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs

from .answers import invalid
from .generate import DELETED, STATUSES

Document: TypeAlias = dict[str, Any]
SOURCES = ("Account", "Contact")
KINDS = ("home", "work", "mobile", "other")
NAMES = ("first_name", "last_name", "job_title", "company_name")
CORE = (*NAMES, "birthday_month", "birthday_day", "anniversary")
_PERMISSIONS = tuple(status for status in STATUSES if status != DELETED)


@attrs.frozen
class Rule:
    """What one property must be: a type, how long at most, and the members it may or must have."""

    kind: type
    longest: int | None = None
    members: "Mapping[str, Rule]" = attrs.field(factory=dict)
    item: "Rule | None" = None
    required: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


def _text(longest: int | None = None, *, allowed: tuple[str, ...] = ()) -> Rule:
    return Rule(str, longest, allowed=allowed)


def _object(required: Iterable[str], /, **members: Rule) -> Rule:
    return Rule(dict, members=members, required=tuple(required))


def _array(item: Rule, longest: int) -> Rule:
    return Rule(list, longest, item=item)


_ANY = Rule(object)
_NUMBER = Rule(int)
_SHARED = {
    **dict.fromkeys(NAMES, _text(50)),
    "birthday_month": _NUMBER,
    "birthday_day": _NUMBER,
    "anniversary": _text(10),
    "list_memberships": _array(_text(), 50),
}
_ADDRESS = _object(
    ("kind",),
    kind=_text(allowed=KINDS),
    street=_text(255),
    **dict.fromkeys(("city", "state", "postal_code", "country"), _text(50)),
)
_CUSTOM_FIELD = _object(("custom_field_id",), custom_field_id=_text(), value=_text(255), choice_ids=_array(_ANY, 100))
_CONSENT = _object(("sms_consent_permission", "consent_type"), sms_consent_permission=_text(), consent_type=_text())
_MEDIUM = ("consent_medium_type", "consent_medium_url", "consent_medium_details")
_CONTACT = _object(
    (),
    **_SHARED,
    email_address=_object(
        ("address",),
        address=_text(80),
        permission_to_send=_text(allowed=_PERMISSIONS),
        opt_out_reason=_text(255),
    ),
    create_source=_text(allowed=SOURCES),
    update_source=_text(allowed=SOURCES),
    custom_fields=_array(_CUSTOM_FIELD, 25),
    phone_numbers=_array(_object((), phone_number=_text(25), kind=_text(allowed=KINDS)), 3),
    street_addresses=_array(_ADDRESS, 3),
    taggings=_array(_text(), 50),
    notes=_array(_object((), content=_text(2000)), 150),
    sms_channel=_object(
        ("full_sms_address", "sms_channel_consents"),
        full_sms_address=_text(),
        sms_channel_consents=_array(_CONSENT, 10),
    ),
)
_SIGN_UP = _object(
    ("list_memberships",),
    **_SHARED,
    email_address=_text(50),
    phone_number=_text(25),
    street_address=_ADDRESS,
    custom_fields=_array(_CUSTOM_FIELD, 50),
    sms_channel=_object(
        ("sms_address", "dial_code", "country_code", "sms_channel_consents"),
        **dict.fromkeys(("sms_address", "dial_code", "country_code"), _text()),
        sms_channel_consents=_array(
            _object((*_CONSENT.required, *_MEDIUM), **dict.fromkeys((*_CONSENT.required, *_MEDIUM), _text())),
            10,
        ),
    ),
)


def check_create(body: Any) -> Document:
    """Return the body of a POST if it may stand; raises Refused."""
    document = _checked(body, _CONTACT)
    _source(document, "create_source")
    if not any(document.get(name) for name in ("first_name", "last_name", "email_address", "sms_channel")):
        raise invalid("one of first_name, last_name, email_address and sms_channel is required")
    return document


def check_update(body: Any) -> Document:
    """Return the body of a PUT if it may stand; raises Refused."""
    document = _checked(body, _CONTACT)
    _source(document, "update_source")
    return document


def check_sign_up(body: Any) -> Document:
    """Return the body of a sign-up if it may stand; raises Refused."""
    document = _checked(body, _SIGN_UP)
    if not document["list_memberships"]:
        raise invalid("list_memberships must not be empty")
    if not document.get("email_address") and not document.get("sms_channel"):
        raise invalid("one of email_address and sms_channel is required")
    return document


def check_lists(body: Any) -> list[str]:
    """Return the lists of a request to resubscribe; raises Refused."""
    lists: list[str] = _checked(body, _object(("list_ids",), list_ids=_array(_text(), 50)))["list_ids"]
    if not lists:
        raise invalid("list_ids must not be empty")
    return lists


def check_name(body: Any) -> str:
    """Return the name of a tag that is to be made; raises Refused."""
    name: str = _checked(body, _object(("name",), name=_text(255)))["name"]
    return name


def _source(document: Document, name: str) -> None:
    value = document.get(name)
    if value not in SOURCES:
        missing = f"{name} is missing, " if value is None else ""
        raise invalid(f"{missing}{name} does not have a valid value")


def _checked(body: Any, rule: Rule) -> Document:
    _check("body", body, rule)
    document: Document = body
    if (document.get("birthday_month") is None) is not (document.get("birthday_day") is None):
        raise invalid("birthday_month and birthday_day must be sent together")
    for name, most in (("birthday_month", 12), ("birthday_day", 31)):
        if not 1 <= (document.get(name) or 1) <= most:
            raise invalid(f"{name} must be from 1 to {most}")
    return document


def _check(path: str, value: Any, rule: Rule) -> None:
    kind: type[Any] = rule.kind
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise invalid(f"{path} has the wrong type")
    if rule.longest is not None and len(value) > rule.longest:
        raise invalid(f"{path} is longer than {rule.longest}")
    if rule.allowed and value not in rule.allowed:
        raise invalid(f"{path} does not have a valid value")
    if rule.item is not None:
        for place, item in enumerate(value):
            _check(f"{path}[{place}]", item, rule.item)
    _check_members(path, value, rule)


def _check_members(path: str, value: Any, rule: Rule) -> None:
    for name in rule.required:
        if value.get(name) is None:
            raise invalid(f"{name} is missing" if path == "body" else f"{path}.{name} is missing")
    for name, member in rule.members.items():
        if value.get(name) is not None:
            _check(name if path == "body" else f"{path}.{name}", value[name], member)
