"""Processes that share a limit through Redis or Valkey, and the server that they send to.

The server enforces a strict sliding window and counts for itself. A worker is a process that is started with
`python -m benchmarks.redis_processes` and a JSON object that tells it what to do.
"""

import asyncio
import collections
import contextlib
import json
import logging
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from tests.support.redis_server import EXECUTABLE, RedisServer

from .rounds import environment

RATE: Final = 4
PER: Final = 1.0
KEY: Final = "limit"
STREAMS: Final = "s" * 8
"""The kinds of eight workers: `s` is a stream, and `c` sends one call after another with pauses."""
_READ_AHEAD: Final = 12


def missing() -> str:
    """Return why this cannot run here, or nothing."""
    if EXECUTABLE is None:
        return "neither redis-server nor valkey-server is installed"
    try:
        import redis.asyncio  # noqa: F401, PLC0415  # only asked for here
    except ImportError:
        return "the extra redis is not installed"
    return ""


class Server:
    """Refuses what arrives too soon after the others, and remembers what arrived."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, str]] = []
        self.refused = 0
        self.url = ""
        self._accepted: collections.deque[float] = collections.deque(maxlen=RATE)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Server"]:
        """Listen on a free port."""
        app = web.Application()
        app.router.add_get("/{name}", self._respond)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _respond(self, request: web.Request) -> web.Response:
        now = time.monotonic()
        self.arrivals.append((now, request.match_info["name"]))
        if len(self._accepted) == RATE and now - self._accepted[0] < PER:
            self.refused += 1
            return web.json_response({"error_key": "throttled"}, status=429)
        self._accepted.append(now)
        return web.json_response({})

    def shortest_window(self) -> float:
        """The shortest time in which one more than `RATE` requests arrived."""
        times = sorted(when for when, _ in self.arrivals)
        return min((later - sooner for sooner, later in zip(times, times[RATE:], strict=False)), default=float("inf"))


class Worker:
    """A process that sends requests until it is told to stop, or killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, redis_url: str, api_url: str, kind: str, *, shift: int = 0, seed: int = 0) -> "Worker":
        """Start one and wait until it is ready to send."""
        task = {"redis": redis_url, "api": api_url, "kind": kind, "shift": shift, "seed": seed}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __spec__.name, json.dumps(task)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(),
        )
        worker = cls(process)
        await worker._line()
        return worker

    async def _line(self) -> Any:
        assert self._process.stdout is not None  # noqa: S101  # piped above, for the type checker
        return json.loads(await self._process.stdout.readline())

    def _tell(self) -> None:
        assert self._process.stdin is not None  # noqa: S101  # piped above, for the type checker
        self._process.stdin.write(b"\n")

    def go(self) -> None:
        """Let it send."""
        self._tell()

    async def stop(self) -> list[float]:
        """Return the seconds that each of its requests has waited."""
        self._tell()
        waits: list[float] = await self._line()
        await self._process.wait()
        return waits

    async def kill(self) -> None:
        """End it at once, as a crash does."""
        self._process.kill()
        await self._process.wait()


async def _work(task: dict[str, Any]) -> None:
    """Be a worker."""
    import redis.asyncio  # noqa: PLC0415  # after the clock is wrong

    from cc_async.limits.protocol import Turn  # noqa: PLC0415  # after the clock is wrong
    from cc_async.redis import RedisRateLimiter  # noqa: PLC0415  # after the clock is wrong

    stream, name, waits = task["kind"] == "s", str(task["seed"]), list[float]()
    chance = random.Random(task["seed"])  # noqa: S311  # the same pauses in every run
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with (
        redis.asyncio.from_url(task["redis"]) as client,
        RedisRateLimiter(client, KEY, rate=RATE, per=PER) as limiter,
        aiohttp.ClientSession(task["api"]) as session,
    ):

        async def send_for_ever() -> None:
            while True:
                began = time.monotonic()
                await limiter.acquire(Turn(stream=stream))
                waits.append(time.monotonic() - began)
                async with session.get(f"/{name}") as response:
                    if response.status == 429:
                        await limiter.throttled()
                if not stream:
                    await asyncio.sleep(chance.uniform(0.2, 1.2))

        print("{}", flush=True)
        await reader.readline()
        sending = [asyncio.create_task(send_for_ever()) for _ in range(_READ_AHEAD if stream else 1)]
        await asyncio.wait([*sending, told := asyncio.create_task(reader.readline())], return_when="FIRST_COMPLETED")
        if not told.done():
            told.cancel()
        for one in sending:
            one.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
    print(json.dumps(waits), flush=True)


def _set_clock(shift: int) -> None:
    """Let this process have a wrong wall clock."""
    import datetime as dt  # noqa: PLC0415  # to replace what is in it

    right, right_ns, original = time.time, time.time_ns, dt.datetime

    class Wrong(original):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return original.now(tz) + dt.timedelta(seconds=shift)

    time.time = lambda: right() + shift
    time.time_ns = lambda: right_ns() + shift * 1_000_000_000
    dt.datetime = Wrong  # type: ignore[misc]


@contextlib.contextmanager
def redis_server(*, persistent: bool) -> Iterator[RedisServer]:
    """Start a Redis or Valkey server with an empty data folder."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder, "data"), persistent=persistent)
        server.start()
        try:
            yield server
        finally:
            server.kill()


if __name__ == "__main__":
    logging.getLogger("cc_async").setLevel(logging.ERROR)
    given: dict[str, Any] = json.loads(sys.argv[1])
    _set_clock(given["shift"])
    asyncio.run(_work(given))
