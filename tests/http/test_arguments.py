"""What the client and its requests accept, and what they say of anything else."""

import asyncio
import copy
import pickle
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import aiohttp
import pytest
from support.http_stub import client
from support.raw_server import FAST, TOKEN, RawServer, hasty, reply, talking

from cc_async import (
    ApiError,
    ConstantContact,
    ConstantContactError,
    DecodeError,
    InvalidRequestError,
    OAuth2,
    RateLimiter,
    RetryPolicy,
    TransportError,
)
from cc_async._headers import Headers
from cc_async.wire.urls import query

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"auth": None}, "None instead of an access token"),
    ({"auth": ""}, "access token is empty"),
    ({"auth": OAuth2}, r"the class OAuth2: pass an object, such as OAuth2\(\.\.\.\)"),
    ({"auth": 5}, "an object with a method `token`, not int"),
    ({"timeout": None}, "a number of seconds for one attempt, not None"),
    ({"timeout": aiohttp.ClientTimeout(total=3)}, "a number of seconds for one attempt, not ClientTimeout"),
    ({"timeout": True}, "not bool"),
    ({"timeout": float("nan")}, "greater than 0 seconds, and finite"),
    ({"base_url": None}, "a URL as a string, not NoneType"),
    ({"client_session": aiohttp.ClientSession}, "not the class ClientSession"),
    ({"rate_limiter": RateLimiter}, "not the class RateLimiter"),
    ({"rate_limiter": 4}, "not int"),
    ({"retry": RetryPolicy}, "not the class RetryPolicy"),
    ({"retry": 3}, r"RetryPolicy\(attempts=3\), not int"),
]


class Status(Enum):
    ACTIVE = "active"


@pytest.mark.parametrize(("settings", "said"), WRONG)
def test_a_client_says_what_it_wants_instead_of_a_wrong_argument(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said):
        ConstantContact(**{"auth": TOKEN, **settings})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((None, "/emails"), "HTTP method"),
        (("GET /", "/emails"), "HTTP method"),
        (("GET", None), "a string"),
        (("GET", b"/emails"), "a string"),
    ],
)
async def test_a_request_says_what_it_wants_instead_of_a_wrong_argument(arguments: Any, said: str) -> None:
    async with client() as (cc, responses):
        with pytest.raises(InvalidRequestError, match=said):
            await cc.request(*arguments)
        with pytest.raises(InvalidRequestError, match="a mapping of names to values, not list"):
            await cc.request("GET", "/emails", params=[("a", "b")])  # type: ignore[arg-type]  # that is the point
        assert not responses.sent


OPEN: dict[str, Any] = {"allow_insecure_http": True}
PARIS = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (["b", "a"], "x=b&x=a"),
        (("b", "a"), "x=b&x=a"),
        ({"b", "a"}, "x=a&x=b"),
        (frozenset({2, 1}), "x=1&x=2"),
        ((letter for letter in "ba"), "x=b&x=a"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=PARIS), "x=2026-01-02T01:04:05Z"),
        ([datetime(2026, 1, 2, tzinfo=UTC), None], "x=2026-01-02T00:00:00Z"),
        (Status.ACTIVE, "x=active"),
        (uuid.UUID(int=0), "x=00000000-0000-0000-0000-000000000000"),
        ([True, 1, 1.5], "x=true&x=1&x=1.5"),
        (None, ""),
    ],
)
def test_a_parameter_is_written_in_the_one_way_that_the_api_reads(value: Any, sent: str) -> None:
    assert query({"x": value}) == sent


@pytest.mark.parametrize(
    "value",
    [datetime(2026, 1, 2), {"a": 1}, b"x", float("nan"), float("inf"), object(), [["a"]], str],  # noqa: DTZ001
)
async def test_a_parameter_without_a_clear_meaning_is_refused_by_its_name(value: Any) -> None:
    async with client() as (cc, responses):
        with pytest.raises(InvalidRequestError, match="'since'"):
            await cc.request("GET", "/emails", params={"since": value})
        assert not responses.sent


async def test_a_generator_among_the_parameters_of_a_stream_lasts_for_every_iteration() -> None:
    async with talking() as (cc, server):
        server.always = reply(200, {"campaigns": []})
        pager = cc.pages("/emails", items="campaigns", params={"x": (letter for letter in "ab")})
        assert [await pager.collect(), await pager.collect()] == [[], []]
    assert [request.target.count("x=a&x=b") for request in server.requests] == [1, 1]


def test_headers_are_a_plain_value() -> None:
    headers = Headers([("X-One", "1"), ("x-one", "2"), ("Two", "3")])
    assert (headers["x-ONE"], headers.get("TWO"), headers.get("three")) == ("1", "3", None)
    assert (dict(headers), len(headers), "two" in headers) == ({"X-One": "1", "Two": "3"}, 2, True)
    for twin in (pickle.loads(pickle.dumps(headers)), copy.deepcopy(headers), copy.copy(headers)):  # noqa: S301  # our own
        assert (twin, hash(twin), twin["TWO"]) == (headers, hash(headers), "3")
    assert headers == {"x-one": "1", "two": "3"}
    assert headers != {"x-one": "1"}
    assert headers != 5
    with pytest.raises(AttributeError, match="cannot be changed"):
        headers._fields = {}  # type: ignore[misc, unused-ignore]  # that is the point
    with pytest.raises(TypeError):
        headers["a"] = "b"  # type: ignore[index]  # that is the point


async def test_responses_pages_and_errors_pickle_and_copy() -> None:
    async with talking(reply(200, {"contact_id": "c1"}, {"X-Id": "7"}), reply(200, {"contacts": []})) as (cc, server):
        response = await cc.contacts.with_http_info.get("c1")
        page = await cc.contacts.with_http_info.list()
        server.replies.append(reply(404, {"error_key": "k"}, {"X-Id": "7"}))
        with pytest.raises(ApiError) as caught:
            await cc.contacts.get("c1")
    copies: list[Callable[[Any], Any]] = [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]  # noqa: S301  # our own
    for copied in copies:
        assert copied(response) == response
        assert copied(response).headers["x-id"] == "7"
        assert copied(page).headers == page.headers
        assert copied(caught.value).headers["X-ID"] == "7"


@pytest.mark.parametrize(
    "host", ["api.cc.email", "API.CC.EMAIL.", "cc.email", "constantcontact.com", "authz.constantcontact.com"]
)
def test_no_switch_sends_the_providers_hosts_a_token_in_plain_http(host: str) -> None:
    with pytest.raises(InvalidRequestError, match="unprotected"):
        ConstantContact(TOKEN, base_url=f"http://{host}/v3", allow_insecure_http=True)


def test_plain_http_to_another_machine_takes_an_explicit_true() -> None:
    ConstantContact(TOKEN, base_url="http://sandbox:8080/v3", allow_insecure_http=True)
    for other in (False, "false", 1):
        with pytest.raises(InvalidRequestError, match="unprotected"):
            ConstantContact(TOKEN, base_url="http://sandbox:8080/v3", allow_insecure_http=other)  # type: ignore[arg-type]


def test_the_switch_for_plain_http_holds_for_the_authorization_server_too() -> None:
    url = "http://sandbox:8080/token"
    OAuth2("id", token_url=url, allow_insecure_http=True)
    for settings in ({"token_url": url}, {"token_url": "http://authz.constantcontact.com/token", **OPEN}):
        with pytest.raises(InvalidRequestError, match="unprotected"):
            OAuth2("id", **settings)


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


async def test_the_proxies_of_the_environment_are_used_only_when_asked(proxied: pytest.MonkeyPatch) -> None:
    async with RawServer() as proxy, RawServer() as server:
        proxied.setenv("http_proxy", proxy.base_url.removesuffix("/v3"))
        for trust_env in (False, True):
            async with hasty(server.base_url, trust_env=trust_env) as cc:
                assert (await cc.contacts.get("c1")).contact_id == "c1"
    assert [request.target for request in server.requests] == ["/v3/contacts/c1"]
    assert [request.target for request in proxy.requests] == [f"{server.base_url}/contacts/c1"]


async def test_a_shared_session_brings_its_own_proxies_and_trust() -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(InvalidRequestError, match="on the client_session"):
            ConstantContact(TOKEN, client_session=http, trust_env=True)


GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("headers", "body", "kind", "reason"),
    [
        ({"X-Long": "x" * 20_000}, b"{}", TransportError, "headers are too large"),
        (GZIP, b"no gzip at all", TransportError, "content coding is broken or unknown"),
        ({"Content-Encoding": "rot13"}, b"{}", DecodeError, "unknown content coding 'rot13'"),
        ({"Content-Length": "2\r\nContent-Length: 3"}, b"{}", TransportError, "Content-Length"),
        ({"Content-Length": "two"}, b"{}", TransportError, "Content-Length"),
    ],
)
async def test_a_response_that_cannot_be_read_says_the_reason(
    headers: dict[str, str], body: bytes, kind: type[ConstantContactError], reason: str
) -> None:
    async with talking(retry=RetryPolicy(attempts=1)) as (cc, server):
        server.always = reply(200, body, headers, then="close")
        with pytest.raises(kind, match=reason):
            await cc.contacts.get("c1")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 503])
async def test_a_token_that_an_error_response_echoes_is_kept_nowhere(status: int) -> None:
    token = "opaque-0123456789"
    async with talking(auth=token, retry=RetryPolicy(attempts=1)) as (cc, server):
        echo = {"error_key": "k", "error_message": f"refused {token}"}
        server.always = reply(status, echo, {"X-Echo": token, "X-Auth": f"Bearer {token}"})
        with pytest.raises(ApiError) as caught:
            await cc.contacts.get("c1")
    error = caught.value
    assert token not in repr([str(error), dict(error.headers), error.body, error.errors, pickle.dumps(error)])
    assert "<token>" in error.headers["X-Echo"]


async def test_a_token_that_a_good_response_echoes_stays_out_of_its_headers() -> None:
    async with talking(reply(200, {"contact_id": "c1"}, {"X-Echo": TOKEN})) as (cc, _):
        assert (await cc.contacts.with_http_info.get("c1")).headers["x-echo"] == "<token>"


async def test_no_logger_writes_the_token_whatever_goes_wrong(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)  # of the root logger: ours, aiohttp's and asyncio's alike
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0  # so that every handle and task is shown
    echo = {"X-Echo": TOKEN}
    async with talking(retry=FAST) as (cc, server):
        for status in (400, 401, 403, 404, 429, 500, 503):
            server.replies.append(reply(status, {"error_message": f"Bearer {TOKEN}"}, echo))
        for cut in (1, 5):
            server.replies.append(reply(200, {"contact_id": "c1"}, echo, cut=cut, then="close"))
        server.replies.append(reply(200, b"no gzip", {**GZIP, **echo}, then="close"))
        while server.replies:
            with pytest.raises(ConstantContactError):
                await cc.request("POST", "/emails", json={"a": 1})
    assert {record.name for record in caplog.records} >= {"cc_async", "asyncio"}
    written = "\n".join(f"{record.getMessage()} {record.args!r} {record.exc_text}" for record in caplog.records)
    assert TOKEN not in written
