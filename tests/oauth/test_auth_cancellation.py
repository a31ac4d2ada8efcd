"""A refresh whose callers are cancelled loses no token."""

import asyncio
from typing import Any

from support.token_server import HTML, TokenServer
from support.token_times import lasting

from cc_async.oauth.stores import MemoryTokenStore
from cc_async.oauth.token import Token


class TestCancellation:
    async def test_of_the_leader_takes_nobody_with_it(self, make: Any, server: TokenServer) -> None:
        server.gate.clear()
        oauth = make(lasting())
        callers = [asyncio.create_task(oauth.token("a0")) for _ in range(5)]
        await asyncio.to_thread(server.arrived.acquire)
        callers[0].cancel()
        await asyncio.wait({callers[0]})
        server.gate.set()
        assert callers[0].cancelled()
        assert await asyncio.gather(*callers[1:]) == ["a1"] * 4
        assert server.refreshes == ["r0"]

    async def test_of_every_caller_loses_no_token(self, make: Any, server: TokenServer) -> None:
        server.gate.clear()
        store = MemoryTokenStore(lasting())
        oauth = make(store=store)
        callers = [asyncio.create_task(oauth.token("a0")) for _ in range(5)]
        await asyncio.to_thread(server.arrived.acquire)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        server.gate.set()
        await oauth.close()
        assert await store.load() == lasting(number=1)
        assert await oauth.token() == "a1"
        assert server.refreshes == ["r0"]

    async def test_of_the_refresh_itself_before_it_sent_anything_starts_it_anew(
        self, make: Any, server: TokenServer
    ) -> None:
        store = MemoryTokenStore(lasting())
        oauth = make(store=store)
        async with store.lock():
            caller = asyncio.create_task(oauth.token("a0"))
            while oauth._refresher.refreshing is None:  # noqa: ASYNC110 - it sets no Event
                await asyncio.sleep(0)
            oauth._refresher.refreshing.cancel()
            await asyncio.wait({oauth._refresher.refreshing})
        assert await caller == "a1"
        assert server.refreshes == ["r0"]

    async def test_of_a_refresh_that_failed_stays_a_cancellation(self, make: Any, server: TokenServer) -> None:
        server.gate.clear()
        server.replies.append(HTML)
        oauth = make(lasting())
        caller = asyncio.create_task(oauth.token("a0"))
        await asyncio.to_thread(server.arrived.acquire)
        assert oauth._refresher.refreshing is not None
        caller.cancel()
        oauth._refresher.refreshing.cancel()
        server.gate.set()
        await asyncio.wait({caller, oauth._refresher.refreshing})
        assert caller.cancelled()
        assert oauth._refresher.refreshing.cancelled()
        assert server.refreshes == ["r0"]

    async def test_while_a_store_of_ones_own_saves_makes_it_save_again(self, make: Any) -> None:
        class Slow(MemoryTokenStore):
            saving = asyncio.Event()

            async def save(self, token: Token) -> None:
                if not self.saving.is_set():
                    self.saving.set()
                    await asyncio.Event().wait()
                await super().save(token)

        store = Slow(lasting())
        oauth = make(store=store)
        caller = asyncio.create_task(oauth.token("a0"))
        await store.saving.wait()
        caller.cancel()
        assert oauth._refresher.refreshing is not None
        oauth._refresher.refreshing.cancel()
        await asyncio.wait({oauth._refresher.refreshing})
        assert oauth._refresher.refreshing.cancelled()
        assert await store.load() == lasting(number=1)

    async def test_may_be_answered_by_closing_as_often_as_one_likes(self, make: Any) -> None:
        oauth = make(lasting())
        await oauth.close()
        await oauth.token("a0")
        await oauth.close()
        await oauth.close()
        assert await oauth.token() == "a1"

    def test_of_nothing_is_needed_between_two_event_loops(self, make: Any, server: TokenServer) -> None:
        oauth = make(lasting())
        assert asyncio.run(oauth.token("a0")) == "a1"
        assert asyncio.run(oauth.token("a1")) == "a2"
        assert server.refreshes == ["r0", "r1"]
