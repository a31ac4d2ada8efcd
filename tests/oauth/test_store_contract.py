import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.redis_server import RedisServer, running

from cc_async.oauth.file_store import FileTokenStore
from cc_async.oauth.stores import MemoryTokenStore, TokenStore
from cc_async.testing import token_store
from cc_async.testing.token_store import CHECKS, MakeStore

redis_asyncio = pytest.importorskip("redis.asyncio", reason="the extra redis is not installed")
KEY = b"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
Check = Callable[[MakeStore], Awaitable[None]]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    yield from running(tmp_path_factory.mktemp("redis") / "data")


@pytest.mark.parametrize("check", CHECKS)
class TestContract:
    async def test_is_kept_in_memory(self, check: Check) -> None:
        store = MemoryTokenStore()
        await check(lambda: store)

    async def test_is_kept_in_a_file(self, check: Check, tmp_path: Path) -> None:
        await check(lambda: FileTokenStore(tmp_path / "token.json"))

    @pytest.mark.parametrize("options", [{}, {"encryption_key": KEY}])
    @pytest.mark.parametrize("decoding", [False, True])
    async def test_is_kept_on_redis(
        self, check: Check, server: RedisServer, options: dict[str, Any], decoding: bool
    ) -> None:
        from cc_async.redis import RedisTokenStore  # noqa: PLC0415  # after the skip

        async with redis_asyncio.from_url(server.url, decode_responses=decoding) as redis:
            await redis.flushall()
            await check(lambda: RedisTokenStore(redis, "token", **options))


class Forgetful(MemoryTokenStore):
    async def load(self) -> None:
        return None


class Unlocked(MemoryTokenStore):
    def lock(self) -> Any:
        return asyncio.timeout(None)


@pytest.mark.parametrize(
    ("store", "check"),
    [
        (Forgetful(), token_store.check_load_returns_what_was_saved_last),
        (Unlocked(), token_store.check_lock_has_one_holder),
    ],
)
async def test_a_store_that_breaks_the_contract_is_found_out(store: TokenStore, check: Check) -> None:
    with pytest.raises(AssertionError, match="instead of"):
        await check(lambda: store)
