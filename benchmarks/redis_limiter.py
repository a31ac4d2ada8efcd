"""One limit for many processes: eight of them on one key of a real Redis or Valkey server, in real time.

They send to a server that enforces a strict sliding window and counts for itself. What counts: nothing is refused, the
share of the ceiling, that of each process, the commands a request costs, and what a caller waits for beside streams.

`--hostile` kills processes and the Redis server at random instants instead, on machines whose clocks are five minutes
apart, and compares the count on Redis with that of the server.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import logging
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from tests.support.redis_server import EXECUTABLE, RedisServer
from tests.support.tcp_proxy import TcpProxy

from .rounds import Figures, environment, table

RATE: Final = 4
PER: Final = 1.0
KEY: Final = "limit"
READ_AHEAD: Final = 12
STREAMS: Final = "s" * 8
BESIDE: Final = "s" * 7 + "c"
SECONDS: Final = (60.0, 10.0)
"""The length of a run, and that of a quick one."""
WARM_UP: Final = 2.5
"""Seconds that do not count: the first window counts as used, and the processes come one after another."""
LATENCIES: Final = (0.0, 0.005, 0.05)
"""Seconds of a round trip to Redis."""
SHIFTS: Final = (-300, 0, 300)
"""Seconds by which the wall clocks of the simulated machines are wrong."""
KILLS: Final = 50
RESTARTS: Final = 10
_KEPT: Final = ("all", "nothing", "all", "older")
"""What the Redis server has of its data after one restart and the next."""
_USED: Final = """
local raw = redis.call('GET', KEYS[1])
if not raw then return -1 end
return cmsgpack.unpack(raw).used
"""


def main(*, quick: bool = False, seconds: float | None = None) -> Figures:
    if missing := _missing():
        print(f"\nredis_limiter: skipped, because {missing}.")
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


def _missing() -> str:
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
            *(sys.executable, "-m", __spec__.name, "--work", json.dumps(task)),
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


async def work(task: dict[str, Any]) -> None:
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
        sending = [asyncio.create_task(send_for_ever()) for _ in range(READ_AHEAD if stream else 1)]
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
def _redis_server(*, persistent: bool) -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder, "data"), persistent=persistent)
        server.start()
        try:
            yield server
        finally:
            server.kill()


async def _measure(kinds: str, latency: float, seconds: float) -> Figures:
    import redis.asyncio  # noqa: PLC0415  # may be missing

    with _redis_server(persistent=False) as redis_server:
        async with (
            TcpProxy(redis_server.port, latency=latency / 2) as proxy,
            Server().serving() as server,
            redis.asyncio.from_url(redis_server.url) as admin,
        ):
            url = proxy.url if latency else redis_server.url
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


class Hostile:
    """Kills processes and the Redis server, and watches the limit and the count meanwhile."""

    def __init__(self, seconds: float, seed: int) -> None:
        self._seconds = seconds
        self._random = random.Random(seed)  # noqa: S311  # a run that can be repeated
        self._workers: list[Worker] = []
        self._number = 0
        self._lost_at: float | None = None
        self.least_ahead: int | None = None
        self.most_ahead = 0
        self.kills = self.restarts = 0

    async def run(self) -> Server:
        """Return the server that saw the requests."""
        import redis.asyncio  # noqa: PLC0415  # may be missing

        with _redis_server(persistent=True) as redis_server:
            async with (
                Server().serving() as server,
                redis.asyncio.from_url(redis_server.url) as admin,
            ):
                self._redis, self._server, self._admin = redis_server, server, admin
                self._workers = list(await asyncio.gather(*(self._new() for _ in STREAMS)))
                watching = asyncio.create_task(self._watch())
                await asyncio.gather(self._kill(), self._restart())
                await asyncio.sleep(5)
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
                await self._compare()
                for worker in self._workers:
                    await worker.kill()
        return server

    async def _new(self) -> Worker:
        self._number += 1
        number = self._number
        shift = SHIFTS[number % len(SHIFTS)]
        kind = "c" if number % 4 == 0 else "s"
        worker = await Worker.start(self._redis.url, self._server.url, kind, shift=shift, seed=number)
        worker.go()
        return worker

    async def _kill(self) -> None:
        for _ in range(KILLS):
            await asyncio.sleep(self._random.uniform(0.2, 1.8) * self._seconds / KILLS)
            place = self._random.randrange(len(self._workers))
            await self._workers[place].kill()
            self._workers[place] = await self._new()
            self.kills += 1

    async def _restart(self) -> None:
        for number in range(RESTARTS):
            await asyncio.sleep(self._random.uniform(0.2, 1.8) * self._seconds / RESTARTS)
            kept = _KEPT[number % len(_KEPT)]
            if kept == "older":
                self._redis.back_up()
                await asyncio.sleep(self._random.uniform(1.0, 4.0))
            self._redis.kill()
            await asyncio.sleep(self._random.choice((0.0, 0.1, 0.5, 2.0)))
            self._lost_at = time.monotonic()
            if kept == "older":
                await asyncio.to_thread(self._redis.restart_from_backup)
            else:
                await asyncio.to_thread(self._redis.restart, keep_data=kept == "all")
            self._lost_at = None if kept == "all" else time.monotonic()
            self.restarts += 1

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(0.05, 0.3))
            await self._compare()

    async def _compare(self) -> None:
        """Compare the count on Redis with the requests that had arrived before it was read."""
        import redis.exceptions  # noqa: PLC0415  # may be missing

        lost_at, seen = self._lost_at, len(self._server.arrivals)
        try:
            used = await self._admin.eval(_USED, 1, KEY)
        except (redis.exceptions.RedisError, OSError):
            return
        # The other processes tell what they know with their next request.
        if used < 0 or lost_at != self._lost_at or (lost_at is not None and time.monotonic() - lost_at < 5):
            return
        ahead = used - seen
        self.least_ahead = ahead if self.least_ahead is None else min(self.least_ahead, ahead)
        self.most_ahead = max(self.most_ahead, ahead)


def hostile(seconds: float, seed: int) -> Figures:
    """Run it and print what was seen; raise AssertionError for more than the limit or a count too low."""
    if missing := _missing():
        print(f"\nredis_limiter: skipped, because {missing}.")
        return {}
    run = Hostile(seconds, seed)
    server = asyncio.run(run.run())
    figures: Figures = {
        "requests": len(server.arrivals),
        "refused": server.refused,
        f"shortest time of {RATE + 1} requests, s": round(server.shortest_window(), 3),
        "processes killed": run.kills,
        "restarts of Redis": run.restarts,
        "least that the count was ahead of the server's": run.least_ahead,
        "most": run.most_ahead,
    }
    table(f"Killed at random, seed {seed}", ["", ""], [[name, str(figure)] for name, figure in figures.items()])
    if server.refused or server.shortest_window() < PER or (run.least_ahead or 0) < 0:
        raise AssertionError("The limit was exceeded, or the count is too low.")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{SECONDS[True]:g} s a run instead of {SECONDS[False]:g}")
    parser.add_argument("--hostile", action="store_true", help="kill processes and the Redis server at random")
    parser.add_argument("--seconds", type=float, help="the length of a run")
    parser.add_argument("--seed", type=int, default=1, help="of the instants at which something is killed")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    logging.getLogger("cc_async").setLevel(logging.ERROR)
    if given.work:
        _set_clock(given.work["shift"])
        asyncio.run(work(given.work))
    elif given.hostile:
        hostile(given.seconds or 120.0, given.seed)
    else:
        main(quick=given.quick, seconds=given.seconds)
