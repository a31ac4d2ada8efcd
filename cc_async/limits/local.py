"""The rate limiter of one process: requests per second and per day, and their priorities."""

import asyncio
import math
from collections import deque
from datetime import UTC, datetime
from typing import Final

import attrs

from cc_async.errors import InvalidRequestError, QuotaExceededError
from cc_async.limits.protocol import Turn
from cc_async.limits.queue import Waiter, WaitingRequests
from cc_async.limits.share import LOOK_BACK, Share
from cc_async.limits.windows import _LOG, _Day, _Pause

_MARGIN: Final = 0.04
"""Seconds, which absorb 20 ms of jitter either way; scaled down for a `per` under a second."""
_SPACE: Final = 0.95
"""A factor of even spacing: late timers then do not accumulate, because the window absorbs them."""
_ROW: Final = 3
"""Consecutive calls that may overtake a waiting stream."""
_LONGEST_WISH: Final = 60.0
"""Seconds after which one request tests whether a long Retry-After still applies."""


@attrs.define(eq=False)
class _Waiter(Waiter):
    sent_at: float = math.inf  # the loop's time when the task resumed, infinity before that
    day: float = 0.0  # the end of the day that this request was counted in


def check_limit(rate: int, per: float, daily: int | None, margin: float | None) -> float:
    """Return the margin of a limit, in seconds; raise InvalidRequestError if its numbers are not valid."""
    if not all(isinstance(count, int) and count > 0 for count in (rate, 1 if daily is None else daily)):
        raise InvalidRequestError(f"rate and daily must be whole numbers of at least 1, not {rate} and {daily}.")
    margin = _MARGIN * min(1.0, per) if margin is None else margin
    if not (0 < per < math.inf and 0 <= margin < math.inf):
        raise InvalidRequestError(f"per must be above 0 and margin not below 0, not {per} and {margin}.")
    return margin


class RateLimiter:
    """At most `rate` requests in any `per` seconds, and `daily` in a UTC day (`None`: no daily limit).

        limiter = RateLimiter(rate=10, daily=250_000)
        async with ConstantContact(oauth, rate_limiter=limiter) as client:
            ...

    The limit belongs to the API key: share one limiter between all clients of an event loop that use the key. Direct
    calls take priority over what streams fetch ahead; each class is served in the order of arrival. Calls may use a
    burst of `rate`; streams are spaced evenly, and get every fourth permit however many calls come. Refusals caused by
    other processes on the same key make it lower its own rate until it has found its share.

    It serves one event loop at a time: see `ConstantContact`.

    `margin`, in seconds, is added to `per`, because requests arrive less evenly than they are sent: the default of
    40 ms (4 % of a shorter `per`) absorbs 20 ms either way. While the server refuses all the same, it grows up to
    four-fold.

    Raises:
        InvalidRequestError: The numbers are not a valid limit.

    """

    def __init__(
        self, rate: int = 4, per: float = 1.0, daily: int | None = 10_000, *, margin: float | None = None
    ) -> None:
        self._margin = check_limit(rate, per, daily, margin)
        self._rate, self._window = rate, per + self._margin
        self._day = _Day(daily)
        self._pause = _Pause(self._window)
        self._share = Share(rate, self._window)
        self._waiting = WaitingRequests[_Waiter]()
        self._sent: deque[_Waiter] = deque(maxlen=2 * rate)
        self._row = 0  # calls that have overtaken a waiting stream since its last permit
        self._warned_of: datetime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def remaining_today(self) -> int | None:
        """The requests left before 00:00 UTC: 0 once the server calls the quota exhausted, None without a limit."""
        return self._day.left()

    @property
    def resets_at(self) -> datetime:
        """The next 00:00 UTC, or a minute after a report of an exhausted quota that came just after midnight."""
        return datetime.fromtimestamp(self._day.resets_at(), UTC)

    async def acquire(self, turn: Turn) -> None:
        """Wait until this request may be sent.

        Raises:
            QuotaExceededError: No further request may be sent today.
            InvalidRequestError: Another event loop is using the limiter.

        """
        loop = self._bind()
        waiter = _Waiter(loop.create_future(), turn.stream)
        self._waiting.add(waiter, turn)
        self._pump()
        try:
            spent_until = await waiter.woken
        except BaseException:
            self._withdraw(waiter)
            raise
        finally:
            turn.on_promotion = None
        if spent_until is not None:
            raise QuotaExceededError(f"The daily quota is exhausted: wait until {spent_until}.", resets_at=spent_until)
        # Not the time of the timer: a loop that stalled in between would send two bursts at once.
        waiter.sent_at = loop.time()
        self._share.sent += 1
        self._pump()

    async def throttled(self, retry_after: float | None = None) -> None:
        """Pause all requests, because the server refused one as too early; return at once.

        Simultaneous reports cause one pause, and further ones soon after it a longer pause. `retry_after`, in seconds,
        is honoured up to a minute.
        """
        now, last_sent_at = self._bind().time(), self._sent[-1].sent_at if self._sent else math.inf
        wish = min(max(0.0, retry_after or 0.0), _LONGEST_WISH)
        if self._pause.begins(now, last_sent_at):
            recent = sum(waiter.sent_at > now - LOOK_BACK * self._window for waiter in self._sent)
            accepted = self._share.lower(now, recent=recent, waiting=len(self._waiting))
            if self._share.in_company(now):
                self._pause.begin_in_company(now, wish, short=accepted or not self._share.pressed)
            else:
                self._pause.begin(now, wish)
        else:
            self._share.lower_further(now)
            self._pause.extend(now + wish)
        self._share.grow_from(self._pause.until)
        self._pump()

    async def quota_exceeded(self) -> None:
        """Refuse all requests until `resets_at`, as the server calls the quota exhausted; return at once."""
        self._bind()
        self._day.spend()
        self._refuse_all()
        self._pump()

    def _bind(self) -> asyncio.AbstractEventLoop:
        loop, old = asyncio.get_running_loop(), self._loop
        if old is not None and old is not loop:
            busy = self._waiting or any(waiter.sent_at == math.inf for waiter in self._sent)
            if old.is_running() or (busy and not old.is_closed()):
                raise InvalidRequestError("A RateLimiter serves one event loop: give each loop its own.")
            self._waiting.clear()
            for waiter in self._sent:  # never later than now, even if the clocks of the two loops differ
                waiter.sent_at = min(waiter.sent_at, loop.time())
            self._pause.until = min(self._pause.until, loop.time() + _LONGEST_WISH)
            self._share.change_clock(loop.time())
        self._loop = loop
        return loop

    def _withdraw(self, waiter: _Waiter) -> None:
        """Release the place in the queue, or the permit, of a cancelled request."""
        self._waiting.discard(waiter)
        if waiter.sent_at == math.inf and waiter in self._sent:
            self._sent.remove(waiter)
            if waiter.day == self._day.ends_at:
                self._day.used -= 1
            self._row = _ROW if waiter.stream else self._row
        self._pump()

    def _ready_at(self, now: float) -> float:
        """When the next request may be sent; infinity, so that none overtakes, until the previous task has resumed."""
        window = self._window + self._margin * self._pause.widenings(now)
        at = max(now, self._pause.until)
        if len(self._sent) >= self._rate:
            at = max(at, self._sent[-self._rate].sent_at + window)
        # Spacing keeps the next slot of a call near. While a call waits, spaced streams would starve.
        # After a pause all requests are spaced, because the server may not accept a whole burst yet.
        spaced = not self._waiting.callers or at < self._pause.until + window
        share = self._share.at(now)
        space = window / (self._rate * share) if share < 1.0 else spaced * _SPACE * window / self._rate
        return max(at, self._sent[-1].sent_at + space) if self._sent else at

    def _pump(self) -> None:
        """Grant every permit that is due and set the timer for the next one; called after every change."""
        if self._loop is None or self._loop.is_closed():
            return
        while waiter := self._waiting.first(stream=self._row >= _ROW):
            now = self._loop.time()
            if self._day.left() == 0:
                self._refuse_all()
            elif (at := self._ready_at(now)) <= now:
                self._grant(waiter)
            else:
                break
        else:
            at = math.inf
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._pump) if at < math.inf else None

    def _grant(self, waiter: _Waiter) -> None:
        self._waiting.discard(waiter)
        if waiter.woken.cancelled():
            return  # its task has not resumed yet
        waiter.day = self._day.ends_at
        self._day.used += 1
        self._sent.append(waiter)
        self._row = 0 if waiter.stream or not self._waiting.streams else self._row + 1
        waiter.woken.set_result(None)

    def _refuse_all(self) -> None:
        if self._warned_of != (until := self.resets_at):
            self._warned_of = until
            _LOG.warning("The day's quota is exhausted; no request is sent before %s.", until)
        self._waiting.wake_all(until)
