"""The daily count, and the common pause after a refusal."""

import logging
import math
import random
import time
from collections.abc import Callable
from typing import Final

import attrs

_LOG = logging.getLogger("cc_async")
_DAY: Final = 86_400.0
_WIDEST: Final = 3
"""The most margins that are added while the server refuses requests."""
_FORGIVEN: Final = 30.0
"""Seconds without a refusal after which one of them is removed."""
_LONGEST_PAUSE: Final = 8
"""The longest pause, in windows."""
_SHORT: Final = (0.4, 0.8)
"""The range of a pause beside other processes, in windows."""
_LONG: Final = (1.5, 2.5)
"""The same if nothing was accepted since the previous pause."""
_CALM: Final = 2
"""Windows without a refusal after which pauses have their minimum length again."""
_EARLY: Final = 300.0
"""Seconds after midnight in which a response of the server may still refer to the previous day."""
_RECHECK: Final = 60.0
"""Seconds after which one request tests which day was meant."""


@attrs.define(eq=False)
class _Day:
    """The number of requests in one UTC day, by the wall clock."""

    limit: int | None
    clock: Callable[[], float] = time.time
    used: int = 0
    ends_at: float = 0.0
    spent_until: float = 0.0

    def turn_over(self) -> float:
        """Start a new day if midnight has passed, and return the time."""
        now = self.clock()
        midnight = now - now % _DAY + _DAY
        if now >= self.ends_at:
            self.used, self.ends_at = 0, midnight
        # A clock that is set back resets nothing, but the next midnight that it shows ends the day: otherwise an
        # erroneous step forward would block requests for as long as that step.
        self.ends_at = min(self.ends_at, midnight)
        self.spent_until = min(self.spent_until, self.ends_at)
        return now

    def left(self) -> int | None:
        """The requests left, or None without a limit."""
        spent = self.turn_over() < self.spent_until
        return 0 if spent else None if self.limit is None else self.limit - self.used

    def spend(self) -> None:
        """Set the quota to exhausted, as the server reports."""
        if (now := self.turn_over()) >= self.spent_until:
            self.spent_until = now + _RECHECK if now < self.ends_at - _DAY + _EARLY else self.ends_at

    def resets_at(self) -> float:
        """The end of the day, or the time at which a doubtful report is tested."""
        return self.spent_until if self.turn_over() < self.spent_until else self.ends_at


@attrs.define(eq=False)
class _Pause:
    """The pause of all requests after the server has refused one, in the loop's time."""

    window: float
    until: float = -math.inf
    length: float = 0.0
    refusals: int = 0

    def widenings(self, now: float) -> int:
        """The number of margins added to the window, because jitter caused refusals."""
        if not self.refusals:
            return 0  # there was no pause yet
        return max(0, self.refusals - int(max(0.0, now - self.until) / _FORGIVEN))

    def begins(self, now: float, last_sent_at: float) -> bool:
        """Whether a refusal starts a pause: only if something was sent since the previous one."""
        return now >= self.until and last_sent_at >= self.until

    def begin(self, now: float, wish: float) -> None:
        """Pause, each time for longer, unless there was a time without refusals in between."""
        calm = now - self.until > _CALM * self.window
        self.refusals = min(self.widenings(now) + 1, _WIDEST)
        self.length = self.window if calm else min(self.length * 2, _LONGEST_PAUSE * self.window)
        # Other machines may share the key, and must not all resume simultaneously.
        self._pause_for(now, max(self.length, wish) + random.uniform(0.0, self.length / 2))  # noqa: S311

    def begin_in_company(self, now: float, wish: float, *, short: bool) -> None:
        """Pause until the other processes may have left some of the rate."""
        self.length = self.window
        shortest, longest = _SHORT if short else _LONG
        self._pause_for(now, wish + random.uniform(shortest, longest) * self.window)  # noqa: S311

    def _pause_for(self, now: float, seconds: float) -> None:
        self.until = now + seconds
        _LOG.warning("The server refused a request as too soon; none is sent for %.1f s.", seconds)

    def extend(self, until: float) -> None:
        """Pause at least until `until`."""
        self.until = max(self.until, until)
