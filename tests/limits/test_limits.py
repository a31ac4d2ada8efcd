"""How many requests may go, who goes first, and what happens when the server says no."""

import asyncio
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from support.virtual_time import MODELS, SimulatedServer, VirtualTimeLoop, in_virtual_time, run

from cc_async.errors import InvalidRequestError, QuotaExceededError
from cc_async.limits.local import RateLimiter
from cc_async.limits.protocol import Limiter, Turn

WINDOW = 1.04
SPACE = WINDOW / 4
NOON = datetime(2030, 5, 17, 12, tzinfo=UTC)
MIDNIGHT = datetime(2030, 5, 18, tzinfo=UTC)


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


# --- the rate ---------------------------------------------------------------------------------------------


@in_virtual_time
async def test_callers_may_use_a_burst_and_then_wait_for_the_window_to_pass() -> None:
    crowd = Crowd(RateLimiter())
    await crowd.come(*"abcdefghi")
    await crowd.done()
    assert crowd.order == "abcdefghi"
    assert crowd.times == pytest.approx([0] * 4 + [WINDOW] * 4 + [2 * WINDOW])


@in_virtual_time
async def test_a_stream_is_spaced_evenly_from_its_second_request_on() -> None:
    crowd = Crowd(RateLimiter())
    await crowd.come(*"abcde", stream=True)
    await crowd.done()
    assert crowd.times[::4] == pytest.approx([0, WINDOW])
    assert crowd.times == pytest.approx([SPACE * i for i in range(5)], abs=SPACE / 6)


@in_virtual_time
async def test_a_limiter_that_was_idle_lets_a_whole_burst_go_again() -> None:
    crowd = Crowd(RateLimiter())
    for _ in range(3):
        await crowd.come(*"abcd")
        await crowd.done()
        await asyncio.sleep(WINDOW)
    assert crowd.times == pytest.approx([0] * 4 + [WINDOW] * 4 + [2 * WINDOW] * 4)


@in_virtual_time
async def test_a_stalled_loop_does_not_squeeze_two_bursts_together() -> None:
    crowd, loop = Crowd(RateLimiter()), asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    await crowd.come(*"abcdefghijkl")
    # Runs after the timer that grants the second burst, before the tasks of that burst resume.
    loop.call_at(WINDOW, loop.stall, 0.9)
    await crowd.done()
    assert crowd.times[4:8] == pytest.approx([WINDOW + 0.9] * 4)
    assert crowd.times[8:] == pytest.approx([2 * WINDOW + 0.9] * 4)


@pytest.mark.parametrize("stream", [False, True])
def test_24_calls_pass_the_strictest_server_at_the_ceiling(stream: bool) -> None:
    server = SimulatedServer(MODELS["sliding window"](4))
    share = share_of_the_ceiling(server, 24, stream=stream)
    assert server.refused == 0
    assert share >= 0.93


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("jitter", [0.0, 0.02])
@pytest.mark.parametrize("model", MODELS)
def test_400_calls_reach_94_percent_of_the_ceiling_despite_jitter(model: str, jitter: float, stream: bool) -> None:
    server = SimulatedServer(MODELS[model](4), jitter)
    assert share_of_the_ceiling(server, 400, stream=stream) >= 0.94
    assert server.refused <= 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_jitter_beyond_the_margin_loses_no_request_and_little_time(model: str, stream: bool) -> None:
    random.seed(1)
    server = SimulatedServer(MODELS[model](4), jitter=0.05)
    assert share_of_the_ceiling(server, 400, stream=stream) >= 0.8
    assert server.accepted == 400
    assert server.refused <= 10


def share_of_the_ceiling(server: SimulatedServer, calls: int, *, stream: bool) -> float:
    async def main() -> float:
        limiter, loop = RateLimiter(), asyncio.get_running_loop()
        await asyncio.gather(*(server.request(limiter, stream=stream) for _ in range(calls)))
        return calls / 4 / loop.time()

    return run(main())


@pytest.mark.parametrize(
    ("rate", "per", "window"), [(10, 1.0, 1.04), (40, 1.0, 1.04), (40, 0.1, 0.104), (4, 60.0, 60.04)]
)
def test_the_margin_suits_other_rates(rate: int, per: float, window: float) -> None:
    async def main() -> None:
        crowd = Crowd(RateLimiter(rate, per))
        await crowd.come(*["x"] * (rate + 1))
        await crowd.done()
        assert crowd.times == pytest.approx([0] * rate + [window])

    run(main())


@in_virtual_time
async def test_a_margin_of_ones_own_is_used() -> None:
    crowd = Crowd(RateLimiter(1, 2.0, margin=0.5))
    await crowd.come(*"ab")
    await crowd.done()
    assert crowd.times == [0, 2.5]


@pytest.mark.parametrize(
    "arguments",
    [
        {"rate": 0},
        {"rate": 2.5},
        {"per": 0},
        {"per": float("nan")},
        {"per": float("inf")},
        {"daily": 0},
        {"daily": 1e4},
        {"margin": -0.1},
    ],
)
def test_numbers_that_make_no_limit_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="must be"):
        RateLimiter(**arguments)


# --- who goes first ---------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_caller_goes_before_the_streams_that_wait() -> None:
    crowd = Crowd(RateLimiter())
    await crowd.come(*"stuv", stream=True)
    await crowd.come("C")
    await crowd.done()
    assert crowd.order == "sCtuv"
    assert crowd.times[1] == 0


@in_virtual_time
async def test_every_fourth_turn_is_a_streams_while_callers_keep_coming() -> None:
    crowd = Crowd(RateLimiter())
    await crowd.come("s", stream=True)
    await crowd.come(*"tuv", stream=True)
    await crowd.come(*"ABCDEFGHIJ")
    await crowd.done()
    assert crowd.order == "sABCtDEFuGHIvJ"


@in_virtual_time
async def test_callers_that_come_one_by_one_do_not_starve_a_stream() -> None:
    crowd = Crowd(RateLimiter(daily=None))
    await crowd.come("a", stream=True)
    await crowd.come("s", stream=True)
    for _ in range(40):
        await crowd.come("C")
        await asyncio.sleep(SPACE - 0.01)
    await crowd.done()
    assert crowd.order.index("s") <= 4


@in_virtual_time
async def test_a_callers_wait_beside_a_greedy_stream_is_short() -> None:
    limiter, waits = RateLimiter(daily=None), []
    crowd = Crowd(limiter)
    for _ in range(30):
        await crowd.come(*["s"] * 12, stream=True)
        await asyncio.sleep(random.uniform(1.0, 2.0))
        before = asyncio.get_running_loop().time()
        await limiter.acquire(Turn())
        waits.append(asyncio.get_running_loop().time() - before)
    assert max(waits) <= 0.3
    for task in crowd.tasks:
        task.cancel()
    await crowd.done()
    assert_idle(limiter)


@in_virtual_time
async def test_a_page_that_is_awaited_now_moves_to_the_front_of_the_streams() -> None:
    crowd, turn = Crowd(RateLimiter()), Turn(stream=True)
    await crowd.come(*"stu", stream=True)
    await crowd.come("v", turn=turn)
    await crowd.come("w", stream=True, awaited=True)
    turn.promote()
    await crowd.come(*"ABCDE")
    await crowd.done()
    assert crowd.order == "sABCwDEvtu"


@in_virtual_time
async def test_a_turn_that_is_over_may_still_change() -> None:
    limiter, turn = RateLimiter(), Turn(stream=True)
    await limiter.acquire(turn)
    turn.promote()
    assert turn.on_promotion is None
    assert_idle(limiter)


@in_virtual_time
async def test_a_callers_turn_stays_among_the_callers_when_it_is_marked() -> None:
    crowd, turn = Crowd(RateLimiter(1)), Turn()
    await crowd.come(*"AB")
    await crowd.come("C", turn=turn)
    turn.promote()
    await crowd.done()
    assert crowd.order == "ABC"


# --- cancellation -----------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_cancelled_waiter_frees_its_place() -> None:
    crowd = Crowd(RateLimiter(1))
    await crowd.come("a")
    (await crowd.come("b")).cancel()
    await crowd.come("c")
    await crowd.done()
    assert crowd.order == "ac"
    assert crowd.times[1] == pytest.approx(WINDOW)
    assert crowd.limiter.remaining_today == 9_998


@in_virtual_time
async def test_no_timer_is_left_when_the_last_waiter_is_gone() -> None:
    crowd = Crowd(RateLimiter(1))
    await crowd.come(*"ab")
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    assert len(loop.timers) == 1
    crowd.tasks[-1].cancel()
    await crowd.done()
    assert_idle(crowd.limiter)


@pytest.mark.parametrize("stream", [False, True])
def test_a_grant_that_was_cancelled_before_its_task_resumed_goes_to_the_next(stream: bool) -> None:
    async def main() -> None:
        crowd = Crowd(RateLimiter(1))
        await crowd.come("a", stream=stream)
        granted = await crowd.come("b", stream=stream)
        await crowd.come("c", stream=stream)
        # Runs after the timer that grants the second request, before its task resumes.
        asyncio.get_running_loop().call_at(WINDOW, granted.cancel)
        await crowd.done()
        assert crowd.order == "ac"
        assert crowd.times[1] == pytest.approx(WINDOW)
        assert crowd.limiter.remaining_today == 9_998

    run(main())


@in_virtual_time
async def test_a_streams_turn_that_was_handed_back_is_a_streams_again() -> None:
    crowd = Crowd(RateLimiter(1))
    await crowd.come("s", stream=True)
    granted = await crowd.come("t", stream=True)
    await crowd.come("u", stream=True)
    await crowd.come(*"ABCDE")
    await asyncio.sleep(3.5 * WINDOW)
    # Runs after the timer that grants it, before its task resumes.
    asyncio.get_running_loop().call_at(crowd.times[-1] + WINDOW, granted.cancel)
    await crowd.done()
    assert crowd.order == "sABCuDE"
    assert crowd.times[4] == pytest.approx(4 * WINDOW)


@in_virtual_time
async def test_a_turn_never_falls_to_a_task_that_is_being_cancelled() -> None:
    crowd, loop = Crowd(RateLimiter(1)), asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    await crowd.come("a")
    doomed = await crowd.come("b")
    loop.stall(WINDOW)
    doomed.cancel()
    await crowd.limiter.acquire(Turn())
    assert loop.time() == WINDOW
    await crowd.done()
    assert doomed.cancelled()
    assert crowd.limiter.remaining_today == 9_998
    assert_idle(crowd.limiter)


@in_virtual_time
async def test_a_waiter_may_give_up_after_a_time_of_its_own() -> None:
    limiter = RateLimiter(1)
    await limiter.acquire(Turn())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await limiter.acquire(Turn())
    assert_idle(limiter)


@in_virtual_time
async def test_tens_of_thousands_of_waiters_can_come_and_go() -> None:
    limiter = RateLimiter()
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(limiter.acquire(Turn(stream=i % 2 == 0))) for i in range(20_000)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert_idle(limiter)


# --- what must hold whatever happens ----------------------------------------------------------------------

STEPS = st.one_of(
    st.tuples(st.just("come"), st.booleans(), st.booleans()),
    st.tuples(st.sampled_from(["cancel", "promote"]), st.integers(0, 30), st.none()),
    st.tuples(st.just("pass"), st.sampled_from([0, 0.01, SPACE, 0.3, WINDOW]) | st.floats(0, 2), st.none()),
    st.tuples(st.just("stall"), st.floats(0, 2), st.none()),
    st.tuples(st.just("throttled"), st.none() | st.floats(0, 3), st.none()),
)


@settings(max_examples=150, deadline=None)
@given(rate=st.integers(1, 5), steps=st.lists(STEPS, max_size=40))
def test_whatever_happens_the_limit_holds_and_everybody_gets_a_turn(rate: int, steps: list[Any]) -> None:
    run(play(rate, steps))


async def play(rate: int, steps: list[Any]) -> None:
    limiter, _ = limiter_at(NOON, rate=rate, daily=1_000)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    turns: list[Turn] = []
    tasks: list[asyncio.Task[None]] = []
    promoted: set[int] = set()
    sent: list[tuple[float, int]] = []

    async def one(number: int, turn: Turn) -> None:
        await limiter.acquire(turn)
        sent.append((loop.time(), number))

    for step, value, extra in steps:
        if step == "come":
            turns.append(Turn(stream=value, awaited=extra and value))
            tasks.append(loop.create_task(one(len(turns) - 1, turns[-1])))
            promoted |= {len(turns) - 1} if turns[-1].awaited else set()
        elif step == "cancel" and value < len(tasks):
            tasks[value].cancel()
        elif step == "promote" and value < len(turns):
            turns[value].promote()
            promoted.add(value)
        elif step == "pass":
            await asyncio.sleep(value)
        elif step == "stall":
            loop.stall(value)
        elif step == "throttled":
            await limiter.throttled(value)
    begun = loop.time()
    await asyncio.gather(*tasks, return_exceptions=True)

    times = [time for time, _ in sent]
    assert all(late - early >= WINDOW - 1e-9 for early, late in zip(times, times[rate:], strict=False))
    for stream in (False, True):
        numbers = [n for _, n in sent if turns[n].stream is stream and (not stream or n not in promoted)]
        assert numbers == sorted(numbers)
    assert len(sent) == sum(not task.cancelled() for task in tasks)
    assert loop.time() - begun <= (len(tasks) / rate + 1) * 4 * WINDOW + 60
    assert limiter.remaining_today == 1_000 - len(sent)
    assert_idle(limiter)


# --- the server says: too soon ----------------------------------------------------------------------------


@in_virtual_time
async def test_a_refusal_pauses_everybody_who_then_go_evenly(caplog: pytest.LogCaptureFixture) -> None:
    crowd = Crowd(RateLimiter())
    await crowd.come(*"a")
    await crowd.limiter.throttled()
    await crowd.come(*"bcdefghi")
    await crowd.done()
    assert WINDOW <= crowd.times[1] <= 1.5 * WINDOW
    spaces = [late - early for early, late in pairwise(crowd.times[1:])]
    assert all(space >= 0.9 * SPACE for space in spaces[:3])
    assert caplog.record_tuples == [("cc_async", logging.WARNING, caplog.messages[0])]
    assert "none is sent for" in caplog.text


@in_virtual_time
async def test_many_refusals_at_once_make_one_pause(caplog: pytest.LogCaptureFixture) -> None:
    crowd = Crowd(RateLimiter())
    await crowd.come(*"abcd")
    for _ in range(4):
        await crowd.limiter.throttled()
        await asyncio.sleep(0.1)
    await crowd.come("e")
    await crowd.done()
    assert crowd.times[-1] <= 1.5 * WINDOW
    assert len(caplog.records) == 1


@in_virtual_time
async def test_a_response_that_comes_late_does_not_begin_another_pause(caplog: pytest.LogCaptureFixture) -> None:
    limiter = RateLimiter()
    await limiter.acquire(Turn())
    await limiter.throttled()
    await asyncio.sleep(1.5 * WINDOW)
    await limiter.throttled()
    await limiter.acquire(Turn())
    assert asyncio.get_running_loop().time() == 1.5 * WINDOW
    assert len(caplog.records) == 1


async def refusals(limiter: RateLimiter, count: int, calm: float = 0.0) -> list[float]:
    """How long each request waited that was sent after a refusal."""
    loop, waits = asyncio.get_running_loop(), []
    await limiter.acquire(Turn())
    for _ in range(count):
        await asyncio.sleep(calm)
        await limiter.throttled()
        before = loop.time()
        await limiter.acquire(Turn())
        waits.append(loop.time() - before)
    return waits


@in_virtual_time
async def test_refusals_one_after_the_other_make_longer_pauses_up_to_a_cap() -> None:
    waits = await refusals(RateLimiter(daily=None), 6)
    for wait, windows in zip(waits, [1, 2, 4, 8, 8, 8], strict=True):
        assert windows * WINDOW <= wait <= 1.5 * windows * WINDOW


@in_virtual_time
async def test_no_two_machines_come_back_at_the_same_moment() -> None:
    assert len({(await refusals(RateLimiter(), 1))[0] for _ in range(5)}) == 5


@in_virtual_time
async def test_after_a_quiet_time_the_pause_is_short_again() -> None:
    waits = await refusals(RateLimiter(daily=None), 4, calm=3 * WINDOW)
    assert max(waits) <= 1.5 * WINDOW


@in_virtual_time
async def test_what_the_server_asks_to_wait_is_honoured_up_to_a_minute() -> None:
    limiter, loop = RateLimiter(), asyncio.get_running_loop()
    await limiter.throttled(5.0)
    await limiter.throttled(7.0)
    await limiter.throttled(-1.0)
    await limiter.acquire(Turn())
    assert loop.time() == pytest.approx(7.0, abs=0.6)
    await limiter.throttled(3_600.0)
    await limiter.acquire(Turn())
    assert 67.0 <= loop.time() <= 69.0


@in_virtual_time
async def test_refusals_widen_the_window_until_they_are_forgiven() -> None:
    limiter = RateLimiter(2, daily=None)
    await refusals(limiter, 10)
    for wait, margins in [(10.0, 4), (60.0, 2), (100.0, 1)]:
        await asyncio.sleep(wait)
        crowd = Crowd(limiter)
        await crowd.come(*"abc")
        await crowd.done()
        assert crowd.times[2] - crowd.times[0] == pytest.approx(1.0 + 0.04 * margins)


@in_virtual_time
async def test_a_refusal_may_be_reported_when_nobody_waits() -> None:
    limiter = RateLimiter()
    await limiter.throttled()
    assert_idle(limiter)


# --- the day's quota --------------------------------------------------------------------------------------


@in_virtual_time
async def test_at_the_end_of_our_count_everybody_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    limiter, _ = limiter_at(NOON, daily=5)
    crowd = Crowd(limiter)
    await crowd.come(*"abcdefgh")
    await crowd.come(*"stu", stream=True)
    assert limiter.remaining_today == 1
    await crowd.done()
    assert crowd.order == "abcde"
    assert asyncio.get_running_loop().time() == pytest.approx(WINDOW)
    assert sum(isinstance(task.exception(), QuotaExceededError) for task in crowd.tasks) == 6
    with pytest.raises(QuotaExceededError, match="2030-05-18 00:00:00") as caught:
        await limiter.acquire(Turn())
    assert caught.value.resets_at == limiter.resets_at == MIDNIGHT
    assert limiter.remaining_today == 0
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    assert_idle(limiter)


@in_virtual_time
async def test_the_server_is_believed_over_our_count(caplog: pytest.LogCaptureFixture) -> None:
    limiter, _ = limiter_at(NOON)
    crowd = Crowd(limiter)
    await crowd.come(*"abcdef")
    await crowd.come("s", stream=True)
    for _ in range(4):
        await limiter.quota_exceeded()
    await crowd.done()
    assert crowd.order == "abcd"
    assert asyncio.get_running_loop().time() == 0
    assert limiter.remaining_today == 0
    assert limiter.resets_at == MIDNIGHT
    with pytest.raises(QuotaExceededError):
        await limiter.acquire(Turn(stream=True))
    assert len(caplog.records) == 1


@in_virtual_time
async def test_without_a_daily_limit_only_the_server_ends_the_day() -> None:
    limiter, _ = limiter_at(NOON, daily=None)
    await limiter.acquire(Turn())
    assert limiter.remaining_today is None
    await limiter.quota_exceeded()
    with pytest.raises(QuotaExceededError):
        await limiter.acquire(Turn())


@in_virtual_time
async def test_a_new_day_frees_the_quota() -> None:
    limiter, clock = limiter_at(NOON, daily=2)
    for _ in range(2):
        await limiter.acquire(Turn())
    clock.set(MIDNIGHT - timedelta(seconds=1))
    with pytest.raises(QuotaExceededError):
        await limiter.acquire(Turn())
    clock.set(MIDNIGHT)
    await limiter.acquire(Turn())
    assert limiter.remaining_today == 1
    assert limiter.resets_at == MIDNIGHT + timedelta(days=1)


@in_virtual_time
async def test_a_new_day_frees_what_the_server_called_spent() -> None:
    limiter, clock = limiter_at(NOON)
    await limiter.quota_exceeded()
    clock.set(MIDNIGHT)
    await limiter.acquire(Turn())
    assert limiter.remaining_today == 9_999


@in_virtual_time
async def test_a_report_just_after_midnight_is_soon_put_to_the_test(caplog: pytest.LogCaptureFixture) -> None:
    limiter, clock = limiter_at(MIDNIGHT + timedelta(seconds=2))
    for _ in range(3):
        await limiter.quota_exceeded()
        clock.offset += 0.5
    assert limiter.resets_at == MIDNIGHT + timedelta(seconds=62)
    with pytest.raises(QuotaExceededError):
        await limiter.acquire(Turn())
    assert len(caplog.records) == 1
    clock.set(limiter.resets_at)
    await limiter.acquire(Turn())
    assert limiter.remaining_today == 9_999
    clock.set(MIDNIGHT + timedelta(minutes=6))
    await limiter.quota_exceeded()
    assert limiter.resets_at == MIDNIGHT + timedelta(days=1)


@in_virtual_time
async def test_a_clock_that_steps_back_frees_nothing_before_the_midnight_it_shows() -> None:
    limiter, clock = limiter_at(MIDNIGHT + timedelta(hours=1), daily=1)
    await limiter.acquire(Turn())
    for earlier in (timedelta(hours=1), timedelta(days=400)):
        clock.set(MIDNIGHT - earlier)
        with pytest.raises(QuotaExceededError):
            await limiter.acquire(Turn())
    clock.set(MIDNIGHT - timedelta(days=399))
    await limiter.acquire(Turn())


@in_virtual_time
async def test_a_clock_that_was_years_ahead_does_not_hold_the_quota_for_years() -> None:
    limiter, clock = limiter_at(NOON + timedelta(days=4_000), daily=1)
    await limiter.quota_exceeded()
    clock.set(NOON)
    with pytest.raises(QuotaExceededError):
        await limiter.acquire(Turn())
    clock.set(MIDNIGHT)
    await limiter.acquire(Turn())


@in_virtual_time
async def test_what_is_handed_back_after_midnight_was_not_of_the_new_day() -> None:
    limiter, clock = limiter_at(NOON, rate=1, daily=10)
    crowd, loop = Crowd(limiter), asyncio.get_running_loop()
    await crowd.come("a")
    granted = await crowd.come("b")

    def midnight() -> None:
        clock.set(MIDNIGHT)
        assert limiter.remaining_today == 10
        granted.cancel()

    loop.call_at(WINDOW, midnight)
    await crowd.done()
    assert limiter.remaining_today == 10


@in_virtual_time
async def test_the_quota_may_end_while_a_waiter_is_being_cancelled() -> None:
    crowd = Crowd(RateLimiter(1))
    await crowd.come("a")
    doomed = await crowd.come("b")
    doomed.cancel()
    await crowd.limiter.quota_exceeded()
    await crowd.done()
    assert doomed.cancelled()
    assert_idle(crowd.limiter)


# --- event loops ------------------------------------------------------------------------------------------


def test_one_limiter_serves_one_loop_after_the_other_and_the_window_holds() -> None:
    limiter = RateLimiter(2)

    async def times(count: int) -> list[float]:
        crowd = Crowd(limiter)
        await crowd.come(*"x" * count)
        await crowd.done()
        return crowd.times

    assert run(times(2), start=100.0) == [100.0, 100.0]
    assert run(times(1), start=100.5) == pytest.approx([100.0 + WINDOW])
    # A clock that began anew says nothing about the past: as if everything had been sent just now.
    assert run(times(1), start=7.0) == pytest.approx([7.0 + WINDOW])
    assert limiter.remaining_today == 9_996


def test_a_second_loop_beside_the_first_is_refused() -> None:
    limiter = RateLimiter()

    def use_elsewhere() -> None:
        with pytest.raises(InvalidRequestError, match="one event loop"):
            run(limiter.acquire(Turn()))

    async def main() -> None:
        await limiter.acquire(Turn())
        other = threading.Thread(target=use_elsewhere)
        other.start()
        other.join()

    run(main())
    assert limiter.remaining_today == 9_999


@pytest.fixture
def abandoned() -> Iterator[tuple[RateLimiter, VirtualTimeLoop, list[asyncio.Task[None]]]]:
    """A limiter of 1 whose loop stopped for good while one request was granted and another one waited."""
    limiter, loop = RateLimiter(1), VirtualTimeLoop()
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        await limiter.acquire(Turn())
        tasks.extend(loop.create_task(limiter.acquire(Turn())) for _ in range(2))
        loop.call_at(WINDOW, loop.stop)
        await asyncio.sleep(10)

    task = loop.create_task(main())
    loop.run_forever()
    tasks.append(task)
    yield limiter, loop, tasks
    loop.close()


def test_a_loop_that_is_only_interrupted_keeps_its_limiter(
    abandoned: tuple[RateLimiter, VirtualTimeLoop, list[asyncio.Task[None]]],
) -> None:
    limiter, loop, tasks = abandoned
    with pytest.raises(InvalidRequestError):
        run(limiter.acquire(Turn()))
    loop.run_until_complete(asyncio.gather(*tasks))
    run(limiter.acquire(Turn()))
    assert limiter.remaining_today == 9_996


def test_what_waited_in_a_closed_loop_blocks_nobody(
    abandoned: tuple[RateLimiter, VirtualTimeLoop, list[asyncio.Task[None]]],
) -> None:
    limiter, loop, tasks = abandoned
    loop.close()
    run(limiter.acquire(Turn()), start=20.0)
    destroy(tasks)
    assert limiter.remaining_today == 9_997
    assert not limiter._waiting


def test_tasks_of_a_closed_loop_may_be_destroyed_before_the_limiter_is_used_again(
    abandoned: tuple[RateLimiter, VirtualTimeLoop, list[asyncio.Task[None]]],
) -> None:
    limiter, loop, tasks = abandoned
    loop.close()
    destroy(tasks)
    run(limiter.acquire(Turn()), start=20.0)
    assert limiter.remaining_today == 9_998


def destroy(tasks: list[asyncio.Task[None]]) -> None:
    """What the garbage collector does to the tasks of a closed loop, without its complaint."""
    for task in tasks:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        coroutine = task.get_coro()
        assert coroutine is not None
        coroutine.close()


def test_a_pause_does_not_outlast_the_loop_by_more_than_a_minute() -> None:
    limiter = RateLimiter()

    async def main() -> float:
        await limiter.acquire(Turn())
        return asyncio.get_running_loop().time()

    run(limiter.throttled(), start=50_000.0)
    assert run(main()) == 60.0


def test_the_limiter_is_what_the_client_asks_for() -> None:
    limiter: Limiter = RateLimiter()
    calls: list[Callable[..., Awaitable[None]]] = [limiter.acquire, limiter.throttled, limiter.quota_exceeded]
    assert all(map(asyncio.iscoroutinefunction, calls))
