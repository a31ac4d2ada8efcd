"""One limit for many processes: eight of them on one key of a real Redis or Valkey server, in real time.

They send to a server that enforces a strict sliding window and counts for itself. What counts: nothing is refused, the
share of the ceiling, that of each process, the commands a request costs, and what a caller waits for beside streams.
`benchmarks.redis_hostile` kills them.
"""

import argparse
import asyncio
import collections
import statistics
import time
from typing import Any, Final

from tests.support.tcp_proxy import TcpProxy

from .redis_processes import PER, RATE, STREAMS, Server, Worker, missing, redis_server
from .rounds import Figures, table

BESIDE: Final = "s" * 7 + "c"
SECONDS: Final = (60.0, 10.0)
"""The length of a run, and that of a quick one."""
WARM_UP: Final = 2.5
"""Seconds that do not count: the first window counts as used, and the processes come one after another."""
LATENCIES: Final = (0.0, 0.005, 0.05)
"""Seconds of a round trip to Redis."""


def main(*, quick: bool = False, seconds: float | None = None) -> Figures:
    if reason := missing():
        print(f"\nredis_limiter: skipped, because {reason}.")
        return {}
    length = seconds or SECONDS[quick]
    figures: Figures = {}
    rows = []
    for kinds, latency in (*((STREAMS, latency) for latency in LATENCIES), (BESIDE, 0.0)):
        run = asyncio.run(_measure(kinds, latency, length))
        calls = kinds.count("c")
        name = f"{len(kinds) - calls} streams" + f", {calls} caller" * bool(calls) + f", {latency * 1e3:g} ms to Redis"
        figures[name] = run
        rows.append(
            [
                name,
                str(run["refused"]),
                f"{run['of the ceiling']:.1%}",
                f"{run['least share']:.0%} to {run['largest share']:.0%}",
                f"{run['commands']:.2f}",
                f"{run['wait']:.2f} s" if "wait" in run else "",
            ]
        )
    head = [
        "",
        "refused",
        "of the ceiling",
        "of a stream's equal share",
        "commands per request",
        "a caller's median wait",
    ]
    table(f"{len(STREAMS)} processes that share a limit through Redis, {length:g} s", head, rows)
    return figures


async def _measure(kinds: str, latency: float, seconds: float) -> Figures:
    import redis.asyncio  # noqa: PLC0415  # may be missing

    with redis_server(persistent=False) as shared:
        async with (
            TcpProxy(shared.port, latency=latency / 2) as proxy,
            Server().serving() as server,
            redis.asyncio.from_url(shared.url) as admin,
        ):
            url = proxy.url if latency else shared.url
            workers = await asyncio.gather(
                *(Worker.start(url, server.url, kind, seed=number) for number, kind in enumerate(kinds))
            )
            for worker in workers:
                worker.go()
            await asyncio.sleep(WARM_UP)
            began, commands = time.monotonic(), await _commands(admin)
            await asyncio.sleep(seconds)
            ended, commands = time.monotonic(), await _commands(admin) - commands
            waits = await asyncio.gather(*(worker.stop() for worker in workers))
    within = [(when, name) for when, name in server.arrivals if began <= when <= ended]
    times = [when for when, _ in within]
    sent = collections.Counter(name for _, name in within)
    streams = [sent[str(number)] for number, kind in enumerate(kinds) if kind == "s"]
    figures: Figures = {
        "refused": server.refused,
        "requests": len(within),
        "of the ceiling": (len(times) - 1) / (times[-1] - times[0]) * PER / RATE,
        "least share": min(streams) / statistics.mean(streams),
        "largest share": max(streams) / statistics.mean(streams),
        "commands": commands / len(within),
    }
    if calls := [wait for kind, found in zip(kinds, waits, strict=True) if kind == "c" for wait in found]:
        figures["wait"] = statistics.median(calls)
    return figures


async def _commands(admin: Any) -> int:
    """How often the script has run: the limiter sends nothing else."""
    stats = await admin.info("commandstats")
    return int(stats["cmdstat_eval"]["calls"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{SECONDS[True]:g} s a run instead of {SECONDS[False]:g}")
    parser.add_argument("--seconds", type=float, help="the length of a run")
    given = parser.parse_args()
    main(quick=given.quick, seconds=given.seconds)
