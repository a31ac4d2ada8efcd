import asyncio
import logging
import pickle
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.token_server import CUT, HTML, TokenServer, granted, reply

from cc_async.errors import (
    InvalidRequestError,
    ReauthorizationRequiredError,
    RequestTimeoutError,
    TokenRefreshError,
    TokenStoreError,
    TransportError,
)
from cc_async.oauth import refresh
from cc_async.oauth.file_store import FileTokenStore
from cc_async.oauth.provider import OAuth2, StaticToken
from cc_async.oauth.stores import MemoryTokenStore
from cc_async.oauth.token import Token
from cc_async.wire.urls import USER_AGENT

NOW = 1_800_000_000.0


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


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


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with TokenServer() as running:
        yield running


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def make(server: TokenServer, time: Time) -> Any:
    def build(token: Token | None = None, **options: Any) -> OAuth2:
        options = {"store": MemoryTokenStore(token), "token_url": server.url, **options}
        oauth = OAuth2("the-app", **options)
        oauth._refresher.clock, oauth._refresher.sleep = lambda: time.now, time.sleep
        return oauth

    return build


def lasting(seconds: float | None = 86_400, number: int = 0) -> Token:
    return Token(f"a{number}", f"r{number}", None if seconds is None else NOW + seconds)


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

    async def test_responses_a_rejection_of_an_older_one(self, make: Any, server: TokenServer) -> None:
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


class TestHostTrouble:
    @pytest.mark.parametrize(
        "trouble",
        [
            HTML,
            reply(429, error="too_many_requests"),
            reply(500, errorCode="E0000009", errorSummary="Internal Server Error"),
            reply(502),
            (403, {}, "<html>Request blocked</html>"),
            (200, {}, "<html>Welcome to the hotel's network</html>"),
            reply(200, token_type="Bearer"),
            reply(200, access_token=""),
            (200, {}, "[1]"),
            CUT,
        ],
    )
    async def test_that_may_pass_is_sat_out(
        self, make: Any, server: TokenServer, time: Time, trouble: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.replies.append(trouble)
        assert await make(lasting(0)).token() == "a1"
        assert time.slept == [pytest.approx(1)]
        assert [record.levelname for record in caplog.records if record.name == "cc_async"] == ["WARNING"]

    async def test_is_borne_four_times_at_most_one_a_second(self, make: Any, server: TokenServer, time: Time) -> None:
        server.replies.extend([HTML] * 8)
        oauth = make(lasting(0))
        with pytest.raises(TokenRefreshError, match="responded with 503: an unreadable body"):
            await oauth.token()
        assert len(server.forms) == 4
        assert time.slept == [1, 1, 1]
        with pytest.raises(TokenRefreshError):
            await oauth.token()
        assert time.slept == [1] * 7, "the next call, too, keeps its distance"

    async def test_says_how_long_to_wait_within_reason(self, make: Any, server: TokenServer, time: Time) -> None:
        server.replies.extend((429, {"Retry-After": seconds}, "") for seconds in ("7", "3600"))
        assert await make(lasting(0)).token() == "a1"
        assert time.slept == [7, 30]

    async def test_of_responses_that_are_lost_is_borne_once(self, make: Any, server: TokenServer) -> None:
        server.replies.extend([CUT] * 3)
        with pytest.raises(TokenRefreshError, match="did not respond") as caught:
            await make(lasting(0)).token()
        assert server.refreshes == ["r0", "r0"]
        cause = caught.value.__cause__
        assert isinstance(cause, TransportError)
        assert cause.maybe_applied

    async def test_of_a_response_that_does_not_come_in_time_counts_as_lost(
        self, make: Any, server: TokenServer
    ) -> None:
        server.gate.clear()
        with pytest.raises(TokenRefreshError) as caught:
            await make(lasting(0), timeout=0.1).token()
        assert isinstance(caught.value.__cause__, RequestTimeoutError)
        assert server.refreshes == ["r0", "r0"]

    async def test_of_a_connection_that_is_never_made_is_borne_four_times(self, make: Any, time: Time) -> None:
        with TokenServer() as gone:
            pass
        with pytest.raises(TokenRefreshError) as caught:
            await make(lasting(0), token_url=gone.url).token()
        assert time.slept == [1, 1, 1]
        assert isinstance(caught.value.__cause__, TransportError)
        assert not caught.value.__cause__.maybe_applied

    @pytest.mark.parametrize(
        ("response", "code"),
        [
            (reply(401, error="invalid_client", error_description="No such app."), "invalid_client"),
            (reply(400, errorCode="E0000021", errorSummary="Bad media type."), "E0000021"),
            ((302, {"Location": "https://elsewhere.example/"}, ""), None),
        ],
    )
    async def test_that_cannot_pass_fails_at_once(
        self, make: Any, server: TokenServer, response: Any, code: str | None
    ) -> None:
        server.replies.append(response)
        with pytest.raises(TokenRefreshError) as caught:
            await make(lasting(0)).token()
        assert type(caught.value) is TokenRefreshError
        assert caught.value.error == code
        assert len(server.forms) == 1

    async def test_does_not_matter_while_the_present_token_lives(
        self, make: Any, server: TokenServer, time: Time, caplog: pytest.LogCaptureFixture
    ) -> None:
        oauth = make(lasting(200))
        server.replies.extend([HTML] * 4)
        assert [await oauth.token() for _ in range(10)] == ["a0"] * 10
        assert len(server.forms) == 4
        assert "stays in use" in caplog.text
        time.now += 31
        assert await oauth.token() == "a1"

    async def test_holds_up_no_caller_for_long_while_the_present_token_lives(
        self, make: Any, server: TokenServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(refresh, "_EARLY_REFRESH_WAIT", 0.05)
        server.gate.clear()
        oauth = make(lasting(200))
        assert [await oauth.token() for _ in range(3)] == ["a0"] * 3
        server.gate.set()
        await oauth.close()
        assert await oauth.token() == "a1"
        assert server.refreshes == ["r0"]

    async def test_that_nobody_foresaw_reaches_the_caller_as_it_is(self, make: Any) -> None:
        def factory() -> Any:
            raise LookupError("no proxy is configured")

        with pytest.raises(LookupError):
            await make(lasting(0), session_factory=factory).token()


class TestReauthorization:
    @pytest.mark.parametrize(
        "response",
        [
            reply(400, error="invalid_grant", error_description="The refresh token is invalid or expired."),
            reply(403, errorCode="invalid_grant", errorSummary="The refresh token is invalid or expired."),
            reply(200, error="invalid_grant"),
        ],
    )
    async def test_is_required_when_the_host_says_so_and_the_token_is_never_sent_again(
        self, make: Any, server: TokenServer, response: Any
    ) -> None:
        store = MemoryTokenStore(lasting(0))
        oauth = make(store=store)
        server.replies.append(response)
        for _ in range(3):
            with pytest.raises(ReauthorizationRequiredError, match="invalid_grant") as caught:
                await oauth.token()
            assert caught.value.error == "invalid_grant"
        assert server.refreshes == ["r0"]
        await store.save(lasting(number=7))
        assert await oauth.token() == "a7"

    async def test_is_not_required_as_long_as_the_present_token_lives(
        self, make: Any, server: TokenServer, time: Time
    ) -> None:
        server.replies.append(reply(400, error="invalid_grant"))
        oauth = make(lasting(200))
        for _ in range(6):
            assert await oauth.token() == "a0"
            time.now += 31
        time.now += 31
        with pytest.raises(ReauthorizationRequiredError):
            await oauth.token()
        assert server.refreshes == ["r0"]

    @pytest.mark.parametrize("status", [429, 500])
    async def test_is_not_required_by_an_error_that_only_quotes_the_code(
        self, make: Any, server: TokenServer, status: int
    ) -> None:
        server.replies.append(reply(status, error="invalid_grant"))
        assert await make(lasting(0)).token() == "a1"

    async def test_is_required_where_there_is_nothing_to_begin_with(self, make: Any, server: TokenServer) -> None:
        with pytest.raises(ReauthorizationRequiredError, match="authorize first"):
            await make().token()
        assert server.forms == []

    async def test_is_required_when_a_token_without_refresh_token_is_over(
        self, make: Any, server: TokenServer, time: Time
    ) -> None:
        oauth = make(Token("a0", expires_at=NOW + 100))
        assert await oauth.token() == "a0"
        time.now += 100
        with pytest.raises(ReauthorizationRequiredError, match="offline_access"):
            await oauth.token()
        assert server.forms == []


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
