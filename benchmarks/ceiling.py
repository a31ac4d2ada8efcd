"""How near a stream comes to the ceiling of 4 requests a second, beside one page at a time and a hand-written loop.

`python -m benchmarks.ceiling` takes the true latencies and limits, about four minutes; `--scale 10` divides all times
by ten, and the limit's window with them, so that the shares stay nearly the same.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import attrs

from cc_async import ConstantContact, RateLimiter
from cc_async.sandbox import Sandbox

_ROOT = Path(__file__).parents[1]

RATE = 4
PAGE = 50
"""Contacts a page: the time of decoding them is not what is measured here."""
Results = dict[str, dict[str, float]]


@attrs.frozen
class Server:
    """The sandbox, as its clients see it."""

    base_url: str
    token: str
    process: "subprocess.Popen[str]"

    def counts(self) -> dict[str, int]:
        """How many requests came since the last time, and how many of them were refused."""
        assert self.process.stdin is not None  # noqa: S101  # opened below, for the type checker
        self.process.stdin.write("counts\n")
        self.process.stdin.flush()
        counts: dict[str, int] = _line(self.process)
        return counts


def _line(process: "subprocess.Popen[str]") -> Any:
    assert process.stdout is not None  # noqa: S101  # opened below, for the type checker
    return json.loads(process.stdout.readline())


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[Server]:
    """A sandbox with these settings that runs as long as the block."""
    command = [sys.executable, "-m", __spec__.name, "--serve", json.dumps(settings)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:  # noqa: S603  # this file
        try:
            yield Server(**_line(process), process=process)
        finally:
            process.terminate()


async def serve(settings: dict[str, Any]) -> None:
    """Serve until standard input ends."""
    async with Sandbox(**settings) as box:
        print(json.dumps({"base_url": box.base_url, "token": box.access_token}), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            refused = sum(record.status == 429 for record in box.requests)
            print(json.dumps({"requests": len(box.requests), "refused": refused}), flush=True)
            box.requests.clear()


def stream(read_ahead: int, scale: float) -> Callable[[Server], Coroutine[Any, Any, int]]:
    """Our stream; how many contacts it gave."""

    async def run(server: Server) -> int:
        limiter = RateLimiter(RATE, per=1 / scale, daily=None)
        async with ConstantContact(server.token, base_url=server.base_url, rate_limiter=limiter) as cc:
            return len(await cc.contacts.list(status="all", limit=PAGE, read_ahead=read_ahead).collect())

    return run


async def loop_by_hand(server: Server) -> int:
    """What one writes without a library: follow the links."""
    count, url = 0, f"{server.base_url}/contacts?status=all&limit={PAGE}"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {server.token}"}) as session:
        while True:
            async with session.get(url) as response:
                page: Any = json.loads(await response.read())
            count += len(page["contacts"])
            if "_links" not in page:
                return count
            url = server.base_url.removesuffix("/v3") + page["_links"]["next"]["href"]


def measure(
    pages: int, latency: float, scale: float, strategies: dict[str, Callable[[Server], Coroutine[Any, Any, int]]]
) -> Results:
    """Run each strategy against one strict server."""
    found: Results = {}
    settings = {"latency": latency / scale, "jitter": 0.05 / scale, "per": 1 / scale, "rate": RATE, "daily": None}
    with serving(contacts=pages * PAGE, **settings) as server:
        for name, strategy in strategies.items():
            time.sleep(1 / scale)  # the limit's window of the strategy before
            began = time.perf_counter()
            contacts = asyncio.run(strategy(server))
            took = (time.perf_counter() - began) * scale
            counts = server.counts()
            found[f"{pages} pages at {latency} s, {name}"] = {
                "seconds": took,
                "of the ceiling": took / (pages / RATE + latency),
                "requests too many": counts["requests"] - pages,
                "refused": counts["refused"],
                "complete": contacts == pages * PAGE,
            }
    return found


def main(arguments: Sequence[str] = ()) -> Results:
    """Measure, print the table and return it; the times are those before scaling."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="divide every time by this")
    parser.add_argument("--short", action="store_true", help="leave the 400 pages out")
    given = parser.parse_args(arguments)
    ours = stream(12, given.scale)
    every = {"read_ahead=12": ours, "read_ahead=0": stream(0, given.scale), "loop by hand": loop_by_hand}
    results = measure(48, 1.0, given.scale, every)
    if not given.short:
        results |= measure(400, 2.5, given.scale, {"read_ahead=12": ours})
    print(f"{'':36}  seconds  x ceiling  too many  refused")
    for name, row in results.items():
        figures = (
            f"{row['seconds']:9.1f}{row['of the ceiling']:11.2f}{row['requests too many']:10.0f}{row['refused']:9.0f}"
        )
        print(f"{name:36}{figures}{'' if row['complete'] else '  INCOMPLETE'}")
    return results


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(json.loads(sys.argv[2])))
    else:
        main(sys.argv[1:])
