"""What the processes share on Redis, and what this one knows of it."""

import asyncio
import math
import random
import secrets
import time
from datetime import UTC, datetime
from typing import Any, Final, Literal

from cc_async.redis.clock import ServerClock
from cc_async.redis.script import LEAD, SCRIPT, Reply

Kind = Literal["c", "s"]
"""Whether a slot is for a call or for a stream."""
_DAY: Final = 86_400
_EARLY: Final = 300.0
"""Seconds after midnight in which a response of the API may still refer to the previous day."""
_RECHECK: Final = 60.0
"""Seconds after which one request tests which day was meant."""
_RECENT: Final = 60.0
"""Seconds for which the day's count, as this process knows it, bounds what the others can have sent since."""


class SharedState:
    """Runs the script, and remembers its latest reply."""

    def __init__(
        self, redis: Any, key: str, *, rate: int, per: float, margin: float, daily: int | None, timeout: float
    ) -> None:
        self._redis, self._key, self._timeout = redis, key, timeout
        self._rate, self._per, self._margin, self._daily = rate, per, margin, daily
        self._process = secrets.token_hex(8)
        self._latest: Reply | None = None
        self._heard_at = -math.inf  # the loop's time
        self._spent_until = 0.0  # after a report of the API that could not be passed on
        self.clock = ServerClock()

    async def run(self, op: str, kind: Kind, *, more: bool = False, back: int = 0, wish: float = 0.0) -> Reply:
        """Run the script; raise RedisError or OSError if that fails.

        `op` is what it should do, `more` asks for another slot after this one, `back` is a slot to take back, and
        `wish` the seconds that the API asked to wait.
        """
        loop = asyncio.get_running_loop()
        began, known = loop.time(), self._latest
        numbers = (
            self._rate,
            _micro(self._per + self._margin),
            _micro(self._margin),
            self._daily or 0,
            _micro(self.clock.round_trip),
            _micro(LEAD),
            int(more),
            back,
            known.day if known else 0,
            self._most_used(began),
            _micro(wish),
            random.random(),  # noqa: S311  # no secret
        )
        async with asyncio.timeout(self._timeout):
            raw = await self._redis.execute_command(
                "EVAL", SCRIPT, 1, self._key, op, self._process, kind, known.epoch if known else "", *numbers
            )
        reply = Reply.parse(raw)
        self.clock.observe(began, loop.time(), reply.now)
        self._latest, self._heard_at = reply, began
        return reply

    @property
    def remaining(self) -> int | None:
        """The requests left today, by the latest reply; None before it, or without a limit."""
        if self._now() < self._spent():
            return 0
        if self._latest is None or self._daily is None:
            return None
        return self._daily if self._now() // _DAY > self._latest.day else max(0, self._daily - self._latest.used)

    @property
    def resets_at(self) -> datetime:
        """When to try again after the quota is exhausted, by the latest reply."""
        now, spent = self._now(), self._spent()
        return datetime.fromtimestamp(spent if now < spent else now - now % _DAY + _DAY, UTC)

    def spend(self) -> None:
        """Note that the quota is exhausted, although the server could not be told."""
        now = self._now()
        self._spent_until = now + _RECHECK if now % _DAY < _EARLY else now - now % _DAY + _DAY

    def _spent(self) -> float:
        return max(self._spent_until, self._latest.spent if self._latest else 0.0)

    def _now(self) -> float:
        """Return the Unix time of the server, or of this machine before the server's is known."""
        return time.time() if self._latest is None else self.clock.now()

    def _most_used(self, now: float) -> int:
        """Return the most that the day's count can be, for a server that has lost it."""
        if self._latest is None:
            return 0
        silence = now - self._heard_at
        if silence > _RECENT:  # others know better, or nobody has sent anything
            return self._latest.used
        return self._latest.used + self._rate * (1 + math.ceil(silence / self._per))


def _micro(seconds: float) -> int:
    return round(seconds * 1_000_000)
