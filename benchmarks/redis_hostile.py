"""One limit for many processes while they and the Redis or Valkey server are killed at random instants, in real time.

The machines' clocks are five minutes apart. What counts: the limit is never exceeded, and the day's count on Redis is
never lower than what the server has seen.
"""

import argparse
import asyncio
import random
import time
from typing import Final

from .redis_processes import KEY, PER, RATE, STREAMS, Server, Worker, missing, redis_server
from .rounds import Figures, table

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

        with redis_server(persistent=True) as shared:
            async with (
                Server().serving() as server,
                redis.asyncio.from_url(shared.url) as admin,
            ):
                self._redis, self._server, self._admin = shared, server, admin
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


def main(seconds: float, seed: int) -> Figures:
    """Run it and print what was seen; raise AssertionError for more than the limit or a count too low."""
    if reason := missing():
        print(f"\nredis_hostile: skipped, because {reason}.")
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
    parser.add_argument("--seconds", type=float, default=120.0, help="the length of the run")
    parser.add_argument("--seed", type=int, default=1, help="of the instants at which something is killed")
    given = parser.parse_args()
    main(given.seconds, given.seed)
