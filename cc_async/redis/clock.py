"""The clock of a Redis server, as seen from here."""

import math
from collections import deque
from typing import Final

_DRIFT: Final = 0.0005
"""By how much two clocks can diverge in a second, at most; one that is being adjusted does."""
_COMPARED: Final = 8
"""The latest round trips, the quickest of which shows how long the way is."""
_LONGEST: Final = 2.0
"""Seconds; a longer round trip is not waited for in advance."""


class ServerClock:
    """The difference between the clocks of the server and of the event loop, and the time that a command takes."""

    def __init__(self) -> None:
        self.round_trip = 0.0
        """Seconds that a command takes, smoothed."""
        self._latest: deque[float] = deque(maxlen=_COMPARED)
        self._offset = 0.0  # of the server's clock from the loop's
        self._error = math.inf  # half of the round trip in which it was measured
        self._measured_at = 0.0

    def observe(self, began: float, ended: float, now: float) -> None:
        """Note that the server's clock was at `now` at some time between `began` and `ended` of the loop's."""
        took, offset = ended - began, now - (began + ended) / 2
        self.round_trip = min(0.75 * self.round_trip + 0.25 * took if self._latest else took, _LONGEST)
        self._latest.append(took)
        # A quick exchange tells the offset best. One that contradicts it shows that a clock was set.
        error = self._error_at(ended)
        if took / 2 <= error or abs(offset - self._offset) > took / 2 + error:
            self._offset, self._error, self._measured_at = offset, took / 2, ended

    def uncertainty(self, time: float) -> float:
        """Return by how many seconds the offset may be wrong, if the way to the server takes as long as the way back.

        Half of the time by which the exchange took longer than the way: it may have been lost before or after the
        server looked at its clock. The first exchange may have included a connection, and shows no way.
        """
        way = min(self._latest) if len(self._latest) > 1 else 0.0
        return self._error_at(time) - way / 2

    def _error_at(self, time: float) -> float:
        return self._error + _DRIFT * (time - self._measured_at)

    def to_local(self, time: float) -> float:
        """Convert the server's Unix time to the loop's time."""
        return time - self._offset
