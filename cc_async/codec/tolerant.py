"""Convert plain objects to models and back, with the one cattrs converter.

It reads responses that the fast decoder refuses, field by field: a value that cannot be read becomes None and is
reported, without affecting any other.
"""

import functools
import math
import operator
import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar, get_args

import attrs
import msgspec

from cc_async.errors import InvalidRequestError
from cc_async.models._types import MessageText, Timestamp

if TYPE_CHECKING:
    import cattrs

T = TypeVar("T")
_STAMP = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:[Tt ]\s*(?P<clock>\d\d:\d\d)(?P<seconds>:\d\d)?(?:[.,](?P<fraction>\d+))?"
    r"\s*(?:(?P<hours>[+-]\d\d)(?::?(?P<minutes>\d\d))?|[Zz]|UTC|GMT)?)?",
    re.ASCII,
)
"""A date, optionally with a time and a zone; stricter than `fromisoformat`, which accepts `20241030118`."""
_EXACT = 2**53
"""Beyond it, floats cannot represent every whole number."""


class UnreadableError(Exception):
    """A value cannot be read; the message says why, without the value."""


class Number(float):
    """A non-integer number that keeps its spelling: in a string field, `10.50` is not `10.5`."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Parse the number."""
        number = super().__new__(cls, text)
        number.text = text
        return number


_problems: ContextVar[list[tuple[str, str]]] = ContextVar("problems")
_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}


def kind(value: Any) -> str:
    """Return the JSON name of a value's type."""
    if type(value) is float and not math.isfinite(value):
        return "NaN or an infinity"
    return _KINDS.get(type(value), "a number")


def structure(plain: Any, cls: type[T]) -> tuple[T, list[tuple[str, str]]]:
    """Structure a plain object into a model, and return the path and reason of each value that could not be read.

    Raises:
        UnreadableError: An object or array is expected, but the value is something else.

    """
    token = _problems.set([])
    try:
        return _converter().structure(plain, cls), _problems.get()
    finally:
        _problems.reset(token)


def _read(value: Any, hook: Callable[[Any, Any], T], cls: Any, path: str) -> T | None:
    """Read one nested value; a problem in it is recorded and affects only this value."""
    found = _problems.get()
    before = len(found)
    try:
        result = hook(value, cls)
    except UnreadableError as error:
        found.append((path, str(error)))
        return None
    if len(found) > before:
        found[before:] = [(path + below, reason) for below, reason in found[before:]]
    return result


def _object_hook(cls: type[attrs.AttrsInstance]) -> Callable[[Any, Any], Any]:
    attrs.resolve_types(cls)
    fields = [(field.name, field.type, _converter().get_structure_hook(field.type)) for field in attrs.fields(cls)]

    def read_object(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise UnreadableError(f"expected an object, got {kind(value)}")
        return cls(
            **{
                name: _read(value[name], hook, expected, f".{name}")
                for name, expected, hook in fields
                if value.get(name) is not None
            }
        )

    return read_object


def _list_hook(cls: Any) -> Callable[[Any, Any], Any]:
    (item,) = get_args(cls)
    hook = _converter().get_structure_hook(item)

    def read_list(value: Any, _: Any) -> Any:
        if not isinstance(value, list):
            raise UnreadableError(f"expected an array, got {kind(value)}")
        items = (_read(entry, hook, item, f"[{index}]") for index, entry in enumerate(value))
        return [entry for entry in items if entry is not None]

    return read_list


def _optional_hook(cls: Any) -> Callable[[Any, Any], Any]:
    """Look up the hook of the inner type once, not for every value as cattrs does; null never gets here."""
    inner = functools.reduce(operator.or_, (option for option in get_args(cls) if option is not type(None)))
    return _converter().get_structure_hook(inner)


def _is_whole(value: Any) -> bool:
    return type(value) is int or (isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT)


def _read_int_or_str(value: Any, _: Any) -> int | str:
    return int(value) if _is_whole(value) else _read_str(value, str)


def _read_str(value: Any, _: Any) -> str:
    if isinstance(value, Number):
        return value.text
    if type(value) is int or (isinstance(value, float) and math.isfinite(value)):
        return str(value)
    if not isinstance(value, str):
        raise UnreadableError(f"expected a string, got {kind(value)}")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise UnreadableError("not valid Unicode")
    return value


def _read_bool(value: Any, _: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in {"true", "false", ""}:
        return value.strip().lower() == "true" if value.strip() else None
    raise UnreadableError(f"expected a boolean, got {kind(value)}")


def _read_message(value: Any, _: Any) -> str:
    """Read a string, or the `message` of an object."""
    return _read_str(value.get("message") if isinstance(value, dict) else value, str)


def read_int(value: Any, _: Any = int) -> int | None:
    """Read a whole number in any notation; None for an empty string.

    Raises:
        UnreadableError: The value is not a whole number.

    """
    if _is_whole(value):
        return int(value)
    if isinstance(value, str) and not value.strip():
        return None
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", value, re.ASCII):
        return int(value)
    raise UnreadableError(f"expected a whole number, got {kind(value)}")


def _read_timestamp(value: Any, _: Any) -> datetime | None:
    if not isinstance(value, str):
        raise UnreadableError(f"expected a timestamp, got {kind(value)}")
    text = value.strip()
    if not text:
        return None
    found = _STAMP.fullmatch(text)
    if not found:
        raise UnreadableError("not a timestamp")
    zone = f"{found['hours']}:{found['minutes'] or '00'}" if found["hours"] else "Z"
    clock = f"{found['clock'] or '00:00'}{found['seconds'] or ':00'}.{found['fraction'] or 0}"
    try:
        # Parsed by the decoder that reads all other timestamps, so that it rounds in the same way.
        return msgspec.convert(f"{found['day']}T{clock}{zone}", Timestamp)
    except msgspec.ValidationError:
        raise UnreadableError("not a timestamp") from None


def _read_date(value: Any, _: Any) -> date | None:
    stamp = _read_timestamp(value, Timestamp)
    return stamp.date() if stamp else None


def unstructure(value: Any) -> Any:
    """Convert models, also within dicts and sequences, to plain JSON; fields that are None are left out.

    Raises:
        InvalidRequestError: A value has no form in JSON, or the API would certainly misread it.

    """
    return _converter().unstructure(value)


def _write_datetime(value: datetime) -> datetime:
    if value.utcoffset() is None:
        raise InvalidRequestError("A datetime in a request must be aware, such as datetime.now(UTC).")
    return value


def _write_float(value: float) -> float:
    if not math.isfinite(value):
        raise InvalidRequestError("JSON knows neither NaN nor infinities.")
    return value


def _write_sequence(value: Any) -> list[Any]:
    if isinstance(value, (str, bytes)):
        raise InvalidRequestError("A list belongs where the request holds a single string: write ['…'].")
    return [_converter().unstructure(item) for item in value]


def _origin(cls: Any) -> Any:
    return getattr(cls, "__origin__", None)


@functools.cache
def _converter() -> "cattrs.Converter":
    # Imported for the first request body or malformed value, because it takes a sixth of the import time.
    import cattrs  # noqa: PLC0415
    from cattrs.gen import make_dict_unstructure_fn  # noqa: PLC0415

    converter = cattrs.Converter(detailed_validation=False, forbid_extra_keys=False)
    converter.register_structure_hook_factory(attrs.has, _object_hook)
    converter.register_structure_hook_factory(lambda cls: _origin(cls) is list, _list_hook)
    converter.register_structure_hook_func(lambda cls: cls == Timestamp, _read_timestamp)
    converter.register_structure_hook_func(lambda cls: cls == MessageText, _read_message)
    converter.register_structure_hook_factory(lambda cls: type(None) in get_args(cls), _optional_hook)
    converter.register_structure_hook_func(lambda cls: cls == int | str, _read_int_or_str)
    for cls, read in ((str, _read_str), (int, read_int), (bool, _read_bool), (date, _read_date)):
        converter.register_structure_hook(cls, read)
    converter.register_unstructure_hook(datetime, _write_datetime)
    converter.register_unstructure_hook(float, _write_float)
    converter.register_unstructure_hook_func(lambda cls: _origin(cls) is Sequence, _write_sequence)
    converter.register_unstructure_hook_factory(
        attrs.has, lambda cls: make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True)
    )
    return converter
