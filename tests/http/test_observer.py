"""What an observer is notified of, and that it cannot harm a call."""

import ast
import asyncio
import contextvars
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.raw_server import CUT, HANG, THROTTLED, OpenLimiter, TokenList, error, hasty, reply, talking
from support.token_server import TokenServer, reply as token_reply
from support.virtual_time import in_virtual_time

import cc_async
from cc_async import (
    ConstantContact,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    InvalidRequestError,
    NotFoundError,
    OAuth2,
    ObservedCall,
    ObservedRefresh,
    Observer,
    RateLimiter,
    RequestTimeoutError,
    TokenRefreshError,
    TransportError,
)
from cc_async.limits.protocol import Turn
from cc_async.sandbox import Sandbox

DOWN = error(503, "down")
ADDRESS = "ada@example.com"


class Recorder(Observer):
    """Keeps what it is notified of."""

    def __init__(self) -> None:
        self.begun: list[ObservedCall] = []
        self.calls: list[ObservedCall] = []
        self.refreshes: list[ObservedRefresh] = []

    def started(self, call: ObservedCall) -> None:
        assert (call.outcome, call.attempts) == ("", 0)
        self.begun.append(call)

    def finished(self, call: ObservedCall) -> None:
        assert any(call is one for one in self.begun)
        self.calls.append(call)

    def refreshed(self, refresh: ObservedRefresh) -> None:
        self.refreshes.append(refresh)

    def told(self) -> list[tuple[str, str, int | None, int, int]]:
        return [(call.operation, call.outcome, call.status, call.attempts, call.refusals) for call in self.calls]


class Broken(Observer):
    """Raises whatever it is notified of."""

    def started(self, call: ObservedCall) -> None:
        raise RuntimeError(f"started {call.operation}")

    def finished(self, call: ObservedCall) -> None:
        raise RuntimeError(f"finished {call.operation}")

    def refreshed(self, refresh: ObservedRefresh) -> None:
        raise RuntimeError(f"refreshed {refresh.outcome}")


async def test_a_call_is_observed_once_with_all_its_attempts() -> None:
    seen = Recorder()
    async with talking(DOWN, THROTTLED, CUT, observer=seen) as (cc, _):
        await cc.contacts.get("c1")
    assert seen.told() == [("contacts.get", "ok", 200, 4, 1)]
    assert seen.calls == seen.begun
    assert (seen.calls[0].method, seen.calls[0].background) == ("GET", False)
    assert seen.calls[0].duration > 0


async def test_the_request_with_another_token_counts() -> None:
    seen = Recorder()
    async with talking(auth=TokenList("old", "new"), observer=seen) as (cc, server):
        server.valid_tokens = {"new"}
        await cc.contacts.get("c1")
    assert seen.told() == [("contacts.get", "ok", 200, 2, 0)]


async def test_an_exception_is_observed_by_its_class_and_with_the_status_of_the_last_attempt() -> None:
    seen = Recorder()
    async with talking(error(404, "not_found"), HANG, timeout=0.2, observer=seen) as (cc, _):
        with pytest.raises(NotFoundError):
            await cc.contacts.get("c1")
        with pytest.raises(RequestTimeoutError):
            await cc.contacts.create(CreateContactRequest(create_source="Account", first_name="Ada"))
    assert seen.told() == [
        ("contacts.get", "NotFoundError", 404, 1, 0),
        ("contacts.create", "RequestTimeoutError", None, 1, 0),
    ]


async def test_a_cancelled_call_is_observed_as_cancelled() -> None:
    seen = Recorder()
    async with talking(HANG, observer=seen) as (cc, server):
        task = asyncio.create_task(cc.contacts.get("c1"))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert seen.told() == [("contacts.get", "cancelled", None, 1, 0)]


class Slow(OpenLimiter):
    """Lets each request wait for three seconds."""

    remaining_today = 17

    async def acquire(self, turn: Turn) -> None:
        await asyncio.sleep(3)
        await super().acquire(turn)


@in_virtual_time
async def test_the_waits_at_the_limiter_add_up() -> None:
    async def fail(*_: Any) -> aiohttp.ClientResponse:
        raise aiohttp.ServerDisconnectedError

    seen = Recorder()
    async with aiohttp.ClientSession(middlewares=(fail,)) as http:
        cc = hasty("http://127.0.0.1:1/v3", client_session=http, rate_limiter=Slow(), observer=seen)
        with pytest.raises(TransportError):
            await cc.contacts.get("c1")
        await cc.close()
    (call,) = seen.calls
    assert (call.waited, call.remaining_today) == (3.0 * call.attempts, 17)
    assert 0 < call.duration - call.waited < 0.1


async def test_a_cancelled_wait_at_the_limiter_counts_and_sends_nothing() -> None:
    seen = Recorder()
    limiter = RateLimiter(1, 60, None)
    async with talking(observer=seen, rate_limiter=limiter) as (cc, server):
        await cc.contacts.get("c1")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cc.contacts.get("c1"), 0.05)
    assert len(server.requests) == 1
    assert seen.told()[1] == ("contacts.get", "cancelled", None, 0, 0)
    assert seen.calls[1].waited > 0.04


async def test_the_remaining_requests_of_the_day_are_those_of_the_limiter() -> None:
    seen = Recorder()
    async with talking(observer=seen, rate_limiter=RateLimiter(100, 1, 1000)) as (cc, _):
        await asyncio.gather(*(cc.contacts.get("c1") for _ in range(3)))
    assert [call.remaining_today for call in seen.calls][-1] == 997


async def test_an_observer_that_raises_breaks_no_call_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async with talking(reply(404, [{"error_key": "k", "error_message": ADDRESS}]), observer=Broken()) as (cc, _):
        with pytest.raises(NotFoundError):
            await cc.contacts.get("c1")
        await cc.contacts.get("c1")
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [(record.name, record.levelname) for record in warnings] == [("cc_async", "WARNING")]
    assert "RuntimeError: started contacts.get" in warnings[0].getMessage()
    assert ADDRESS not in caplog.text


async def test_the_warning_does_not_show_the_error_of_the_call(caplog: pytest.LogCaptureFixture) -> None:
    class AtTheEnd(Recorder):
        def finished(self, call: ObservedCall) -> None:
            raise RuntimeError(call.outcome)

    refusal = reply(404, [{"error_key": "k", "error_message": ADDRESS}])
    async with talking(refusal, observer=AtTheEnd()) as (cc, _):
        with pytest.raises(NotFoundError):
            await cc.contacts.get("c1")
    assert "RuntimeError: NotFoundError" in caplog.text
    assert ADDRESS not in caplog.text


@pytest.mark.parametrize("wrong", [Recorder, object(), "log", print])
def test_what_is_no_observer_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidRequestError, match="observer must be an object with the methods of Observer"):
        ConstantContact("t", observer=wrong)


def test_an_observer_with_coroutine_functions_is_refused() -> None:
    class Asynchronous:
        def started(self, call: ObservedCall) -> None: ...
        async def finished(self, call: ObservedCall) -> None: ...
        def refreshed(self, refresh: ObservedRefresh) -> None: ...

    with pytest.raises(InvalidRequestError, match="none of them a coroutine function"):
        ConstantContact("t", observer=Asynchronous())  # type: ignore[arg-type]  # on purpose


async def test_each_page_of_a_stream_is_a_call_in_the_context_of_its_consumer() -> None:
    inside = contextvars.ContextVar("inside", default="")

    class Contexts(Recorder):
        def started(self, call: ObservedCall) -> None:
            super().started(call)
            contexts.append(inside.get())
            inside.set("a call")

    seen, contexts = Contexts(), list[str]()
    async with (
        Sandbox(contacts=300, rate=None, daily=None) as box,
        hasty(box.base_url, box.access_token, observer=seen) as cc,
    ):
        inside.set("the consumer")
        assert len([contact async for contact in cc.contacts.list(limit=50)]) > 250
    assert {(call.operation, call.outcome) for call in seen.calls} >= {("contacts.list", "ok")}
    assert {call.operation for call in seen.calls} == {"contacts.list"}
    assert set(contexts) == {"the consumer"}
    assert not seen.begun[0].background
    assert any(call.background for call in seen.begun)


async def test_no_value_id_or_path_is_observed() -> None:
    seen = Recorder()
    async with talking(observer=seen) as (cc, _):
        await cc.contacts.get(ADDRESS)
        await cc.contacts.create_or_update(CreateOrUpdateContactRequest(email_address=ADDRESS, list_memberships=["l1"]))
        await cc.request("GET", f"/secret/{ADDRESS}", params={"email": ADDRESS})
        await cc.contacts.delete("secret")
    assert [call.operation for call in seen.calls] == [
        *("contacts.get", "contacts.create_or_update", "request", "contacts.delete"),
    ]
    assert not any(hint in repr(seen.calls) for hint in ("ada", "secret", "l1"))


def operations() -> Iterator[str]:
    """Every name that the code gives to an operation."""
    for file in Path(cc_async.__file__).parent.glob("resources/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                named = [keyword.value for keyword in node.keywords if keyword.arg == "operation"]
                if node.func.id in {"deletion", "deletion_job", "download", "_job"}:
                    named = node.args[:1]
                prefix = "activities." if node.func.id == "_job" else ""
                yield from (prefix + str(name.value) for name in named if isinstance(name, ast.Constant))


async def test_every_operation_has_the_name_of_the_method_that_performs_it() -> None:
    names = set(operations())
    assert len(names) > 35
    async with ConstantContact("t") as cc:
        for noun, name in (operation.split(".") for operation in names - {"contacts.download_export"}):
            assert callable(getattr(getattr(cc, noun), name)), f"{noun}.{name}"


# --- refreshes ---------------------------------------------------------------------------------------------------


async def test_clients_that_share_a_token_observe_its_refresh_once() -> None:
    seen = Recorder()
    with TokenServer() as server:
        auth = OAuth2("app", refresh_token="r0", token_url=server.url)
        async with talking(auth=auth, observer=seen) as (cc, _), talking(auth=auth, observer=seen) as (other, _):
            await asyncio.gather(cc.contacts.get("c1"), other.contacts.get("c1"))
        await auth.token("a1")
    assert [refresh.outcome for refresh in seen.refreshes] == ["ok"]
    assert seen.refreshes[0].duration > 0
    assert [call.outcome for call in seen.calls] == ["ok", "ok"]


async def test_a_refused_refresh_is_observed_by_its_class() -> None:
    seen = Recorder()
    with TokenServer() as server:
        server.replies.append(token_reply(400, error="invalid_client"))
        auth = OAuth2("app", refresh_token="r0", token_url=server.url)
        async with talking(auth=auth, observer=seen) as (cc, _):
            with pytest.raises(TokenRefreshError) as caught:
                await cc.contacts.get("c1")
    assert [refresh.outcome for refresh in seen.refreshes] == [type(caught.value).__name__]
    assert seen.told() == [("contacts.get", type(caught.value).__name__, None, 0, 0)]


async def test_an_observer_that_raises_breaks_no_refresh(caplog: pytest.LogCaptureFixture) -> None:
    with TokenServer() as server:
        auth = OAuth2("app", refresh_token="r0", token_url=server.url)
        async with talking(auth=auth, observer=Broken()) as (cc, _):
            await cc.contacts.get("c1")
    assert len(caplog.records) == 1


def test_the_methods_of_an_observer_do_nothing() -> None:
    class Silent(Observer):
        pass

    call = ObservedCall(operation="contacts.get", method="GET")
    Silent().started(call)
    Silent().finished(call)
    Silent().refreshed(ObservedRefresh(outcome="ok", duration=1.0))
    assert call.outcome == ""
