"""Type checks of requests about contacts, before they are sent.

Lengths, formats and enumerations are left to the server. The type of every value is checked here, because a value of
a wrong type would silently be sent as something else: a mapping as a list of its keys, for example.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, TypeGuard, get_args, get_origin

import attrs

from cc_async.errors import InvalidRequestError

_WORDS = {str: "a string", int: "a whole number", datetime: "an aware datetime"}
_PLURALS = {str: "strings", int: "whole numbers"}


def check_request(request: object, wanted: type) -> None:
    """Check that a request is an instance of the wanted class, and each field of its declared type.

    Raises:
        InvalidRequestError: It is not; the message names the field, but never the value.

    """
    if not isinstance(request, wanted):
        raise InvalidRequestError(f"The request must be a {wanted.__name__}, not {type(request).__name__}.")
    _check_fields("", request)


def check_value(name: str, value: Any, wanted: Any) -> None:
    """Check that a value is of the type declared for a field.

    Raises:
        InvalidRequestError: It is not; the message names the field, but never the value.

    """
    options = get_args(wanted) if get_origin(wanted) is UnionType else (wanted,)
    for option in options:
        if get_origin(option) in {Sequence, Iterable} and _is_several(value):
            for place, entry in enumerate(value):
                check_value(f"{name}[{place}]", entry, get_args(option)[0])
                if entry == "":
                    raise InvalidRequestError(f"{name}[{place}] must be a string that is not empty.")
            return
        if isinstance(option, type) and isinstance(value, option) and not isinstance(value, bool):
            if isinstance(value, datetime) and value.utcoffset() is None:
                break
            if attrs.has(type(value)):
                _check_fields(f"{name}.", value)
            return
    words = " or ".join(_described(option) for option in options if option is not NoneType)
    given = "a naive datetime" if isinstance(value, datetime) and datetime in options else type(value).__name__
    raise InvalidRequestError(f"{name} must be {words}, not {'None' if value is None else given}.")


def _check_fields(prefix: str, request: Any) -> None:
    for field in attrs.fields(type(request)):
        check_value(prefix + field.name, getattr(request, field.name), field.type)


def _is_several(value: Any) -> TypeGuard[Collection[Any]]:
    """Whether a value is accepted as a list; an iterator is not, because it can be read only once."""
    return isinstance(value, Collection) and not isinstance(value, str | bytes | bytearray | memoryview | Mapping)


def _described(option: Any) -> str:
    if get_origin(option) in {Sequence, Iterable}:
        (entry,) = get_args(option)
        entries = get_args(entry) if get_origin(entry) is UnionType else (entry,)
        return f"a list of {' or '.join(_PLURALS.get(each) or each.__name__ for each in entries)}"
    name: str = option.__name__
    return _WORDS.get(option) or f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
