"""Which token a request gets, and when it is refreshed."""

import asyncio
import logging
import pickle
from typing import Any

import pytest
from support.token_server import TokenServer, granted, reply
from support.token_times import NOW, Time, lasting

from cc_async.errors import InvalidRequestError, ReauthorizationRequiredError
from cc_async.oauth.file_store import FileTokenStore
from cc_async.oauth.provider import OAuth2, StaticToken
from cc_async.oauth.stores import MemoryTokenStore
from cc_async.oauth.token import Token
from cc_async.wire.urls import USER_AGENT


class TestStaticToken:
    async def test_gives_what_it_was_given_and_shows_it_to_nobody(self) -> None:
        provider = StaticToken("plain")
        assert await provider.token() == await provider.token(rejected="plain") == "plain"
        assert "plain" not in repr(provider)


class TestPresentToken:
    async def test_is_used_without_asking_the_host(self, make: Any, server: TokenServer) -> None:
        oauth = make(lasting())
        assert [await oauth.token() for _ in range(3)] == ["a0"] * 3
        assert server.forms == []

    async def test_of_unknown_life_is_used_until_it_is_rejected(
        self, make: Any, server: TokenServer, time: Time
    ) -> None:
        oauth = make(lasting(None))
        time.now += 10_000_000
        assert await oauth.token() == "a0"
        assert await oauth.token(rejected="a0") == "a1"
        assert server.refreshes == ["r0"]

    async def test_answers_a_rejection_of_an_older_one(self, make: Any, server: TokenServer) -> None:
        oauth = make(lasting())
        assert await oauth.token(rejected="long gone") == "a0"
        assert server.forms == []

    async def test_of_a_store_comes_before_the_refresh_token_of_the_program(
        self, make: Any, server: TokenServer
    ) -> None:
        assert await make(lasting(), refresh_token="r-seed").token() == "a0"
        assert server.forms == []

    async def test_is_masked_where_a_caller_might_log_it(self, make: Any) -> None:
        assert "a0" not in repr(await make(lasting()).token())


class TestRefresh:
    async def test_begins_from_the_refresh_token_of_the_program_when_the_store_is_empty(
        self, make: Any, server: TokenServer
    ) -> None:
        store = MemoryTokenStore()
        oauth = make(store=store, refresh_token="r0")
        assert await oauth.token() == "a1"
        assert await store.load() == Token("a1", "r1", NOW + 86_400)
        assert server.refreshes == ["r0"]

    async def test_is_one_request_for_a_hundred_callers(self, make: Any, server: TokenServer) -> None:
        oauth = make(lasting())
        assert await asyncio.gather(*(oauth.token("a0") for _ in range(100))) == ["a1"] * 100
        assert server.refreshes == ["r0"]

    async def test_is_one_request_even_if_the_host_grants_the_same_token_again(
        self, make: Any, server: TokenServer
    ) -> None:
        server.replies.extend([granted(0)] * 2)
        oauth = make(lasting())
        assert await asyncio.gather(*(oauth.token("a0") for _ in range(100))) == ["a0"] * 100
        assert len(server.forms) == 1

    async def test_happens_before_the_token_ends(self, make: Any, server: TokenServer, time: Time) -> None:
        oauth = make(lasting(1_000), refresh_early=300)
        time.now += 699
        assert await oauth.token() == "a0"
        time.now += 2
        assert await oauth.token() == "a1"
        assert server.refreshes == ["r0"]

    async def test_does_not_repeat_with_every_call_when_lives_are_shorter_than_refresh_early(
        self, make: Any, server: TokenServer, time: Time
    ) -> None:
        server.replies.extend(granted(number, lifetime=60) for number in (1, 2, 3))
        oauth = make(refresh_token="r0", refresh_early=300)
        assert [await oauth.token() for _ in range(5)] == ["a1"] * 5
        time.now += 31
        assert [await oauth.token() for _ in range(5)] == ["a2"] * 5
        assert server.refreshes == ["r0", "r1"]

    async def test_keeps_the_refresh_token_that_a_response_leaves_out(self, make: Any, server: TokenServer) -> None:
        store = MemoryTokenStore(Token("a0", "r0", NOW, scope="contact_data offline_access"))
        server.replies.append(reply(200, access_token="a1", expires_in=86_400))
        await make(store=store).token()
        assert await store.load() == Token("a1", "r0", NOW + 86_400, "contact_data offline_access")

    @pytest.mark.parametrize(
        ("lifetime", "end"),
        [("3600", NOW + 3600), (None, None), ("soon", None), ([], None), (-1, None), ("nan", None), (10**400, None)],
    )
    async def test_reads_the_life_of_the_token_if_it_is_there(
        self, make: Any, server: TokenServer, lifetime: Any, end: float | None
    ) -> None:
        store = MemoryTokenStore(lasting(0))
        server.replies.append(granted(1, lifetime))
        await make(store=store).token()
        token = await store.load()
        assert token is not None
        assert token.expires_at == end

    async def test_names_a_public_application_in_the_form(self, make: Any, server: TokenServer) -> None:
        await make(lasting(0)).token()
        assert server.forms == [
            {"grant_type": "refresh_token", "refresh_token": "r0", "client_id": "the-app", "path": "/token"}
        ]
        headers = server.headers[0]
        assert "Authorization" not in headers
        assert headers["User-Agent"] == USER_AGENT
        assert headers["Accept"] == "application/json"
        assert headers["Content-Type"].startswith("application/x-www-form-urlencoded")

    async def test_names_a_confidential_application_by_basic_authentication(
        self, make: Any, server: TokenServer
    ) -> None:
        await make(lasting(0), client_secret="pass:wörd").token()
        assert server.forms == [{"grant_type": "refresh_token", "refresh_token": "r0", "path": "/token"}]
        assert server.headers[0]["Authorization"] == "Basic dGhlLWFwcDpwYXNzOnfDtnJk"

    async def test_is_told_in_the_log_without_a_secret(self, make: Any, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "cc_async")
        await make(lasting(0)).token()
        assert [(record.name, record.levelname) for record in caplog.records] == [("cc_async", "INFO")]
        assert not {"a0", "a1", "r0", "r1"} & set(caplog.text.split())


class TestEndpoints:
    @pytest.mark.parametrize("name", ["token_url", "authorize_url", "device_url"])
    @pytest.mark.parametrize("url", ["http://authz.example/token", "ftp://127.0.0.1/token", "token", "", "http://[::"])
    def test_that_would_send_secrets_in_the_clear_are_refused(self, name: str, url: str) -> None:
        options: dict[str, Any] = {name: url}
        with pytest.raises(InvalidRequestError):
            OAuth2("the-app", **options)

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "[::1]", "localhost"])
    def test_on_this_machine_may_be_plain(self, host: str) -> None:
        OAuth2("the-app", token_url=f"http://{host}:8080/token")


def test_errors_of_the_token_host_pickle() -> None:
    error = ReauthorizationRequiredError("spent", error="invalid_grant")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(copy), copy.args, copy.error) == (type(error), error.args, "invalid_grant")


async def test_a_file_store_serves_as_well(make: Any, server: TokenServer, tmp_path: Any) -> None:
    store = FileTokenStore(tmp_path / "token.json")
    assert await asyncio.gather(*(make(store=store, refresh_token="r0").token() for _ in range(5))) == ["a1"] * 5
    assert server.refreshes == ["r0"]
