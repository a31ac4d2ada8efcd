"""Finding things by name, and creating them unless they exist."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar
from weakref import WeakValueDictionary

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


class Locks:
    """A lock for each name, so that the tasks of one client do not all send the request that creates it."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, name: str) -> asyncio.Lock:
        """Return the lock of a name; keep a reference to it while it is in use."""
        return self._locks.setdefault(name, asyncio.Lock())


async def get_or_create(
    lock: asyncio.Lock, find: Callable[[bool], Awaitable[T | None]], create: Callable[[], Awaitable[T]]
) -> T:
    """Return what `find` finds, else what `create` creates.

    `find` is given whether only the exact name counts. Whether the API takes names that differ in case for the same is
    unknown: a similar name counts only once the API has called the new one taken.
    """
    async with lock:
        return await _get_or_create(find, create)


async def _get_or_create(find: Callable[[bool], Awaitable[T | None]], create: Callable[[], Awaitable[T]]) -> T:
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
