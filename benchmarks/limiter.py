"""What the rate limiter reaches: the share of the ceiling, what a server refuses, and a caller's wait.

First alone, then with several processes that share a key but no limiter.

Runs in virtual time against simulated servers, so it takes seconds and gives the same figures everywhere:
`python -m benchmarks.limiter`.
"""

import asyncio
import logging
import random
import statistics

from cc_async.limits import local as limits
from tests.support.virtual_time import MODELS, SimulatedServer, run

CALLS = 400
JITTERS = (0.0, 0.02, 0.05)
READ_AHEAD = 12
CROWDS = ((4, 12), (4, 8), (8, 8), (4, 100))
SEEDS = 20


async def burst(server: SimulatedServer, *, stream: bool) -> float:
    """The share of the ceiling that many requests reach which are all there from the start."""
    limiter = limits.RateLimiter()
    await asyncio.gather(*(server.request(limiter, stream=stream) for _ in range(CALLS)))
    return CALLS / 4 / asyncio.get_running_loop().time()


async def beside_a_stream(server: SimulatedServer) -> list[float]:
    """What a caller waits for its turn who comes now and then, while a stream always has requests waiting."""
    limiter = limits.RateLimiter(daily=None)

    async def greedy() -> None:
        while True:
            await server.request(limiter, stream=True)

    streams = [asyncio.create_task(greedy()) for _ in range(READ_AHEAD)]
    waits = []
    for _ in range(100):
        await asyncio.sleep(server.random.uniform(1.0, 3.0))
        waits.append(await server.request(limiter))
    for task in streams:
        task.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    return waits


async def crowd(server: SimulatedServer, processes: int, calls: int, start: float) -> float:
    """The seconds until all calls of all processes are accepted, which begin within `start` seconds of each other."""

    async def process() -> None:
        limiter = limits.RateLimiter()
        await asyncio.sleep(server.random.uniform(0.0, start))
        await asyncio.gather(*(server.request(limiter) for _ in range(calls)))

    await asyncio.gather(*(process() for _ in range(processes)))
    return asyncio.get_running_loop().time()


async def at_random(server: SimulatedServer, processes: int, per_second: float) -> list[float]:
    """How much longer than alone each call takes, from its start until it is accepted."""
    loop, limiters = asyncio.get_running_loop(), [limits.RateLimiter() for _ in range(processes)]

    async def call(limiter: limits.RateLimiter) -> float:
        begun = loop.time()
        await server.request(limiter)
        return loop.time() - begun - 0.2

    calls = []
    for _ in range(CALLS):
        await asyncio.sleep(server.random.expovariate(per_second))
        calls.append(asyncio.create_task(call(server.random.choice(limiters))))
    return await asyncio.gather(*calls)


def several_processes() -> None:
    """Print what processes reach that share a key but no limiter, over SEEDS runs with 20 ms of jitter."""
    print("\nSeveral processes on one key without a shared limiter: mean and worst")
    print("server          processes x calls  start     of ideal     refused")
    for name, model in MODELS.items():
        for processes, calls in CROWDS:
            for start in (0.0, 1.0):
                times, refused = [], []
                for seed in range(SEEDS if calls < CALLS / 4 else SEEDS // 4):
                    random.seed(seed)
                    server = SimulatedServer(model(4), 0.02, seed)
                    times.append(run(crowd(server, processes, calls, start)) / (processes * calls / 4))
                    refused.append(server.refused / (server.refused + server.accepted))
                row = f"{name:15} {processes:9} x {calls:<5}  {start:3.0f} s"
                row += f"  {statistics.mean(times):5.2f}  {max(times):5.2f}"
                print(f"{row}  {statistics.mean(refused):4.0%}  {max(refused):4.0%}")
    print("\nFour processes that together offer half of the limit, 2 calls/s at random: the wait, s")
    print("server          median   p95    p99")
    for name, model in MODELS.items():
        waits = []
        for seed in range(SEEDS):
            random.seed(seed)
            waits += run(at_random(SimulatedServer(model(4), 0.02, seed), 4, 2.0))
        percent = statistics.quantiles(waits, n=100)
        print(f"{name:15} {percent[49]:6.2f} {percent[94]:5.2f}  {percent[98]:5.2f}")


def main() -> None:
    logging.getLogger("cc_async").setLevel(logging.ERROR)
    print(f"{CALLS} requests at once, and a caller beside a stream that reads {READ_AHEAD} ahead")
    print("                        callers             stream              caller's wait, s")
    print("server          jitter  of ceiling refused  of ceiling refused  median   max")
    for name, model in MODELS.items():
        for jitter in JITTERS:
            random.seed(1)
            row = f"{name:15} {jitter * 1e3:3.0f} ms"
            for stream in (False, True):
                server = SimulatedServer(model(4), jitter)
                row += f"  {run(burst(server, stream=stream)):9.1%}  {server.refused:6}"
            waits = run(beside_a_stream(SimulatedServer(model(4), jitter)))
            print(f"{row}  {statistics.median(waits):6.2f}  {max(waits):4.2f}")
    several_processes()


if __name__ == "__main__":
    main()
