"""Requests as values, and reading their queries and bodies."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl

import attrs
import msgspec

from .responses import Refused, Response, invalid, unsupported

T = TypeVar("T")
Document: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[["Call"], Response]
Routes: TypeAlias = Iterable[tuple[str, str, Handler]]
"""Method, path below /v3 with `{names}` for its variable parts, and handler."""


@attrs.frozen
class Call:
    """One request as the API sees it."""

    method: str
    path: str  # as sent, below /v3
    query: str
    headers: Mapping[str, str]
    body: bytes
    handler: Handler
    args: Mapping[str, str] = attrs.field(factory=dict)  # the variable parts of the path

    @property
    def pairs(self) -> dict[str, str]:
        """The query parameters."""
        return read_pairs(self.query)

    @property
    def media_type(self) -> str:
        """The media type of the body, without its parameters."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Decode the body; raises Refused (415 or 400)."""
        if self.media_type != "application/json":
            raise unsupported()
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refused(400, "contacts.api.malformed_json", "The body is not valid JSON.") from None

    def read(self, kind: type[T]) -> T:
        """Decode the body and check it against a TypedDict; raises Refused."""
        return check(self.json(), kind)


def check(body: Any, kind: type[T]) -> T:
    """Check a decoded body against a type; raises Refused (400) with the path of what is wrong."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None


def read_pairs(query: str) -> dict[str, str]:
    """Read a query string; names sent several times become one csv value, as do names with brackets."""
    pairs: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        plain = name.removesuffix("[]")
        pairs[plain] = f"{pairs[plain]},{value}" if plain in pairs else value
    return pairs


def read_limit(given: Mapping[str, str], default: int, most: int) -> int:
    """Read `limit`; raises Refused unless it is a number from 1 to `most`."""
    limit = given.get("limit", str(default))
    if not limit.isdecimal() or not 1 <= int(limit) <= most:
        raise invalid(f"limit must be a number from 1 to {most}.")
    return int(limit)


def read_flag(given: Mapping[str, str], name: str) -> bool:
    """Read a boolean parameter, false if missing; raises Refused."""
    value = given.get(name, "false").lower()
    if value not in ("true", "false"):
        raise invalid(f"{name} must be true or false.")
    return value == "true"


def read_choices(given: Mapping[str, str], name: str, known: Collection[str]) -> tuple[str, ...]:
    """Read a csv parameter whose values are enumerated; raises Refused."""
    parts = tuple(part.strip() for part in given.get(name, "").split(",") if part)
    for part in parts:
        if part not in known:
            raise invalid(f"{name} does not have a valid value: {part}")
    return parts


def read_ids(given: Mapping[str, str], name: str, most: int) -> set[str]:
    """Read a csv of ids; raises Refused unless there are from 1 to `most`."""
    ids = set(given.get(name, "").split(",")) - {""}
    if not 0 < len(ids) <= most:
        raise invalid(f"{name} must hold from 1 to {most} ids.")
    return ids
