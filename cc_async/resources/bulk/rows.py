"""Rows of an import as the bytes that are sent: checked, without blanks, with custom fields by the API's names."""

import itertools
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeAlias, TypeGuard

import attrs
import msgspec

from cc_async.errors import InvalidRequestError
from cc_async.models.imports import ImportRow

Row: TypeAlias = ImportRow | Mapping[str, Any]

KEYS = frozenset(field.name for field in attrs.fields(ImportRow)) - {"custom_fields"}
"""What the API calls the fields of a row, but for custom ones."""
_BIRTHDAY = {"birthday_month", "birthday_day"}
_ENCODER = msgspec.json.Encoder()
BY_NUMBER = "sms:"
"""Begins the identity of a row without an e-mail address."""
_REMEMBERED = 10_000
"""Sets of keys whose targets are remembered."""
REJECTED = b"!"
"""Begins a line that holds the reason why a row cannot be sent, in place of the row."""


@attrs.frozen
class CustomFieldNames:
    """Maps what a caller calls a custom field to the key of an import row, which is `cf:` and the field's name."""

    keys: Mapping[str, str]

    @classmethod
    def of(cls, fields: Iterable[tuple[str | None, str | None]]) -> "CustomFieldNames":
        """Make it of the labels and the names of all fields of the account; names win over labels."""
        pairs = [(label, name) for label, name in fields if name]
        labels = {label.casefold(): f"cf:{name}" for label, name in pairs if label}
        return cls(labels | {f"{name}".casefold(): f"cf:{name}" for _, name in pairs})

    def key(self, given: str) -> str:
        """The key of a row for a label, a name, or a name with `cf:` before it.

        Raises:
            InvalidRequestError: the account has no such custom field.

        """
        found = self.keys.get(given.removeprefix("cf:").strip().casefold())
        if found is None:
            raise InvalidRequestError(
                f"{given!r} is neither a field of an import row nor a custom field of the account: create the field"
                " first, or name the key in `extra_keys` to send it as it is."
            )
        return found


class RowEncoder:
    """Turns batches of rows into JSON, one line a row.

    `key_of` maps a key that is not one of the API's own to the key to send, or raises InvalidRequestError.
    """

    def __init__(self, key_of: Callable[[str], str]) -> None:
        self.key_of = key_of
        self._targets: dict[tuple[Any, ...], tuple[str, ...] | None] = {}
        """The keys to send for the keys of a row; None where each row must be looked at by itself."""

    def encode(self, batch: Sequence[Row]) -> tuple[bytes, list[str]]:
        """The lines of a batch, each ended by a line feed, and by what each row is told from others.

        A row that cannot be sent becomes a line that begins with `REJECTED`, and has an empty identity.

        Raises:
            InvalidRequestError: A row names a custom field that does not exist.

        """
        found = self._encode_together(batch)
        if found is not None:
            return found
        encoded = [self._encode_one(row) for row in batch]
        return b"".join(line for line, _ in encoded), [identity for _, identity in encoded]

    def _encode_together(self, batch: Sequence[Row]) -> tuple[bytes, list[str]] | None:
        """The lines and identities of a batch that holds strings only, as most do; else None.

        What can be looked at here for all rows together costs a tenth of looking at each value.
        """
        if self._is_uniform(batch):
            found = _encode_strings(batch)
            if found is not None and b'":""' not in found[0]:
                return found
        rows = self._flattened(batch)
        return None if rows is None else _encode_strings(rows)

    def _is_uniform(self, batch: Sequence[Row]) -> TypeGuard[Sequence[dict[str, Any]]]:
        """Whether all rows are dicts with the same keys, which are those to send."""
        if set(map(type, batch)) != {dict}:
            return False
        keys = tuple(batch[0])  # type: ignore[arg-type]  # a dict
        return self._targets_of(keys) is keys and all(map(keys.__eq__, map(tuple, batch)))  # type: ignore[arg-type]  # dicts

    def _flattened(self, batch: Sequence[Row]) -> list[dict[str, Any]] | None:
        rows: list[dict[str, Any]] = []
        for row in batch:
            given = _given(row) if isinstance(row, ImportRow) else row
            targets = self._targets_of(tuple(given)) if type(given) is dict else None
            if targets is None:
                return None
            rows.append(_without_blanks(targets, given))
        return rows

    def _targets_of(self, keys: tuple[Any, ...]) -> tuple[str, ...] | None:
        known = self._targets.get(keys, _UNKNOWN)
        if not isinstance(known, _Unknown):
            # The very same tuple, so that the caller sees at once that there is nothing to rename.
            return keys if known == keys else known
        return self._find_targets(keys)

    def _find_targets(self, keys: tuple[Any, ...]) -> tuple[str, ...] | None:
        targets: tuple[str, ...] | None = None
        if "custom_fields" not in keys and _BIRTHDAY.isdisjoint(keys) and all(isinstance(key, str) for key in keys):
            targets = tuple(key if key in KEYS else self.key_of(key) for key in keys)
            targets = keys if targets == keys else targets if len(set(targets)) == len(targets) else None
        if len(self._targets) < _REMEMBERED:
            self._targets[keys] = targets
        return targets

    def _encode_one(self, row: Row) -> tuple[bytes, str]:
        try:
            fields = self._fields(row)
            return _ENCODER.encode(fields) + b"\n", _identity(fields)
        except _RowRejected as reason:
            return REJECTED + str(reason).encode(errors="replace") + b"\n", ""

    def _fields(self, row: Row) -> dict[str, str | int]:
        if isinstance(row, ImportRow):
            given: dict[str, Any] = dict(zip(_NAMES, _VALUES(row), strict=True))
            custom = row.custom_fields or {}
        elif isinstance(row, Mapping):
            given = dict(row)
            custom = given.pop("custom_fields", None) or {}
        else:
            raise _RowRejected(f"A row must be an ImportRow or a mapping, not {type(row).__name__}.")
        if not isinstance(custom, Mapping):
            raise _RowRejected(
                "custom_fields of a row must be a mapping from labels to values: a row is not a contact."
            )
        fields: dict[str, str | int] = {}
        for key, value in itertools.chain(given.items(), custom.items()):
            if not isinstance(key, str):
                raise _RowRejected("The keys of a row must be strings.")
            text = _text(key, value)
            if text is not None:
                target = key if key in KEYS else self.key_of(key)
                if target in fields:
                    raise _RowRejected(f"{target} is given twice.")
                fields[target] = text
        _check(fields)
        return fields


class _Unknown:
    """Stands for what has not been looked up."""


_UNKNOWN = _Unknown()
_NAMES = tuple(sorted(KEYS))
_VALUES = operator.attrgetter(*_NAMES)


def _given(row: ImportRow) -> dict[str, Any]:
    """What a row holds, custom fields among the rest."""
    given = {name: value for name, value in zip(_NAMES, _VALUES(row), strict=True) if value is not None}
    return given | row.custom_fields if isinstance(row.custom_fields, dict) else given


def _without_blanks(targets: tuple[str, ...], row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in zip(targets, row.values(), strict=True) if value or value == 0}


def _encode_strings(rows: Sequence[dict[str, Any]]) -> tuple[bytes, list[str]] | None:
    """The lines and identities of rows that hold strings only, each with an e-mail address; else None."""
    try:
        "".join(itertools.chain.from_iterable(map(dict.values, rows)))  # the cheapest look at all types
        lines, emails = _ENCODER.encode_lines(rows), [row["email"] for row in rows]
    except (KeyError, TypeError, ValueError):
        return None
    identities = _addresses(emails)
    return None if identities is None else (lines, identities)


def _addresses(emails: Sequence[str]) -> list[str] | None:
    """What tells the rows apart, found for all at once; None where an address holds white space."""
    joined = "\n".join(emails).casefold()
    found = joined.split("\n")
    return found if len(found) == len(emails) and len(joined.split()) == len(emails) else None


class _RowRejected(Exception):  # noqa: N818  # never leaves this module
    """Says why a row cannot be sent, without its values."""


def _text(key: str, value: Any) -> str | int | None:
    """A value as it is sent; None if it is blank."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return _string(key, value)
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return value if key in _BIRTHDAY and type(value) is int else write(value)
    raise _RowRejected(
        f"{key} must be a string, a number, a boolean, a date or a datetime, not {type(value).__name__}."
        + (" A row of an import is flat: it is not a contact." if isinstance(value, Mapping | list) else "")
    )


def _string(key: str, value: str) -> str | int:
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise _RowRejected(f"{key} is not valid Unicode.")
    if key in _BIRTHDAY and re.fullmatch(r"\s*\d{1,2}\s*", value, re.ASCII):
        return int(value)
    return str(value)


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise _RowRejected("A row holds NaN or an infinity.")
    return repr(value)


def _datetime(value: datetime) -> str:
    if value.utcoffset() is None:
        raise _RowRejected("A datetime in a row must be aware, such as datetime.now(UTC).")
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_WRITERS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (bool, lambda value: str(value).lower()),
    (int, str),
    (float, _float),
    (datetime, _datetime),
    (date, date.isoformat),
)
"""How values that are not strings are written, the narrower types first."""


def _check(fields: Mapping[str, str | int]) -> None:
    if "email" not in fields and "sms_number" not in fields:
        raise _RowRejected("A row needs an email or an sms_number.")
    if len(_BIRTHDAY & fields.keys()) == 1:
        raise _RowRejected("birthday_month and birthday_day must be given together.")


def identity_of(line: bytes) -> str:
    """The identity of an encoded row; empty for one that was rejected."""
    return "" if line.startswith(REJECTED) else _identity(msgspec.json.decode(line))


def _identity(fields: Mapping[str, str | int]) -> str:
    """By what a row is told from others: its address whatever the case, else its number whatever the punctuation."""
    if "email" in fields:
        return str(fields["email"]).strip().casefold()
    return BY_NUMBER + re.sub(r"\D", "", str(fields["sms_number"]))
