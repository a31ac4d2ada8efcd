"""Models as plain values that any JSON encoder accepts, for web handlers and queues."""

import math
from collections.abc import Mapping, Sequence, Set as AbstractSet
from datetime import date, datetime
from typing import Any, overload

import attrs

from cc_async._secrets import Secret
from cc_async.errors import InvalidRequestError


@overload
def to_plain(value: attrs.AttrsInstance) -> dict[str, Any]: ...


@overload
def to_plain(value: list[Any] | tuple[Any, ...]) -> list[Any]: ...


@overload
def to_plain(value: Any) -> Any: ...


def to_plain(value: Any) -> Any:
    """Convert a model, or models within lists and mappings, to values that any JSON encoder accepts.

        body = to_plain(await cc.contacts.get(contact_id))  # what a web handler returns as JSON

    The result looks as the API itself writes it: the API's names, dates and times as ISO 8601 strings (UTC as `Z`), and
    no fields that are None, so that a sub-resource that was not asked for differs from an empty one. Reading it into
    the model again gives an equal object. E-mail addresses and phone numbers, which a repr masks, are in it.

    Raises:
        InvalidRequestError: The value holds a token, a datetime without a zone, or something that has no form in JSON.

    """
    if isinstance(value, Secret):
        raise InvalidRequestError("A token must not be turned into plain data.")
    for kind in (str, bool, int):
        if isinstance(value, kind):
            return kind(value)  # of a subclass, such as an enumeration, the plain value
    if value is None or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, date):
        return _iso(value)
    if attrs.has(type(value)):
        fields = ((field.name, getattr(value, field.name)) for field in attrs.fields(type(value)))
        return {name: to_plain(entry) for name, entry in fields if entry is not None}
    if isinstance(value, Mapping):
        return {str(name): to_plain(entry) for name, entry in value.items()}
    if isinstance(value, (Sequence, AbstractSet)) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [to_plain(entry) for entry in value]
    raise InvalidRequestError(f"{type(value).__name__} has no form in JSON.")


def _iso(value: date) -> str:
    if isinstance(value, datetime) and value.utcoffset() is None:
        raise InvalidRequestError("A datetime must be aware, such as datetime.now(UTC).")
    text = value.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text
