"""A refresh that the token host answers late, badly, with a refusal, or not at all."""

from typing import Any

import pytest
from support.token_server import CUT, HTML, TokenServer, reply
from support.token_times import NOW, Time, lasting

from cc_async.errors import ReauthorizationRequiredError, RequestTimeoutError, TokenRefreshError, TransportError
from cc_async.oauth import refresh
from cc_async.oauth.stores import MemoryTokenStore
from cc_async.oauth.token import Token


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
