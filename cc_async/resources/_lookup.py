"""Finding things by name, and creating them unless they exist."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from cc_async.errors import ConflictError, ConstantContactError
from cc_async.streams.pager import Pager

T = TypeVar("T")


async def find_named(
    stream: Pager[T], wanted: str, names_of: Callable[[T], Iterable[str | None]], *, exact: bool = False
) -> T | None:
    """Return the first item with a name, preferably spelled alike, else without regard to case unless `exact`."""
    similar: T | None = None
    async with stream:
        async for item in stream:
            names = [name for name in names_of(item) if name]
            if wanted in names:
                return item
            if similar is None and wanted.casefold() in (name.casefold() for name in names):
                similar = item
    return None if exact else similar


async def get_or_create(find: Callable[[bool], Awaitable[T | None]], create: Callable[[], Awaitable[T]]) -> T:
    """Return what `find` finds, else what `create` creates.

    `find` is given whether only the exact name counts. Whether the API takes names that differ in case for the same is
    unknown: a similar name counts only once the API has called the new one taken.
    """
    found = await find(True)  # a callback has no keywords
    if found is not None:
        return found
    try:
        return await create()
    except ConstantContactError as error:
        if not (isinstance(error, ConflictError) or error.maybe_applied):
            raise
        try:
            found = await find(not isinstance(error, ConflictError))
        except ConstantContactError as later:
            later.maybe_applied = later.maybe_applied or error.maybe_applied
            raise
        if found is None:
            raise
        return found
