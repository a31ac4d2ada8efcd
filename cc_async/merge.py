"""Several streams as one, concurrently and fairly."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator
from types import TracebackType
from typing import Generic, Self, TypeVar

import attrs

T = TypeVar("T")
_BUFFER = 500
"""Items that one stream may be ahead of the consumer: a page."""


@attrs.define(eq=False)
class _Source(Generic[T]):
    """One stream and what it has given that was not taken yet."""

    stream: AsyncIterable[T]
    items: deque[T] = attrs.field(factory=deque)
    ended: bool = False
    error: BaseException | None = None
    room: asyncio.Event = attrs.field(factory=asyncio.Event)


class merge(Generic[T]):  # noqa: N801  # reads as the function that it is to its users
    """Yield from several streams as their items come, under the one limiter of their client.

    Each stream keeps its own order, and no stream that has something waits longer than one turn of the others. The
    first error ends the others and is raised, after the items that came before it in its stream. Leaving the loop early
    cancels everything; inside `async with merge(...) as merged:` that is also awaited. Any asynchronous iterables will
    do. It can be iterated once.
    """

    def __init__(self, *streams: AsyncIterable[T]) -> None:
        self._sources: deque[_Source[T]] = deque(_Source(stream) for stream in streams)
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._begun = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if not self._begun:
            self._begun = True
            for source in self._sources:
                task = asyncio.create_task(_pump(source, self._news))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        while self._sources:
            for _ in range(len(self._sources)):
                source = self._sources[0]
                if source.items:
                    self._sources.rotate(-1)
                    source.room.set()
                    return source.items.popleft()
                if source.ended:
                    self._sources.popleft()
                    if source.error is not None:
                        await self.aclose()
                        raise source.error
                else:
                    self._sources.rotate(-1)
            if self._sources:
                self._news.clear()
                await self._news.wait()
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End all streams and wait until nothing of them runs."""
        self._stop()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def __del__(self) -> None:
        # The tasks know the sources but not this object, so it dies at once when the loop over it is left.
        with contextlib.suppress(RuntimeError):  # the event loop is closed, and so the tasks are gone
            self._stop()

    def _stop(self) -> None:
        self._sources.clear()
        for task in self._tasks:
            task.cancel()


async def _pump(source: _Source[T], news: asyncio.Event) -> None:
    """Take from a stream as long as there is room."""
    iterator: AsyncIterator[T] = aiter(source.stream)
    try:
        async for item in iterator:
            source.items.append(item)
            news.set()
            while len(source.items) >= _BUFFER:
                source.room.clear()
                await source.room.wait()
    except Exception as error:  # noqa: BLE001  # handed on to the consumer as it is
        source.error = error
    finally:
        source.ended = True
        news.set()
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()
