"""Look up items by name, and create them unless they exist."""

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
    """Return the first item with exactly this name, or unless `exact`, the first that differs only in case."""
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
    """A lock for each name, so that of concurrent tasks only one sends the request that creates an item."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, name: str) -> asyncio.Lock:
        """Return the lock for a name; keep a reference to it while it is in use."""
        return self._locks.setdefault(name, asyncio.Lock())


async def get_or_create(
    lock: asyncio.Lock, find: Callable[[bool], Awaitable[T | None]], create: Callable[[], Awaitable[T]]
) -> T:
    """Return the result of `find`, or else of `create`.

    The argument of `find` says whether only the exact name matches. Whether the API treats names as equal that differ
    only in case is unknown: such a match is accepted only after the API has rejected the new name as taken.
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
