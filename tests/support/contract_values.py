"""Values as the API writes them, samples of its responses, and what becomes of values that it does not promise."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import attrs

from .contract_table import SOME_ID, UUID

# --- how values are written -----------------------------------------------------------------------------------------

_PACIFIC, _EASTERN = timezone(timedelta(hours=-8)), timezone(timedelta(hours=-5))
TIMESTAMPS: dict[str, datetime] = {
    "2024-10-30T18:56:35Z": datetime(2024, 10, 30, 18, 56, 35, tzinfo=UTC),
    "2016-01-23T13:48:44.108Z": datetime(2016, 1, 23, 13, 48, 44, 108_000, tzinfo=UTC),
    "2024-10-30T18:56:35+0000": datetime(2024, 10, 30, 18, 56, 35, tzinfo=UTC),
    "2016-03-03T10:53:04-05:00": datetime(2016, 3, 3, 10, 53, 4, tzinfo=_EASTERN),
    "2023-01-23 06:09:23 -0800": datetime(2023, 1, 23, 6, 9, 23, tzinfo=_PACIFIC),
}
"""The forms that the API is known to write."""
OTHER_TIMESTAMPS: dict[str, datetime] = {
    "2024-10-30": datetime(2024, 10, 30, tzinfo=UTC),
    "2024-10-30T18:56:35": datetime(2024, 10, 30, 18, 56, 35, tzinfo=UTC),
    "2024-10-30 18:56:35": datetime(2024, 10, 30, 18, 56, 35, tzinfo=UTC),
    "2024-10-30T18:56Z": datetime(2024, 10, 30, 18, 56, tzinfo=UTC),
    "2024-10-30T18:56:35-05": datetime(2024, 10, 30, 18, 56, 35, tzinfo=_EASTERN),
    "2024-10-30T18:56:35 UTC": datetime(2024, 10, 30, 18, 56, 35, tzinfo=UTC),
    "2024-10-30T18:56:35,5Z": datetime(2024, 10, 30, 18, 56, 35, 500_000, tzinfo=UTC),
    " 2024-10-30T18:56:35Z\n": datetime(2024, 10, 30, 18, 56, 35, tzinfo=UTC),
    "2024-10-30t18:56:35.1234567z": datetime(2024, 10, 30, 18, 56, 35, 123_457, tzinfo=UTC),
    "2024-10-30T18:56:35.1234567": datetime(2024, 10, 30, 18, 56, 35, 123_457, tzinfo=UTC),
    "2024-10-30T18:56:35.9999999": datetime(2024, 10, 30, 18, 56, 36, tzinfo=UTC),
}
"""Forms that nobody has seen yet, but whose meaning is plain."""
NO_TIMESTAMPS = [
    "2016-03-03T10:53:04-05:0",
    "2024-02-30T00:00:00Z",
    "2024-10-30T23:59:60Z",
    "2024-10-30T24:00:00Z",
    "0000-10-30T18:56:35Z",
    "10000-10-30T18:56:35Z",
    "2024-10-30T18:56:35+24:00",
    "2024-10-30T18:56:35+99:99",
    "9999-12-31T23:59:59.9999999Z",
    "2024-W44-3",
    "20241030118",
    "1730314595",
    "10/30/2024",
    "2024-10-30x18:56:35Z",
    "٢٠٢٤-10-30T18:56:35Z",
    "yesterday",
]

# --- samples with the odd values that the API's own examples hold -----------------------------------------------------

CONTACT: dict[str, Any] = {
    "contact_id": UUID,
    "email_address": {
        "address": "ada@example.com",
        "permission_to_send": "implicit",
        "created_at": "2016-03-03T10:53:04-05:00",
        "updated_at": "2016-03-03T10:56:29-05:00",
        "opt_in_source": "Contact",
        "opt_in_date": "2016-01-23T13:48:44.108Z",
        "opt_out_source": "Contact",
        "opt_out_date": "2016-01-23T13:48:44.108Z",
        "opt_out_reason": "Too many mails",
        "confirm_status": "confirmed",
    },
    "first_name": "Ada",
    "last_name": "Lovelace",
    "job_title": "Analyst",
    "company_name": "Engines Ltd.",
    "birthday_month": 12,
    "birthday_day": 10,
    "anniversary": "2006-11-15",
    "update_source": "Contact",
    "create_source": "Account",
    "created_at": "2016-01-23T13:48:44.108Z",
    "updated_at": "2016-01-23T13:48:44.108Z",
    "deleted_at": "2016-07-08",
    "custom_fields": [
        {"custom_field_id": UUID, "value": "Blue"},
        {"custom_field_id": SOME_ID, "choice_ids": [1, "000001", "9A63BC"]},
    ],
    "phone_numbers": [
        {
            "phone_number_id": UUID,
            "phone_number": "+1-555-555-0100",
            "kind": "home",
            "created_at": "2016-03-03T10:53:04-05:00",
            "updated_at": "2016-03-03T10:56:29-05:00",
            "update_source": "Account",
            "create_source": "Account",
        }
    ],
    "street_addresses": [
        {
            "street_address_id": UUID,
            "kind": "home",
            "street": "12 St James's Square",
            "city": "London",
            "state": "England",
            "postal_code": "SW1Y",
            "country": "United Kingdom",
            "created_at": "2016-03-03T10:53:04-05:00",
            "updated_at": "2016-03-03T10:56:29-05:00",
        }
    ],
    "list_memberships": [UUID, SOME_ID],
    "taggings": [UUID],
    "notes": [{"note_id": UUID, "created_at": "2021-05-12T13:48:44.108Z", "content": "Met at the fair."}],
    "sms_channel": {
        "sms_channel_id": UUID,
        "sms_address": "5555550100",
        "dial_code": "1",
        "country_code": "US",
        "update_source": "Contact",
        "create_source": "Account",
        "sms_channel_consents": [
            {
                "sms_consent_permission": "explicit",
                "consent_type": "promotional_sms",
                "opt_in_date": "2016-01-23T13:48:44.108Z",
                "opt_out_date": "2016-01-23T13:48:44.108Z",
                "advertised_frequency": "1",
                "advertised_interval": "monthly",
                "created_at": "2016-01-23T13:48:44.108Z",
                "updated_at": "2016-01-23T13:48:44.108Z",
            }
        ],
    },
}
COUNTS = {"total": 72, "explicit": 10, "implicit": 20, "pending": 30, "unsubscribed": 12, "new_subscriber": 1}
XREFS = {"xrefs": [{"sequence_id": "0016633325", "contact_id": UUID}]}
SIGNED_UP = {"contact_id": UUID, "action": "created"}
SMS_HISTORY = [
    {
        "contact_id": UUID,
        "sms_channel_id": SOME_ID,
        "sms_channel_history_id": UUID,
        "insert_time": "2016-03-03T10:53:04-05:00",
        "history_details": {
            "state": "O",
            "source": "A",
            "consent_type": "promotional_sms",
            "consent_action_time": "2023-01-23 06:09:23 -0800",
            "consent_action_type": "opt_out",
            "consent_medium_type": "MD",
            "source_consent_timestamp": "2016-03-03T10:53:04-05:0",
            "source_sms_number": "5555550100",
            "advertised_frequency": 2,
            "advertised_interval": "W",
        },
    }
]
PAGE = {
    "contacts": [CONTACT],
    "contacts_count": 3249,
    "_links": {"next": {"href": "/v3/contacts?cursor=bGltaXQ9MSZuZXh0PTI="}},
    "status": "ready",
}
SAMPLES: dict[str, Any] = {
    "contact": CONTACT,
    "counts": COUNTS,
    "xrefs": XREFS,
    "sign_up_result": SIGNED_UP,
    "[sms_engagement]": SMS_HISTORY,
    "page": PAGE,
}

# --- what becomes of odd values ---------------------------------------------------------------------------------------


@attrs.frozen
class Odd:
    """A value that the API does not promise, written as JSON, and what a reader makes of it."""

    field: str
    """Of a contact; `a.b` and `a[0].b` lie deeper."""
    written: str
    read: Any = None
    reason: str | None = None
    """Why it could not be read; None where it could."""
    path: str | None = None
    """Where the problem is named, if not at the field itself."""


_TEXT, _WHOLE, _STAMP = "expected a string, got ", "expected a whole number, got ", "expected a timestamp, got "
LONG = "x" * 10_000
ENDLESS = "1" + "0" * 5_000
ODD = [
    # strings
    Odd("first_name", "12", "12"),
    Odd("first_name", "10.50", "10.50"),
    Odd("first_name", "1E400", "1E400"),
    Odd("first_name", "12345678901234567890.10", "12345678901234567890.10"),
    Odd("first_name", ENDLESS, ENDLESS),
    Odd("first_name", f'"{LONG}"', LONG),
    Odd("first_name", '""', ""),
    Odd("first_name", '"  "', "  "),
    Odd("first_name", '"\\u0000"', "\0"),
    Odd("first_name", '"a\nb"', "a\nb"),
    Odd("first_name", "null"),
    Odd("first_name", "true", None, _TEXT + "a boolean"),
    Odd("first_name", "[]", None, _TEXT + "an array"),
    Odd("first_name", '{"en": "Ada"}', None, _TEXT + "an object"),
    Odd("first_name", "NaN", None, _TEXT + "NaN or an infinity"),
    Odd("first_name", "-Infinity", None, _TEXT + "NaN or an infinity"),
    Odd("first_name", '"\\ud800"', None, "not valid Unicode"),
    Odd("first_name", '"\\ude00\\ud83d"', None, "not valid Unicode"),
    Odd("create_source", '"Robot"', "Robot"),
    Odd("email_address.permission_to_send", '"tomorrow\'s"', "tomorrow's"),
    # whole numbers
    Odd("birthday_month", '"12"', 12),
    Odd("birthday_month", '" 07 "', 7),
    Odd("birthday_month", "12.0", 12),
    Odd("birthday_month", "1.2e1", 12),
    Odd("birthday_month", "-0.0", 0),
    Odd("birthday_month", "13", 13),
    Odd("birthday_month", "100000000000000000000", 10**20),
    Odd("birthday_month", '""'),
    Odd("birthday_month", '" "'),
    Odd("birthday_month", "12.5", None, _WHOLE + "a number"),
    Odd("birthday_month", "1e19", None, _WHOLE + "a number"),
    Odd("birthday_month", "1E400", None, _WHOLE + "a number"),
    Odd("birthday_month", ENDLESS, None, _WHOLE + "a number"),
    Odd("birthday_month", "true", None, _WHOLE + "a boolean"),
    Odd("birthday_month", '"twelve"', None, _WHOLE + "a string"),
    Odd("birthday_month", '"1_2"', None, _WHOLE + "a string"),
    Odd("birthday_month", '"١٢"', None, _WHOLE + "a string"),
    Odd("birthday_month", "NaN", None, _WHOLE + "NaN or an infinity"),
    Odd("birthday_month", "[12]", None, _WHOLE + "an array"),
    # moments and days
    *(Odd("created_at", json.dumps(text), moment) for text, moment in (TIMESTAMPS | OTHER_TIMESTAMPS).items()),
    *(Odd("created_at", json.dumps(text), None, "not a timestamp") for text in NO_TIMESTAMPS),
    Odd("created_at", '""'),
    Odd("created_at", '" "'),
    Odd("created_at", "1730314595", None, _STAMP + "a number"),
    Odd("created_at", "1730314595.5", None, _STAMP + "a number"),
    Odd("created_at", "false", None, _STAMP + "a boolean"),
    Odd("created_at", "{}", None, _STAMP + "an object"),
    Odd("deleted_at", '"2016-07-08T23:30:00-05:00"', date(2016, 7, 8)),
    Odd("deleted_at", '"2016-07-08 23:30:00"', date(2016, 7, 8)),
    Odd("deleted_at", '""'),
    Odd("deleted_at", '"0000-00-00"', None, "not a timestamp"),
    Odd("deleted_at", "20160708", None, _STAMP + "a number"),
    # numbers or strings
    Odd("custom_fields[1].choice_ids", '[1, "9A63BC", 2.0, 2.5]', [1, "9A63BC", 2, "2.5"]),
    Odd(
        "custom_fields[1].choice_ids",
        "[1, null, 2]",
        [1, 2],
        _TEXT + "null",
        "$.custom_fields[1].choice_ids[1]",
    ),
    Odd("sms_channel.sms_channel_consents[0].advertised_frequency", "3", 3),
    Odd("sms_channel.sms_channel_consents[0].advertised_frequency", '"often"', "often"),
    Odd("sms_channel.sms_channel_consents[0].advertised_frequency", "true", None, _TEXT + "a boolean"),
    # collections
    Odd("list_memberships", json.dumps([f"list {n}" for n in range(60)]), [f"list {n}" for n in range(60)]),
    Odd("list_memberships", "[]", []),
    Odd("list_memberships", '["a", 7, "b"]', ["a", "7", "b"]),
    Odd("list_memberships", '["a", null, "b"]', ["a", "b"], _TEXT + "null", "$.list_memberships[1]"),
    Odd("list_memberships", '["a", {}, "b"]', ["a", "b"], _TEXT + "an object", "$.list_memberships[1]"),
    Odd("list_memberships", '"a,b"', None, "expected an array, got a string"),
    Odd("list_memberships", "{}", None, "expected an array, got an object"),
    Odd("notes", "[null]", [], "expected an object, got null", "$.notes[0]"),
    Odd("notes", '["a"]', [], "expected an object, got a string", "$.notes[0]"),
    Odd("notes[0].created_at", '"soon"', None, "not a timestamp"),
    Odd("phone_numbers[0].phone_number", "15555550100", "15555550100"),
    Odd("email_address", "null"),
    Odd("email_address", '"ada@example.com"', None, "expected an object, got a string"),
    Odd("email_address", "[]", None, "expected an object, got an array"),
    Odd("email_address.opt_in_date", '"2016-01-23"', datetime(2016, 1, 23, tzinfo=UTC)),
    Odd("sms_channel", "7", None, "expected an object, got a number"),
    # what nobody asked for
    Odd("of_tomorrow", '{"deep": [1, NaN, "\\ud800", {"x": null}]}'),
]
