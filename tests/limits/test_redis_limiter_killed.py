"""The shared limit while processes and servers are killed and clocks are wrong."""

import asyncio
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.redis_server import RedisServer
from support.shared_limiters import RedisRateLimiter, Sent, aioredis

from cc_async.errors import InvalidRequestError

PROGRAM = """
import asyncio, sys, time
wrong = time.time
time.time = lambda: wrong() + float(sys.argv[3])
import redis.asyncio
from cc_async.limits.protocol import Turn
from cc_async.redis import RedisRateLimiter

async def main():
    url, stream, file = sys.argv[1], sys.argv[2] == "stream", open(sys.argv[4], "ab", 0)
    async with redis.asyncio.from_url(url) as client, RedisRateLimiter(client, "limit", per=0.5, margin=0.1) as limiter:
        async def send():
            while True:
                await limiter.acquire(Turn(stream=stream))
                file.write(b"%.6f " % time.monotonic())
        await asyncio.gather(*(send() for _ in range(3)))

asyncio.run(main())
"""


async def test_killed_processes_and_servers_and_wrong_clocks_never_exceed_the_limit(
    own: RedisServer, tmp_path: Path
) -> None:
    file, chance = tmp_path / "sent", random.Random(7)
    file.touch()

    def start(number: int) -> subprocess.Popen[bytes]:
        kind, shift = ("stream", "call")[number % 4 == 0], (-300, 0, 300)[number % 3]
        return subprocess.Popen([sys.executable, "-c", PROGRAM, own.url, kind, str(shift), str(file)])  # noqa: S603  # our own

    processes = [start(number) for number in range(4)]
    try:
        async with asyncio.timeout(20):
            while not file.read_bytes():  # noqa: ASYNC110  # of another process
                await asyncio.sleep(0.05)
        for number in range(4, 10):
            await asyncio.sleep(chance.uniform(0.3, 1.2))
            killed = chance.randrange(4)
            processes[killed].kill()
            processes[killed].wait()
            processes[killed] = start(number)
            if number % 3 == 1:
                await asyncio.to_thread(own.back_up)
            elif number % 3 == 2:
                await asyncio.to_thread(own.restart, keep_data=number % 2 == 0)
            else:
                await asyncio.to_thread(own.restart_from_backup)
        await asyncio.sleep(3)
        sent = Sent()
        sent.times = [float(line) for line in file.read_text().split()]
        async with aioredis.from_url(own.url) as client:
            used = await client.eval("return cmsgpack.unpack(redis.call('GET', KEYS[1])).used", 1, "limit")
    finally:
        for process in processes:
            process.kill()
            process.wait()
    sent.assert_within_the_limit(per=0.5)
    assert len(sent.times) >= 20
    assert used >= len(sent.times)


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"daily": 0}, {"per": 0.0}, {"patience": 0.0}, {"margin": -1.0}])
async def test_numbers_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        RedisRateLimiter(None, "limit", **wrong)
