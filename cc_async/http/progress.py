"""The progress of one call, and how an observer is notified of it."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import attrs

from cc_async.http.call import Call
from cc_async.limits.protocol import Limiter
from cc_async.observer import GuardedObserver, ObservedCall


@attrs.define(eq=False)
class Progress:
    """The progress of one call."""

    write: bool
    """Whether the call may change something on the server."""
    attempt: int = 0
    elapsed: float = 0.0
    """Seconds taken by attempts and the pauses between them."""
    sent: int = 0
    """The number of requests sent, including the one with a new token after a 401."""
    waited: float = 0.0
    """Seconds spent waiting at the rate limiter."""
    refusals: int = 0
    """Responses with the status 429."""
    status: int | None = None
    """The status code of the response to the last request, if there is one."""
    under_way: bool = False
    """Whether an attempt is in flight."""
    reauthenticated: bool = False
    """Whether another token was requested after a 401."""
    applied: bool = False
    """Whether a finished attempt may have been applied."""

    @property
    def maybe_applied(self) -> bool:
        """Whether the request may have been applied by now."""
        return self.write and (self.applied or self.under_way)

    def received(self, status: int) -> None:
        """Record that the response to a request has arrived."""
        self.under_way = False
        self.status = status
        self.refusals += status == 429


@contextlib.contextmanager
def observing(call: Call[Any], progress: Progress, observer: GuardedObserver, limiter: Limiter) -> Iterator[None]:
    """Notify the observer of the start and the end of a call."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    seen = ObservedCall(operation=call.operation, method=call.method, background=call.turn.stream)
    observer.started(seen)
    try:
        yield
        seen.outcome = "ok"
    except (asyncio.CancelledError, GeneratorExit):
        seen.outcome = "cancelled"
        raise
    except BaseException as error:
        seen.outcome = type(error).__name__
        raise
    finally:
        seen.status, seen.attempts, seen.refusals = progress.status, progress.sent, progress.refusals
        seen.waited, seen.duration = progress.waited, loop.time() - began
        with contextlib.suppress(Exception):  # a custom limiter must not break a call here
            seen.remaining_today = limiter.remaining_today
        observer.finished(seen)
