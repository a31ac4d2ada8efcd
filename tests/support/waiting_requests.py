"""Requests that wait at a limiter, and a wall clock that tests set."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from cc_async.limits.local import RateLimiter
from cc_async.limits.protocol import Turn
from support.virtual_time import VirtualTimeLoop

WINDOW = 1.04
SPACE = WINDOW / 4
NOON = datetime(2030, 5, 17, 12, tzinfo=UTC)


class WallClock:
    """A wall clock that goes with the loop's time and can be set."""

    def __init__(self, start: datetime) -> None:
        self.offset = 0.0
        self.set(start)

    def set(self, to: datetime) -> None:
        self.offset = to.timestamp() - asyncio.get_running_loop().time()

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.offset


def limiter_at(start: datetime, **arguments: Any) -> tuple[RateLimiter, WallClock]:
    limiter, clock = RateLimiter(**arguments), WallClock(start)
    limiter._day.clock = clock  # the wall clock is no argument, because no user should set it
    return limiter, clock


class Crowd:
    """Requests that come to a limiter, and when each may go."""

    def __init__(self, limiter: RateLimiter) -> None:
        self.limiter = limiter
        self.times: list[float] = []
        self.names: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def come(
        self, *names: str, stream: bool = False, awaited: bool = False, turn: Turn | None = None
    ) -> asyncio.Task[None]:
        """Let requests come one after the other in this moment; return the last one's task."""
        for name in names:
            this = turn or Turn(stream=stream, awaited=awaited)
            self.tasks.append(asyncio.create_task(self._one(name, this)))
        await asyncio.sleep(0)
        return self.tasks[-1]

    async def _one(self, name: str, turn: Turn) -> None:
        await self.limiter.acquire(turn)
        self.times.append(asyncio.get_running_loop().time())
        self.names.append(name)

    async def done(self) -> None:
        await asyncio.gather(*self.tasks, return_exceptions=True)

    @property
    def order(self) -> str:
        return "".join(self.names)


def assert_idle(limiter: RateLimiter) -> None:
    assert not limiter._waiting
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    assert not loop.timers
