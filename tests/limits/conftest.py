"""A Redis server for the tests of limits."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from support.redis_server import RedisServer, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    yield from running(tmp_path_factory.mktemp("redis") / "data")


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Any]:
    aioredis = pytest.importorskip("redis.asyncio", reason="the extra redis is not installed")
    async with aioredis.from_url(server.url) as client:
        await client.flushall()
        yield client


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that a test may kill."""
    yield from running(tmp_path_factory.mktemp("redis") / "data", persistent=True)
