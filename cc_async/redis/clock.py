"""The clock of a Redis server, as seen from here."""

import asyncio
from typing import Final

_TRUSTED: Final = 30.0
"""Seconds after which a measurement is replaced by any other, because clocks drift."""
_LONGEST: Final = 2.0
"""Seconds; a longer round trip is not waited for in advance."""


class ServerClock:
    """The difference between the clocks of the server and of the event loop, and the time that a command takes."""

    def __init__(self) -> None:
        self.round_trip = 0.0
        """Seconds that a command takes, smoothed."""
        self._offset = 0.0  # of the server's clock from the loop's
        self._error = 0.0  # half of the round trip in which it was measured
        self._measured_at: float | None = None

    def observe(self, began: float, ended: float, now: float) -> None:
        """Note that the server's clock was at `now` at some time between `began` and `ended` of the loop's."""
        took, offset = ended - began, now - (began + ended) / 2
        first = self._measured_at is None
        self.round_trip = min(took if first else 0.75 * self.round_trip + 0.25 * took, _LONGEST)
        # A quick exchange tells the offset best. One that contradicts it shows that a clock was set.
        contradicts = abs(offset - self._offset) > took / 2 + self._error
        if self._measured_at is None or contradicts or took / 2 <= self._error or ended - self._measured_at > _TRUSTED:
            self._offset, self._error, self._measured_at = offset, took / 2, ended

    def now(self) -> float:
        """Return the server's Unix time."""
        return asyncio.get_running_loop().time() + self._offset

    def to_local(self, time: float) -> float:
        """Convert the server's Unix time to the loop's time."""
        return time - self._offset
