"""Access tokens: who gives them, and how they are refreshed once for all who wait without ever losing one."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import aiohttp
import attrs

from cc_async._secrets import masked, secret
from cc_async._tasks import outlast
from cc_async.errors import AuthorizationError, ReauthorizationRequiredError, TokenRefreshError, TokenStoreError
from cc_async.oauth.endpoint import (
    LONGEST_WAIT,
    AuthorizationRequest,
    DeviceAuthorization,
    Form,
    TokenHost,
    Trouble,
    code_form,
)
from cc_async.oauth.stores import CheckedStore, MemoryTokenStore, TokenStore
from cc_async.oauth.token import Token

__all__ = [
    "AuthorizationRequest",
    "DeviceAuthorization",
    "OAuth2",
    "StaticToken",
    "Token",
    "TokenProvider",
]
AUTHORIZATION_SERVER: Final = "https://authz.constantcontact.com/oauth2/default/v1"
DEFAULT_SCOPE: Final = ("contact_data", "offline_access")
_ATTEMPTS: Final = 4
_RESPITE: Final = 30.0
"""Seconds without another early refresh after one, whether it failed or the host grants very short lives."""
_PATIENCE: Final = 5.0
"""Seconds that a caller whose token still works waits for an early refresh."""
_T = TypeVar("_T")
_Save = Callable[[Token], Awaitable[None]]
_logger = logging.getLogger("cc_async")


class TokenProvider(Protocol):
    """Whatever can give an access token: pass one to the client in place of a token."""

    async def token(self, rejected: str | None = None) -> str:
        """An access token to send now; `rejected` is the one that the API has just answered with 401."""


@attrs.frozen
class StaticToken:
    """An access token that somebody else keeps fresh; its repr does not show it."""

    access_token: str = attrs.field(converter=secret)

    async def token(self, rejected: str | None = None) -> str:  # noqa: ARG002 - there is no other token
        """The access token, whatever has become of it."""
        return self.access_token


class OAuth2:
    """Gives access tokens, refreshing them early, once for all who wait, and safely for the refresh token.

    `refresh_token` is used where `store` holds no token yet; without a `store` the tokens live in memory, and the
    refresh token that rotation leaves at the end is gone with the process. Without `client_secret` the application is
    a public one. Share one object among all clients of an account; a later event loop may use it again.

    A token is refreshed `refresh_early` seconds before it ends. If that fails, the present one is used as long as it
    lives. `timeout` is in seconds, for one request to the token host; an event loop that ends in the middle of one
    waits that long for its answer, because the new refresh token is in it. `session_factory` makes the session of one
    such request, with the proxies or certificates it needs; it is called in a thread with an event loop of its own, so
    it must make everything anew.

    Raises InvalidRequestError for an address that would send secrets unencrypted to another machine.
    """

    def __init__(
        self,
        client_id: str,
        *,
        client_secret: str | None = None,
        refresh_token: str | None = None,
        store: TokenStore | None = None,
        token_url: str = f"{AUTHORIZATION_SERVER}/token",
        authorize_url: str = f"{AUTHORIZATION_SERVER}/authorize",
        device_url: str = f"{AUTHORIZATION_SERVER}/device/authorize",
        refresh_early: float = 300.0,
        timeout: float = 30.0,
        session_factory: Callable[[], aiohttp.ClientSession] = aiohttp.ClientSession,
    ) -> None:
        client_secret, refresh_token = masked(client_secret), masked(refresh_token)
        urls = authorize_url, token_url, device_url
        self._host = TokenHost(client_id, client_secret, urls, timeout, session_factory)
        self._store = CheckedStore(MemoryTokenStore() if store is None else store)
        self._refresh_early = refresh_early
        self._clock: Callable[[], float] = time.time
        self._sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

        self._current = Token("", refresh_token, expires_at=0.0) if refresh_token else None
        self._unsaved = False
        # Tokens that ours came in place of: a store that still holds one has nothing to teach us.
        self._replaced: set[tuple[str, str | None]] = set()
        # Refresh tokens that are never sent again, and why.
        self._spent: dict[str, Trouble] = {}
        # How many tokens the host has granted: whoever waited while it grew has been served.
        self._grants = 0
        self._no_early_refresh_before = 0.0
        self._no_request_before = 0.0
        self._refreshing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def token(self, rejected: str | None = None) -> str:
        """An access token that works now: the present one, or the next if it is `rejected`, over or nearly so.

        Raises ReauthorizationRequiredError where a person must authorize (again), TokenRefreshError where the token
        host gives no new token now, TokenStoreError where the store fails. After a failure to save, the new token
        stays in use, and is saved as soon as the store lets it.
        """
        rejected, grants = masked(rejected), self._grants
        while True:
            current = self._current
            if current is not None and (self._grants != grants or not self._wanting(rejected)):
                return current.access_token
            task = self._refresh_task(rejected)
            await asyncio.wait({task}, timeout=_PATIENCE if self._usable(rejected) else None)
            if not task.done():
                self._rest()
            elif not task.cancelled():
                try:
                    task.result()
                except (TokenRefreshError, TokenStoreError):
                    if self._grants != grants or not self._usable(rejected):
                        raise

    async def close(self) -> None:
        """Wait for what is under way, so that no new token is lost; the object can be used again afterwards."""
        if self._unsaved:
            try:
                await self._shielded(self._save_missed())
            except TokenStoreError as error:
                _logger.warning("the newest token is still not saved, and ends with this process: %s", error)
        loop = asyncio.get_running_loop()
        if tasks := {task for task in self._tasks if task.get_loop() is loop}:
            await asyncio.wait(tasks)

    # How a person grants the first token.

    def authorization_url(
        self,
        redirect_uri: str,
        *,
        scope: Iterable[str] = DEFAULT_SCOPE,
        state: str | None = None,
        pkce: bool | None = None,
    ) -> AuthorizationRequest:
        """Where to send a person's browser for consent; hand the result to `exchange` when it comes back.

        `state` is random unless given. Public applications use PKCE (RFC 7636, S256) unless `pkce` says otherwise.
        """
        return self._host.authorization_request(redirect_uri, scope, state, pkce=pkce)

    async def exchange(self, request: AuthorizationRequest, redirected_to: str) -> Token:
        """The first token for the consent with which the browser came back to the whole address `redirected_to`.

        The token is saved. Raises AuthorizationError if the person refused, the state is not the one sent out, or
        the host refuses the code; TokenStoreError if the store fails.
        """
        redirected_to = secret(redirected_to)
        return await self._shielded(self._exchange(code_form(request, redirected_to)))

    async def start_device_authorization(self, scope: Iterable[str] = DEFAULT_SCOPE) -> DeviceAuthorization:
        """The code to show a person who has no browser here; then call `poll_device_authorization`.

        Raises AuthorizationError if the host gives none.
        """
        device = await self._host.ask_device(scope, self._clock())
        if isinstance(device, Trouble):
            raise device.error()
        return device

    async def poll_device_authorization(self, device: DeviceAuthorization) -> Token:
        """The first token, once the person has entered the code; it is saved.

        Raises AuthorizationError if the person refused (`error="access_denied"`) or the code ended before
        (`error="expired_token"`), and TokenStoreError if the store fails. Trouble with the network is sat out.
        """
        form: Form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "client_id": self._host.client_id,
            "device_code": device.device_code,
        }
        await self._look()
        interval = device.interval
        while self._clock() < device.expires_at:
            await self._sleep(interval)
            outcome = await self._shielded(self._request(form, self._store.save_locked))
            if isinstance(outcome, Token):
                return outcome
            if outcome.code == "slow_down":
                interval += 5
            elif outcome.final and outcome.code != "authorization_pending":
                raise outcome.error()
            interval = max(interval, outcome.delay)
        raise AuthorizationError("nobody entered the code in time: start again", error="expired_token")

    async def _exchange(self, form: Form) -> Token:
        # Before the code is spent, so that a store that fails does not cost it.
        await self._look()

        async def same() -> Form:
            return form

        outcome = await self._obtain(same, self._store.save_locked)
        if isinstance(outcome, Trouble):
            raise outcome.error()
        return outcome

    # Which token is in place.

    def _usable(self, rejected: str | None) -> bool:
        token = self._current
        return (
            token is not None
            and token.access_token not in ("", rejected)
            and (token.expires_at is None or token.expires_at > self._clock())
        )

    def _wanting(self, rejected: str | None) -> bool:
        token, now = self._current, self._clock()
        if token is None or not self._usable(rejected):
            return True
        ending = token.expires_at is not None and token.expires_at - now < self._refresh_early
        return now >= self._no_early_refresh_before and (self._unsaved or (ending and token.refresh_token is not None))

    def _rest(self) -> None:
        self._no_early_refresh_before = self._clock() + _RESPITE

    async def _look(self) -> None:
        """Take the token that the store holds, unless ours has come in its place."""
        stored = await self._store.load()
        if stored is not None and _key(stored) not in self._replaced:
            self._current, self._unsaved = stored, False

    async def _save_missed(self) -> None:
        async with self._store.lock():
            await self._catch_up()

    async def _catch_up(self) -> None:
        """Look, and give the store the token it missed; the lock is held."""
        await self._look()
        if self._unsaved and self._current is not None:
            await self._store.save(self._current)
            self._unsaved = False

    def _refresh_token(self) -> str:
        if self._current is None:
            raise ReauthorizationRequiredError(
                "the token store is empty and no refresh_token was given: authorize first"
            )
        token = self._current.refresh_token
        if token is None:
            raise ReauthorizationRequiredError(
                "the access token is over and has no refresh token: authorize again, with the scope offline_access"
            )
        if token in self._spent:
            raise self._spent[token].error(TokenRefreshError)
        return token

    # Refreshing, once for all.

    def _refresh_task(self, rejected: str | None) -> asyncio.Task[None]:
        task = self._refreshing
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            task = self._refreshing = self._start(self._refresh(rejected))
        return task

    async def _refresh(self, rejected: str | None) -> None:
        try:
            blind = not self._usable(rejected)
            await self._look()
            # A token found only now lets its callers wait with patience, if it is to be refreshed at all.
            if not self._wanting(rejected) or (blind and self._usable(rejected)):
                return
            if not self._unsaved:
                self._refresh_token()
            async with self._store.lock():
                outcome = await self._obtain(partial(self._refresh_form, rejected), self._store.save)
            if isinstance(outcome, Trouble):
                raise outcome.error(TokenRefreshError)
        except (TokenRefreshError, TokenStoreError) as error:
            self._rest()
            if self._usable(rejected):
                _logger.warning("the present access token stays in use for now: %s", error)
            raise

    async def _refresh_form(self, rejected: str | None) -> Form | Token:
        """What to send, or the token that has made it needless; the lock is held."""
        await self._catch_up()
        if self._current is not None and not self._wanting(rejected):
            return self._current
        return {"grant_type": "refresh_token", "refresh_token": self._refresh_token()}

    async def _obtain(self, prepare: Callable[[], Awaitable[Form | Token]], save: _Save) -> Token | Trouble:
        """Ask until there is an answer, as often as that is safe: twice at most if answers are lost."""
        attempts = lost = 0
        while True:
            if (wait := self._no_request_before - self._clock()) > 0:
                await self._sleep(min(wait, LONGEST_WAIT))
            if isinstance(form := await prepare(), Token):
                return form
            outcome = await self._request(form, save)
            if isinstance(outcome, Token):
                return outcome
            attempts += 1
            lost += outcome.lost
            if outcome.final or lost > 1 or attempts == _ATTEMPTS:
                return outcome
            _logger.warning("%s; asking again in %.0f s", outcome.message, outcome.delay)

    async def _request(self, form: Form, save: _Save) -> Token | Trouble:
        """Ask for a token once; no cancellation gets between the answer and the end of the save."""
        answer = self._host.ask_token(form, self._clock())
        cancelled = await outlast(answer)
        outcome = answer.result()
        if isinstance(outcome, Token):
            outcome = self._completed(outcome, form)
            cancelled = await self._keep(outcome, save) or cancelled
        else:
            self._no_request_before = self._clock() + outcome.delay
            if outcome.spent and "refresh_token" in form:
                self._spent[form["refresh_token"]] = outcome
        if cancelled:
            raise asyncio.CancelledError
        return outcome

    def _completed(self, token: Token, form: Form) -> Token:
        if "refresh_token" in form and self._current is not None:
            token = attrs.evolve(
                token,
                refresh_token=token.refresh_token or form["refresh_token"],
                scope=token.scope or self._current.scope,
            )
        elif token.refresh_token is None:
            _logger.warning("no refresh token was granted: ask for the scope offline_access to get one")
        return token

    async def _keep(self, token: Token, save: _Save) -> bool:
        """Save, then publish, in memory in any case; True if a cancellation came, which the caller owes."""
        cancelled = saved = False
        try:
            try:
                await save(token)
            except asyncio.CancelledError:
                # A loop that ends cancels every task once: this time the store gets through.
                cancelled = True
                await save(token)
            saved = True
        finally:
            if self._current is not None:
                self._replaced.add(_key(self._current))
            self._replaced.discard(_key(token))
            self._current, self._unsaved = token, not saved
            self._grants += 1
            self._rest()
        _logger.info("a new access token is in place")
        return cancelled

    def _start(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, whether or not anybody still waits for it

    async def _shielded(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work in a task that the cancellation of the caller does not reach."""
        task = self._start(work)
        await asyncio.wait({task})
        return task.result()


def _key(token: Token) -> tuple[str, str | None]:
    return token.access_token, token.refresh_token
