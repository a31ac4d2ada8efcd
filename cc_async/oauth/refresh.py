"""Refreshes the access token once for all waiting callers, without losing a refresh token."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import attrs

from cc_async._tasks import wait_uncancelled
from cc_async.errors import (
    AuthorizationError,
    LockLostError,
    ReauthorizationRequiredError,
    TokenRefreshError,
    TokenStoreError,
)
from cc_async.oauth.endpoint import MAX_DELAY, Form, TokenEndpoint, TokenFailure
from cc_async.oauth.stores import CheckedStore, LockedStore
from cc_async.oauth.token import Token
from cc_async.observer import GuardedObserver, ObservedRefresh

_MAX_ATTEMPTS: Final = 4
_EARLY_REFRESH_INTERVAL: Final = 30.0
"""Seconds without another early refresh after one, whether it failed or the token is granted for a short time."""
_EARLY_REFRESH_WAIT: Final = 5.0
"""Seconds that a caller whose token is still valid waits for an early refresh."""
_T = TypeVar("_T")
_LOG = logging.getLogger("cc_async")


@attrs.define
class Attempts:
    """Counts requests for one token: at most four, and at most two whose responses were lost."""

    failed: int = 0
    lost: int = 0

    def exhausted(self, failure: TokenFailure) -> bool:
        """Count a failure, and return whether it is the last; log it otherwise."""
        self.failed += 1
        self.lost += failure.lost
        if failure.final or self.lost > 1 or self.failed == _MAX_ATTEMPTS:
            return True
        _LOG.warning("%s The request is sent again in %.0f s.", failure.message, failure.delay)
        return False


class Refresher:
    """Holds the current token, and replaces it through the token endpoint and the store."""

    def __init__(
        self, endpoint: TokenEndpoint, store: CheckedStore, refresh_token: str | None, refresh_early: float
    ) -> None:
        self._endpoint = endpoint
        self.store = store
        self._refresh_early = refresh_early
        self.clock: Callable[[], float] = time.time
        self.sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

        self._current = Token("", refresh_token, expires_at=0.0) if refresh_token else None
        self._unsaved = False
        # Tokens that were replaced: a store that still holds one is out of date.
        self._replaced: set[tuple[str, str | None]] = set()
        # Refresh tokens that were rejected, which are never sent again, and why.
        self._rejected: dict[str, TokenFailure] = {}
        # How many tokens were granted: a caller that waited while it grew has a new one.
        self._grants = 0
        self._no_early_refresh_before = 0.0
        self._no_request_before = 0.0
        self.refreshing: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self.observers: list[GuardedObserver] = []

    async def valid_token(self, rejected: str | None) -> str:
        """Return the current access token, refreshed if it is `rejected` or expires soon."""
        grants = self._grants
        while True:
            current = self._current
            if current is not None and (self._grants != grants or not self._needs_refresh(rejected)):
                return current.access_token
            task = self._refresh_task(rejected)
            await asyncio.wait({task}, timeout=_EARLY_REFRESH_WAIT if self._is_usable(rejected) else None)
            if not task.done():
                self._postpone_early_refresh()
            elif not task.cancelled():
                try:
                    task.result()
                except (TokenRefreshError, TokenStoreError):
                    if self._grants != grants or not self._is_usable(rejected):
                        raise

    async def close(self) -> None:
        """Save what could not be saved so far, and wait for running refreshes of this event loop."""
        if self._unsaved:
            try:
                await self.shielded(self._save_unsaved())
            except TokenStoreError as error:
                _LOG.warning("The newest token is still not saved and will be lost with this process: %s", error)
        loop = asyncio.get_running_loop()
        if tasks := {task for task in self._tasks if task.get_loop() is loop}:
            await asyncio.wait(tasks)

    async def shielded(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work in a task that a cancellation of the caller does not reach."""
        task = self._start(work)
        await asyncio.wait({task})
        return task.result()

    # Which token is current.

    def _is_usable(self, rejected: str | None) -> bool:
        token = self._current
        return (
            token is not None
            and token.access_token not in ("", rejected)
            and (token.expires_at is None or token.expires_at > self.clock())
        )

    def _needs_refresh(self, rejected: str | None) -> bool:
        token, now = self._current, self.clock()
        if token is None or not self._is_usable(rejected):
            return True
        expiring = token.expires_at is not None and token.expires_at - now < self._refresh_early
        due = self._unsaved or (expiring and token.refresh_token is not None)
        return due and now >= self._no_early_refresh_before

    def _postpone_early_refresh(self) -> None:
        self._no_early_refresh_before = self.clock() + _EARLY_REFRESH_INTERVAL

    async def load_stored(self, store: CheckedStore | LockedStore) -> None:
        """Adopt the token that the store holds, unless it is one that was replaced."""
        stored = await store.load()
        if stored is not None and _key(stored) not in self._replaced:
            self._current, self._unsaved = stored, False

    async def _save_unsaved(self) -> None:
        async with self.store.lock() as locked:
            await self._synchronize(locked)

    async def _synchronize(self, locked: LockedStore) -> None:
        """Adopt the stored token, or save ours if an earlier save failed."""
        await self.load_stored(locked)
        if self._unsaved and self._current is not None:
            self._current = await locked.save(self._current)
            self._unsaved = False

    def _refresh_token(self) -> str:
        if self._current is None:
            raise ReauthorizationRequiredError(
                "The token store is empty and no refresh_token was given. A person must authorize first."
            )
        token = self._current.refresh_token
        if token is None:
            raise ReauthorizationRequiredError(
                "The access token is no longer valid and has no refresh token."
                " A person must authorize again, with the scope offline_access."
            )
        if token in self._rejected:
            raise self._rejected[token].error(TokenRefreshError)
        return token

    # Refreshing, once for all.

    def _refresh_task(self, rejected: str | None) -> asyncio.Task[None]:
        task = self.refreshing
        if task is None or task.done() or task.get_loop() is not asyncio.get_running_loop():
            task = self.refreshing = self._start(self._refresh(rejected))
        return task

    async def _refresh(self, rejected: str | None) -> None:
        try:
            was_usable = self._is_usable(rejected)
            await self.load_stored(self.store)
            # Where the store brought a usable token, callers need not wait for an early refresh of it.
            if not self._needs_refresh(rejected) or (not was_usable and self._is_usable(rejected)):
                return
            if not self._unsaved:
                self._refresh_token()
            await self._refresh_locked(rejected)
        except (TokenRefreshError, TokenStoreError) as error:
            self._postpone_early_refresh()
            if self._is_usable(rejected):
                _LOG.warning("The present access token stays in use for now: %s", error)
            raise

    async def _refresh_locked(self, rejected: str | None) -> None:
        attempts, lost_locks = Attempts(), 0
        while True:
            try:
                async with self.store.lock() as locked:
                    await self._request_until_refreshed(locked, rejected, attempts)
            except LockLostError:
                # Nothing was sent; the present holder of the lock is refreshing, and its token is read next.
                lost_locks += 1
                if lost_locks == _MAX_ATTEMPTS:
                    raise
            else:
                return

    async def _request_until_refreshed(self, locked: LockedStore, rejected: str | None, attempts: Attempts) -> None:
        while True:
            await self.wait_for_pace()
            await self._synchronize(locked)
            if self._current is not None and not self._needs_refresh(rejected):
                return
            form = {"grant_type": "refresh_token", "refresh_token": self._refresh_token()}
            outcome = await self.request(form, locked)
            if isinstance(outcome, Token):
                return
            if attempts.exhausted(outcome):
                raise outcome.error(TokenRefreshError)

    async def exchange(self, form: Form) -> Token:
        """Request the first token of a grant other than a refresh, and save it."""
        attempts = Attempts()
        # A store that cannot be read must not cost the code.
        async with self.store.lock() as locked:
            await self.load_stored(locked)
            while True:
                await self.wait_for_pace()
                outcome = await self.request(form, locked)
                if isinstance(outcome, Token):
                    return outcome
                if attempts.exhausted(outcome):
                    raise outcome.error(AuthorizationError)

    async def request_once(self, form: Form) -> Token | TokenFailure:
        """Take the lock and request a token once."""
        async with self.store.lock() as locked:
            await self.load_stored(locked)
            return await self.request(form, locked)

    async def wait_for_pace(self) -> None:
        """Wait until the authorization server accepts the next request."""
        if (wait := self._no_request_before - self.clock()) > 0:
            await self.sleep(min(wait, MAX_DELAY))

    async def request(self, form: Form, locked: LockedStore) -> Token | TokenFailure:
        """Request a token once; no cancellation gets between the response and the end of the save."""
        await locked.prepare()
        began, ended = time.monotonic(), "ok"
        try:
            outcome, cancelled = await self._request_and_save(form, locked)
            if isinstance(outcome, TokenFailure):
                ended = type(outcome.error(TokenRefreshError)).__name__
        except BaseException as error:
            ended = type(error).__name__
            raise
        finally:
            if "refresh_token" in form:
                self._notify(ObservedRefresh(outcome=ended, duration=time.monotonic() - began))
        if cancelled:
            raise asyncio.CancelledError
        return outcome

    def _notify(self, refresh: ObservedRefresh) -> None:
        for observer in {id(guarded.observer): guarded for guarded in self.observers}.values():
            observer.refreshed(refresh)

    async def _request_and_save(self, form: Form, locked: LockedStore) -> tuple[Token | TokenFailure, bool]:
        """Return the outcome, and whether there was a cancellation to raise afterwards."""
        response = self._endpoint.request_token(form, self.clock(), locked.expired)
        cancelled = await wait_uncancelled(response)
        outcome = response.result()
        if isinstance(outcome, Token):
            outcome = self._completed(outcome, form)
            cancelled = await self._save_and_publish(outcome, locked) or cancelled
        else:
            self._no_request_before = self.clock() + outcome.delay
            if outcome.grant_rejected and "refresh_token" in form:
                self._rejected[form["refresh_token"]] = outcome
        return outcome, cancelled

    def _completed(self, token: Token, form: Form) -> Token:
        """Add what a response to a refresh may leave out."""
        if "refresh_token" in form and self._current is not None:
            token = attrs.evolve(
                token,
                refresh_token=token.refresh_token or form["refresh_token"],
                scope=token.scope or self._current.scope,
            )
        elif token.refresh_token is None:
            _LOG.warning("No refresh token was granted. Request the scope offline_access to get one.")
        return token

    async def _save_and_publish(self, token: Token, locked: LockedStore) -> bool:
        """Save, then publish, in memory in any case; return True if there was a cancellation to raise afterwards."""
        cancelled = saved = False
        kept = token
        try:
            try:
                kept = await locked.save(token)
            except asyncio.CancelledError:
                # An event loop that shuts down cancels every task once: this time the save completes.
                cancelled = True
                kept = await locked.save(token)
            saved = True
        finally:
            if self._current is not None:
                self._replaced.add(_key(self._current))
            self._replaced.discard(_key(kept))
            self._current, self._unsaved = kept, not saved
            self._grants += 1
            self._postpone_early_refresh()
        _LOG.info("A new access token is in use.")
        return cancelled

    def _start(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, whether or not anybody still waits for it


def _key(token: Token) -> tuple[str, str | None]:
    return token.access_token, token.refresh_token
