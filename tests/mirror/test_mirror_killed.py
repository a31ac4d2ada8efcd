"""A mirror that is killed at any moment, again and again, while others change the account."""

import asyncio
import os
import random
import sys

from support.mirror_contents import assert_equal_to
from support.sandbox_contract import until

from cc_async import ConstantContact
from cc_async.sandbox import Sandbox

pytest_plugins = ["support.mirror_databases"]

KILLS = int(os.environ.get("MIRROR_KILLS", "3"))
"""More of them take longer and find rarer moments."""


async def start(box: Sandbox, database: str, *options: str) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "cc_async", "sync", database, "--base-url", box.base_url, *options)
    environment = {**os.environ, "CC_ACCESS_TOKEN": box.access_token}
    return await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.PIPE)


async def test_a_mirror_that_is_killed_at_any_moment_ends_complete(database: str) -> None:
    chance = random.Random()
    async with (
        Sandbox(contacts=6_000, rate=60, daily=None, latency=0.02) as box,
        ConstantContact(box.access_token, base_url=box.base_url) as cc,
    ):
        alive = [key for key in box.store.ids() if "deleted_at" not in box.store.get(key)]
        for kill in range(KILLS):
            box.requests.clear()
            process = await start(box, database, *(("--full",) if kill % 5 == 4 else ()))
            await until(lambda: bool(box.requests))
            box.store.delete(alive[kill])
            await cc.contacts.patch(alive[-kill - 1], first_name=f"Changed {kill}")
            await asyncio.sleep(chance.uniform(0, 1.0))
            if process.returncode is None:
                process.kill()
            await process.communicate()
        box.advance(5)  # what changed in the second of a sync belongs to the next one
        process = await start(box, database)
        _, complaints = await process.communicate()
        assert (process.returncode, complaints) == (0, b"")
        await assert_equal_to(box, database)
