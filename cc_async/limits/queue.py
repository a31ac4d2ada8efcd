"""The requests that wait at a limiter, in the order in which they are served."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Generic, TypeVar

import attrs

from cc_async.limits.protocol import Turn


@attrs.define(eq=False)
class Waiter:
    """A request that waits at a limiter."""

    woken: asyncio.Future[datetime | None]
    """None: the request may be sent; otherwise when the exhausted quota resets."""
    stream: bool


W = TypeVar("W", bound=Waiter)
_Class = OrderedDict[W, None]  # finding the first key of a plain dict takes linear time


class WaitingRequests(Generic[W]):
    """Direct calls, awaited pages and other prefetches, each class in the order of arrival."""

    def __init__(self) -> None:
        self.callers: _Class[W] = OrderedDict()
        self.awaited: _Class[W] = OrderedDict()
        self.prefetches: _Class[W] = OrderedDict()
        self._classes = (self.callers, self.awaited, self.prefetches)

    def __len__(self) -> int:
        return sum(map(len, self._classes))

    @property
    def streams(self) -> int:
        """The number of waiting requests of streams."""
        return len(self.awaited) + len(self.prefetches)

    def add(self, waiter: W, turn: Turn) -> None:
        """Let a request wait; promoting its turn moves it ahead of the other prefetches."""
        waiting = self.callers if not turn.stream else self.awaited if turn.awaited else self.prefetches
        waiting[waiter] = None
        turn.on_promotion = partial(self._promote, waiter)

    def discard(self, waiter: W) -> None:
        """Remove a request, if it still waits."""
        for waiting in self._classes:
            waiting.pop(waiter, None)

    def move_to_front(self, waiter: W) -> None:
        """Let a request that has waited before be the first of its class."""
        for waiting in self._classes:
            if waiter in waiting:
                waiting.move_to_end(waiter, last=False)

    def first(self, *, stream: bool) -> W | None:
        """Return the request to serve next: one of a stream if told so, else a call, and the other where none waits."""
        order = (self.awaited, self.prefetches, self.callers) if stream else self._classes
        return next((next(iter(waiting)) for waiting in order if waiting), None)

    def wake_all(self, resets_at: datetime) -> None:
        """Tell all that the quota is exhausted."""
        for waiting in self._classes:
            for waiter in waiting:
                if not waiter.woken.done():
                    waiter.woken.set_result(resets_at)
            waiting.clear()

    def clear(self) -> None:
        """Forget all."""
        for waiting in self._classes:
            waiting.clear()

    def __iter__(self) -> Iterator[W]:
        return iter([waiter for waiting in self._classes for waiter in waiting])

    def _promote(self, waiter: W) -> None:
        if waiter in self.prefetches:
            self.awaited[waiter] = self.prefetches.pop(waiter)
