"""Closing the client, and the caller's own cancellation."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import attrs
import pytest
from support.raw_server import CUT, FAST, HANG, TOKEN, Reply, error, hasty, nobody_accepts, reply, talking

from cc_async import (
    ClientClosedError,
    ConstantContact,
    CreateContactRequest,
    OAuth2,
    RateLimiter,
    RequestTimeoutError,
    UpdateContactRequest,
)
from cc_async.http.session import Session
from cc_async.limits.protocol import Turn
from cc_async.sandbox import Sandbox

ADA = CreateContactRequest(create_source="Account", first_name="Ada")
NEW_ADA = UpdateContactRequest(update_source="Account", first_name="Ada")
HALF = Reply(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"contact_id"', "hang")
PATIENT = attrs.evolve(FAST, first_pause=600.0, longest_pause=600.0, total_time=6_000.0)


class Barrier:
    """Somewhere to wait for ever, as a limiter and as a token provider."""

    resets_at = datetime(2030, 1, 2, tzinfo=UTC)

    def __init__(self, passing: int = 0) -> None:
        self.passing = passing
        self.reached = asyncio.Event()

    async def acquire(self, turn: Turn) -> None:  # noqa: ARG002  # the protocol has it
        await self._wait()

    async def token(self, rejected: str | None = None) -> str:  # noqa: ARG002  # the protocol has it
        await self._wait()
        return TOKEN

    async def throttled(self, retry_after: float | None = None) -> None:  # noqa: ARG002  # the protocol has it
        await self._wait()

    async def quota_exceeded(self) -> None:
        await self._wait()

    async def _wait(self) -> None:
        self.passing -= 1
        if self.passing < 0:
            self.reached.set()
            await asyncio.Event().wait()


@asynccontextmanager
async def waiting(where: str) -> AsyncIterator[tuple[ConstantContact, Callable[[], Awaitable[None]]]]:
    """A client whose calls wait in a certain place, and how to know that they got there."""
    settings: dict[str, Any] = {"timeout": 60.0}
    replies = {"response": [HANG] * 9, "body": [HALF] * 9, "pause": [error(503, "down")] * 9, "throttle": [CUT]}
    if where == "connect":
        with nobody_accepts() as base_url:
            async with hasty(base_url, **settings) as cc:
                yield cc, lambda: asyncio.sleep(0.05)
        return
    barrier = Barrier()
    if where in ("limiter", "token"):
        settings["rate_limiter" if where == "limiter" else "auth"] = barrier
    if where == "throttle":
        barrier.passing = 1
        settings["rate_limiter"] = barrier
        replies["throttle"] = [error(429, "throttled")]
    if where == "pause":
        settings["retry"] = PATIENT
    async with talking(*replies.get(where, ()), **settings) as (cc, server):

        async def there() -> None:
            await (barrier.reached if where in ("limiter", "token", "throttle") else server.arrived).wait()
            await asyncio.sleep(0.05)

        yield cc, there


PLACES = ["limiter", "token", "connect", "response", "body", "pause", "throttle"]
# Closed there, a PUT may have been applied; in the connect it did not, but aiohttp does not tell how far it came.
MAYBE_APPLIED = {"connect", "response", "body", "pause"}


@pytest.mark.parametrize("where", PLACES)
async def test_close_ends_a_call_wherever_it_waits(where: str) -> None:
    async with waiting(where) as (cc, there):
        put = asyncio.create_task(cc.contacts.update("c1", NEW_ADA))
        await there()
        async with asyncio.timeout(1.0):
            await cc.close()
        assert put.done()
        with pytest.raises(ClientClosedError, match="during the call") as caught:
            await put
    assert caught.value.maybe_applied is (where in MAYBE_APPLIED)


@pytest.mark.parametrize("where", PLACES)
async def test_close_ends_reads_and_streams_too(where: str) -> None:
    async with waiting(where) as (cc, there):
        get = asyncio.create_task(cc.contacts.get("c1"))
        stream = asyncio.create_task(cc.contacts.list().collect())
        await there()
        async with asyncio.timeout(1.0):
            await cc.close()
        outcomes = await asyncio.gather(get, stream, return_exceptions=True)
    for outcome in outcomes:
        assert isinstance(outcome, ClientClosedError)
        assert not outcome.maybe_applied


async def test_later_calls_are_refused_and_nothing_is_sent() -> None:
    async with talking() as (cc, server):
        await cc.close()
        with pytest.raises(ClientClosedError, match="The client is closed"):
            await cc.contacts.create(ADA)
        with pytest.raises(ClientClosedError):
            await cc.contacts.list().first()
    assert not server.requests
    assert cc.closed


async def test_close_can_be_called_again_and_by_several() -> None:
    async with waiting("response") as (cc, there):
        call = asyncio.create_task(cc.contacts.get("c1"))
        await there()
        async with asyncio.timeout(1.0):
            await asyncio.gather(*(cc.close() for _ in range(5)))
            await cc.close()
        assert isinstance(call.exception(), ClientClosedError)


async def test_close_waits_until_the_calls_are_gone() -> None:
    gone: list[str] = []

    class Tidy(Barrier):
        async def _wait(self) -> None:
            try:
                await super()._wait()
            finally:
                gone.append("call")
                await asyncio.sleep(0.01 * len(gone))
                gone.append("gone")

    limiter = Tidy()
    async with talking(rate_limiter=limiter) as (cc, _):
        calls = [asyncio.create_task(cc.contacts.get("c1")) for _ in range(3)]
        await limiter.reached.wait()
        await cc.close()
        assert gone == ["call"] * 3 + ["gone"] * 3
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {ClientClosedError}


async def test_a_cancelled_close_still_closes_the_connections() -> None:
    class Stubborn(Barrier):
        async def _wait(self) -> None:
            try:
                await super()._wait()
            finally:
                await asyncio.sleep(0.1)

    limiter = Stubborn(passing=1)
    async with talking(rate_limiter=limiter) as (cc, _):
        await cc.contacts.get("c1")
        own = cc._session._own
        call = asyncio.create_task(cc.contacts.get("c1"))
        await limiter.reached.wait()
        closing = asyncio.create_task(cc.close())
        await asyncio.sleep(0.02)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert own is not None
        assert own.closed
        with pytest.raises(ClientClosedError):
            await call


async def test_a_provider_that_closes_the_client_does_not_wait_for_itself() -> None:
    class Closing:
        cc: ConstantContact

        async def token(self, rejected: str | None = None) -> str:  # noqa: ARG002  # the protocol has it
            await self.cc.close()
            return TOKEN

    auth = Closing()
    async with talking(auth=auth) as (cc, server):
        auth.cc = cc
        with pytest.raises(ClientClosedError):
            async with asyncio.timeout(1.0):
                await cc.contacts.get("c1")
    assert not server.requests


async def test_close_waits_for_a_refresh_whose_token_would_be_lost() -> None:
    async with Sandbox(rate=None) as box:
        box.fault("latency", path="token", seconds=0.2)
        auth = OAuth2(
            box.client_id, client_secret=box.client_secret, refresh_token=box.refresh_token, token_url=box.token_url
        )
        cc = hasty(box.base_url, auth)
        call = asyncio.create_task(cc.contacts.counts())
        await asyncio.sleep(0.05)
        await cc.close()
        assert isinstance(call.exception(), ClientClosedError)
        assert box.refreshes == 1
        assert await auth.token() == box.access_token
        await auth.close()


# --- the caller's own cancellation -------------------------------------------------------------------------------


@pytest.mark.parametrize("where", PLACES)
async def test_cancellation_stays_cancellation(where: str) -> None:
    async with waiting(where) as (cc, there):
        call = asyncio.create_task(cc.contacts.update("c1", NEW_ADA))
        await there()
        call.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await call
        assert call.cancelled()
        assert call.cancelling() == 1


async def test_a_time_out_of_the_callers_is_an_ordinary_one() -> None:
    async with waiting("response") as (cc, _):
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(0.1):
                await cc.contacts.create(ADA)
        assert not isinstance(caught.value, RequestTimeoutError)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0


async def test_a_time_out_of_the_clients_is_told_from_one_of_the_callers() -> None:
    async with talking(HANG, timeout=0.1) as (cc, _):
        with pytest.raises(RequestTimeoutError):
            async with asyncio.timeout(5.0) as outer:
                await cc.contacts.create(ADA)
    assert not outer.expired()


async def test_closing_does_not_swallow_a_cancellation_that_comes_at_the_same_time() -> None:
    async with waiting("response") as (cc, there):
        call = asyncio.create_task(cc.contacts.get("c1"))
        await there()
        call.cancel()
        await cc.close()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_task_group_ends_its_calls_when_one_fails() -> None:
    async with waiting("limiter") as (cc, there):

        async def fail() -> None:
            await there()
            raise KeyError

        calls: list[asyncio.Task[Any]] = []
        try:
            async with asyncio.TaskGroup() as group:
                calls += [group.create_task(cc.contacts.get("c1")) for _ in range(3)]
                group.create_task(fail())
        except* KeyError:
            pass
        assert [call.cancelled() for call in calls] == [True] * 3


async def test_a_client_goes_on_after_cancelled_calls() -> None:
    async with talking(HANG, rate_limiter=RateLimiter(2, 0.05, None)) as (cc, server):
        calls = [asyncio.create_task(cc.contacts.get("c1")) for _ in range(5)]
        await server.arrived.wait()
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert (await cc.contacts.get("c1")).contact_id == "c1"


async def test_nothing_is_left_running_or_open() -> None:
    before = asyncio.all_tasks()
    async with talking(CUT, HALF, error(503, "down"), timeout=0.2) as (cc, server):
        await asyncio.gather(*(cc.contacts.get("c1") for _ in range(5)))
        http = cc._session._own
        assert http is not None
        await cc.close()
        assert isinstance(http.connector, aiohttp.TCPConnector | None)
        assert http.closed
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() - before - server._tasks == set()
    gc.collect()  # what was forgotten would warn, and warnings are errors


async def test_closing_ends_the_pause_of_a_patch_whose_response_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    pausing, sleep = asyncio.Event(), Session.sleep

    async def noticed(self: Session, seconds: float) -> None:
        pausing.set()
        await sleep(self, seconds)

    monkeypatch.setattr(Session, "sleep", noticed)
    down = error(503, "down", **{"Retry-After": "30"})
    async with talking(reply(200, {"contact_id": "c1"}), down) as (cc, _):
        patching = asyncio.create_task(cc.contacts.patch("c1", first_name="Ada"))
        async with asyncio.timeout(5):
            await pausing.wait()
            await cc.close()
            with pytest.raises(ClientClosedError) as caught:
                await patching
    assert caught.value.maybe_applied
