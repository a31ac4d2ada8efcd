"""One operation on many items, concurrently, in bounded memory, and with an outcome for every item."""

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
"""The default maximum of concurrent calls: three seconds of latency at four requests per second."""
_AHEAD = 4
"""Outcomes that may wait for the consumer, as a multiple of the concurrency: a slow call must not block others."""
_FINAL = (QuotaExceededError, AuthenticationError, AuthorizationError, TokenStoreError, ClientClosedError)
"""Errors that would affect every other item, too."""


@attrs.frozen(kw_only=True)
class Outcome(Generic[ItemT, ResultT]):
    """The result or the error of one item. See `Many`."""

    item: ItemT = attrs.field(repr=False)
    state: Literal["done", "not_done", "maybe_done"]
    """maybe_done: the call failed, but a write may have been applied; check before retrying."""
    result: ResultT | None = attrs.field(default=None, repr=False)
    error: Exception | None = None

    def unwrap(self) -> ResultT:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # None is a result where ResultT allows it


@attrs.define(eq=False)
class _Slot(Generic[ItemT, ResultT]):
    item: ItemT
    task: "asyncio.Task[ResultT] | None"
    refusal: Exception | None = None
    """Why no call was started, if there is no task."""
    begun: asyncio.Event | None = None
    """Set once the call is started, if it had to wait for an earlier one with the same key."""

    def done(self) -> bool:
        return self.task is None or self.task.done()

    def outcome(self) -> Outcome[ItemT, ResultT]:
        """Return the outcome; whether a cancelled call was applied is unknown."""
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
        # An exception that is not ours does not tell whether the call was applied either.
        maybe = error.maybe_applied if isinstance(error, ConstantContactError) else True
        return Outcome(item=self.item, state="maybe_done" if maybe else "not_done", error=error)


class _Batch(Generic[ItemT, ResultT]):
    """The running calls; it has no reference to the iterator, so that dropping the iterator stops it."""

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
        """Whether no more items are taken."""
        self.error: BaseException | None = None
        """The error that ended the batch early."""
        self.left = False
        """Whether the consumer left early."""

    async def feed(self, items: Iterable[ItemT] | AsyncIterable[ItemT]) -> None:
        """Take items while there is room for their outcomes, and start a call for each."""
        source = aiter(items) if isinstance(items, AsyncIterable) else _one_by_one(items)
        try:
            try:
                await self._take_from(source)
            finally:
                # The caller's own iterator stays open if the caller may continue with it.
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
        # Wait for room first, so that every item that is taken is also started.
        while await self.room.acquire() and await self.active.acquire() and self.error is None:
            # Not cancelled by the error of another call, which would end a generator that the caller may continue with.
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
        with contextlib.suppress(Exception):  # for an invalid item, the call itself fails
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
        """Return the next outcome; raise StopAsyncIteration at the end, or the error that stopped the batch."""
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
        """Return the next finished call in order, if there is one."""
        for slot in self.slots:
            if slot.done():
                self.slots.remove(slot)
                self.room.release()
                return slot
            if self.ordered:
                break
        return None

    def leave(self) -> set["asyncio.Task[Any]"]:
        """Cancel everything, and return the tasks to wait for."""
        self.left = True
        self.news.set()
        tasks: set[asyncio.Task[Any]] = {slot.task for slot in self.slots if slot.task is not None}
        if self.feeder is not None:
            tasks.add(self.feeder)
        for task in tasks:
            task.cancel()
        return tasks


class _NoMore:
    """Marks the end of the items, which may themselves be any value."""


_NO_MORE = _NoMore()


async def _one_by_one(items: Iterable[ItemT]) -> AsyncGenerator[ItemT, None]:
    for item in items:
        yield item


class Many(Generic[ItemT, ResultT]):
    """The outcomes of one operation on many items, as an asynchronous iterator.

        async for outcome in cc.contacts.create_or_update_many(requests):
            if outcome.error is not None:
                print(outcome.item, outcome.state, outcome.error)

    One error does not stop the rest. Errors that would affect every item (quota exhausted, authorization lost, client
    closed) stop the batch: pending outcomes are delivered, each with its `state`, then the error is raised. Items that
    were not taken remain in your iterator. If the batch stops while it waits for the next item, it awaits that first.

    `items` are taken as calls become free, and at most four times `concurrency` ahead of the consumer. Outcomes come in
    the order of the items, or `as_completed`. Items with the same `key`, unless it is None, are processed one after the
    other, in their order; each of them counts as a call as soon as it is taken.

    Leaving early (closing the iterator, leaving its `async with` block, or dropping it) cancels the calls in flight and
    closes an asynchronous generator of items; `left_over` then holds what is known of each item that was taken. A
    `break` out of the loop drops it, unless a variable or an `async with` block holds it; only the block also waits.
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
        """The outcomes, as far as known, of the items that were taken but not delivered."""
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
        """Cancel the calls in flight and wait until they have ended."""
        tasks = self._batch.leave()
        if tasks:
            await asyncio.wait(tasks)
        feeder = self._batch.feeder
        if feeder is not None and not feeder.cancelled():
            feeder.result()  # raises what the generator of items raised when it was closed

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, RuntimeError):  # not initialised, or the event loop is closed
            self._batch.leave()
