"""The contract of `Limiter` as checks that any test framework can run.

Each check takes a function that returns a limiter that nobody has used, with the given `rate` in `per` seconds and
`daily` requests a day (None: no limit). It raises AssertionError if the limiter breaks the contract. The checks take
some real seconds. With pytest and an asyncio plugin::

    @pytest.mark.parametrize("check", limiter.CHECKS)
    async def test_my_limiter_keeps_the_contract(check):
        await check(MyLimiter)
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from cc_async.errors import QuotaExceededError
from cc_async.limits.protocol import Limiter, Turn

_RATE: Final = 4
_PER: Final = 0.2
_EARLY: Final = 0.002
"""Seconds by which timers may be early."""
_SECONDS: Final = 30
"""How long a check waits for what should come much sooner."""


class MakeLimiter(Protocol):
    """Returns a limiter that nobody has used."""

    def __call__(self, *, rate: int, per: float, daily: int | None) -> Limiter:
        """Return it."""


async def check_rate_in_any_window(make: MakeLimiter) -> None:
    """No more than `rate` requests start in any `per` seconds, whoever sends them."""
    limiter, times = make(rate=_RATE, per=_PER, daily=None), list[float]()

    async def call(*, stream: bool) -> None:
        await limiter.acquire(Turn(stream=stream))
        times.append(asyncio.get_running_loop().time())

    async with asyncio.timeout(_SECONDS):
        await asyncio.gather(*(call(stream=number % 2 == 0) for number in range(5 * _RATE)))
    shortest = min(later - sooner for sooner, later in zip(times, times[_RATE:], strict=False))
    _check(shortest >= _PER - _EARLY, f"{_RATE + 1} requests started within {shortest:.3f} s of {_PER} s.")
    took = times[-1] - times[0]
    _check(took <= 5 * _PER * 2, f"{5 * _RATE} requests took {took:.1f} s: far below the rate.")


async def check_order_of_arrival(make: MakeLimiter) -> None:
    """Calls go in the order in which they came, and so do the pages of streams."""
    for stream in (False, True):
        order = await _served(make(rate=_RATE, per=_PER, daily=None), [Turn(stream=stream) for _ in range(8)])
        _check(order == list(range(8)), f"They went in the order {order}.")


async def check_calls_overtake_streams(make: MakeLimiter) -> None:
    """Calls go before the pages of streams that came earlier, but every fourth permit is a stream's."""
    turns = [Turn(stream=True) for _ in range(6)] + [Turn() for _ in range(12)]
    order = await _served(make(rate=_RATE, per=_PER, daily=None), turns)
    calls = [place for place, number in enumerate(order) if number >= 6]
    _check(calls[-1] <= 16, f"The last of 12 calls was number {calls[-1] + 1}, behind 6 pages that streams prefetch.")
    _check(calls[-1] >= 13, f"12 calls kept all streams waiting: {order}.")


async def check_awaited_page_overtakes_prefetches(make: MakeLimiter) -> None:
    """A page that its consumer waits for goes before those that are only prefetched."""
    limiter, turns = make(rate=1, per=_PER, daily=None), [Turn(stream=True) for _ in range(6)]
    serving = asyncio.ensure_future(_served(limiter, turns))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    turns[-1].promote()
    order = await serving
    _check(order.index(5) <= 1, f"The awaited page was number {order.index(5) + 1} of 6.")


async def check_cancelled_requests_cost_nothing(make: MakeLimiter) -> None:
    """Whoever gives up waiting, at any instant, frees its place, and others are served."""
    limiter = make(rate=_RATE, per=_PER, daily=1_000)
    for steps in range(6):
        tasks = [asyncio.create_task(limiter.acquire(Turn(stream=number % 2 == 0))) for number in range(20)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    began = asyncio.get_running_loop().time()
    await _served(limiter, [Turn() for _ in range(4)])
    took = asyncio.get_running_loop().time() - began
    _check(took < 5 * _PER, f"After 120 requests had given up, four others took {took:.1f} s.")


async def check_refusal_pauses_all(make: MakeLimiter) -> None:
    """After a refusal nothing is sent for a while: as long as the server asks, and up to about a minute."""
    limiter = make(rate=_RATE, per=_PER, daily=None)
    await limiter.acquire(Turn())
    await limiter.throttled(3 * _PER)
    began = asyncio.get_running_loop().time()
    await _served(limiter, [Turn(), Turn(stream=True)])
    took = asyncio.get_running_loop().time() - began
    _check(took >= 3 * _PER - _EARLY, f"A request was sent {took:.2f} s after a refusal that asked for {3 * _PER} s.")


async def check_daily_count(make: MakeLimiter) -> None:
    """No more than `daily` requests start, and the others are told at once when to try again."""
    limiter = make(rate=_RATE, per=_PER, daily=6)
    outcomes = await asyncio.wait_for(
        asyncio.gather(*(limiter.acquire(Turn()) for _ in range(9)), return_exceptions=True), _SECONDS
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, QuotaExceededError)]
    _check(outcomes.count(None) == 6, f"{outcomes.count(None)} requests started instead of 6.")
    _check(len(refused) == 3, "The requests beyond the quota have to raise QuotaExceededError.")
    _check(limiter.remaining_today == 0, f"remaining_today is {limiter.remaining_today} instead of 0.")
    for error in refused:
        _check_reset(error.resets_at)


async def check_exhausted_quota(make: MakeLimiter) -> None:
    """Once the server calls the quota exhausted, all that wait are told, and those that come later."""
    limiter = make(rate=1, per=_PER, daily=None)
    await limiter.acquire(Turn())
    waiting = [asyncio.create_task(limiter.acquire(Turn(stream=stream))) for stream in (False, True)]
    await asyncio.sleep(0)
    await limiter.quota_exceeded()
    later = asyncio.create_task(limiter.acquire(Turn()))
    await asyncio.wait([*waiting, later], timeout=_SECONDS)
    for task in (*waiting, later):
        _check(task.done() and isinstance(task.exception(), QuotaExceededError), "A request was not refused.")
    _check(limiter.remaining_today == 0, f"remaining_today is {limiter.remaining_today} instead of 0.")
    _check_reset(limiter.resets_at)


CHECKS: Final[tuple[Callable[[MakeLimiter], Awaitable[None]], ...]] = (
    check_rate_in_any_window,
    check_order_of_arrival,
    check_calls_overtake_streams,
    check_awaited_page_overtakes_prefetches,
    check_cancelled_requests_cost_nothing,
    check_refusal_pauses_all,
    check_daily_count,
    check_exhausted_quota,
)


async def _served(limiter: Limiter, turns: list[Turn]) -> list[int]:
    order: list[int] = []

    async def call(number: int, turn: Turn) -> None:
        await limiter.acquire(turn)
        order.append(number)

    async with asyncio.timeout(_SECONDS):
        await asyncio.gather(*(call(number, turn) for number, turn in enumerate(turns)))
    return order


def _check_reset(resets_at: datetime | None) -> None:
    now = datetime.now(UTC)
    near = resets_at is not None and now - timedelta(minutes=1) <= resets_at <= now + timedelta(days=1, minutes=1)
    _check(near, f"resets_at is {resets_at} instead of the next midnight in UTC, or soon.")


def _check(holds: object, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
