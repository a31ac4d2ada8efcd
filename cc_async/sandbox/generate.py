"""Contacts made from a seed: any one of them at once, the same ones every time, none of them kept."""

from collections.abc import Sequence
from typing import TypeAlias

import attrs

from .chance import identifier, mix
from .stamps import DAY, stamp

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
Parts: TypeAlias = tuple[bytes, ...]
"""A contact as JSON: its core without the closing brace, then its sub-resources (empty: it has none)."""
_FIRST = (
    "Ada",
    "Béla",
    "Chloé",
    "Dmitri",
    "Elif",
    "Femi",
    "Grace",
    "Hiroshi",
    "Inés",
    "Jürgen",
    "Kofi",
    "Łucja",
)
_LAST = (
    "Lovelace",
    "Bartók",
    "Nguyễn",
    "O'Neill",
    "Öztürk",
    "Adeyemi",
    "Hopper",
    "Sato",
    "García",
    "Weiß",
    "李",
)
_JOBS = ("Violinist", "Engineer", "Head of Marketing", "Baker", "Founder & CEO", "Teacher", "Nurse")
_COMPANIES = (
    "Fernweh & Co.",
    "Globex",
    "Initech",
    "Umbrella Bakery",
    "Hooli",
    "Stark Gardens",
    "Wayne Books",
)
_CITIES = (
    ("Portland", "Maine", "04101"),
    ("Duluth", "Minnesota", "55802"),
    ("Loveland", "Colorado", "80538"),
    ("San José", "California", "95112"),
)
_NOTES = (
    "Met at the autumn fair; asked for the printed catalogue and for a call in the first week of the month.",
    "Prefers e-mail. Said that the last newsletter was the best so far, and forwarded it to two colleagues.",
    "Bought twice this year.\\nWants to hear about workshops, not about discounts.",
)
_EPOCH = 1_577_836_800  # 2020
_SPACING = 600  # seconds from one contact's creation to the next one's
_VARIANTS = 97  # of names, jobs, numbers and so on
_SMS_ONLY = (93, 94)  # sides of the die of a hundred that stand for contacts without an e-mail address
_BREAK = b"\x1f"


@attrs.frozen
class Entry:
    """What the index knows about one contact."""

    contact_id: str
    email: str  # in lower case; empty where there is none
    created: int
    updated: int
    opted_out: int
    status: int
    sms: int
    lists: int  # one bit for each list
    tags: int


class Generator:
    """Makes the contact of any row, from nothing but the seed and the number of the row."""

    def __init__(self, seed: int, lists: Sequence[str], tags: Sequence[str], fields: Sequence[str]) -> None:
        self._seed = seed
        self._lists, self._tags, self._fields = lists, tags, fields
        # A page of 500 contacts is made in some 10 ms only because the same texts are filled in again and again.
        self._templates: dict[tuple[int, ...], bytes] = {}
        self._named: dict[tuple[int, bool], bytes] = {}

    def entry(self, row: int) -> Entry:
        """Return the index entry of a row."""
        bits = mix(self._seed, row)
        millis = (bits >> 3) % 1000 if _style(bits) == 1 else 0
        born = (_EPOCH + row * _SPACING + (bits >> 13) % _SPACING) * 1000 + millis
        changed = born + (1 + (bits >> 23) % 400) * DAY if bits >> 22 & 1 else born
        die = (bits >> 32) % 100
        status, sms_only = _status(die), die in _SMS_ONLY
        return Entry(
            identifier(self._seed, row),
            "" if sms_only else f"contact.{row}@example.com",
            born,
            changed,
            born + (bits >> 40) % 300 * DAY if STATUSES[status] == "unsubscribed" else 0,
            status,
            1 + (bits >> 42) % 3 if sms_only or bits >> 45 & 1 else 0,
            _some(bits >> 46, len(self._lists), 1 + (bits >> 50) % 5),
            _some(bits >> 53, len(self._tags), (bits >> 57) % 4),
        )

    def parts(self, row: int, entry: Entry) -> Parts:
        """Return the JSON of a row."""
        bits = mix(self._seed, row)
        style = _style(bits)
        touched = stamp(entry.updated, style).encode()
        address = f"C{entry.email[1:]}" if bits & 0x300 == 0 else entry.email
        key = (bits % _VARIANTS, entry.status, entry.sms, bool(entry.email), entry.updated != entry.created)
        text = self._template(key) % {
            b"id": entry.contact_id.encode(),
            b"prefix": entry.contact_id[:-2].encode(),
            b"address": address.encode(),
            b"made": stamp(entry.created, style).encode(),
            b"touched": touched,
            b"day": touched[:10],
            b"out": stamp(entry.opted_out, style).encode() if entry.opted_out else touched,
            b"lists": self._names(entry.lists, self._lists, lists=True),
            b"tags": self._names(entry.tags, self._tags, lists=False),
        }
        return tuple(text.split(_BREAK))

    def _template(self, key: tuple[int, ...]) -> bytes:
        if key not in self._templates:
            self._templates[key] = _template(self._fields, key).encode()
        return self._templates[key]

    def _names(self, mask: int, names: Sequence[str], *, lists: bool) -> bytes:
        key = (mask, lists)
        if key not in self._named:
            chosen = [f'"{name}"' for place, name in enumerate(names) if mask >> place & 1]
            self._named[key] = ",".join(chosen).encode()
        return self._named[key]


def _style(bits: int) -> int:
    return (1, 1, 1, 0, 0, 2, 2, 3)[bits & 7]


def _status(die: int) -> int:
    """Spread a hundred sides over the statuses; the rare ones take a few percent each."""
    for code, side in enumerate((30, 85, 86, 88, 89, 93)):
        if die < side:
            return code
    return 2 if die in _SMS_ONLY else 6 if die < 98 else 1


def _some(bits: int, available: int, wanted: int) -> int:
    """Choose that many of the available ones, as a mask."""
    mask = 0
    for place in range(wanted):
        mask |= 1 << (bits * 5 + 3 * place + place * place) % available
    return mask


def _template(fields: Sequence[str], key: tuple[int, ...]) -> str:
    """Write a contact with the places open that differ from one contact to the next."""
    variant, status, sms, email, updated = key
    chance = mix(variant)
    return _BREAK.decode().join(
        (
            _core(chance, STATUSES[status], bool(email), bool(updated)),
            _custom_fields(chance, fields),
            "[%(lists)s]",
            "[%(tags)s]",
            _notes(chance),
            _phones(chance),
            _addresses(chance),
            _sms(chance, SMS_STATUSES[sms]) if sms else "",
        )
    )


def _core(chance: int, status: str, email: bool, updated: bool) -> str:
    source = "Contact" if chance & 16 else "Account"
    return (
        f'{{"contact_id":"%(id)s",{_email(status, source) if email else ""}'
        f'"first_name":"{_FIRST[chance % 12]}","last_name":"{_LAST[chance % 11]}",'
        f'"job_title":"{_JOBS[chance % 7]}","company_name":"{_COMPANIES[chance % 5]}",'
        f'"birthday_month":{1 + chance % 12},"birthday_day":{1 + chance % 28},'
        f'"anniversary":"20{chance % 20:02}-{1 + chance % 12:02}-{1 + chance % 28:02}",'
        + (f'"update_source":"{source}",' if updated else "")
        + '"create_source":"Account","created_at":"%(made)s","updated_at":"%(touched)s"'
        + (',"deleted_at":"%(day)s"' if status == DELETED else "")
    )


def _email(status: str, source: str) -> str:
    permission = "implicit" if status == DELETED else status
    confirmed = {"explicit": "confirmed", "pending_confirmation": "pending"}.get(permission, "off")
    out = f'"opt_out_source":"{source}","opt_out_date":"%(out)s","opt_out_reason":"Too many messages.",'
    return (
        f'"email_address":{{"address":"%(address)s","permission_to_send":"{permission}",'
        f'"created_at":"%(made)s","updated_at":"%(out)s","opt_in_source":"{source}",'
        f'"opt_in_date":"%(made)s",{out if status == "unsubscribed" else ""}"confirm_status":"{confirmed}"}},'
    )


def _custom_fields(chance: int, fields: Sequence[str]) -> str:
    text, single, multi, date, number = fields[:5]
    return (
        f'[{{"custom_field_id":"{text}","value":"{_COMPANIES[chance % 7]} no. {chance % 997}"}},'
        f'{{"custom_field_id":"{single}","value":"{1 + chance % 9}","choice_ids":["{1 + chance % 9:06}"]}},'
        f'{{"custom_field_id":"{multi}","choice_ids":["{1 + chance % 5:06}","{6 + chance % 4:06}"]}},'
        f'{{"custom_field_id":"{date}","value":"{1 + chance % 12:02}/{1 + chance % 28:02}/2023"}},'
        f'{{"custom_field_id":"{number}","value":"{chance % 9973}"}}]'
    )


def _notes(chance: int) -> str:
    notes = [
        f'{{"note_id":"%(prefix)sa{place}","created_at":"%(made)s","content":"{_NOTES[(chance + place) % 3]}"}}'
        for place in range(chance % 3)
    ]
    return f"[{','.join(notes)}]"


def _phones(chance: int) -> str:
    phones = [
        f'{{"phone_number_id":"%(prefix)sb{place}","phone_number":"+1-202-555-{chance % (9973 - place):04}",'
        f'"kind":"{kind}","created_at":"%(made)s","updated_at":"%(touched)s",'
        f'"update_source":"Account","create_source":"Account"}}'
        for place, kind in enumerate(("home", "mobile", "work")[: 1 + chance % 3])
    ]
    return f"[{','.join(phones)}]"


def _addresses(chance: int) -> str:
    city, state, code = _CITIES[chance % 4]
    addresses = [
        f'{{"street_address_id":"%(prefix)sc{place}","kind":"{kind}",'
        f'"street":"{1 + chance % (499 - place)} Harbour Street","city":"{city}","state":"{state}",'
        f'"postal_code":"{code}","country":"United States","created_at":"%(made)s","updated_at":"%(touched)s"}}'
        for place, kind in enumerate(("home", "work", "other")[: 1 + chance // 3 % 3])
    ]
    return f"[{','.join(addresses)}]"


def _sms(chance: int, status: str) -> str:
    dates = '"opt_in_date":"%(made)s",' + ('"opt_out_date":"%(touched)s",' if status == "unsubscribed" else "")
    return (
        f'{{"sms_channel_id":"%(prefix)sd0","sms_address":"202{chance % 9_999_991:07}",'
        '"dial_code":"1","country_code":"US","update_source":"Contact","create_source":"Account",'
        f'"sms_channel_consents":[{{"sms_consent_permission":"{status}","consent_type":"promotional_sms",{dates}'
        f'"advertised_frequency":"{1 + chance % 4}","advertised_interval":"monthly",'
        f'"created_at":"%(made)s","updated_at":"%(touched)s"}}]}}'
    )
