"""The token of every request: rejected, replaced, refused."""

import asyncio
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from support.raw_server import FAST, TOKEN, UNAUTHORIZED, OpenLimiter, TokenList, error, hasty, talking

from cc_async import (
    AuthenticationError,
    CreateContactRequest,
    InvalidRequestError,
    OAuth2,
    ServerError,
    TokenRefreshError,
    UpdateContactRequest,
)
from cc_async.sandbox import Sandbox

ADA = CreateContactRequest(create_source="Account", first_name="Ada")
NEW_ADA = UpdateContactRequest(update_source="Account", first_name="Ada")
DOWN = error(500, "internal")


async def test_a_rejected_token_costs_one_refresh_and_one_replay_that_is_no_attempt() -> None:
    tokens = TokenList("old", "new")
    async with talking(auth=tokens, retry=attrs.evolve(FAST, attempts=1)) as (cc, server):
        server.valid_tokens = {"new"}
        await cc.contacts.create(ADA)
    assert (len(server.requests), tokens.rejected) == (2, ["old"])


async def test_the_attempts_after_a_replay_are_all_there() -> None:
    tokens = TokenList("old", "new")
    async with talking(*[DOWN] * 9, auth=tokens, retry=attrs.evolve(FAST, attempts=3)) as (cc, server):
        server.valid_tokens = {"new"}
        with pytest.raises(ServerError):
            await cc.contacts.get("c1")
    assert len(server.requests) == 1 + 3


async def test_a_provider_hears_of_a_rejected_token_once_and_not_before_every_later_attempt() -> None:
    heard: list[str | None] = []

    class Refreshing:
        """Gives another token whenever it hears that one was rejected."""

        async def token(self, rejected: str | None = None) -> str:
            heard.append(rejected)
            return f"t{sum(token is not None for token in heard)}"

    async with talking(*[DOWN] * 2, auth=Refreshing()) as (cc, server):
        server.valid_tokens = {"t1"}
        await cc.contacts.get("c1")
    assert heard == [None, "t0", None, None]


async def test_a_new_token_that_is_rejected_too_ends_the_call() -> None:
    tokens = TokenList("old", "newer", "newest")
    async with talking(*[UNAUTHORIZED] * 9, auth=tokens) as (cc, server):
        with pytest.raises(AuthenticationError, match="authorize again"):
            await cc.contacts.get("c1")
    assert (len(server.requests), tokens.rejected) == (2, ["old"])


async def test_a_static_token_that_is_rejected_ends_the_call_with_one_request() -> None:
    async with talking(*[UNAUTHORIZED] * 9) as (cc, server):
        with pytest.raises(AuthenticationError) as caught:
            await cc.contacts.create(ADA)
    assert (len(server.requests), caught.value.maybe_applied) == (1, False)


async def test_a_provider_that_gives_the_rejected_token_again_is_not_believed() -> None:
    async with talking(*[UNAUTHORIZED] * 9, auth=TokenList("only")) as (cc, server):
        with pytest.raises(AuthenticationError):
            await cc.contacts.get("c1")
    assert len(server.requests) == 1


async def test_a_hundred_rejected_calls_cause_one_refresh() -> None:
    asyncio.get_running_loop().set_debug(False)  # a traceback of every callback would take most of the time
    async with Sandbox(contacts=1, rate=None) as box:
        auth = OAuth2(
            box.client_id, client_secret=box.client_secret, refresh_token=box.refresh_token, token_url=box.token_url
        )
        async with hasty(box.base_url, auth) as cc:
            await cc.contacts.counts()
            box.requests.clear()
            first = box.refreshes
            box.expire_access_tokens()
            await asyncio.gather(*(cc.contacts.get(box.store.ids()[0]) for _ in range(100)))
    assert box.refreshes - first == 1
    statuses = [record.status for record in box.requests if record.endpoint == "api"]
    assert (statuses.count(401), statuses.count(200)) == (100, 100)


class Provider:
    """Gives, or raises, what a function says."""

    def __init__(self, give: Callable[[int], Any]) -> None:
        self.give = give
        self.asked = 0

    async def token(self, rejected: str | None = None) -> Any:  # noqa: ARG002  # the protocol has it
        self.asked += 1
        given = self.give(self.asked)
        if isinstance(given, BaseException):
            raise given
        return given


@pytest.mark.parametrize(
    "token",
    ["", "a b", " abc", "abc\n", "a\r\nX-Evil: 1", "a\x00b", "a\tb", "tökén", "a\x7f", None, b"bytes", 7],
    ids=repr,
)
async def test_a_token_that_no_header_can_carry_is_refused_before_anything_is_sent(token: Any) -> None:
    limiter = OpenLimiter()
    async with talking(auth=Provider(lambda _: token), rate_limiter=limiter) as (cc, server):
        with pytest.raises(InvalidRequestError, match="An access token is") as caught:
            await cc.contacts.create(ADA)
    assert (server.requests, limiter.turns, caught.value.maybe_applied) == ([], 0, False)


async def test_a_token_read_from_a_file_with_its_newline_is_refused() -> None:
    async with talking(auth="abc\n") as (cc, server):
        with pytest.raises(InvalidRequestError):
            await cc.contacts.get("c1")
    assert not server.requests


async def test_what_a_provider_raises_reaches_the_caller_as_it_is() -> None:
    trouble = KeyError("vault")
    async with talking(auth=Provider(lambda _: trouble)) as (cc, server):
        with pytest.raises(KeyError) as caught:
            await cc.contacts.get("c1")
    assert caught.value is trouble
    assert not server.requests


async def test_calls_that_fail_for_the_same_reason_do_not_share_one_exception() -> None:
    cause = OSError("unplugged")
    shared = TokenRefreshError("no token now", error="temporarily_unavailable")
    shared.__cause__ = cause
    async with talking(DOWN, auth=Provider(lambda asked: TOKEN if asked == 1 else shared)) as (cc, _):
        repeated, fresh = await asyncio.gather(
            cc.contacts.update("c1", NEW_ADA), cc.contacts.create(ADA), return_exceptions=True
        )
    for failure in (repeated, fresh):
        assert isinstance(failure, TokenRefreshError)
        assert (str(failure), failure.error, failure.__cause__) == ("no token now", "temporarily_unavailable", cause)
    assert isinstance(repeated, TokenRefreshError)
    assert (repeated.maybe_applied, shared.maybe_applied) == (True, False)
    assert isinstance(fresh, TokenRefreshError)
    assert not fresh.maybe_applied
