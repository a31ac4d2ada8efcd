"""A token host, a clock, and a provider that uses both."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.token_server import TokenServer
from support.token_times import Time

from cc_async.oauth.provider import OAuth2
from cc_async.oauth.stores import MemoryTokenStore
from cc_async.oauth.token import Token


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
