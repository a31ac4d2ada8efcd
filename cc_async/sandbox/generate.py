"""Contacts generated from a seed; each can be generated alone, and always in the same way."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs

from .chance import Dice, identifier
from .stamps import DAY, OPENED, stamp

Document: TypeAlias = dict[str, Any]
SUBRESOURCES = (
    "custom_fields",
    "list_memberships",
    "taggings",
    "notes",
    "phone_numbers",
    "street_addresses",
    "sms_channel",
)
DELETED = "deleted"
STATUSES = ("explicit", "implicit", "not_set", "pending_confirmation", "temp_hold", "unsubscribed", DELETED)
SMS_STATUSES = ("not_set", "explicit", "unsubscribed", "pending_confirmation")
_FIRST = ("Ada", "Béla", "Chloé", "Dmitri", "Elif", "Femi", "Grace", "Hiroshi", "Inés", "Jürgen", "Kofi", "Łucja")
_LAST = ("Lovelace", "Bartók", "Nguyễn", "O'Neill", "Öztürk", "Adeyemi", "Hopper", "Sato", "García", "Weiß", "李")
_JOBS = ("Violinist", "Engineer", "Head of Marketing", "Baker", "Founder & CEO", "Teacher", "Nurse")
_COMPANIES = ("Fernweh & Co.", "Globex", "Initech", "Umbrella Bakery", "Hooli", "Stark Gardens", "Wayne Books")
_CITIES = (
    ("Portland", "Maine", "04101"),
    ("Duluth", "Minnesota", "55802"),
    ("Loveland", "Colorado", "80538"),
    ("San José", "California", "95112"),
)
_NOTES = (
    "Met at the autumn fair; asked for the printed catalogue and for a call in the first week of the month.",
    "Prefers e-mail. Said that the last newsletter was the best so far, and forwarded it to two colleagues.",
    "Bought twice this year.\nWants to hear about workshops, not about discounts.",
)
_SPACING = 600  # seconds from one contact's creation to the next one's
_STYLES = (1, 1, 1, 0, 0, 2, 2, 3)  # of the timestamps, see `stamp`; a contact has one of them
_PERCENT = (
    *["explicit"] * 30,
    *["implicit"] * 57,
    *["not_set"] * 3,
    *["pending_confirmation"] * 2,
    "temp_hold",
    *["unsubscribed"] * 4,
    *[DELETED] * 3,
)
_WITHOUT_EMAIL = 0.02


@attrs.frozen
class Entry:
    """The searchable part of a contact."""

    contact_id: str
    email: str  # in lower case; empty where there is none
    created: int
    updated: int
    opted_out: int
    status: str
    sms: str
    lists: tuple[str, ...]
    tags: tuple[str, ...]


def make_entry(seed: int, row: int, lists: Sequence[str], tags: Sequence[str]) -> Entry:
    """Return the searchable part of a generated contact."""
    dice = Dice(seed, row, 2)
    style = _STYLES[row % len(_STYLES)]
    born = OPENED + (row * _SPACING + dice.below(_SPACING)) * 1000 + (dice.below(1000) if style == 1 else 0)
    sms_only = dice.roll() < _WITHOUT_EMAIL
    status = "not_set" if sms_only else dice.pick(_PERCENT)
    return Entry(
        identifier(seed, row),
        "" if sms_only else f"contact.{row}@example.com",
        born,
        born + (1 + dice.below(400)) * DAY if dice.roll() < 0.5 else born,
        born + dice.below(300) * DAY if status == "unsubscribed" else 0,
        status,
        dice.pick(SMS_STATUSES[1:]) if sms_only or dice.roll() < 0.5 else "not_set",
        tuple(dice.some(lists, 1 + dice.below(5))),
        tuple(dice.some(tags, dice.below(4))),
    )


def make_document(seed: int, row: int, entry: Entry, fields: Sequence[str]) -> Document:
    """Return a generated contact with all its sub-resources but the lists and tags, which `entry` holds."""
    dice, style = Dice(seed, row, 1), _STYLES[row % len(_STYLES)]
    made, touched = stamp(entry.created, style), stamp(entry.updated, style)
    out = stamp(entry.opted_out, style) if entry.opted_out else touched
    prefix, source = entry.contact_id[:-2], dice.pick(("Account", "Contact"))
    email = _email(row, entry, source, made, out) if entry.email else None
    return {
        "contact_id": entry.contact_id,
        **({"email_address": email} if email else {}),
        "first_name": dice.pick(_FIRST),
        "last_name": dice.pick(_LAST),
        "job_title": dice.pick(_JOBS),
        "company_name": dice.pick(_COMPANIES),
        "birthday_month": 1 + dice.below(12),
        "birthday_day": 1 + dice.below(28),
        "anniversary": f"20{dice.below(20):02}-{1 + dice.below(12):02}-{1 + dice.below(28):02}",
        **({"update_source": source} if entry.updated != entry.created else {}),
        "create_source": "Account",
        "created_at": made,
        "updated_at": touched,
        **({"deleted_at": touched[:10]} if entry.status == DELETED else {}),
        "custom_fields": _custom_fields(dice, fields),
        "notes": [
            {"note_id": f"{prefix}a{place}", "created_at": made, "content": dice.pick(_NOTES)}
            for place in range(dice.below(3))
        ],
        "phone_numbers": _phones(dice, prefix, made, touched),
        "street_addresses": _addresses(dice, prefix, made, touched),
        **({"sms_channel": _sms(dice, prefix, entry.sms, made, touched)} if entry.sms != "not_set" else {}),
    }


def _email(row: int, entry: Entry, source: str, made: str, out: str) -> Document:
    permission = "implicit" if entry.status == DELETED else entry.status
    opted_out = {"opt_out_source": source, "opt_out_date": out, "opt_out_reason": "Too many messages."}
    return {
        "address": entry.email.capitalize() if row % 4 == 0 else entry.email,
        "permission_to_send": permission,
        "created_at": made,
        "updated_at": out,
        "opt_in_source": source,
        "opt_in_date": made,
        **(opted_out if permission == "unsubscribed" else {}),
        "confirm_status": {"explicit": "confirmed", "pending_confirmation": "pending"}.get(permission, "off"),
    }


def _custom_fields(dice: Dice, fields: Sequence[str]) -> list[Document]:
    text, single, multi, date, number = fields[:5]
    return [
        {"custom_field_id": text, "value": f"{dice.pick(_COMPANIES)} no. {dice.below(1000)}"},
        {"custom_field_id": single, "value": str(choice := 1 + dice.below(4)), "choice_ids": [choice]},
        {"custom_field_id": multi, "choice_ids": [1 + dice.below(2), 3 + dice.below(2)]},
        {"custom_field_id": date, "value": f"{1 + dice.below(12):02}/{1 + dice.below(28):02}/2023"},
        {"custom_field_id": number, "value": str(dice.below(10_000))},
    ]


def _phones(dice: Dice, prefix: str, made: str, touched: str) -> list[Document]:
    return [
        {
            "phone_number_id": f"{prefix}b{place}",
            "phone_number": f"+1-202-555-{dice.below(10_000):04}",
            "kind": kind,
            "created_at": made,
            "updated_at": touched,
            "update_source": "Account",
            "create_source": "Account",
        }
        for place, kind in enumerate(("home", "mobile", "work")[: 1 + dice.below(3)])
    ]


def _addresses(dice: Dice, prefix: str, made: str, touched: str) -> list[Document]:
    city, state, code = dice.pick(_CITIES)
    return [
        {
            "street_address_id": f"{prefix}c{place}",
            "kind": kind,
            "street": f"{1 + dice.below(500)} Harbour Street",
            "city": city,
            "state": state,
            "postal_code": code,
            "country": "United States",
            "created_at": made,
            "updated_at": touched,
        }
        for place, kind in enumerate(("home", "work", "other")[: 1 + dice.below(3)])
    ]


def _sms(dice: Dice, prefix: str, status: str, made: str, touched: str) -> Document:
    return {
        "sms_channel_id": f"{prefix}d0",
        "sms_address": f"202{dice.below(10_000_000):07}",
        "dial_code": "1",
        "country_code": "US",
        "update_source": "Contact",
        "create_source": "Account",
        "sms_channel_consents": [
            {
                "sms_consent_permission": status,
                "consent_type": "promotional_sms",
                "opt_in_date": made,
                **({"opt_out_date": touched} if status == "unsubscribed" else {}),
                "advertised_frequency": str(1 + dice.below(4)),
                "advertised_interval": "monthly",
                "created_at": made,
                "updated_at": touched,
            }
        ],
    }
