"""The authorization server."""

import base64
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from support.sandbox_contract import Caller, Clock, Reply, calling

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
REDIRECT = "https://app.example.com/callback?app=1"
VERIFIER = "a-verifier-that-is-long-enough-to-be-a-verifier"


async def authorize(call: Caller, **more: str) -> Reply:
    query = {
        "client_id": call.box.client_id,
        "redirect_uri": REDIRECT,
        "response_type": "code",
        "scope": "contact_data offline_access",
        "state": "some state",
    }
    return await call("GET", f"{call.box.authorize_url}?{urlencode(query | more)}")


def given_back(reply: Reply) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(reply.headers["Location"]).query))


async def exchange(call: Caller, code: str, **more: str) -> Reply:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    return await call.token_request(form | more)


def error(reply: Reply) -> Any:
    assert set(reply.json) == {"error", "error_description"}
    return reply.json["error"]


async def test_a_code_is_exchanged_once_for_tokens_that_work() -> None:
    async with calling(contacts=1) as call:
        reply = await authorize(call)
        assert reply.status == 302
        back = given_back(reply)
        assert (back["state"], back["app"]) == ("some state", "1")
        tokens = (await exchange(call, back["code"])).json
        assert tokens["token_type"] == "Bearer"
        assert tokens["expires_in"] == 86_400
        call.token = tokens["access_token"]
        assert (await call("GET", "/contacts")).status == 200
        assert (await call.refresh(tokens["refresh_token"])).status == 200
        assert error(await exchange(call, back["code"])) == "invalid_grant"


async def test_without_offline_access_there_is_no_refresh_token_and_no_error() -> None:
    async with calling() as call:
        code = given_back(await authorize(call, scope="contact_data"))["code"]
        tokens = (await exchange(call, code)).json
        assert "refresh_token" not in tokens
        assert tokens["scope"] == "contact_data"


async def test_a_code_ends_and_belongs_to_its_redirect() -> None:
    clock = Clock()
    async with calling(clock=clock) as call:
        code = given_back(await authorize(call))["code"]
        assert error(await exchange(call, code, redirect_uri="https://other.example.com")) == "invalid_grant"
        code = given_back(await authorize(call))["code"]
        clock.now += 601
        assert error(await exchange(call, code)) == "invalid_grant"


async def test_a_challenge_demands_its_verifier() -> None:
    async with calling() as call:
        digest = sha256(VERIFIER.encode()).digest()
        sent = {
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        for verifier, status in ((VERIFIER, 200), ("another", 400), ("", 400)):
            code = given_back(await authorize(call, **sent))["code"]
            assert (await exchange(call, code, code_verifier=verifier)).status == status


async def test_a_browser_with_a_wrong_question_is_sent_back_or_stopped() -> None:
    async with calling() as call:
        assert (await authorize(call, client_id="another")).status == 400
        assert given_back(await authorize(call, response_type="token"))["error"] == "invalid_request"
        assert given_back(await authorize(call, code_challenge_method="plain"))["error"] == "invalid_request"
        bare = f"client_id={call.box.client_id}&redirect_uri=http://localhost/&response_type=code"
        reply = await call("GET", f"{call.box.authorize_url}?{bare}")
        assert reply.headers["Location"].startswith("http://localhost/?code=")


async def test_a_rotating_refresh_token_works_once() -> None:
    async with calling() as call:
        first = call.box.refresh_token
        second = (await call.refresh(first)).json["refresh_token"]
        assert second == call.box.refresh_token != first
        reply = await call.refresh(first)
        assert (reply.status, error(reply)) == (400, "invalid_grant")
        assert (call.box.refreshes, call.box.spent_token_uses) == (1, 1)
        assert (await call.refresh(second)).status == 200


@pytest.mark.parametrize("listed", [True, False])
async def test_a_long_lived_refresh_token_stays_and_may_be_left_out_of_the_response(listed: bool) -> None:
    async with calling(rotating=False, refresh_token_in_response=listed) as call:
        token = call.box.refresh_token
        for _ in range(2):
            reply = await call.refresh(token)
            assert reply.json.get("refresh_token") == (token if listed else None)
            assert "offline_access" in reply.json["scope"]
        assert call.box.refresh_token == token


async def test_a_refresh_token_lapses_when_nobody_uses_it_for_180_days() -> None:
    clock = Clock()
    async with calling(clock=clock) as call:
        clock.now += 179 * 86_400
        token = (await call.refresh(call.box.refresh_token)).json["refresh_token"]
        clock.now += 181 * 86_400
        assert error(await call.refresh(token)) == "invalid_grant"
        assert error(await call.refresh("never issued")) == "invalid_grant"
        assert call.box.spent_token_uses == 0


async def test_a_revoked_refresh_token_is_replaced_for_the_test_that_asks() -> None:
    async with calling() as call:
        old = call.box.refresh_token
        call.box.revoke(old)
        assert error(await call.refresh(old)) == "invalid_grant"
        assert (await call.refresh(call.box.refresh_token)).status == 200


@pytest.mark.parametrize("authorization", ["", "Basic !", "Basic /////w==", "Basic YTpi", "Bearer x"])
async def test_a_client_that_is_not_known_is_refused(authorization: str) -> None:
    async with calling() as call:
        form = {"grant_type": "refresh_token", "refresh_token": "any", "client_id": call.box.client_id}
        headers = {"Authorization": authorization}
        reply = await call("POST", call.box.token_url, data=form, headers=headers)
        assert (reply.status, error(reply)) == (401, "invalid_client")


async def test_a_public_client_needs_no_secret_but_pkce() -> None:
    async with calling(public_client=True) as call:
        client = {"client_id": call.box.client_id}
        no_secret = {"Authorization": ""}
        code = given_back(await authorize(call))["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT} | client
        assert error(await call("POST", call.box.token_url, data=form, headers=no_secret)) == "invalid_grant"
        form = {"grant_type": "refresh_token", "refresh_token": call.box.refresh_token} | client
        assert (await call("POST", call.box.token_url, data=form, headers=no_secret)).status == 200


async def test_the_request_must_be_a_form_with_a_known_grant() -> None:
    async with calling() as call:
        assert error(await call("POST", call.box.token_url, {})) == "invalid_request"
        assert error(await call.token_request({"grant_type": "password"})) == "unsupported_grant_type"


async def start_device(call: Caller) -> Any:
    form = {"client_id": call.box.client_id, "scope": "contact_data offline_access", "response_type": "code"}
    reply = await call("POST", call.box.device_url, data=form, headers={"Authorization": ""})
    assert reply.status == 200
    return reply.json


async def poll(call: Caller, started: Any) -> Reply:
    form = {"client_id": call.box.client_id, "device_code": started["device_code"], "grant_type": DEVICE}
    return await call("POST", call.box.token_url, data=form, headers={"Authorization": ""})


async def test_a_device_waits_slows_down_and_gets_its_tokens_once() -> None:
    clock = Clock()
    async with calling(public_client=True, clock=clock) as call:
        started = await start_device(call)
        assert started["interval"] == 5
        assert error(await poll(call, started)) == "authorization_pending"
        clock.now += 4
        assert error(await poll(call, started)) == "slow_down"
        clock.now += 6
        assert error(await poll(call, started)) == "slow_down"
        clock.now += 15
        call.box.approve_device(started["user_code"])
        tokens = await poll(call, started)
        assert {"access_token", "refresh_token"} <= set(tokens.json)
        assert error(await poll(call, started)) == "invalid_grant"


async def test_a_device_is_denied_or_too_late() -> None:
    clock = Clock()
    async with calling(public_client=True, clock=clock) as call:
        denied, late = await start_device(call), await start_device(call)
        call.box.deny_device(denied["user_code"])
        assert error(await poll(call, denied)) == "access_denied"
        clock.now += 600
        assert error(await poll(call, late)) == "expired_token"
        with pytest.raises(KeyError):
            call.box.approve_device("unknown")


async def test_a_confidential_client_has_no_device_grant_without_its_secret() -> None:
    async with calling() as call:
        reply = await call(
            "POST", call.box.device_url, data={"client_id": call.box.client_id}, headers={"Authorization": ""}
        )
        assert reply.status == 401


async def test_the_token_endpoint_may_have_a_limit_of_its_own() -> None:
    clock = Clock()
    async with calling(token_rate=1, monotonic=clock) as call:
        assert (await call.refresh(call.box.refresh_token)).status == 200
        assert (await call.refresh(call.box.refresh_token)).status == 429
        clock.now += 1
        assert (await call.refresh(call.box.refresh_token)).status == 200
        assert call.box.throttled == 0


async def test_the_token_endpoint_may_refuse_libraries_that_do_not_say_who_they_are() -> None:
    async with calling(refuse_default_agents=True) as call:
        reply = await call.refresh(call.box.refresh_token)
        assert (reply.status, reply.headers["Content-Type"]) == (403, "text/html; charset=utf-8")
        call.session.headers["User-Agent"] = "our-own/1.0"
        assert (await call.refresh(call.box.refresh_token)).status == 200
