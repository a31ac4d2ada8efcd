"""The limits of the gateway: requests per second and per day."""

from array import array
from collections import deque

from .responses import QUOTA, THROTTLED, Response
from .settings import Enforcement, Settings

_DAY = 86_400


class RateMeter:
    """Enforces a rate as a sliding window, a fixed window or a token bucket."""

    def __init__(self) -> None:
        self._admitted: deque[float] = deque()
        self._window = (0, 0)
        self._bucket: tuple[float, float] | None = None

    def admit(self, now: float, rate: int, per: float, enforcement: Enforcement) -> bool:
        """Return whether a request may pass now, and count it if it may."""
        if enforcement == "fixed":
            return self._fixed(now, rate, per)
        return self._token(now, rate, per) if enforcement == "bucket" else self._sliding(now, rate, per)

    def _sliding(self, now: float, rate: int, per: float) -> bool:
        while self._admitted and now - self._admitted[0] >= per:
            self._admitted.popleft()
        if len(self._admitted) >= rate:
            return False
        self._admitted.append(now)
        return True

    def _fixed(self, now: float, rate: int, per: float) -> bool:
        window, count = self._window
        current = int(now // per)
        count = count if window == current else 0
        self._window = (current, min(count + 1, rate))
        return count < rate

    def _token(self, now: float, rate: int, per: float) -> bool:
        level, since = self._bucket or (float(rate), now)
        level = min(rate, level + (now - since) * rate / per)
        passed = level >= 1
        self._bucket = (level - passed, now)
        return passed


class Limits:
    """The limits of one API key."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._meter = RateMeter()
        self._day = (0, 0)
        self.arrivals = array("d")
        self.throttled = 0

    @property
    def spent_today(self) -> int:
        """The number of requests counted against today's quota."""
        day, spent = self._day
        return spent if day == self._today() else 0

    def spend(self, requests: int) -> None:
        """Count requests made today by other users of the same key."""
        self._day = (self._today(), self.spent_today + requests)

    def admit(self, now: float) -> Response | None:
        """Count an arrival; return the refusal, or None if it may pass."""
        self.arrivals.append(now)
        settings = self._settings
        if settings.daily is not None and self.spent_today >= settings.daily:
            return QUOTA
        if settings.rate and not self._meter.admit(now, settings.rate, settings.per, settings.enforcement):
            self.throttled += 1
            return THROTTLED
        self.spend(1)
        return None

    def most_within(self, seconds: float) -> int:
        """Return the highest number of arrivals in any window of this length."""
        arrivals = sorted(self.arrivals)
        first = most = 0
        for last, arrived in enumerate(arrivals):
            while arrived - arrivals[first] >= seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    def _today(self) -> int:
        return int(self._settings.clock() // _DAY)
