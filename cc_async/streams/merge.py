"""Merge several streams, concurrently and fairly."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import attrs

from cc_async.errors import ClientClosedError
from cc_async.streams.pager import Stream

T = TypeVar("T")
_BUFFER = 500
"""Items that one stream may be ahead of the consumer."""


class merge(Generic[T]):  # noqa: N801  # reads as the function that it is to its users
    """Yield the items of several streams as they arrive, under the one limiter of their client.

        async for contact in merge(cc.contacts.list(lists=[list_id]), cc.contacts.list(tags=[tag_id])):
            print(contact.contact_id)

    Each stream keeps its order, and each stream with an item ready gets its turn after at most one item of each of the
    others. The first error stops the other streams and is raised, after the items that precede it in its stream.
    Leaving the loop early cancels everything; inside `async with merge(...) as merged:` that is also awaited. Any
    asynchronous iterables are accepted, and closed at the end if they can be. It can be iterated once.

    Raises:
        TypeError: An argument is not an asynchronous iterable.

    """

    def __init__(self, *streams: AsyncIterable[T]) -> None:
        for stream in streams:
            if not hasattr(stream, "__aiter__"):
                raise TypeError(f"merge() takes asynchronous iterables, each as its own argument, not {type(stream)}.")
        self._merging: _Merging[T] = _Merging(streams)
        self._stream: AsyncIterator[T] | None = None

    def __aiter__(self) -> AsyncIterator[T]:
        # Not this object, which a variable may hold: leaving the loop must drop the iterator.
        return Stream(self._merging, self._merging.next)

    def __anext__(self) -> Awaitable[T]:
        self._stream = self._stream or aiter(self)
        return anext(self._stream)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop all streams and wait until they have ended."""
        await self._merging.aclose()


@attrs.define(eq=False)
class _Source(Generic[T]):
    """One stream, with the items that the consumer has not taken yet."""

    stream: AsyncIterable[T]
    items: deque[T] = attrs.field(factory=deque)
    ended: bool = False
    error: Exception | None = None
    room: asyncio.Event = attrs.field(factory=asyncio.Event)


class _Merging(Generic[T]):
    """The state of a merge."""

    def __init__(self, streams: tuple[AsyncIterable[T], ...]) -> None:
        self._sources: deque[_Source[T]] = deque(_Source(stream) for stream in streams)
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._begun = False
        self._failure: Exception | None = None

    async def next(self) -> T:
        """Return the next item of any stream; raise StopAsyncIteration once all have ended."""
        self._begin()
        while self._sources:
            if (source := self._ready()) is not None:
                return source.items.popleft()
            if self._sources:
                self._news.clear()
                await self._news.wait()
        if self._failure is not None:
            await self._stopped()  # if this is cancelled, the failure is still there for the next call
        raise self._take_failure() or StopAsyncIteration

    def abandon(self) -> None:
        """Cancel all streams and deliver nothing more."""
        self._sources.clear()
        self._failure = None
        self._news.set()
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Stop all streams and wait until they have ended."""
        self.abandon()
        await self._stopped()

    async def _stopped(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        for source in self._sources:
            task = asyncio.create_task(_pump(source, self._news))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _ready(self) -> _Source[T] | None:
        """Return the next stream in turn with an item; a failed one without items stops the others."""
        for _ in range(len(self._sources)):
            source = self._sources[0]
            if source.items:
                self._sources.rotate(-1)
                if len(source.items) <= _BUFFER // 2:
                    source.room.set()
                return source
            if not source.ended:
                self._sources.rotate(-1)
                continue
            self._sources.popleft()
            if source.error is not None:
                self.abandon()
                self._failure, source.error = source.error, None
                break
        return None

    def _take_failure(self) -> Exception | None:
        # The traceback of an error holds the frames that raise it, so neither they nor this object may hold the error.
        failure, self._failure = self._failure, None
        return failure


async def _pump(source: _Source[Any], news: asyncio.Event) -> None:
    """Take items from a stream while there is room, then close it."""
    try:
        iterator = aiter(source.stream)
        try:
            async for item in iterator:
                source.items.append(item)
                news.set()
                while len(source.items) >= _BUFFER:
                    source.room.clear()
                    await source.room.wait()
        finally:
            if (close := getattr(iterator, "aclose", None)) is not None:
                await close()
    except asyncio.CancelledError:
        source.error = ClientClosedError("A merged stream was cancelled from outside.")
        raise
    except Exception as error:  # noqa: BLE001  # handed on to the consumer as it is
        source.error = error
    finally:
        source.ended = True
        news.set()
