"""Rows of a bulk import: their flat vocabulary, and their effect on a contact."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from cc_async.sandbox.data import Data
from cc_async.sandbox.requests import Document
from cc_async.sandbox.stamps import stamp

_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[^@\s,;]+")
_NAMES = ("first_name", "last_name", "job_title", "company_name")
_PHONES = {
    "phone": "other",
    "home_phone": "home",
    "work_phone": "work",
    "mobile_phone": "mobile",
    "other_phone": "other",
}
_PLACES = {"street": "street", "city": "city", "state": "state", "zip": "postal_code", "country": "country"}
_KINDS = {"": "home", "home_": "home", "work_": "work", "other_": "other"}
_OTHERS = ("email", "sms_number", "sms_consent_date", "anniversary", "birthday_month", "birthday_day")
CSV_COLUMNS = {*_NAMES, *_OTHERS, *_PLACES, "street2", "phone"}
COLUMNS = {
    *(CSV_COLUMNS | _PHONES.keys()),
    *(f"{kind}{place}" for kind in _KINDS for place in (*_PLACES, "street2")),
    "home country",  # the documented spelling of home_country
}
_DATES = ("%Y-%m-%d", "%m/%d/%Y", "%Y/%m/%d", "%m-%d-%Y")
_LONGEST = {"email": 50, "sms_number": 16, "sms_consent_date": 16}


class Correctable(Exception):  # noqa: N818  # counted, not raised to anybody
    """A row with a value that a person could correct."""


class Wrong(Exception):  # noqa: N818  # counted, not raised to anybody
    """A row that cannot be corrected."""


def check_row(row: Mapping[str, Any]) -> None:
    """Refuse a row that cannot be imported."""
    for name, value in row.items():
        most = _LONGEST.get(name) or (255 if name.startswith("cf:") or name.endswith("street") else 50)
        if len(str(value)) > most:
            raise Wrong(f"{name} is longer than {most}")
    email = row.get("email")
    if email and not (isinstance(email, str) and _EMAIL.fullmatch(email)):
        raise Correctable("Invalid email")
    if not email and not any(row.get(name) for name in ("sms_number", "first_name", "last_name")):
        raise Correctable("Neither a name nor an email")
    month, day = row.get("birthday_month") or None, row.get("birthday_day") or None
    if (month, day) != (None, None) and not _is_birthday(month, day):
        raise Correctable("Invalid birthday")
    if row.get("anniversary") and _date(row["anniversary"]) is None:
        raise Correctable("Invalid anniversary")


def _is_birthday(month: Any, day: Any) -> bool:
    try:
        date(2024, int(month), int(day))
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _date(value: Any) -> str | None:
    for form in _DATES:
        try:
            return datetime.strptime(str(value), form).date().isoformat()  # noqa: DTZ007  # only the date is used
        except ValueError:
            continue
    return None


def apply_row(data: Data, row: Mapping[str, Any], document: Document, fields: Mapping[str, str]) -> None:
    """Write the values of a row into a contact; `fields` are the ids of the custom fields by name."""
    now = data.now()
    document |= {name: row[name] or None for name in _NAMES if name in row}
    if "birthday_month" in row and "birthday_day" in row:
        document |= {name: int(row[name]) if row[name] else None for name in ("birthday_month", "birthday_day")}
    if "anniversary" in row:
        document["anniversary"] = _date(row["anniversary"])
    for name, kind in _PHONES.items():
        if name in row:
            part = {"phone_number": str(row[name])} if row[name] else None
            document["phone_numbers"] = _with_part(data, document.get("phone_numbers"), kind, part, "phone_number_id")
    for prefix, kind in _KINDS.items():
        place = _place(row, prefix)
        if place:
            old = document.get("street_addresses")
            document["street_addresses"] = _with_part(data, old, kind, place, "street_address_id")
    document["custom_fields"] = _custom_fields(row, document.get("custom_fields"), fields)
    if row.get("sms_number"):
        document.setdefault("sms_channel", _channel(data, row, now))


def _custom_fields(row: Mapping[str, Any], old: list[Document] | None, fields: Mapping[str, str]) -> list[Document]:
    values = {field["custom_field_id"]: field for field in old or ()}
    for name, value in row.items():
        field_id = fields.get(name[3:]) if name.startswith("cf:") else None
        if field_id and value in (None, ""):
            values.pop(field_id, None)
        elif field_id:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            values[field_id] = {"custom_field_id": field_id, "value": text}
    return list(values.values())


def _place(row: Mapping[str, Any], prefix: str) -> Document:
    found: Document = {part: str(row[prefix + name] or "") for name, part in _PLACES.items() if prefix + name in row}
    if prefix == "home_" and "home country" in row:
        found["country"] = str(row["home country"])
    if row.get(f"{prefix}street2"):
        found["street"] = f"{found.get('street', '')} {row[f'{prefix}street2']}".strip()
    return found


def _with_part(
    data: Data, parts: list[Document] | None, kind: str, part: Document | None, id_name: str
) -> list[Document]:
    """Replace the phone number or address of a kind, or drop it; a contact has at most three."""
    old = next((one for one in parts or () if one["kind"] == kind), None)
    others = [one for one in parts or () if one is not old]
    if part is None:
        return others
    now = stamp(data.now())
    new = (old or {id_name: data.new_id(), "kind": kind, "created_at": now, "updated_at": now}) | part
    return [new if new == old else new | {"updated_at": now}, *others][:3]


def sms_digits(value: object) -> str:
    """Return the digits of an SMS number as `sms_address` holds them."""
    return re.sub(r"\D", "", str(value))[-10:]


def _channel(data: Data, row: Mapping[str, Any], now: int) -> Document:
    permission = "explicit" if row.get("sms_consent_date") else "not_set"
    dates = {"opt_in_date": stamp(now), "created_at": stamp(now), "updated_at": stamp(now)}
    return {
        "sms_channel_id": data.new_id(),
        "sms_address": sms_digits(row["sms_number"]),
        "dial_code": "1",
        "country_code": "US",
        "create_source": "Account",
        "sms_channel_consents": [{"sms_consent_permission": permission, "consent_type": "promotional_sms", **dates}],
    }
