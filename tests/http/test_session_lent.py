"""An aiohttp session that the caller lends, and the event loop that everything belongs to."""

import asyncio
import gzip
import warnings
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp.client_middlewares import ClientHandlerType
from support.raw_server import CUT, FAST, HANG, TOKEN, RawServer, error, hasty, reply, talking

from cc_async import (
    ClientClosedError,
    ConstantContact,
    CreateContactRequest,
    InvalidRequestError,
    NotFoundError,
    RequestTimeoutError,
    TransportError,
)

ADA = CreateContactRequest(create_source="Account", first_name="Ada")


async def test_a_lent_session_is_used_and_never_closed() -> None:
    async with RawServer() as server, aiohttp.ClientSession(headers={"X-Team": "blue"}) as http:
        async with hasty(server.base_url, client_session=http) as cc:
            await cc.contacts.get("c1")
        assert not http.closed
        async with hasty(server.base_url, client_session=http) as other:
            await other.contacts.get("c1")
    assert [request.headers["x-team"] for request in server.requests] == ["blue", "blue"]
    assert server.connections == 1


async def test_the_middlewares_of_a_lent_session_run_at_every_attempt_and_see_what_really_happened() -> None:
    seen: list[str] = []

    async def note(request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
        try:
            response = await send(request)
        except aiohttp.ClientError as trouble:
            seen.append(type(trouble).__name__)
            raise
        seen.append(str(response.status))
        return response

    async with (
        aiohttp.ClientSession(middlewares=(note,)) as http,
        talking(CUT, error(503, "down"), client_session=http) as (cc, _),
    ):
        await cc.contacts.get("c1")
    assert seen == ["ServerDisconnectedError", "503", "200"]


@pytest.mark.parametrize(
    "settings",
    [
        {"raise_for_status": True},
        {"base_url": "https://elsewhere.example.com/api/"},
        {"auto_decompress": False},
        {"timeout": aiohttp.ClientTimeout(total=1e-9)},
        {"headers": {"Authorization": "Bearer other", "Accept": "text/html", "User-Agent": "browser"}},
        {"skip_auto_headers": ["User-Agent", "Content-Type"]},
        {"connector_owner": False},
    ],
    ids=lambda settings: next(iter(settings)),
)
async def test_the_settings_of_a_lent_session_do_not_change_what_a_call_means(settings: dict[str, Any]) -> None:
    packed = reply(200, gzip.compress(b'{"contact_id": "c1"}'), {"Content-Encoding": "gzip"})
    async with RawServer(packed, error(404, "contacts.api.not_found")) as server:
        connector = aiohttp.TCPConnector()
        async with (
            aiohttp.ClientSession(connector=connector, **settings) as http,
            hasty(server.base_url, client_session=http) as cc,
        ):
            assert (await cc.contacts.get("c1")).contact_id == "c1"
            with pytest.raises(NotFoundError):
                await cc.contacts.get("c2")
        await connector.close()
    assert [request.headers["user-agent"][:8] for request in server.requests] == ["cc-async"] * 2
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {TOKEN}".lower()] * 2


async def test_a_session_whose_own_authorization_is_in_the_way_is_refused_by_name() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # aiohttp discourages it
        http = aiohttp.ClientSession(auth=aiohttp.BasicAuth("me", "secret"))
    async with http, talking(client_session=http) as (cc, server):
        with pytest.raises(InvalidRequestError, match="AUTHORIZATION header") as caught:
            await cc.contacts.create(ADA)
    assert (server.requests, caught.value.maybe_applied) == ([], False)


async def test_a_lent_session_that_is_closed_is_a_clear_error() -> None:
    async with aiohttp.ClientSession() as http:
        pass
    async with talking(client_session=http) as (cc, server):
        with pytest.raises(ClientClosedError, match="client_session is closed") as caught:
            await cc.contacts.create(ADA)
    assert (server.requests, caught.value.maybe_applied) == ([], False)


async def test_a_lent_session_that_is_closed_between_two_attempts_ends_the_call() -> None:
    async with aiohttp.ClientSession() as http, talking(CUT, client_session=http) as (cc, server):

        async def close(*_: Any) -> None:
            await http.close()

        trace = aiohttp.TraceConfig()
        trace.on_request_exception.append(close)
        trace.freeze()
        http._trace_configs.append(trace)  # a session takes them when it is made, and this one needs itself
        with pytest.raises(ClientClosedError) as caught:
            await cc.contacts.delete("c1")
    assert (len(server.requests), caught.value.maybe_applied) == (1, True)


async def test_a_pool_of_one_connection_serves_calls_in_turn() -> None:
    connector = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=connector) as http, talking(client_session=http) as (cc, server):
        await asyncio.gather(*(cc.contacts.get("c1") for _ in range(20)))
    assert (len(server.requests), server.connections) == (20, 1)


async def test_a_write_that_never_got_a_connection_of_the_pool_was_not_applied() -> None:
    connector = aiohttp.TCPConnector(limit=1)
    once = attrs.evolve(FAST, attempts=1)
    async with (
        aiohttp.ClientSession(connector=connector) as http,
        talking(HANG, client_session=http, timeout=0.3, retry=once) as (cc, server),
    ):
        taken = asyncio.create_task(cc.contacts.get("c1"))
        await server.arrived.wait()
        with pytest.raises(RequestTimeoutError, match="No connection was made") as caught:
            await cc.contacts.create(ADA)
        with pytest.raises(RequestTimeoutError):
            await taken
    assert (caught.value.maybe_applied, len(server.requests)) == (False, 1)


async def test_error_responses_and_retries_leave_the_only_connection_free() -> None:
    connector = aiohttp.TCPConnector(limit=1)
    replies = [error(503, "down")] * 3
    async with aiohttp.ClientSession(connector=connector) as http, talking(*replies, client_session=http) as (cc, _):
        await asyncio.wait_for(cc.contacts.get("c1"), 2.0)


def test_a_client_is_refused_in_a_second_event_loop() -> None:
    async def use(cc: ConstantContact) -> None:
        with pytest.raises(TransportError):
            await cc.contacts.get("c1")
        await cc._session._http().close()

    async def use_again(cc: ConstantContact) -> None:
        with pytest.raises(InvalidRequestError, match="belongs to the event loop of its first request"):
            await cc.contacts.get("c1")
        await cc.close()
        assert cc.closed

    cc = hasty("http://127.0.0.1:1/v3")
    asyncio.run(use(cc))
    asyncio.run(use_again(cc))


def test_a_lent_session_of_another_event_loop_is_refused() -> None:
    async def lend() -> aiohttp.ClientSession:
        http = aiohttp.ClientSession()
        await http.close()
        return http

    async def use(http: aiohttp.ClientSession) -> None:
        with pytest.raises(InvalidRequestError, match="belongs to another event loop"):
            await hasty("http://127.0.0.1:1/v3", client_session=http).contacts.get("c1")

    asyncio.run(use(asyncio.run(lend())))
