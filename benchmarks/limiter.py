"""What the rate limiter reaches: the share of the ceiling, what a server refuses, and a caller's wait.

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


if __name__ == "__main__":
    main()
