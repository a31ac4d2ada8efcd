"""A refresh with a store that is shared, or that fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.token_server import CUT, TokenServer
from support.token_times import Time, lasting

from cc_async.errors import TokenStoreError
from cc_async.oauth.stores import MemoryTokenStore
from cc_async.oauth.token import Token


class FlakyStore(MemoryTokenStore):
    """Fails where it is told to."""

    broken = ""

    async def load(self) -> Token | None:
        if self.broken == "load":
            raise OSError("the disk is gone")
        return await super().load()

    async def save(self, token: Token) -> None:
        if self.broken == "save":
            raise OSError("the disk is full")
        await super().save(token)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        if self.broken == "lock":
            raise OSError("no locks left")
        async with super().lock():
            yield


class TestSharedStore:
    async def test_that_holds_another_token_saves_the_refresh(self, make: Any, server: TokenServer) -> None:
        store = MemoryTokenStore(lasting())
        oauth = make(store=store)
        await oauth.token()
        await store.save(lasting(number=7))
        assert await oauth.token("a0") == "a7"
        assert server.forms == []

    async def test_is_read_again_once_the_lock_is_held(self, make: Any, server: TokenServer) -> None:
        store = MemoryTokenStore(lasting())
        oauth = make(store=store)
        async with store.lock():
            caller = asyncio.create_task(oauth.token("a0"))
            for _ in range(10):
                await asyncio.sleep(0)
            await store.save(lasting(number=7))
        assert await caller == "a7"
        assert server.forms == []

    async def test_is_read_again_before_a_second_request(self, make: Any, server: TokenServer) -> None:
        store = MemoryTokenStore(lasting())
        oauth = make(store=store)
        server.replies.append(CUT)

        async def sleep(_: float) -> None:
            await store.save(lasting(number=7))

        oauth._refresher.sleep = sleep
        assert await oauth.token("a0") == "a7"
        assert server.refreshes == ["r0"]

    async def test_that_is_never_written_does_not_bring_the_spent_token_back(
        self, make: Any, server: TokenServer
    ) -> None:
        class Constant(MemoryTokenStore):
            async def save(self, token: Token) -> None:
                pass

        oauth = make(store=Constant(lasting()))
        assert await oauth.token("a0") == "a1"
        assert await oauth.token("a1") == "a2"
        assert server.refreshes == ["r0", "r1"]

    async def test_serves_two_objects_with_one_refresh(self, make: Any, server: TokenServer) -> None:
        store = MemoryTokenStore(lasting())
        objects = [make(store=store) for _ in range(4)]
        assert await asyncio.gather(*(oauth.token("a0") for oauth in objects)) == ["a1"] * 4
        assert server.refreshes == ["r0"]


class TestFailingStore:
    async def test_that_cannot_save_fails_every_waiter_and_the_new_token_stays_in_use(
        self, make: Any, server: TokenServer
    ) -> None:
        store = FlakyStore(lasting())
        oauth = make(store=store)
        store.broken = "save"
        results = await asyncio.gather(*(oauth.token("a0") for _ in range(10)), return_exceptions=True)
        assert {type(result) for result in results} == {TokenStoreError}
        assert isinstance(results[0], TokenStoreError)
        assert isinstance(results[0].__cause__, OSError)
        assert await oauth.token() == "a1"
        assert server.refreshes == ["r0"]

    async def test_gets_the_token_it_missed_before_the_next_refresh(self, make: Any, server: TokenServer) -> None:
        store = FlakyStore(lasting())
        oauth = make(store=store)
        store.broken = "save"
        with pytest.raises(TokenStoreError):
            await oauth.token("a0")
        with pytest.raises(TokenStoreError):
            await oauth.token("a1")
        assert server.refreshes == ["r0"], "what cannot be saved is not spent"
        store.broken = ""
        assert await oauth.token("a1") == "a2"
        assert server.refreshes == ["r0", "r1"]
        assert await store.load() == lasting(number=2)

    async def test_gets_the_token_it_missed_without_a_refresh_after_a_while(
        self, make: Any, server: TokenServer, time: Time, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = FlakyStore(lasting())
        oauth = make(store=store)
        store.broken = "save"
        with pytest.raises(TokenStoreError):
            await oauth.token("a0")
        time.now += 31
        assert await oauth.token() == "a1"
        assert "stays in use" in caplog.text
        store.broken = ""
        time.now += 31
        assert await oauth.token() == "a1"
        assert await store.load() == lasting(number=1)
        assert server.refreshes == ["r0"]

    async def test_gets_the_token_it_missed_at_the_latest_when_all_is_closed(
        self, make: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = FlakyStore(lasting())
        oauth = make(store=store)
        store.broken = "save"
        with pytest.raises(TokenStoreError):
            await oauth.token("a0")
        await oauth.close()
        assert "still not saved" in caplog.text
        store.broken = ""
        await oauth.close()
        assert await store.load() == lasting(number=1)

    async def test_yields_to_somebody_who_has_authorized_meanwhile(self, make: Any, server: TokenServer) -> None:
        store = FlakyStore(lasting())
        oauth = make(store=store)
        store.broken = "save"
        with pytest.raises(TokenStoreError):
            await oauth.token("a0")
        store.broken = ""
        await store.save(lasting(number=7))
        assert await oauth.token("a1") == "a7"
        assert server.refreshes == ["r0"]

    @pytest.mark.parametrize("broken", ["load", "lock"])
    async def test_is_no_reason_to_stop_while_the_present_token_lives(
        self, make: Any, time: Time, caplog: pytest.LogCaptureFixture, broken: str
    ) -> None:
        store = FlakyStore(lasting(1_000))
        oauth = make(store=store)
        assert await oauth.token() == "a0"
        store.broken = broken
        time.now += 800
        assert await oauth.token() == "a0"
        assert f"failed to {broken}" in caplog.text
        with pytest.raises(TokenStoreError, match=f"failed to {broken}"):
            await oauth.token("a0")
