"""The loop around every request: the limiter and the attempts."""

import asyncio
import gc
import math
import time
import weakref
from datetime import UTC, datetime
from typing import Any

import aiohttp
import attrs
import pytest
from support.raw_server import (
    CUT,
    FAST,
    QUOTA,
    THROTTLED,
    TOKEN,
    OpenLimiter,
    RawServer,
    Reply,
    error,
    hasty,
    reply,
    talking,
)
from support.virtual_time import in_virtual_time

from cc_async import (
    ConstantContact,
    ConstantContactError,
    CreateContactRequest,
    DecodeError,
    InvalidRequestError,
    QuotaExceededError,
    RateLimiter,
    RateLimitError,
    RetryPolicy,
    ServerError,
    TransportError,
    UpdateContactRequest,
)
from cc_async.codec.decode import Decoded
from cc_async.http.call import Call
from cc_async.limits.protocol import Turn

ADA = CreateContactRequest(create_source="Account", first_name="Ada")
NEW_ADA = UpdateContactRequest(update_source="Account", first_name="Ada")
DOWN = error(500, "internal")


# --- the limiter -------------------------------------------------------------------------------------------------


async def test_what_the_server_asks_of_the_throttled_is_told_to_the_limiter() -> None:
    limiter = OpenLimiter()
    wishes = [error(429, "throttled", Retry_After="3"), THROTTLED, error(429, "throttled", Retry_After="soon")]
    async with talking(*wishes, rate_limiter=limiter) as (cc, server):
        await cc.contacts.create(ADA)
    assert (limiter.refusals, len(server.requests), limiter.turns) == ([3.0, None, None], 4, 4)


async def test_after_a_refusal_everybody_pauses() -> None:
    arrivals: list[float] = []

    class Timed(RawServer):
        def _response(self, request: Any, token: str) -> Reply:
            arrivals.append(time.monotonic())
            return super()._response(request, token)

    limiter = RateLimiter(50, 0.2, None)
    async with Timed(THROTTLED) as server, hasty(server.base_url, rate_limiter=limiter) as cc:
        await cc.contacts.get("c0")
        refused = arrivals[0]
        await asyncio.gather(*(cc.contacts.get("c1") for _ in range(3)))
    assert len(arrivals) == 5
    assert min(arrivals[1:]) - refused >= 0.2


async def test_a_throttled_call_gives_up_after_its_attempts() -> None:
    async with talking(*[THROTTLED] * 9, retry=attrs.evolve(FAST, attempts=3)) as (cc, server):
        with pytest.raises(RateLimitError, match="again and again") as caught:
            await cc.contacts.create(ADA)
    assert (len(server.requests), caught.value.maybe_applied) == (3, False)


async def test_a_spent_quota_ends_all_calls_at_once_and_nothing_more_is_sent() -> None:
    limiter = RateLimiter(1, 30.0)
    async with talking(QUOTA, rate_limiter=limiter) as (cc, server):
        outcomes = await asyncio.gather(*(cc.contacts.get("c1") for _ in range(5)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {QuotaExceededError}
        with pytest.raises(QuotaExceededError) as caught:
            await cc.contacts.create(ADA)
    assert (len(server.requests), limiter.remaining_today) == (1, 0)
    assert (caught.value.resets_at, caught.value.maybe_applied) == (limiter.resets_at, False)


async def test_the_quota_that_ends_a_repeated_write_does_not_hide_that_it_may_have_been_applied() -> None:
    async with talking(DOWN, rate_limiter=RateLimiter(100, 0.001, daily=1)) as (cc, server):
        with pytest.raises(QuotaExceededError) as caught:
            await cc.contacts.update("c1", NEW_ADA)
        with pytest.raises(QuotaExceededError) as later:
            await cc.contacts.update("c1", NEW_ADA)
    assert (len(server.requests), caught.value.maybe_applied, later.value.maybe_applied) == (1, True, False)


async def test_neither_does_a_later_attempt_that_surely_was_not() -> None:
    async with talking(CUT, error(400, "contacts.api.validation.error")) as (cc, _):
        with pytest.raises(ConstantContactError) as caught:
            await cc.contacts.update("c1", NEW_ADA)
    assert caught.value.maybe_applied


# --- attempts ----------------------------------------------------------------------------------------------------


async def test_the_last_real_failure_is_raised_once_the_attempts_are_spent() -> None:
    replies = [CUT, DOWN, error(502, "bad"), error(503, "last", "The very last.")]
    async with talking(*replies, retry=attrs.evolve(FAST, attempts=4)) as (cc, server):
        with pytest.raises(ServerError, match=r"The very last\.") as caught:
            await cc.contacts.get("c1")
    assert (len(server.requests), caught.value.status) == (4, 503)


async def test_aiohttp_alone_would_send_again_what_we_send_once() -> None:
    async with RawServer(reply(200), CUT, CUT) as server, aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with http.get(server.base_url, headers=headers):
            pass
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.delete(server.base_url, headers=headers)
    assert len(server.requests) == 3


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "POST"])
async def test_a_kept_connection_that_breaks_costs_no_request_beside_the_limiter(method: str) -> None:
    limiter = OpenLimiter()
    settings = {"rate_limiter": limiter, "retry": attrs.evolve(FAST, attempts=1)}
    async with talking(reply(200, {}), CUT, **settings) as (cc, server):
        await cc.request("GET", "/contact_lists")
        with pytest.raises(TransportError):
            await cc.request(method, "/contacts/c1")
    assert len(server.requests) == limiter.turns == 2
    assert server.connections == 1


class Slow:
    """A limiter at which every turn takes a thousand seconds."""

    resets_at = datetime(2030, 1, 2, tzinfo=UTC)

    async def acquire(self, turn: Turn) -> None:  # noqa: ARG002  # the protocol has it
        await asyncio.sleep(1_000.0)

    async def throttled(self, retry_after: float | None = None) -> None:
        raise NotImplementedError

    async def quota_exceeded(self) -> None:
        raise NotImplementedError


async def attempts_of(cc_settings: dict[str, Any], seconds: float) -> int:
    """How often a request is sent of which every attempt breaks after so many seconds."""
    attempts = 0

    async def fail(*_: Any) -> aiohttp.ClientResponse:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(seconds)
        raise aiohttp.ServerDisconnectedError

    async with aiohttp.ClientSession(middlewares=(fail,)) as http:
        cc = hasty("http://127.0.0.1:1/v3", client_session=http, timeout=1_000.0, **cc_settings)
        with pytest.raises(TransportError):
            await cc.contacts.get("c1")
        await cc.close()
    return attempts


@in_virtual_time
async def test_the_time_of_attempts_and_pauses_is_bounded() -> None:
    retry = attrs.evolve(FAST, attempts=99, total_time=100.0)
    assert await attempts_of({"retry": retry}, 30.0) == 4


class Unhurried(RetryPolicy):
    """Takes every pause to its longest."""

    def pause(self, failure: ConstantContactError, **details: Any) -> float | None:
        return super().pause(failure, **details, chance=lambda: 1.0)


@in_virtual_time
async def test_so_is_that_of_many_short_attempts_with_long_pauses() -> None:
    retry = Unhurried(attempts=99, total_time=100.0, first_pause=30.0, longest_pause=30.0)
    assert await attempts_of({"retry": retry}, 0.0) == 4


@in_virtual_time
async def test_the_wait_for_a_turn_is_no_part_of_that_time() -> None:
    retry = attrs.evolve(FAST, attempts=5, total_time=100.0)
    assert await attempts_of({"retry": retry, "rate_limiter": Slow()}, 1.0) == 5


@pytest.mark.parametrize(
    ("response", "low", "high"),
    [
        (error(503, "down", Retry_After="7"), 7.0, 7.1),
        (error(503, "down", Retry_After="Tue, 31 Dec 2999 23:59:59 GMT"), 60.0, 60.1),
        (error(503, "down", Retry_After="Sat, 01 Jan 2000 00:00:00 GMT"), 0.0, 0.1),
        (error(503, "down", Retry_After="nonsense"), 0.0, 0.1),
        (error(503, "down", Retry_After="9" * 400), 60.0, 60.1),
        (error(429, "activities.api.limit_exceeded", Retry_After="7"), 7.0, 7.0),
        (error(429, "throttled", Retry_After="7"), 0.0, 0.0),
    ],
    ids=["seconds", "date", "past", "nonsense", "huge", "bulk", "throttled"],
)
async def test_the_servers_wish_is_honoured_up_to_a_minute(
    response: Reply, low: float, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    async with talking(response) as (cc, server):
        monkeypatch.setattr("cc_async.http.session.asyncio.sleep", note)
        await cc.contacts.get("c1")
        monkeypatch.undo()
    assert len(server.requests) == 2
    assert [low <= pause <= high for pause in pauses] == [True]


async def test_whoever_fetched_is_told_the_moment_that_it_is_sent_again() -> None:
    sent: list[int] = []
    async with talking(DOWN, DOWN) as (cc, server):
        call = Call(
            operation="contacts.get",
            method="GET",
            path="/contacts/c1",
            parse=lambda response: Decoded(response.body),
            on_retry=lambda: sent.append(len(server.requests)),
        )
        await cc._session.request(call)
    assert sent == [1, 2]


async def test_a_response_that_cannot_be_read_to_the_letter_says_that_the_write_was_applied() -> None:
    odd = reply(201, {"contact_id": ["no", "string"]})
    async with talking(odd, strict=True) as (cc, server):
        with pytest.raises(DecodeError) as caught:
            await cc.contacts.create(ADA)
    assert (caught.value.maybe_applied, len(server.requests)) == (True, 1)


async def test_a_body_of_megabytes_is_sent_without_a_warning_and_whole() -> None:
    document = {"import_data": ["x" * 1_000] * 3_000}
    async with talking(CUT) as (cc, server):
        with pytest.raises(TransportError):
            await cc.request("POST", "/activities/contacts_json_import", json=document)
        await cc.request("POST", "/activities/contacts_json_import", json=document)
    assert {len(request.body) for request in server.requests} == {3_000 * 1_003 - 1 + len('{"import_data":[]}')}


async def test_a_failure_leaves_nothing_for_the_garbage_collector() -> None:
    async with talking(*[DOWN] * 3, retry=attrs.evolve(FAST, attempts=3)) as (cc, _):
        gc.collect()
        gc.disable()
        try:
            try:
                await cc.contacts.get("c1")
            except ServerError as failure:
                known = weakref.ref(failure)
            assert known() is None
        finally:
            gc.enable()


@pytest.mark.parametrize("timeout", [0.0, -1.0, math.nan, math.inf])
def test_a_time_out_is_some_seconds(timeout: float) -> None:
    with pytest.raises(InvalidRequestError, match="timeout"):
        ConstantContact(TOKEN, timeout=timeout)
