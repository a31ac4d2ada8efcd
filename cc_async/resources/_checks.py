"""Rules common to several resources, checked before anything is sent."""

from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar

from cc_async.errors import DecodeError, InvalidRequestError
from cc_async.http.call import Call
from cc_async.http.session import Session

T = TypeVar("T")
StrOrIterable: TypeAlias = str | Iterable[str]


def checked_text(what: str, value: str, *, at_most: int | None = None) -> str:
    """Return a text that is neither empty nor too long.

    Raises:
        InvalidRequestError: The API would certainly refuse it.

    """
    if not isinstance(value, str) or not value:
        raise InvalidRequestError(f"{what} must be a string that is not empty.")
    if at_most is not None and len(value) > at_most:
        raise InvalidRequestError(f"{what} takes at most {at_most:,} characters, not {len(value):,}.")
    return value


def page_params(start: str | None, limit: int, at_most: int, **filters: Any) -> dict[str, Any]:
    """Return the query of the first page of a collection whose page size is `at_most` by default.

    Raises:
        InvalidRequestError: The page size is not one that the API accepts, or a filter is given beside `start`.

    """
    given = {name: value for name, value in filters.items() if value is not None and value is not False}
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= at_most:
        raise InvalidRequestError(f"limit must be a whole number from 1 to {at_most:,}.")
    if start is None:
        return {**given, "limit": limit}
    others = [*given, "limit"] if limit != at_most else [*given]
    if others:
        raise InvalidRequestError(f"start carries all filters: leave out {', '.join(others)}.")
    return {}


def id_of(value: Any, attribute: str) -> str:
    """Return an id, given as a string or as an object of the API that has it.

    Raises:
        InvalidRequestError: It is neither, or an object without its id.

    """
    found = value if isinstance(value, str) else getattr(value, attribute, None)
    return checked_text(attribute, found or "")


def ids_of(name: str, values: Any, attribute: str, *, at_most: int | None = None) -> list[str]:
    """Return ids, given as one or several strings or objects.

    Raises:
        InvalidRequestError: There are none, or more than the API accepts at a time.

    """
    several = [values] if isinstance(values, str) or not isinstance(values, Iterable) else values
    ids = [id_of(value, attribute) for value in several]
    if not ids:
        raise InvalidRequestError(f"{name} must name at least one.")
    if at_most is not None and len(ids) > at_most:
        raise InvalidRequestError(f"{name} takes at most {at_most:,} at a time, not {len(ids):,}.")
    return ids


def segment_id_of(value: Any) -> int:
    """Return the id of a segment, given as a number, its digits, or a `Segment`.

    Raises:
        InvalidRequestError: It is not a positive 32-bit number.

    """
    found = value if isinstance(value, int | str) else getattr(value, "segment_id", None)
    if isinstance(found, str) and found.isascii() and found.isdigit():
        found = int(found[:11])
    if isinstance(found, bool) or not isinstance(found, int) or not 0 < found < 2**31:
        raise InvalidRequestError("segment_id must be a whole number from 1 to 2,147,483,647.")
    return found


async def read_for_update(session: Session, call: Call[T], *fields: str) -> T:
    """Return the present state of what a PUT replaces.

    Raises:
        DecodeError: One of the fields that would be sent back could not be read.

    """
    response = await session.request(call)
    for problem in response.problems:
        if problem.path.startswith(tuple(f"$.{field}" for field in fields)):
            raise DecodeError(
                f"{problem.path} could not be read and would be lost: nothing was sent.", path=problem.path
            )
    return response.data
