"""The share of one process in a limit that other processes use, without communication."""

import math
from typing import Final

import attrs

LOOK_BACK: Final = 2.0
"""In windows: if a process that sent no more than the rate in this time is refused, others use the key, too."""
_GIVEN_UP: Final = 0.75
"""The part of the whole rate that is given up at the first refusal; proportionally less of a smaller share."""
_SMALLEST: Final = 1 / 16
"""The share that is never given up."""
_REGAINED: Final = 35.0
"""Windows without a refusal after which a process has the whole rate again, from any share."""
_REMEMBERED: Final = 60.0
"""Seconds without evidence of other processes after which a process assumes that it is alone."""
_PRESSED: Final = 0.8
"""The part of its share that a process must have used for a refusal to mean that the share is too large."""


@attrs.define(eq=False)
class Share:
    """The part of the rate that this process uses: all of it, unless refusals show that others use the key.

    A process that keeps to the rate is refused only because of others, apart from jitter. It then gives up part of its
    share, the more the larger it is, and regains it slowly at first. Equal shares are the only ones that last.
    """

    rate: int
    window: float
    level: float = 1.0
    since: float = -math.inf
    """The loop's time from which `level` grows."""
    company_until: float = -math.inf
    """The loop's time until which other processes are known to use the key."""
    sent: int = 0
    """Requests since the last pause began."""
    refused: int = 0
    """Refusals of this pause."""
    pressed: bool = False
    """Whether the share was in full use when this pause began."""

    def at(self, now: float) -> float:
        """Return the share, above 0 and at most 1; it grows with the cube of the time without a refusal."""
        calm = max(0.0, now - self.since) / self.window / _REGAINED
        return min(1.0, self.level + calm**3)

    def in_company(self, now: float) -> bool:
        """Whether other processes are known to use the key."""
        return now < self.company_until

    def lower(self, now: float, *, recent: int, waiting: int) -> bool:
        """Lower the share after the first refusal of a pause; return whether anything was accepted since the last one.

        `recent` requests were sent within LOOK_BACK, and `waiting` ones are queued. If everything is refused, longer
        pauses help rather than a smaller share.
        """
        share, accepted = self.at(now), self.sent > 1
        self.sent, self.refused = 0, 1
        if accepted and (share < 1.0 or recent <= self.rate):
            self.company_until = now + _REMEMBERED
        # A process that only sends an occasional request does not cause the refusals and has nothing to give up.
        self.pressed = waiting > 1 or recent >= _PRESSED * LOOK_BACK * share * self.rate
        if self.pressed:
            given_up = _GIVEN_UP * share if accepted and self.in_company(now) else 0.0
            self.level = max(_SMALLEST, share * (1.0 - given_up))
        return accepted

    def lower_further(self, now: float) -> None:
        """Lower the share after another refusal of the same burst: the accepted part of the burst is the share."""
        self.refused += 1
        if self.pressed and self.in_company(now):
            self.level = min(self.level, max(1, self.rate - self.refused) / self.rate)

    def grow_from(self, time: float) -> None:
        """Let the share grow from the end of the pause, unless the refusal was unrelated to the share."""
        if self.pressed:
            self.since = time

    def change_clock(self, now: float) -> None:
        """Convert the times to the clock of another event loop."""
        self.since = min(self.since, now)
        self.company_until = min(self.company_until, now + _REMEMBERED)
