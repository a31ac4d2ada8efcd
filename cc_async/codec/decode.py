"""Decode responses into models, and encode requests.

msgspec decodes responses straight into the attrs classes. What it refuses, such as an unusual timestamp or a number in
a string, is read again field by field by the tolerant converter: a value that cannot be read becomes None and is listed
as a `Problem`, without affecting the others. Both ways give equal objects.
"""

import asyncio
import contextlib
import functools
import json
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs
import msgspec

from cc_async.codec.problems import Problem
from cc_async.codec.tolerant import Number, UnreadableError, kind, read_int, structure, unstructure
from cc_async.errors import DecodeError, InvalidRequestError
from cc_async.wire.links import next_href

T = TypeVar("T")
_SLICE = 20
"""Items that are decoded before the event loop runs again: about half a millisecond."""
_DIGITS = 4_300
"""The most digits that are converted to an int; more would take too long."""


@attrs.frozen
class Decoded(Generic[T]):
    """A decoded value, and the problems found in it."""

    value: T = attrs.field(repr=False)
    problems: tuple[Problem, ...] = ()


@attrs.frozen(eq=False)
class RawItem(Generic[T]):
    """An item of a page that is decoded later, so that its models need not exist all at once, and its JSON is kept."""

    json: bytes = attrs.field(repr=False)
    """The object as received, including what the model does not know."""
    model: type[T]
    place: str
    """Its place in the response, such as `$.contacts[3]`."""

    def decode(self) -> Decoded[T]:
        """Decode the item.

        Raises:
            DecodeError: It is not an object.

        """
        decoded = decode(self.json, self.model)
        problems = tuple(problem.below(self.place) for problem in decoded.problems)
        return attrs.evolve(decoded, problems=problems) if problems else decoded


@attrs.frozen
class Envelope:
    """A page whose items are still bytes."""

    items: list[Any] = attrs.field(repr=False)
    href: str | None = attrs.field(repr=False)
    """The link to the next page, as received."""
    total: int | None
    problems: tuple[Problem, ...] = ()
    """Problems of the page outside its items."""
    pending: bool = False
    """Whether the API is still preparing the page."""


@attrs.frozen
class PageShape:
    """The names of the parts of a page."""

    items: str
    """The name of the array of items."""
    total: str | None = None
    """The name of the number of all items, if the API gives it."""


class _RawPage(msgspec.Struct):
    status: msgspec.Raw = msgspec.Raw(b"null")
    links: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"null"), name="_links")


# Raised by msgspec for unreadable bytes; RecursionError is about depth, the others about JSON and Unicode.
_REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_number_decoder = msgspec.json.Decoder(float_hook=Number)


@functools.cache
def _decoder(cls: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(cls)


def loads(body: bytes, *, exact: bool = False) -> Any:
    """Decode the JSON of a body into plain objects.

    Invalid UTF-8 is replaced and NaN accepted, so one bad value cannot spoil the rest. `exact` rejects both, because
    the data will be sent back.

    Raises:
        DecodeError: The body is truncated, not JSON, or nested too deeply to be read.

    """
    with contextlib.suppress(*_REFUSED):
        return msgspec.json.decode(body)
    plain = _salvage(body, errors="replace", number=float)
    if exact:
        raise DecodeError(
            "The response holds bytes or numbers that JSON does not allow, so it cannot be sent back unchanged."
        )
    return plain


def _loads_for_models(body: bytes) -> Any:
    """Decode as `loads` does, but keep the spelling of numbers and make strings with invalid UTF-8 unreadable."""
    with contextlib.suppress(*_REFUSED):
        return _number_decoder.decode(body)
    return _salvage(body, errors="surrogateescape", number=Number)


def _salvage(body: bytes, *, errors: str, number: Callable[[str], float]) -> Any:
    """Read JSON that msgspec refuses because of one value: NaN, invalid Unicode, a bare line break, a huge number."""
    try:
        return json.loads(
            body.decode("utf-8-sig", errors),
            strict=False,
            parse_int=lambda digits: int(digits) if len(digits) <= _DIGITS else number(digits),
            parse_float=number,
        )
    except RecursionError:
        error = DecodeError("The response is nested too deeply to be read.")
    except ValueError:
        what = "is empty" if not body.strip() else "is HTML" if body.lstrip()[:1] == b"<" else "is not valid JSON"
        error = DecodeError(f"The body of the response {what}.", malformed=True)
    raise error  # raised out here, because json's own error holds the whole body and would become the context


def _structure(plain: Any, cls: type[T]) -> Decoded[T]:
    """Structure plain JSON into a model, and return every problem found."""
    try:
        value, found = structure(plain, cls)
    except UnreadableError as error:
        raise DecodeError(f"The response is not what the API documents: {error}.") from None
    return Decoded(value, tuple(Problem("$" + path, reason) for path, reason in found))


def decode(body: Any, cls: type[T]) -> Decoded[T]:
    """Decode JSON, or a plain object from `loads`, into a model.

    Raises:
        DecodeError: The body is not JSON, or has an object in place of an array or vice versa.

    """
    if isinstance(body, (bytes, msgspec.Raw)):
        with contextlib.suppress(*_REFUSED):
            return Decoded(_decoder(cls).decode(body))  # type: ignore[arg-type]  # mypy: a class is Hashable after all
    return _tolerantly(body, cls)


def _tolerantly(body: Any, cls: type[T]) -> Decoded[T]:
    return _structure(_loads_for_models(bytes(body)) if isinstance(body, (bytes, msgspec.Raw)) else body, cls)


@functools.cache
def _page_decoder(shape: PageShape) -> msgspec.json.Decoder[Any]:
    """Create a decoder of pages of this shape into objects with `items`, `total`, `status` and `links`."""
    fields: list[tuple[str, Any, Any]] = [
        ("items", list[msgspec.Raw] | None, msgspec.field(default=None, name=shape.items)),
        ("total", msgspec.Raw, msgspec.field(default=msgspec.Raw(b"null"), name=shape.total or f"{shape.items}_count")),
    ]
    return msgspec.json.Decoder(msgspec.defstruct("RawPage", fields, bases=(_RawPage,)))


def read_page(body: bytes, shape: PageShape) -> Envelope:
    """Decode a page except its items, which takes a tenth of the time.

    Raises:
        DecodeError: The body is not JSON or not a page, or its link to the next page is malformed.

    """
    plain: Any = None
    try:
        page = _page_decoder(shape).decode(body)
        links, count, status = map(msgspec.json.decode, (page.links, page.total, page.status))
        plain = {shape.items: page.items, "_links": links, shape.total: count, "status": status}
    except _REFUSED:
        pass
    plain = _loads_for_models(body) if plain is None else plain
    if not isinstance(plain, dict):
        raise DecodeError(f"The response is not a page: expected an object, got {kind(plain)}.")
    items = plain.get(shape.items)
    if not isinstance(items, list | None):
        message = f"The response is not a page: expected an array of {shape.items}, got {kind(items)}."
        raise DecodeError(message, path=f"$.{shape.items}")
    total, problems = _count(plain.get(shape.total), shape.total)
    pending = not items and plain.get("status") == "processing"
    return Envelope(items or [], next_href(plain.get("_links")), total, problems, pending)


def _count(value: Any, name: str | None) -> tuple[int | None, tuple[Problem, ...]]:
    try:
        total = None if value is None else read_int(value)
    except UnreadableError as error:
        return None, (Problem(f"$.{name}", str(error)),)
    if total is not None and total < 0:
        return None, (Problem(f"$.{name}", "a negative number"),)
    return total, ()


async def decode_items(raws: list[Any], model: type[T], name: str) -> Decoded[list[T]]:
    """Decode the items of a page in slices, between which the event loop runs; `name` is that of their array."""
    items: list[T] = []
    problems: list[Problem] = []
    read = _decoder(model).decode  # type: ignore[arg-type]  # mypy: a class is Hashable after all
    for index, raw in enumerate(raws):
        try:
            items.append(read(raw))
        except (*_REFUSED, TypeError):  # TypeError: the items of a page that was salvaged are plain objects
            try:
                decoded = _tolerantly(raw, model)
            except DecodeError as error:
                problems.append(Problem(f"$.{name}[{index}]", str(error)))
            else:
                items.append(decoded.value)
                problems += (problem.below(f"$.{name}[{index}]") for problem in decoded.problems)
        if index % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
    return Decoded(items, tuple(problems))


def raw_items(raws: list[Any], model: type[T], name: str) -> Decoded[list[RawItem[T]]]:
    """Return the items of a page without decoding them; values that are not objects are left out."""
    items: list[RawItem[T]] = []
    problems: list[Problem] = []
    for index, raw in enumerate(raws):
        place = f"$.{name}[{index}]"
        text = bytes(raw) if isinstance(raw, msgspec.Raw) else json.dumps(raw).encode()
        if text.startswith(b"{"):
            items.append(RawItem(text, model, place))
        else:
            problems.append(Problem(place, "expected an object"))
    return Decoded(items, tuple(problems))


def decode_plain_items(raws: list[Any], name: str) -> Decoded[list[dict[str, Any]]]:
    """Decode the items of a page into plain objects; other values in the array are left out."""
    items = [loads(bytes(raw)) if isinstance(raw, msgspec.Raw) else raw for raw in raws]
    problems = (
        Problem(f"$.{name}[{index}]", f"expected an object, got {kind(item)}")
        for index, item in enumerate(items)
        if not isinstance(item, dict)
    )
    return Decoded([item for item in items if isinstance(item, dict)], tuple(problems))


def dumps(request: Any) -> bytes:
    """Encode a request as JSON; fields that are None are left out, empty lists are kept.

    Raises:
        InvalidRequestError: It holds a value that JSON cannot represent.

    """
    try:
        return msgspec.json.encode(unstructure(request), enc_hook=_subclass)
    except InvalidRequestError:
        raise
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InvalidRequestError(f"The request cannot be written as JSON: {error}.") from None


def _subclass(value: Any) -> Any:
    """Encode subclasses of str and int, which msgspec refuses, as their base type."""
    for plain in (str, int, float):
        if isinstance(value, plain):
            return plain(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
