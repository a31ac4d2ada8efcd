"""No failure may show a secret: neither in its text, nor in what a crash reporter reads out of its traceback."""

import asyncio
import base64
import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from support.token_server import CUT, HTML, Reply, TokenServer, reply

from cc_async.errors import ConstantContactError
from cc_async.oauth.provider import OAuth2
from cc_async.oauth.stores import MemoryTokenStore
from cc_async.oauth.token import Token

BASIC = base64.b64encode(b"the-app:xx-secret").decode()
NEW = {"access_token": "xx-new-access", "refresh_token": "xx-new-refresh"}
SECRETS = ["xx-", BASIC, BASIC.rstrip("=")]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        if (error := waiting.pop()) is not None and id(error) not in seen:
            seen.add(id(error))
            waiting += [error.__cause__, error.__context__]
            yield error


def exposed(error: BaseException) -> list[str]:
    """Where in the error, its causes or their tracebacks a secret stands."""
    places = []
    for link in chain(error):
        texts = {
            "text": f"{link} {link!r} {link.args!r} {vars(link)!r}",
            "pickle": repr(pickle.dumps(link)) if isinstance(link, ConstantContactError) else "",
        }
        for frame, line in traceback.walk_tb(link.__traceback__):
            if frame.f_code.co_filename != __file__:
                texts[f"{frame.f_code.co_qualname}:{line}"] = repr(frame.f_locals)
        places += [f"{type(link).__name__} {place}" for place, text in texts.items() if any(s in text for s in SECRETS)]
    return places


class Unsaving(MemoryTokenStore):
    async def save(self, token: Token) -> None:  # noqa: ARG002 - a store
        raise OSError("disk full")


async def refresh(oauth: OAuth2) -> None:
    await oauth.token("xx-access")


async def seed(oauth: OAuth2) -> None:
    await oauth.token()


async def exchange(oauth: OAuth2) -> None:
    request = oauth.authorization_url("https://app.example/", pkce=True, state="s")
    await oauth.exchange(request, "https://app.example/?state=s&code=xx-code")


async def forged(oauth: OAuth2) -> None:
    request = oauth.authorization_url("https://app.example/", state="s")
    await oauth.exchange(request, "https://app.example/?state=other&code=xx-code")


async def denied(oauth: OAuth2) -> None:
    request = oauth.authorization_url("https://app.example/", state="s")
    await oauth.exchange(request, "https://app.example/?state=s&error=access_denied&code=xx-code")


async def device(oauth: OAuth2) -> None:
    await oauth.poll_device_authorization(await oauth.start_device_authorization())


DEVICE = reply(200, device_code="xx-device", user_code="U", verification_uri="https://v.example", expires_in=10)


def echo(sent: str) -> Reply:
    return reply(400, error="invalid_grant", error_description=f"Who is {sent}? Never heard of {sent}.")


@pytest.mark.parametrize("factory", [aiohttp.ClientSession, lambda: aiohttp.ClientSession(raise_for_status=True)])
@pytest.mark.parametrize(
    ("act", "replies"),
    [
        (refresh, [CUT] * 4),
        (refresh, [HTML] * 4),
        (refresh, [echo("xx-refresh")]),
        (refresh, [reply(401, error="invalid_client")]),
        (refresh, [(200, {}, '{"access_token": "xx-new-access", "refresh_token": "xx-new-refr')] * 4),
        (refresh, [reply(200, **{**NEW, "access_token": ""})] * 4),
        (refresh, [(302, {"Location": "https://elsewhere.example/?t=xx-refresh"}, "")]),
        (refresh, [(200, {"Content-Encoding": "gzip"}, '{"access_token": "xx-new-access"}')] * 4),
        (refresh, [reply(200, **NEW)]),
        (seed, [echo("xx-refresh")]),
        (exchange, [echo("xx-code")]),
        (exchange, [CUT] * 4),
        (exchange, [reply(200, **NEW)]),
        (forged, []),
        (denied, []),
        (device, [DEVICE, echo("xx-device")]),
        (device, [DEVICE, reply(400, error="access_denied")]),
        (device, [(200, {}, '{"device_code": "xx-device", "user')]),
    ],
)
async def test_no_failure_shows_a_secret(
    act: Callable[[OAuth2], Awaitable[None]],
    replies: list[Reply],
    factory: Callable[[], aiohttp.ClientSession],
    server: TokenServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    oauth = OAuth2(
        "the-app",
        client_secret="xx-secret",
        store=Unsaving(None if act is seed else Token("xx-access", "xx-refresh")),
        refresh_token="xx-refresh",
        token_url=server.url,
        device_url=server.url,
        session_factory=factory,
    )

    async def hurry(_: float) -> None:
        await asyncio.sleep(0)

    oauth._refresher.sleep = hurry
    server.replies.extend(replies)
    with pytest.raises(ConstantContactError) as caught:
        await act(oauth)
    assert exposed(caught.value) == []
    assert not any(secret in f"{caplog.text} {vars(record)!r}" for record in caplog.records for secret in SECRETS)
    assert not any(secret in repr(vars(oauth)) for secret in SECRETS)
    await oauth.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/token", "http://authz.invalid/token"])
async def test_no_failure_to_connect_or_to_begin_shows_a_secret(url: str) -> None:
    async def hurry(_: float) -> None:
        pass

    options: dict[str, Any] = {"client_secret": "xx-secret", "refresh_token": "xx-refresh", "token_url": url}
    with pytest.raises(ConstantContactError) as caught:  # noqa: PT012 - either may raise
        oauth = OAuth2("the-app", **options)
        oauth._refresher.sleep = hurry
        await oauth.token()
    assert exposed(caught.value) == []
