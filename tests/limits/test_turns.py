"""Who goes first at the limiter, and what becomes of the turn of a waiter that was cancelled."""

import asyncio
import random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from support.virtual_time import VirtualTimeLoop, in_virtual_time, run
from support.waiting_requests import NOON, SPACE, WINDOW, Crowd, assert_idle, limiter_at

from cc_async.limits.local import RateLimiter
from cc_async.limits.protocol import Turn

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
