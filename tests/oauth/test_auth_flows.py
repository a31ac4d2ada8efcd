import base64
import hashlib
import logging
import pickle
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from support.token_server import CUT, HTML, TokenServer, granted, reply

from cc_async.errors import AuthorizationError, TokenStoreError
from cc_async.oauth.endpoint import AuthorizationRequest
from cc_async.oauth.provider import OAuth2
from cc_async.oauth.stores import MemoryTokenStore
from cc_async.oauth.token import Token

NOW = 1_800_000_000.0
CALLBACK = "https://app.example/oauth/callback?tenant=a&b=c"


class Flow:
    """An OAuth2 object whose time only its own sleeping moves."""

    def __init__(self, server: TokenServer, **options: Any) -> None:
        self.store = options.setdefault("store", MemoryTokenStore())
        self.oauth = OAuth2("the-app", token_url=server.url, device_url=server.url, **options)
        self.oauth._refresher.clock, self.oauth._refresher.sleep = lambda: self.now, self.sleep
        self.now = NOW
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def query_of(url: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query, strict_parsing=True).items()}


def come_back(request: AuthorizationRequest, **changes: str) -> str:
    return f"{CALLBACK}&{urlencode({'code': 'c0de/+=', 'state': request.state, **changes})}#fragment"


class TestAuthorizationUrl:
    def test_asks_for_a_code_for_this_application_and_place(self) -> None:
        request = OAuth2("the app", client_secret="s").authorization_url(CALLBACK)
        assert request.url.startswith("https://authz.constantcontact.com/oauth2/default/v1/authorize?")
        assert query_of(request.url) == {
            "response_type": "code",
            "client_id": "the app",
            "redirect_uri": CALLBACK,
            "scope": "contact_data offline_access",
            "state": request.state,
        }
        assert request.code_verifier is None
        assert len(request.state) >= 32

    def test_has_another_state_each_time_unless_one_is_given(self) -> None:
        oauth = OAuth2("the-app")
        assert oauth.authorization_url(CALLBACK).state != oauth.authorization_url(CALLBACK).state
        assert query_of(oauth.authorization_url(CALLBACK, state="my own&").url)["state"] == "my own&"

    @pytest.mark.parametrize(
        ("secret", "pkce", "used"), [(None, None, True), ("s", None, False), ("s", True, True), (None, False, False)]
    )
    def test_uses_pkce_for_public_applications_or_as_one_likes(
        self, secret: str | None, pkce: bool | None, used: bool
    ) -> None:
        request = OAuth2("the-app", client_secret=secret).authorization_url(CALLBACK, pkce=pkce)
        query = query_of(request.url)
        assert ("code_challenge" in query) == (request.code_verifier is not None) == used
        if request.code_verifier is not None:
            digest = hashlib.sha256(request.code_verifier.encode()).digest()
            assert query["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
            assert query["code_challenge_method"] == "S256"
            assert 43 <= len(request.code_verifier) <= 128
            assert request.code_verifier not in repr(request)

    def test_can_be_kept_until_the_browser_comes_back(self) -> None:
        request = OAuth2("the-app").authorization_url(CALLBACK)
        assert pickle.loads(pickle.dumps(request)) == request  # noqa: S301 - our own bytes

    @pytest.mark.parametrize("scope", ["contact_data account_read", ["contact_data", "account_read"]])
    def test_warns_of_a_scope_that_gives_no_refresh_token(self, scope: Any, caplog: pytest.LogCaptureFixture) -> None:
        request = OAuth2("the-app").authorization_url(CALLBACK, scope=scope)
        assert query_of(request.url)["scope"] == "contact_data account_read"
        assert "offline_access" in caplog.text


class TestExchange:
    async def test_trades_the_code_for_a_token_and_saves_it(self, server: TokenServer) -> None:
        flow = Flow(server)
        request = flow.oauth.authorization_url(CALLBACK)
        token = await flow.oauth.exchange(request, come_back(request))
        assert token == Token("a1", "r1", NOW + 86_400) == await flow.store.load()
        assert await flow.oauth.token() == "a1"
        assert server.forms == [
            {
                "grant_type": "authorization_code",
                "code": "c0de/+=",
                "redirect_uri": CALLBACK,
                "code_verifier": request.code_verifier,
                "client_id": "the-app",
                "path": "/token",
            }
        ]

    async def test_takes_the_place_of_the_token_before(self, server: TokenServer) -> None:
        flow = Flow(server, store=MemoryTokenStore(Token("old", "old refresh")))
        assert await flow.oauth.token() == "old"
        request = flow.oauth.authorization_url(CALLBACK)
        await flow.oauth.exchange(request, come_back(request))
        assert await flow.oauth.token() == "a1"

    @pytest.mark.parametrize("back", ["", CALLBACK, f"{CALLBACK}&code=c0de&state=", f"{CALLBACK}&code=c0de&state=é"])
    async def test_refuses_a_state_that_it_did_not_send(self, server: TokenServer, back: str) -> None:
        flow = Flow(server)
        with pytest.raises(AuthorizationError, match="state"):
            await flow.oauth.exchange(flow.oauth.authorization_url(CALLBACK), back)
        assert server.forms == []

    async def test_reports_a_refusal(self, server: TokenServer) -> None:
        flow = Flow(server)
        request = flow.oauth.authorization_url(CALLBACK)
        back = come_back(request, error="access_denied", error_description="User denied access.")
        with pytest.raises(AuthorizationError, match=r"access_denied User denied access\.") as caught:
            await flow.oauth.exchange(request, back)
        assert caught.value.error == "access_denied"
        assert server.forms == []

    async def test_reports_a_code_that_is_missing(self, server: TokenServer) -> None:
        flow = Flow(server)
        request = flow.oauth.authorization_url(CALLBACK)
        with pytest.raises(AuthorizationError, match="without a code"):
            await flow.oauth.exchange(request, come_back(request, code=""))

    async def test_reports_a_code_that_the_host_refuses(self, server: TokenServer) -> None:
        server.replies.append(reply(400, error="invalid_grant", error_description="The code has expired."))
        flow = Flow(server)
        request = flow.oauth.authorization_url(CALLBACK)
        with pytest.raises(AuthorizationError, match=r"The code has expired\.") as caught:
            await flow.oauth.exchange(request, come_back(request))
        assert type(caught.value) is AuthorizationError
        assert caught.value.error == "invalid_grant"

    async def test_sits_out_trouble_that_may_pass(self, server: TokenServer) -> None:
        server.replies.extend([HTML, CUT])
        flow = Flow(server)
        request = flow.oauth.authorization_url(CALLBACK)
        await flow.oauth.exchange(request, come_back(request))
        assert len(server.forms) == 3

    async def test_does_not_spend_the_code_on_a_store_that_fails(self, server: TokenServer) -> None:
        class Broken(MemoryTokenStore):
            async def load(self) -> Token | None:
                raise OSError

        flow = Flow(server, store=Broken())
        request = flow.oauth.authorization_url(CALLBACK)
        with pytest.raises(TokenStoreError):
            await flow.oauth.exchange(request, come_back(request))
        assert server.forms == []

    async def test_warns_of_a_token_that_cannot_be_refreshed(
        self, server: TokenServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        server.replies.append(reply(200, access_token="a1", expires_in=86_400))
        flow = Flow(server)
        request = flow.oauth.authorization_url(CALLBACK)
        assert (await flow.oauth.exchange(request, come_back(request))).refresh_token is None
        assert "No refresh token was granted" in caplog.text


START = reply(
    200,
    device_code="d0",
    user_code="ABCD-EFGH",
    verification_uri="https://identity.example/activate",
    verification_uri_complete="https://identity.example/activate?user_code=ABCD-EFGH",
    expires_in=600,
    interval=5,
)


class TestDevice:
    async def test_start_tells_what_to_show(self, server: TokenServer) -> None:
        server.replies.append(START)
        device = await Flow(server).oauth.start_device_authorization()
        assert device.user_code == "ABCD-EFGH"
        assert device.verification_uri == "https://identity.example/activate"
        assert device.verification_uri_complete == "https://identity.example/activate?user_code=ABCD-EFGH"
        assert (device.expires_at, device.interval) == (NOW + 600, 5)
        assert "d0" not in repr(device)
        assert server.forms == [
            {
                "client_id": "the-app",
                "scope": "contact_data offline_access",
                "response_type": "code",
                "path": "/token",
            }
        ]

    @pytest.mark.parametrize("response", [reply(400, error="invalid_scope"), reply(200, device_code="d0"), HTML, CUT])
    async def test_start_reports_a_refusal(self, server: TokenServer, response: Any) -> None:
        server.replies.append(response)
        with pytest.raises(AuthorizationError):
            await Flow(server).oauth.start_device_authorization()

    async def test_poll_waits_for_the_person_at_the_pace_it_is_told(self, server: TokenServer) -> None:
        flow = Flow(server)
        pending, slower = reply(400, error="authorization_pending"), reply(400, error="slow_down")
        server.replies.extend([START, pending, slower, pending, CUT, HTML, granted(1)])
        device = await flow.oauth.start_device_authorization()
        token = await flow.oauth.poll_device_authorization(device)
        assert token == Token("a1", "r1", NOW + sum(flow.slept) + 86_400) == await flow.store.load()
        assert flow.slept == [5, 5, 10, 10, 10, 10]
        assert server.forms[1] == {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "device_code": "d0",
            "client_id": "the-app",
            "path": "/token",
        }

    @pytest.mark.parametrize("code", ["access_denied", "expired_token", "invalid_grant"])
    async def test_poll_ends_when_the_host_says_so(self, server: TokenServer, code: str) -> None:
        flow = Flow(server)
        server.replies.extend([START, reply(400, error=code)])
        device = await flow.oauth.start_device_authorization()
        with pytest.raises(AuthorizationError) as caught:
            await flow.oauth.poll_device_authorization(device)
        assert caught.value.error == code
        assert len(server.forms) == 2

    async def test_poll_ends_when_the_code_does(self, server: TokenServer) -> None:
        flow = Flow(server)
        server.replies.append(START)
        server.replies.extend([reply(400, error="authorization_pending")] * 200)
        device = await flow.oauth.start_device_authorization()
        with pytest.raises(AuthorizationError, match="in time") as caught:
            await flow.oauth.poll_device_authorization(device)
        assert caught.value.error == "expired_token"
        assert len(server.forms) == 1 + 120
