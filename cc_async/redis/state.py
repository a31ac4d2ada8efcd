"""What the processes share on Redis, and what this one knows of it."""

import asyncio
import os
import random
import secrets
import time
from datetime import UTC, datetime
from typing import Any, Final, Literal

from redis.exceptions import RedisClusterException, RedisError

from cc_async.redis.clock import ServerClock
from cc_async.redis.script import LEAD, SCRIPT, Reply

Kind = Literal["c", "s"]
"""Whether a slot is for a call or for a stream."""
FAILURES: Final = (RedisError, RedisClusterException, OSError)
"""What a command on a server that is away or refuses it raises; the second is no RedisError."""
_DAY: Final = 86_400
_EARLY: Final = 300.0
"""Seconds after midnight in which a response of the API may still refer to the previous day."""
_RECHECK: Final = 60.0
"""Seconds after which one request tests which day was meant."""


class SharedState:
    """Runs the script, and remembers its latest reply."""

    def __init__(
        self, redis: Any, key: str, *, rate: int, per: float, margin: float, daily: int | None, timeout: float
    ) -> None:
        self._redis, self._key, self._timeout = redis, key, timeout
        self._rate, self._per, self._margin, self._daily = rate, per, margin, daily
        self._process = secrets.token_hex(8)
        self._latest: Reply | None = None
        self._heard_at = 0.0  # monotonic, of no loop
        self._spent_until = 0.0  # after a report of the API that could not be passed on
        self.clock = ServerClock()

    async def run(self, op: str, kind: Kind, *, more: bool = False, back: int = 0, wish: float = 0.0) -> Reply:
        """Run the script; raise one of FAILURES if that fails.

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
            _micro(wish),
            random.random(),  # noqa: S311  # no secret
            _micro(known.now) if known else 0,
            known.day if known else 0,
            known.used if known else 0,
            _micro(self._spent()),
        )
        process = f"{self._process}{os.getpid():x}"  # a forked one is another one
        async with asyncio.timeout(self._timeout):
            raw = await self._redis.execute_command(
                "EVAL", SCRIPT, 1, self._key, op, process, kind, known.epoch if known else "", *numbers
            )
        reply = Reply.parse(raw)
        self.clock.observe(began, loop.time(), reply.now)
        self._latest, self._heard_at = reply, time.monotonic()
        return reply

    def change_loop(self) -> None:
        """Forget what was measured by the clock of another event loop."""
        self.clock = ServerClock()

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
        return time.time() if self._latest is None else self._latest.now + time.monotonic() - self._heard_at


def _micro(seconds: float) -> int:
    return round(seconds * 1_000_000)
