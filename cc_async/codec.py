"""Bytes to models and requests to bytes.

Answers are decoded straight into the attrs classes by msgspec. What it refuses, an odd timestamp or a number in a
string, is read again by a tolerant cattrs converter, field by field: what cannot be read becomes None and is named as
a `Problem`, and everything around it comes through. Both ways give equal objects.
"""

import asyncio
import functools
import json
import logging
import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from datetime import date, datetime
from typing import Any, Generic, NoReturn, TypeVar, get_args, get_origin

import attrs
import cattrs
import msgspec
from cattrs.gen import make_dict_unstructure_fn

from cc_async.errors import DecodeError, InvalidRequestError
from cc_async.models.contact import Contact, Timestamp
from cc_async.wire import next_href

T = TypeVar("T")
_LOG = logging.getLogger("cc_async")
_SLICE = 20
"""Contacts decoded before the event loop may breathe: about half a millisecond."""
_DIGITS = 4_300
"""Digits of an int at most: Python refuses to read more, lest it take for ever."""
_SHOWN = 5
"""Problems named in one log line or exception."""


@attrs.frozen
class Problem:
    """A value of an answer that could not be read and became None."""

    path: str
    """Where it stood, such as `$.contacts[3].created_at`."""
    reason: str
    """Why it could not be read, without the value."""

    def below(self, parent: str) -> "Problem":
        """The same problem, seen from further out."""
        return Problem(self.path.replace("$", parent, 1), self.reason)


@attrs.frozen
class Decoded(Generic[T]):
    """A value, and what of it could not be read."""

    value: T = attrs.field(repr=False)
    problems: tuple[Problem, ...] = ()


@attrs.frozen
class Envelope:
    """A page whose contacts are still bytes."""

    contacts: list[Any] = attrs.field(repr=False)
    href: str | None = attrs.field(repr=False)
    """The link to the next page, as it came."""
    total: int | None
    problems: tuple[Problem, ...] = ()
    """What of the page around its contacts could not be read."""


class _RawPage(msgspec.Struct):
    contacts: list[msgspec.Raw] | None = None
    contacts_count: msgspec.Raw = msgspec.Raw(b"null")
    links: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"null"), name="_links")


# What msgspec raises for bytes it cannot read; RecursionError is about depth, the others about JSON and Unicode.
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@functools.cache
def _decoder(cls: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cls)


# --- the tolerant way --------------------------------------------------------------------------------------------

_problems: ContextVar[list[Problem]] = ContextVar("problems")
_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ]\s*(\d\d:\d\d)(:\d\d)?(?:[.,](\d+))?\s*(?:([+-]\d\d)(?::?(\d\d))?|[Zz]|UTC|GMT)?)?",
    re.ASCII,
)
"""A date, perhaps with a time, perhaps with a zone; stricter than `fromisoformat`, which takes `20241030118` for one."""


class _Number(float):
    """A number that is no int, and how it was written: in a field that is a string, `10.50` is not `10.5`."""

    text: str

    def __new__(cls, text: str) -> "_Number":
        number = super().__new__(cls, text)
        number.text = text
        return number


_NAMES = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", _Number: "a number"}


class _UnreadableError(Exception):
    """Raised by a hook for a value that it cannot read; `_read` turns it into a Problem."""


def _kind(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value) and type(value) is float:
        return "NaN or an infinity"
    return "null" if value is None else _NAMES.get(type(value), "a number")


def _read(value: Any, hook: Callable[[Any, Any], T], cls: Any, path: str) -> T | None:
    """Read one value below the present one; trouble in it is recorded and costs no more than the value."""
    found = _problems.get()
    before = len(found)
    try:
        result = hook(value, cls)
    except _UnreadableError as trouble:
        found.append(Problem("$" + path, str(trouble)))
        return None
    found[before:] = [problem.below("$" + path) for problem in found[before:]]
    return result


def _object_hook(cls: type[attrs.AttrsInstance]) -> Callable[[Any, Any], Any]:
    attrs.resolve_types(cls)
    fields = [(field.name, field.type, _converter.get_structure_hook(field.type)) for field in attrs.fields(cls)]

    def read_object(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise _UnreadableError(f"expected an object, got {_kind(value)}")
        return cls(
            **{
                name: _read(value[name], hook, kind, f".{name}")
                for name, kind, hook in fields
                if value.get(name) is not None
            }
        )

    return read_object


def _list_hook(cls: Any) -> Callable[[Any, Any], Any]:
    (item,) = get_args(cls)
    hook = _converter.get_structure_hook(item)

    def read_list(value: Any, _: Any) -> Any:
        if not isinstance(value, list):
            raise _UnreadableError(f"expected an array, got {_kind(value)}")
        items = (_read(entry, hook, item, f"[{index}]") for index, entry in enumerate(value))
        return [entry for entry in items if entry is not None]

    return read_list


def _optional_hook(cls: Any) -> Callable[[Any, Any], Any]:
    """Look the hook of the inner type up once, where cattrs would at every value; null never comes this far."""
    inner = functools.reduce(operator.or_, (option for option in get_args(cls) if option is not type(None)))
    return _converter.get_structure_hook(inner)


def _read_int_or_str(value: Any, _: Any) -> int | str:
    return int(value) if _is_whole(value) else _read_str(value, str)


def _is_whole(value: Any) -> bool:
    # Beyond 2**53 a float stands for more than one whole number.
    return type(value) is int or (isinstance(value, float) and value.is_integer() and abs(value) <= 2**53)


def _read_str(value: Any, _: Any) -> str:
    if isinstance(value, _Number):
        return value.text
    if isinstance(value, bool) or not (
        isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))
    ):
        raise _UnreadableError(f"expected a string, got {_kind(value)}")
    text = str(value)
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise _UnreadableError("not valid Unicode")
    return text


def _read_int(value: Any, _: Any) -> int | None:
    if _is_whole(value):
        return int(value)
    if isinstance(value, str) and not value.strip():
        return None
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", value, re.ASCII):
        return int(value)
    raise _UnreadableError(f"expected a whole number, got {_kind(value)}")


def _read_timestamp(value: Any, _: Any) -> datetime | None:
    if not isinstance(value, str):
        raise _UnreadableError(f"expected a timestamp, got {_kind(value)}")
    text = value.strip()
    if not text:
        return None
    found = _STAMP.fullmatch(text)
    if not found:
        raise _UnreadableError("not a timestamp")
    day, clock, seconds, fraction, hours, minutes = found.groups()
    zone = f"{hours}:{minutes or '00'}" if hours else "Z"
    try:
        # By the decoder that reads all the others, so that a fraction is rounded in the same way.
        return msgspec.convert(f"{day}T{clock or '00:00'}{seconds or ':00'}.{fraction or 0}{zone}", Timestamp)
    except msgspec.ValidationError:
        raise _UnreadableError("not a timestamp") from None


def _read_date(value: Any, _: Any) -> date | None:
    stamp = _read_timestamp(value, Timestamp)
    return stamp.date() if stamp else None


def _write_moment(value: datetime) -> datetime:
    if value.utcoffset() is None:
        raise InvalidRequestError("a datetime must be aware, such as datetime.now(UTC)")
    return value


def _write_float(value: float) -> float:
    if not math.isfinite(value):
        raise InvalidRequestError("it knows neither NaN nor infinities")
    return value


def _write_sequence(value: Any) -> list[Any]:
    if isinstance(value, (str, bytes)):
        raise InvalidRequestError("a string stands where a list belongs")
    return [_converter.unstructure(item) for item in value]


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False, forbid_extra_keys=False)
    converter.register_structure_hook_factory(attrs.has, _object_hook)
    converter.register_structure_hook_factory(lambda cls: getattr(cls, "__origin__", None) is list, _list_hook)
    converter.register_structure_hook_func(lambda cls: cls == Timestamp, _read_timestamp)
    converter.register_structure_hook_factory(lambda cls: type(None) in get_args(cls), _optional_hook)
    converter.register_structure_hook_func(lambda cls: cls == int | str, _read_int_or_str)
    for kind, hook in ((str, _read_str), (int, _read_int), (date, _read_date)):
        converter.register_structure_hook(kind, hook)
    converter.register_unstructure_hook(datetime, _write_moment)
    converter.register_unstructure_hook(float, _write_float)
    converter.register_unstructure_hook_func(lambda cls: get_origin(cls) is Sequence, _write_sequence)
    converter.register_unstructure_hook_factory(
        attrs.has, lambda cls: make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True)
    )
    return converter


_converter = _make_converter()


def _structure(plain: Any, cls: type[T]) -> Decoded[T]:
    """Read plain JSON into a model, with all the trouble there was."""
    token = _problems.set([])
    try:
        value = _converter.structure(plain, cls)
        return Decoded(value, tuple(_problems.get()))
    except _UnreadableError as trouble:
        raise DecodeError(f"The answer is not what the API promises: {trouble}.") from None
    finally:
        _problems.reset(token)


# --- both ways together ------------------------------------------------------------------------------------------


def loads(body: bytes, *, exact: bool = False) -> Any:
    """The JSON of a body as plain objects.

    Bytes that are no UTF-8 are replaced, and NaN is a float, because one bad value must not cost the others; with
    `exact` they are refused, because what is to be sent back must be what was read.

    Raises:
        DecodeError: the body is cut off, is no JSON, or is nested too deep to be read.

    """
    try:
        return msgspec.json.decode(body)
    except _REFUSED:
        return _salvage(body, errors="strict" if exact else "replace", constant=_refuse if exact else float)


def _loads_for_models(body: bytes) -> Any:
    """As `loads`, but numbers know how they were written, and bytes that are no UTF-8 make their string unreadable."""
    try:
        return _number_decoder.decode(body)
    except _REFUSED:
        return _salvage(body, errors="surrogateescape", constant=float)


_number_decoder = msgspec.json.Decoder(float_hook=_Number)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _salvage(body: bytes, *, errors: str, constant: Callable[[str], Any]) -> Any:
    """Read what msgspec refuses for one odd value: NaN, bad Unicode, a bare line break or an endless number."""
    try:
        return json.loads(
            body.decode("utf-8-sig", errors),
            strict=False,
            parse_int=lambda digits: int(digits) if len(digits) <= _DIGITS else _Number(digits),
            parse_float=_Number,
            parse_constant=constant,
        )
    except RecursionError:
        raise DecodeError("The answer is nested too deep to be read.") from None
    except ValueError:
        what = "is empty" if not body.strip() else "is HTML" if body.lstrip()[:1] == b"<" else "is not valid JSON"
        raise DecodeError(f"The body of the answer {what}.", malformed=True) from None


def decode(body: Any, cls: type[T]) -> Decoded[T]:
    """Read JSON, or a plain object that `loads` gave, into a model.

    Raises:
        DecodeError: the body is no JSON, or an object stands where an array belongs or the other way round.

    """
    if not isinstance(body, (bytes, msgspec.Raw)):
        return _structure(body, cls)
    try:
        return Decoded(_decoder(cls).decode(body))  # type: ignore[arg-type]  # mypy: a class is Hashable after all
    except _REFUSED:
        return _structure(_loads_for_models(bytes(body)), cls)


def envelope(body: bytes) -> Envelope:
    """Read everything of a page but its contacts, which costs a tenth of reading them too.

    Raises:
        DecodeError: the body is no JSON, or no page, or its link to the next page cannot be read.

    """
    try:
        page = _decoder(_RawPage).decode(body)
        contacts: Any = page.contacts
        links, count = msgspec.json.decode(page.links), msgspec.json.decode(page.contacts_count)
    except _REFUSED:
        plain = _loads_for_models(body)
        if not isinstance(plain, dict):
            raise DecodeError(f"The answer is no page: expected an object, got {_kind(plain)}.") from None
        contacts, links, count = plain.get("contacts"), plain.get("_links"), plain.get("contacts_count")
    if not isinstance(contacts, list | None):
        message = f"The answer is no page: expected an array of contacts, got {_kind(contacts)}."
        raise DecodeError(message, path="$.contacts")
    total, problems = _count(count)
    return Envelope(contacts or [], next_href(links), total, problems)


def _count(value: Any) -> tuple[int | None, tuple[Problem, ...]]:
    try:
        total = None if value is None else _read_int(value, int)
    except _UnreadableError as trouble:
        return None, (Problem("$.contacts_count", str(trouble)),)
    if total is not None and total < 0:
        return None, (Problem("$.contacts_count", "a negative number"),)
    return total, ()


async def decode_contacts(raws: list[Any]) -> Decoded[list[Contact]]:
    """Read the contacts of a page in slices, between which the event loop runs."""
    contacts: list[Contact] = []
    problems: list[Problem] = []
    for index, raw in enumerate(raws):
        try:
            decoded = decode(raw, Contact)
        except DecodeError as trouble:
            problems.append(Problem(f"$.contacts[{index}]", str(trouble)))
        else:
            contacts.append(decoded.value)
            problems += (problem.below(f"$.contacts[{index}]") for problem in decoded.problems)
        if index % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
    return Decoded(contacts, tuple(problems))


def report(problems: Iterable[Problem], *, strict: bool) -> None:
    """Log what could not be read, once and without its values, or raise a DecodeError where `strict` says so."""
    found = list(problems)
    if not found:
        return
    places = "; ".join(f"{problem.path}: {problem.reason}" for problem in found[:_SHOWN])
    message = f"{len(found)} value(s) of the answer could not be read and became None ({places})"
    if strict:
        raise DecodeError(message + ".", path=found[0].path)
    _LOG.warning(message)


def to_plain(value: Any) -> Any:
    """Models, alone or within dicts and sequences, as plain JSON: fields that are None are left out."""
    return _converter.unstructure(value)


def dumps(request: Any) -> bytes:
    """A request as JSON: fields that are None are left out, empty lists stay.

    Raises:
        InvalidRequestError: it holds what JSON has no form for.

    """
    try:
        return msgspec.json.encode(to_plain(request), enc_hook=_subclass)
    except (TypeError, ValueError, RecursionError) as trouble:
        raise InvalidRequestError(f"The request cannot be written as JSON: {trouble}") from None


def _subclass(value: Any) -> Any:
    """Let msgspec write a subclass of str or int, which it refuses, as what it is."""
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
