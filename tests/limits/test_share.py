"""Several processes that share a key but no limiter: each finds its share of the rate from what is refused."""

import asyncio
import random
import statistics
from itertools import pairwise

import pytest
from support.virtual_time import MODELS, SimulatedServer, in_virtual_time, run

from cc_async.limits.local import RateLimiter
from cc_async.limits.protocol import Turn
from cc_async.limits.share import Share

WINDOW = 1.04
STRICT = ["sliding window", "fixed window"]


async def crowd(server: SimulatedServer, processes: int, calls: int) -> float:
    """Let each process begin all its calls at once; return the seconds until the last was accepted."""
    limiters = [RateLimiter() for _ in range(processes)]
    await asyncio.gather(*(server.request(limiter) for limiter in limiters for _ in range(calls)))
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("jitter", [0.0, 0.02])
@pytest.mark.parametrize("model", STRICT)
def test_four_processes_with_twelve_calls_each_stay_near_the_limit(model: str, jitter: float, seed: int) -> None:
    random.seed(seed)
    server = SimulatedServer(MODELS[model](4), jitter, seed)
    assert run(crowd(server, 4, 12)) <= 1.5 * 12
    assert server.accepted == 48
    assert server.refused / (server.accepted + server.refused) <= 0.25


@pytest.mark.parametrize("model", STRICT)
def test_four_processes_with_much_to_do_share_the_limit_and_are_seldom_refused(model: str) -> None:
    random.seed(1)
    server = SimulatedServer(MODELS[model](4), 0.02)
    assert run(crowd(server, 4, 100)) <= 1.35 * 100
    assert server.refused / (server.accepted + server.refused) <= 0.15


@pytest.mark.parametrize("model", STRICT)
def test_single_calls_at_half_the_limit_wait_two_seconds_at_most_in_95_of_100_cases(model: str) -> None:
    waits: list[float] = []

    async def call(server: SimulatedServer, limiter: RateLimiter) -> None:
        begun = asyncio.get_running_loop().time()
        await server.request(limiter)
        waits.append(asyncio.get_running_loop().time() - begun)

    async def main(server: SimulatedServer) -> None:
        limiters = [RateLimiter() for _ in range(4)]
        async with asyncio.TaskGroup() as group:
            for _ in range(400):
                await asyncio.sleep(server.random.expovariate(2.0))
                group.create_task(call(server, server.random.choice(limiters)))

    for seed in range(5):
        random.seed(seed)
        run(main(SimulatedServer(MODELS[model](4), 0.02, seed)))
    assert statistics.quantiles(waits, n=20)[-1] <= 2.0


@pytest.mark.parametrize("jitter", [0.0, 0.02, 0.05])
@pytest.mark.parametrize("model", MODELS)
def test_a_process_alone_keeps_the_whole_rate_whatever_jitter_makes_the_server_refuse(
    model: str, jitter: float
) -> None:
    async def main() -> None:
        limiter = RateLimiter()
        server = SimulatedServer(MODELS[model](4), jitter)
        await asyncio.gather(*(server.request(limiter) for _ in range(400)))
        assert limiter._share.level == 1.0
        assert not limiter._share.in_company(0.0)

    random.seed(1)
    run(main())


@in_virtual_time
async def test_refusals_of_a_burst_out_of_silence_lower_the_rate_to_what_was_accepted() -> None:
    limiter, loop = RateLimiter(), asyncio.get_running_loop()
    times: list[float] = []

    async def call() -> None:
        await limiter.acquire(Turn())
        times.append(loop.time())

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(call())
        await asyncio.sleep(0.2)
        for _ in range(3):
            await limiter.throttled()
    assert times[:4] == [0.0] * 4
    spaces = [late - early for early, late in pairwise(times[4:])]
    assert spaces == pytest.approx([WINDOW] * 3, rel=0.01)


@in_virtual_time
async def test_the_whole_rate_comes_back_when_nothing_is_refused_any_more() -> None:
    limiter, loop = RateLimiter(), asyncio.get_running_loop()
    await asyncio.gather(*(limiter.acquire(Turn()) for _ in range(4)))
    for _ in range(4):
        await limiter.throttled()
    await asyncio.sleep(40 * WINDOW)
    before = loop.time()
    await asyncio.gather(*(limiter.acquire(Turn()) for _ in range(4)))
    assert loop.time() == before


def share_after(*refusals: tuple[float, int], share: Share | None = None) -> Share:
    """A share in full use that met refusals at these times, each after so many requests."""
    share = share or Share(rate=4, window=1.0)
    for time, sent in refusals:
        share.sent = sent
        share.lower(time, recent=min(sent, 4), waiting=8)
        share.grow_from(time)
    return share


def test_the_larger_a_share_the_more_of_it_is_given_up() -> None:
    large, small = Share(rate=4, window=1.0, level=0.8, since=0.0), Share(rate=4, window=1.0, level=0.2, since=0.0)
    for share in (large, small):
        share_after((0.0, 3), share=share)
    assert large.at(0.0) == pytest.approx(0.8 * 0.4)
    assert small.at(0.0) == pytest.approx(0.2 * 0.85)


def test_a_share_is_never_given_up_altogether() -> None:
    assert share_after(*((float(time), 3) for time in range(1_000))).at(1_000.0) >= 1 / 16


def test_a_server_that_refuses_everything_is_met_with_pauses_and_not_with_a_smaller_share() -> None:
    assert share_after((1.0, 1), (2.0, 1), (3.0, 1)).at(3.0) == 1.0


def test_a_process_that_sends_one_request_now_and_then_gives_nothing_up() -> None:
    share = Share(rate=4, window=1.0, sent=2)
    share.lower(1.0, recent=1, waiting=0)
    assert share.in_company(1.0)
    assert share.at(1.0) == 1.0


def test_company_is_forgotten_after_a_minute_without_evidence() -> None:
    share = share_after((1.0, 3))
    assert share.in_company(60.0)
    assert not share.in_company(61.0)


def test_an_event_loop_with_an_earlier_clock_does_not_keep_a_share_small() -> None:
    limiter = RateLimiter()

    async def refused() -> None:
        await asyncio.gather(*(limiter.acquire(Turn()) for _ in range(4)))
        for _ in range(4):
            await limiter.throttled()

    async def share_after_40_windows() -> float:
        await limiter.acquire(Turn())
        return limiter._share.at(asyncio.get_running_loop().time() + 40 * WINDOW)

    run(refused(), start=50_000.0)
    assert run(share_after_40_windows()) == 1.0
