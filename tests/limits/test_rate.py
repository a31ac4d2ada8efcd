"""How many requests may go in a window, and how evenly."""

import asyncio
import random
from typing import Any

import pytest
from support.virtual_time import MODELS, SimulatedServer, VirtualTimeLoop, in_virtual_time, run
from support.waiting_requests import SPACE, WINDOW, Crowd

from cc_async.errors import InvalidRequestError
from cc_async.limits.local import RateLimiter


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
