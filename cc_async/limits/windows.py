"""The day's count and the shared pause after a refusal."""

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
"""Margins that are added at most while the server refuses."""
_FORGIVEN: Final = 30.0
"""Seconds without a refusal after which one of them is taken off again."""
_LONGEST_PAUSE: Final = 8
"""Windows."""
_SHORT: Final = (0.4, 0.8)
"""Windows that a pause lasts beside other processes, from and to."""
_LONG: Final = (1.5, 2.5)
"""The same where nothing was accepted since the last pause."""
_CALM: Final = 2
"""Windows without a refusal after which a pause starts from its shortest again."""
_EARLY: Final = 300.0
"""Seconds after midnight in which the server, or a late answer, may still speak of yesterday."""
_RECHECK: Final = 60.0
"""Seconds after which one request finds out which day was meant."""


@attrs.define(eq=False)
class _Day:
    """The count of one UTC day, by the wall clock."""

    limit: int | None
    clock: Callable[[], float] = time.time
    used: int = 0
    ends_at: float = 0.0
    spent_until: float = 0.0

    def turn_over(self) -> float:
        """Begin a new day where midnight has passed, and return the time."""
        now = self.clock()
        midnight = now - now % _DAY + _DAY
        if now >= self.ends_at:
            self.used, self.ends_at = 0, midnight
        # A clock that stepped back frees nothing yet, but the next midnight it shows ends the day: else a wrong
        # step forward would hold for as long as it was wide.
        self.ends_at = min(self.ends_at, midnight)
        self.spent_until = min(self.spent_until, self.ends_at)
        return now

    def left(self) -> int | None:
        """The requests that may still be sent, None without a limit."""
        spent = self.turn_over() < self.spent_until
        return 0 if spent else None if self.limit is None else self.limit - self.used

    def spend(self) -> None:
        """Believe the server that the quota is spent."""
        if (now := self.turn_over()) >= self.spent_until:
            self.spent_until = now + _RECHECK if now < self.ends_at - _DAY + _EARLY else self.ends_at

    def resets_at(self) -> float:
        """The end of the day, or the moment at which a doubtful report is put to the test."""
        return self.spent_until if self.turn_over() < self.spent_until else self.ends_at


@attrs.define(eq=False)
class _Pause:
    """What everybody keeps after the server refused a request, in the loop's time."""

    window: float
    until: float = -math.inf
    length: float = 0.0
    refusals: int = 0

    def widenings(self, now: float) -> int:
        """How many margins wider than planned the window is, because jitter made the server refuse."""
        if not self.refusals:
            return 0  # no pause has set `until` yet
        return max(0, self.refusals - int(max(0.0, now - self.until) / _FORGIVEN))

    def begins(self, now: float, last_sent_at: float) -> bool:
        """Whether a refusal begins a pause: only if something was sent since the last one."""
        return now >= self.until and last_sent_at >= self.until

    def begin(self, now: float, wish: float) -> None:
        """Pause, each time longer unless a quiet time came between."""
        calm = now - self.until > _CALM * self.window
        self.refusals = min(self.widenings(now) + 1, _WIDEST)
        self.length = self.window if calm else min(self.length * 2, _LONGEST_PAUSE * self.window)
        # Other machines may share the key: they must not all come back at the same moment.
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
        """Pause at least until then."""
        self.until = max(self.until, until)
