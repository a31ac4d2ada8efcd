"""Pages of made-up contacts: the same for the same seed, each contact full, some odd on request."""

import base64
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

SEED = 20_260_101
PAGE_SIZE = 500
ODD_SHARE = 0.05
"""One contact in twenty holds a value that is not of the type the API promises."""

Json = dict[str, Any]

_FIRST = ("Ada", "Béla", "Chloé", "Dmitri", "Elif", "Femi", "Grace", "Hiroshi", "Inés", "Jürgen", "Kofi", "Łucja")
_LAST = ("Lovelace", "Bartók", "Nguyễn", "O'Neill", "Öztürk", "Adeyemi", "Hopper", "Sato", "García", "Weiß")
_JOBS = ("Musician", "Head of Marketing", "Baker", "Founder & CEO", "Teacher", "Nurse", "Gardener")
_COMPANIES = ("Example Bakery", "Sample Books", "Placeholder Gardens", "Specimen Tools", "Pattern & Daughters")
_CITIES = (("Chicago", "Illinois", "60609"), ("Waltham", "Massachusetts", "02451"), ("Loveland", "Colorado", "80538"))
_WORDS = ("asked", "for", "the", "printed", "catalogue", "and", "a", "call", "on", "workshops", "not", "discounts")
_BORN = datetime(2020, 1, 1, tzinfo=UTC)
_STAMPS: tuple[Callable[[datetime], str], ...] = (
    lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}",
    lambda moment: moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    lambda moment: moment.astimezone(timezone(timedelta(hours=-5))).isoformat(timespec="seconds"),
)


def contact(seed: int, row: int, *, odd: bool = False) -> Json:
    """The contact of one row, with every sub-resource; an odd one has one value of an unexpected kind."""
    made = _Contact(seed, row).whole()
    if odd:
        _spoil(made, row)
    return made


def page(seed: int, number: int, *, pages: int, size: int = PAGE_SIZE, odd: bool = False, path: str = "") -> bytes:
    """The body of page `number`, the first being 1; `path` is that of the collection, for the link to the next one."""
    rows = range((number - 1) * size, number * size)
    spoiled = round(1 / ODD_SHARE)
    body: Json = {
        "contacts": [contact(seed, row, odd=odd and row % spoiled == spoiled // 2) for row in rows],
        "contacts_count": pages * size,
    }
    if number < pages:
        body["_links"] = {"next": {"href": f"{path}?cursor={cursor(number + 1, size)}"}}
    return encoded(body)


def cursor(number: int, size: int = PAGE_SIZE) -> str:
    """The cursor of a page, which is the base64 of a query that holds its number."""
    return base64.b64encode(f"limit={size}&next={number}&status%5B%5D=all".encode()).decode()


def encoded(plain: Any) -> bytes:
    """JSON without spaces, as the API sends it."""
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()


class _Contact:
    """Makes the parts of one contact from the random numbers of its row."""

    def __init__(self, seed: int, row: int) -> None:
        self._random = random.Random(seed * 1_000_003 + row)  # noqa: S311  # seeded on purpose: the same for everyone
        self._row = row
        self._created = _BORN + timedelta(minutes=10 * row, seconds=self._random.randrange(600))
        self._updated = self._created + timedelta(seconds=self._random.randrange(86_400 * 400))
        self._stamp = self._random.choice(_STAMPS)

    def whole(self) -> Json:
        pick = self._random
        return {
            "contact_id": self._id(),
            "email_address": self._email(),
            "first_name": pick.choice(_FIRST),
            "last_name": pick.choice(_LAST),
            "job_title": pick.choice(_JOBS),
            "company_name": pick.choice(_COMPANIES),
            "birthday_month": pick.randint(1, 12),
            "birthday_day": pick.randint(1, 28),
            "anniversary": f"{pick.randint(1990, 2024)}-{pick.randint(1, 12):02}-{pick.randint(1, 28):02}",
            "update_source": "Account",
            "create_source": pick.choice(("Account", "Contact")),
            **self._dates(),
            "custom_fields": self._custom_fields(),
            "phone_numbers": [self._phone(kind) for kind in ("home", "mobile")],
            "street_addresses": [self._address(kind) for kind in ("home", "work")],
            "list_memberships": [self._id() for _ in range(5)],
            "taggings": [self._id() for _ in range(3)],
            "notes": [self._note() for _ in range(2)],
            "sms_channel": self._sms(),
        }

    def _id(self) -> str:
        text = f"{self._random.getrandbits(128):032x}"
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def _dates(self) -> Json:
        return {"created_at": self._stamp(self._created), "updated_at": self._stamp(self._updated)}

    def _email(self) -> Json:
        gone = self._random.random() < 0.1
        out = {"opt_out_source": "Contact", "opt_out_date": self._stamp(self._updated), "opt_out_reason": "Too many."}
        return {
            "address": f"contact.{self._row}@example.com",
            "permission_to_send": "unsubscribed" if gone else self._random.choice(("implicit", "explicit")),
            **self._dates(),
            "opt_in_source": "Account",
            "opt_in_date": self._stamp(self._created),
            **(out if gone else {}),
            "confirm_status": "off",
        }

    def _custom_fields(self) -> list[Json]:
        pick = self._random
        text = {"custom_field_id": self._id(), "value": " ".join(pick.choices(_WORDS, k=5))}
        number = {"custom_field_id": self._id(), "value": str(pick.randrange(10_000))}
        day = {"custom_field_id": self._id(), "value": f"{pick.randint(1, 12):02}/{pick.randint(1, 28):02}/2023"}
        choices = [f"{pick.randrange(1, 10):06}", f"{pick.randrange(10, 20):06}"]
        return [text, number, day, {"custom_field_id": self._id(), "value": choices[0], "choice_ids": choices}]

    def _phone(self, kind: str) -> Json:
        return {
            "phone_number_id": self._id(),
            "phone_number": f"+1-555-555-{self._random.randrange(10_000):04}",
            "kind": kind,
            **self._dates(),
            "update_source": "Account",
            "create_source": "Account",
        }

    def _address(self, kind: str) -> Json:
        city, state, code = self._random.choice(_CITIES)
        return {
            "street_address_id": self._id(),
            "kind": kind,
            "street": f"{self._random.randrange(1, 999)} Kashmir Valley Road",
            "city": city,
            "state": state,
            "postal_code": code,
            "country": "United States",
            **self._dates(),
        }

    def _note(self) -> Json:
        content = " ".join(self._random.choices(_WORDS, k=14)).capitalize() + "."
        return {"note_id": self._id(), "created_at": self._stamp(self._created), "content": content}

    def _sms(self) -> Json:
        consent = {
            "sms_consent_permission": "explicit",
            "consent_type": "promotional_sms",
            "opt_in_date": self._stamp(self._created),
            "advertised_frequency": str(self._random.randint(1, 8)),
            "advertised_interval": "monthly",
            **self._dates(),
        }
        return {
            "sms_channel_id": self._id(),
            "sms_address": f"781555{self._random.randrange(10_000):04}",
            "dial_code": "1",
            "country_code": "US",
            "update_source": "Contact",
            "create_source": "Contact",
            "sms_channel_consents": [consent],
        }


def _spoil(made: Json, row: int) -> None:
    """Put one value into a contact that is of the wrong type, or that only some readers can read."""
    spoilers: tuple[tuple[Json, str, Any], ...] = (
        (made, "created_at", "2023-01-23 06:09:23 -0800"),
        (made, "birthday_month", "7"),
        (made, "updated_at", ""),
        (made["email_address"], "opt_in_date", "2016-03-03T10:53:04-05:0"),
        (made["custom_fields"][0], "value", 42),
        (made["street_addresses"][1], "postal_code", 60_609),
        (made["phone_numbers"][0], "created_at", "yesterday"),
        (made, "deleted_at", "2024-10-30T18:56:35Z"),
    )
    place, name, value = spoilers[row // round(1 / ODD_SHARE) % len(spoilers)]
    place[name] = value
