"""The same operation on many items: concurrently, in bounded memory, and without losing an outcome."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Coroutine, Hashable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar

import attrs

from cc_async._tasks import keep_alive
from cc_async.errors import (
    AuthenticationError,
    AuthorizationError,
    ClientClosedError,
    ConstantContactError,
    InvalidRequestError,
    QuotaExceededError,
    TokenStoreError,
)

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
CONCURRENCY = 12
"""Calls under way at most, by default: three seconds of latency at four requests a second."""
_AHEAD = 4
"""How many times as many outcomes may wait for the consumer, so that one slow call does not hold up the others."""
_FINAL = (QuotaExceededError, AuthenticationError, AuthorizationError, TokenStoreError, ClientClosedError)
"""What every other item would meet too."""


@attrs.frozen(kw_only=True)
class Outcome(Generic[ItemT, ResultT]):
    """What became of one item."""

    item: ItemT = attrs.field(repr=False)
    state: Literal["done", "not_done", "maybe_done"]
    """maybe_done: the call failed, but a write may have been applied; check before retrying."""
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
    task: "asyncio.Task[ResultT] | None"
    refusal: Exception | None = None
    """Why no call was begun, where there is no task."""
    begun: asyncio.Event | None = None
    """Set once the call is begun, where it had to wait for an earlier one with the same key."""

    def done(self) -> bool:
        return self.task is None or self.task.done()

    def outcome(self) -> Outcome[ItemT, ResultT]:
        """What became of the item; of one that was cut short it is not known whether it was sent."""
        if self.task is None:
            return Outcome(item=self.item, state="not_done", error=self.refusal)
        if self.begun is not None and not self.begun.is_set():
            return Outcome(item=self.item, state="not_done", error=ClientClosedError("The call was never begun."))
        if not self.task.done() or self.task.cancelled():
            return Outcome(item=self.item, state="maybe_done", error=ClientClosedError("The call was cut short."))
        error = self.task.exception()
        if error is None:
            return Outcome(item=self.item, state="done", result=self.task.result())
        if not isinstance(error, Exception):
            raise error
        # How far a call had come that failed with an exception of somebody else's is not known either.
        maybe = error.maybe_applied if isinstance(error, ConstantContactError) else True
        return Outcome(item=self.item, state="maybe_done" if maybe else "not_done", error=error)


class _Batch(Generic[ItemT, ResultT]):
    """What runs; it does not know the iterator, so that dropping the iterator ends it."""

    def __init__(
        self,
        work: Callable[[ItemT], Coroutine[Any, Any, ResultT]],
        *,
        concurrency: int,
        ordered: bool,
        key: Callable[[ItemT], Hashable],
    ) -> None:
        self.work = work
        self.key = key
        self.latest: dict[Hashable, asyncio.Task[ResultT]] = {}
        """The latest unfinished call by key."""
        self.ordered = ordered
        self.slots: deque[_Slot[ItemT, ResultT]] = deque()
        self.active = asyncio.Semaphore(concurrency)
        self.room = asyncio.Semaphore(concurrency * _AHEAD)
        self.news = asyncio.Event()
        self.feeder: asyncio.Task[None] | None = None
        self.ended = False
        """No more items are taken."""
        self.error: BaseException | None = None
        """Why, if not because there are none."""
        self.left = False
        """The consumer left early."""

    async def feed(self, items: Iterable[ItemT] | AsyncIterable[ItemT]) -> None:
        """Take items as long as there is room for what becomes of them, and start a call for each."""
        source = aiter(items) if isinstance(items, AsyncIterable) else _one_by_one(items)
        try:
            try:
                await self._take_from(source)
            finally:
                # The caller's own iterator stays open where the caller may go on with it.
                close = getattr(source, "aclose", None)
                if close is not None and (self.left or source is not items):
                    await close()
        except BaseException as error:
            self.error = self.error or error  # raised once all outcomes are delivered
            if self.left or not isinstance(error, Exception):
                raise
        finally:
            self.ended = True
            self.news.set()

    async def _take_from(self, source: AsyncIterator[ItemT]) -> None:
        # Room first, so that an item that is taken is also started.
        while await self.room.acquire() and await self.active.acquire() and self.error is None:
            # Never cancelled for what another call met: that would end a generator that the caller could go on with.
            item = await anext(source, _NO_MORE)
            if isinstance(item, _NoMore):
                return
            if self.left or self.error is not None:
                refusal = self.error if isinstance(self.error, Exception) else None
                self.slots.append(_Slot(item, None, refusal or ClientClosedError("The call was never begun.")))
                return
            self.slots.append(self._start(item))

    def _start(self, item: ItemT) -> _Slot[ItemT, ResultT]:
        key: Hashable = None
        with contextlib.suppress(Exception):  # the call itself fails for an item that is not what it should be
            key = self.key(item)
        previous = None if key is None else self.latest.get(key)
        begun = None if previous is None else asyncio.Event()
        coroutine = self.work(item) if previous is None else self._after(previous, begun, item)
        task = asyncio.create_task(coroutine)
        if key is not None:
            self.latest[key] = task
            task.add_done_callback(partial(self._forget, key))
        task.add_done_callback(self._done)
        return _Slot(item, task, begun=begun)

    async def _after(self, previous: "asyncio.Task[ResultT]", begun: asyncio.Event | None, item: ItemT) -> ResultT:
        await asyncio.wait({previous})
        if begun is not None:
            begun.set()
        return await self.work(item)

    def _forget(self, key: Hashable, task: "asyncio.Task[ResultT]") -> None:
        if self.latest.get(key) is task:
            del self.latest[key]

    def _done(self, task: "asyncio.Task[ResultT]") -> None:
        self.active.release()
        self.news.set()
        if not task.cancelled() and isinstance(task.exception(), _FINAL) and not self.left:
            self.error = self.error or task.exception()

    async def next(self, items: Iterable[ItemT] | AsyncIterable[ItemT]) -> Outcome[ItemT, ResultT]:
        """The next outcome; raises StopAsyncIteration at the end, or what ended it before."""
        if self.feeder is None and not self.left:
            self.feeder = asyncio.create_task(self.feed(items))
        while not self.left:
            slot = self._ready()
            if slot is not None:
                return slot.outcome()
            if self.ended and not self.slots:
                self.left = True
                raise self._take_error() or StopAsyncIteration
            self.news.clear()
            await self.news.wait()
        raise StopAsyncIteration

    def _take_error(self) -> BaseException | None:
        # The traceback of an error holds the frames that raise it, so neither they nor this object may hold the error.
        error, self.error = self.error, None
        return error

    def _ready(self) -> _Slot[ItemT, ResultT] | None:
        """A call that has ended and is next in order, if there is one."""
        for slot in self.slots:
            if slot.done():
                self.slots.remove(slot)
                self.room.release()
                return slot
            if self.ordered:
                break
        return None

    def leave(self) -> set["asyncio.Task[Any]"]:
        """Cancel everything, and say what is to be waited for."""
        self.left = True
        self.news.set()
        tasks: set[asyncio.Task[Any]] = {slot.task for slot in self.slots if slot.task is not None}
        if self.feeder is not None:
            tasks.add(self.feeder)
        for task in tasks:
            task.cancel()
        return tasks


class _NoMore:
    """The end of the items, which may themselves be anything."""


_NO_MORE = _NoMore()


async def _one_by_one(items: Iterable[ItemT]) -> AsyncGenerator[ItemT, None]:
    for item in items:
        yield item


class Many(Generic[ItemT, ResultT]):
    """What becomes of many items, as an asynchronous iterator of outcomes.

    One error does not stop the rest. Errors that would affect every item (quota exhausted, authorization lost, client
    closed) stop the batch: pending outcomes are delivered, each with its `state`, then the error is raised. Items that
    were not taken remain in your iterator. If the batch stops while it waits for the next item, it awaits that first.

    `items` are taken as calls become free, and at most four times `concurrency` ahead of the consumer. Outcomes come in
    the order of the items, or `as_completed`. Items with the same `key`, unless it is None, are processed one after the
    other, in their order; each of them counts as a call from the moment it is taken.

    Leaving early, that is closing this, leaving its `async with` or dropping it, cancels the calls under way and closes
    an asynchronous generator that gives the items; `left_over` then tells what is known of each item that was taken. A
    `break` out of the loop drops it, unless a variable or an `async with` holds it; only the latter also waits.
    """

    def __init__(
        self,
        items: Iterable[ItemT] | AsyncIterable[ItemT],
        work: Callable[[ItemT], Coroutine[Any, Any, ResultT]],
        *,
        concurrency: int = CONCURRENCY,
        as_completed: bool = False,
        key: Callable[[ItemT], Hashable] = lambda _: None,
    ) -> None:
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise InvalidRequestError("concurrency must be a whole number, 1 or more.")
        self._items = items
        self._batch = _Batch(work, concurrency=concurrency, ordered=not as_completed, key=key)

    @property
    def left_over(self) -> tuple[Outcome[ItemT, ResultT], ...]:
        """The outcomes of the items that were taken but not delivered, as far as they are known by now."""
        return tuple(slot.outcome() for slot in self._batch.slots)

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Coroutine[Any, Any, Outcome[ItemT, ResultT]]:
        return keep_alive(self, partial(self._batch.next, self._items))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the calls under way and wait until nothing of them runs."""
        tasks = self._batch.leave()
        if tasks:
            await asyncio.wait(tasks)
        feeder = self._batch.feeder
        if feeder is not None and not feeder.cancelled():
            feeder.result()  # raises what the generator of the items raised as it was closed

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, RuntimeError):  # never begun; or the loop is closed, the tasks gone
            self._batch.leave()
