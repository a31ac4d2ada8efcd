"""Token stores: the protocol, the store in memory, and the wrapper through which every store is used."""

import asyncio
import concurrent.futures
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Protocol, runtime_checkable

from cc_async.errors import ConstantContactError, TokenStoreError
from cc_async.oauth.token import Token


class TokenStore(Protocol):
    """Where tokens are kept. Implement it for a database or a secret manager.

    Raise `TokenStoreError`, or any other exception, on failure: callers receive a `TokenStoreError`.

    Two optional additions make a store safer:

    - A method `async prepare_save(self) -> None`, called under the lock before a refresh token or an authorization code
      is sent. It raises unless the next `save` will succeed, and may reserve what that save needs. Without this
      method the token that the store holds is loaded and saved again, which proves the same; an empty store
      proves nothing then. A store that cannot or need not prove anything defines a method that does nothing.
    - A `Lease`, yielded by `lock()`, where a holder can lose the lock.
    """

    async def load(self) -> Token | None:
        """Return the token that was saved last, or None."""

    async def save(self, token: Token) -> None:
        """Replace the stored token; it must be durable when this returns.

        After a cancellation it is called again with the same token.
        """

    def lock(self) -> AbstractAsyncContextManager[Any]:
        """Return a context manager that is exclusive among all tasks and processes that share the store."""


@runtime_checkable
class Lease(Protocol):
    """What `TokenStore.lock()` yields if its holder can lose the lock, for example because it expires.

    The methods of a lease are used instead of those of its store while the lock is held.
    """

    async def load(self) -> Token | None:
        """Return the token that was saved last, and remember it as the one that `save` may replace."""

    async def prepare_save(self) -> None:
        """Raise unless the next `save` will succeed."""

    async def confirm(self) -> None:
        """Raise `LockLostError` unless the lock is still held and the token is still the one that was loaded."""

    def expired(self) -> bool:
        """Return whether someone else may hold the lock; called from any thread just before a token is sent."""

    async def save(self, token: Token) -> Token:
        """Save unless the store has a newer token, and return the token that the store then holds."""


class MemoryTokenStore:
    """Keeps the token in memory, for one process.

        oauth = OAuth2(client_id, store=MemoryTokenStore(Token("an access token", "a refresh token")))

    Its lock raises `TokenStoreError` in a forked process: parent and child would use the same refresh token.
    """

    def __init__(self, token: Token | None = None) -> None:
        self._token = token
        self._pid = os.getpid()
        # Not an asyncio.Lock, which belongs to one event loop.
        self._guard = threading.Lock()
        self._locked = False
        self._waiters: deque[concurrent.futures.Future[None]] = deque()

    async def load(self) -> Token | None:
        """Return the token that was saved last, or None."""
        return self._token

    async def save(self, token: Token) -> None:
        """Replace the token."""
        self._token = token

    async def prepare_save(self) -> None:
        """Do nothing: memory needs no proof."""

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Exclude all other tasks, first come, first served."""
        if os.getpid() != self._pid:
            raise TokenStoreError(
                f"The tokens in memory belong to process {self._pid}, of which this process is a fork. Both would use"
                " the same refresh token, and only one can. Create the OAuth2 object after the fork, or share a"
                " FileTokenStore. Nothing was sent."
            )
        waiter: concurrent.futures.Future[None] = concurrent.futures.Future()
        with self._guard:
            self._waiters.append(waiter)
            if not self._locked:
                self._locked = True
                self._pass_on()
        try:
            await asyncio.wrap_future(waiter)
        except BaseException:
            if not waiter.cancel():
                self._release()
            raise
        try:
            yield
        finally:
            self._release()

    def _release(self) -> None:
        with self._guard:
            self._pass_on()

    def _pass_on(self) -> None:
        """Give the lock to the next waiter that was not cancelled; the guard is held."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if waiter.set_running_or_notify_cancel():
                waiter.set_result(None)
                return
        self._locked = False


class LockedStore:
    """A store while its lock is held: through the lease where there is one, else directly."""

    def __init__(self, store: TokenStore, lease: object) -> None:
        self._store = store
        self._lease = lease if isinstance(lease, Lease) else None

    async def load(self) -> Token | None:
        """Return the token that was saved last, or None."""
        with _checked("load"):
            return await (self._lease or self._store).load()

    async def prepare(self) -> None:
        """Prove that `save` will succeed and that the lock is still held; call it just before a token is sent."""
        with _checked("save"):
            target = self._lease or self._store
            prepare = getattr(target, "prepare_save", None)
            if prepare is not None:
                await prepare()
            elif (stored := await self._store.load()) is not None:
                await self._store.save(stored)
        if self._lease is not None:
            with _checked("lock"):
                await self._lease.confirm()

    def expired(self) -> bool:
        """Return whether someone else may hold the lock by now."""
        return self._lease is not None and self._lease.expired()

    async def save(self, token: Token) -> Token:
        """Save the token, and return the one that the store then holds: `token`, or a newer one."""
        with _checked("save"):
            if self._lease is not None:
                return await self._lease.save(token)
            await self._store.save(token)
            return token


class CheckedStore:
    """Wraps any store so that its every failure is a `TokenStoreError`."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store

    async def load(self) -> Token | None:
        """Return the token that was saved last, or None."""
        with _checked("load"):
            return await self._store.load()

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[LockedStore]:
        """Hold the store's lock; exceptions of the body pass unchanged."""
        async with AsyncExitStack() as stack:
            with _checked("lock"):
                lease = await stack.enter_async_context(self._store.lock())
            yield LockedStore(self._store, lease)


@contextmanager
def _checked(verb: str) -> Iterator[None]:
    try:
        yield
    except ConstantContactError:
        raise
    except Exception as error:
        # Without its text, which may quote the token; the cause has it.
        raise TokenStoreError(f"The token store failed to {verb} ({type(error).__name__}).") from error
