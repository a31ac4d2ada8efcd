"""The same operation on many items: concurrently, in bounded memory, and without losing an outcome."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Iterable
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

import attrs

from cc_async.errors import (
    AuthenticationError,
    AuthorizationError,
    ClientClosedError,
    ConstantContactError,
    InvalidRequestError,
    QuotaExceededError,
)

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

CONCURRENCY = 12
"""Calls under way at most, by default: three seconds of latency at four requests a second."""
_AHEAD = 4
"""How many times as many outcomes may wait for the consumer, so that one slow call does not hold up the others."""
_FINAL = (QuotaExceededError, AuthenticationError, AuthorizationError, ClientClosedError)
"""What every other item would meet too."""


@attrs.frozen(kw_only=True)
class Outcome(Generic[ItemT, ResultT]):
    """What became of one item."""

    item: ItemT = attrs.field(repr=False)
    state: Literal["done", "not_done", "maybe_done"]
    """maybe_done: the call failed, but a write may have taken effect; look before you send it again."""
    result: ResultT | None = attrs.field(default=None, repr=False)
    error: Exception | None = None

    def unwrap(self) -> ResultT:
        """The result, or the error raised."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # None is a result where ResultT allows it


@attrs.define(eq=False)
class _Slot(Generic[ItemT, ResultT]):
    item: ItemT
    task: "asyncio.Task[ResultT]"

    def outcome(self) -> Outcome[ItemT, ResultT]:
        """What became of the item; of one that was cut short it is not known whether it was sent."""
        if not self.task.done() or self.task.cancelled():
            return Outcome(item=self.item, state="maybe_done", error=ClientClosedError("The call was cut short."))
        error = self.task.exception()
        if error is None:
            return Outcome(item=self.item, state="done", result=self.task.result())
        if not isinstance(error, Exception):
            raise error
        maybe = isinstance(error, ConstantContactError) and error.maybe_applied
        return Outcome(item=self.item, state="maybe_done" if maybe else "not_done", error=error)


class _Batch(Generic[ItemT, ResultT]):
    """What runs; it does not know the iterator, so that dropping the iterator ends it."""

    def __init__(
        self, work: Callable[[ItemT], Coroutine[Any, Any, ResultT]], *, concurrency: int, ordered: bool
    ) -> None:
        self.work = work
        self.ordered = ordered
        self.slots: deque[_Slot[ItemT, ResultT]] = deque()
        self.active = asyncio.Semaphore(concurrency)
        self.room = asyncio.Semaphore(concurrency * _AHEAD)
        self.news = asyncio.Event()
        self.feeder: asyncio.Task[None] | None = None
        self.ended = False
        self.trouble: BaseException | None = None
        """Why no more items are taken, if not because there are none."""

    async def feed(self, items: Iterable[ItemT] | AsyncIterable[ItemT]) -> None:
        """Take items as long as there is room for what becomes of them, and start a call for each."""
        try:
            async with contextlib.aclosing(_one_by_one(items)) as source:
                # Room first, so that an item that is taken is also started.
                while await self.room.acquire() and await self.active.acquire():
                    item = await anext(source, _NO_MORE)
                    if isinstance(item, _NoMore):
                        break
                    slot = _Slot(item, asyncio.create_task(self.work(item)))
                    slot.task.add_done_callback(self._done)
                    self.slots.append(slot)
        except Exception as error:  # noqa: BLE001  # of the caller's iterable: raised once all outcomes are delivered
            self.trouble = self.trouble or error
        finally:
            self.ended = True
            self.news.set()

    def _done(self, task: "asyncio.Task[ResultT]") -> None:
        self.active.release()
        self.news.set()
        if not task.cancelled() and isinstance(task.exception(), _FINAL) and self.trouble is None:
            self.trouble = task.exception()
            if self.feeder is not None:
                self.feeder.cancel()

    def next(self) -> _Slot[ItemT, ResultT] | None:
        """A call that has ended and is next in order, if there is one."""
        for slot in self.slots:
            if slot.task.done():
                self.slots.remove(slot)
                self.room.release()
                return slot
            if self.ordered:
                break
        return None

    def stop(self) -> set["asyncio.Task[Any]"]:
        """Cancel everything, and say what is to be waited for."""
        tasks: set[asyncio.Task[Any]] = {slot.task for slot in self.slots}
        if self.feeder is not None:
            tasks.add(self.feeder)
        for task in tasks:
            task.cancel()
        self.ended, self.trouble = True, None
        return tasks


class _NoMore:
    """The end of the items, which may themselves be anything."""


_NO_MORE = _NoMore()


async def _one_by_one(items: Iterable[ItemT] | AsyncIterable[ItemT]) -> AsyncGenerator[ItemT, None]:
    if isinstance(items, AsyncIterable):
        iterator = aiter(items)
        try:
            async for item in iterator:
                yield item
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                await close()
    else:
        for item in items:
            yield item


class Many(Generic[ItemT, ResultT]):
    """What becomes of many items, as an asynchronous iterator of outcomes.

    One failure does not stop the rest. What every item would meet, a spent quota, a lost authorization or a closed
    client, does: then no more items are taken, the outcomes of those taken are delivered, each with its `state`, and
    the error is raised. Whatever was not delivered by then was never taken: `items` goes on there.

    Leaving early cancels the calls under way; `left_over` then tells what is known of each. Inside `async with` that is
    also awaited. Outcomes come in the order of the items, or `as_completed`.
    """

    def __init__(
        self,
        items: Iterable[ItemT] | AsyncIterable[ItemT],
        work: Callable[[ItemT], Coroutine[Any, Any, ResultT]],
        *,
        concurrency: int = CONCURRENCY,
        as_completed: bool = False,
    ) -> None:
        if concurrency < 1:
            raise InvalidRequestError("concurrency must be 1 or more.")
        self._items = items
        self._batch = _Batch(work, concurrency=concurrency, ordered=not as_completed)

    @property
    def left_over(self) -> tuple[Outcome[ItemT, ResultT], ...]:
        """After leaving early: the outcomes of the items that were taken but not delivered."""
        return tuple(slot.outcome() for slot in self._batch.slots)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Outcome[ItemT, ResultT]:
        batch = self._batch
        if batch.feeder is None and not batch.ended:
            batch.feeder = asyncio.create_task(batch.feed(self._items))
        while True:
            slot = batch.next()
            if slot is not None:
                return slot.outcome()
            if batch.ended and not batch.slots:
                trouble, batch.trouble = batch.trouble, None
                if trouble is not None:
                    raise trouble
                raise StopAsyncIteration
            batch.news.clear()
            await batch.news.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the calls under way and wait until nothing of them runs."""
        tasks = self._batch.stop()
        if tasks:
            await asyncio.wait(tasks)

    def __del__(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and so the tasks are gone
            self._batch.stop()
