"""An event loop whose time is virtual, and servers with a limit that are simulated in it."""

import asyncio
import functools
import random
import selectors
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, Protocol, TypeVar

from cc_async.limits.protocol import Limiter, Turn

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Selector(selectors.DefaultSelector):
    """Lets time pass where a real selector would wait for it."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everything waits and no timer is set: this would hang for ever")
        self.now += timeout
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs hours of timers in milliseconds, always in the same order; `start` is its first `time()`."""

    def __init__(self, start: float = 0.0) -> None:
        self._virtual = _Selector()
        self._virtual.now = start
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    @property
    def timers(self) -> list[asyncio.TimerHandle]:
        """What is still to come."""
        return [timer for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]

    def stall(self, seconds: float) -> None:
        """Let time pass as if a callback had blocked the loop."""
        self._virtual.now += seconds


def run(main: Coroutine[Any, Any, _T], *, start: float = 0.0) -> _T:
    """`asyncio.run` in virtual time; never in debug mode, which keeps a traceback of every timer."""
    with asyncio.Runner(debug=False, loop_factory=lambda: VirtualTimeLoop(start)) as runner:
        return runner.run(main)


def in_virtual_time(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """Make an ordinary test of a coroutine function."""

    @functools.wraps(test)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> None:
        run(test(*args, **kwargs))

    return wrapper


class Model(Protocol):
    """How a server counts: whether a request that arrives now is accepted."""

    def accepts(self, now: float) -> bool: ...


class FixedWindow:
    """`rate` requests in every whole period of the server's clock."""

    def __init__(self, rate: int, per: float = 1.0, phase: float = 0.37) -> None:
        self.rate, self.per, self.phase = rate, per, phase
        self.window, self.count = -1, 0

    def accepts(self, now: float) -> bool:
        window = int((now + self.phase) // self.per)
        if window != self.window:
            self.window, self.count = window, 0
        self.count += 1
        return self.count <= self.rate


class SlidingWindow:
    """`rate` requests in any period whatever: the strictest."""

    def __init__(self, rate: int, per: float = 1.0) -> None:
        self.per = per
        self.accepted: deque[float] = deque(maxlen=rate)

    def accepts(self, now: float) -> bool:
        full = len(self.accepted) == self.accepted.maxlen and now - self.accepted[0] < self.per - 1e-9
        if not full:
            self.accepted.append(now)
        return not full


class TokenBucket:
    """A bucket of `rate` tokens that refills evenly."""

    def __init__(self, rate: int, per: float = 1.0) -> None:
        self.capacity, self.speed = float(rate), rate / per
        self.tokens, self.filled_at = self.capacity, 0.0

    def accepts(self, now: float) -> bool:
        self.tokens = min(self.capacity, self.tokens + (now - self.filled_at) * self.speed)
        self.filled_at = now
        if self.tokens < 1 - 1e-9:
            return False
        self.tokens -= 1
        return True


class SimulatedServer:
    """Responds to requests that travel 100 ms there, give or take `jitter` seconds, and 100 ms back."""

    def __init__(self, model: Model, jitter: float = 0.0, seed: int = 1) -> None:
        self.model, self.jitter = model, jitter
        self.random = random.Random(seed)
        self.refused = self.accepted = 0

    async def responses(self) -> bool:
        """Whether one request, sent now, is accepted."""
        await asyncio.sleep(0.1 + self.random.uniform(-self.jitter, self.jitter))
        accepted = self.model.accepts(asyncio.get_running_loop().time())
        self.accepted += accepted
        self.refused += not accepted
        await asyncio.sleep(0.1)
        return accepted

    async def request(self, limiter: Limiter, *, stream: bool = False) -> float:
        """Send through the limiter until accepted; return the seconds that the first turn was waited for."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        await limiter.acquire(Turn(stream=stream))
        waited = loop.time() - asked
        while not await self.responses():
            await limiter.throttled()
            await limiter.acquire(Turn(stream=stream))
        return waited


MODELS: dict[str, type[FixedWindow] | type[SlidingWindow] | type[TokenBucket]] = {
    "fixed window": FixedWindow,
    "sliding window": SlidingWindow,
    "token bucket": TokenBucket,
}
