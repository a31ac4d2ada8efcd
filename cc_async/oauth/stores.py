"""Tokens, and where they are kept: in memory, in a file, or anywhere that follows `TokenStore`."""

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from cc_async.errors import ConstantContactError, TokenStoreError

if TYPE_CHECKING:
    import filelock
from cc_async._tasks import run_uninterrupted
from cc_async.oauth.token import Token


class TokenStore(Protocol):
    """Where tokens survive; whatever follows it works, a database as well as a file.

    Raise `TokenStoreError`, or anything else, for what does not work: the caller learns of it as a `TokenStoreError`.
    """

    async def load(self) -> Token | None:
        """The token that was saved last, or None if there is none."""

    async def save(self, token: Token) -> None:
        """Keep `token` in place of the one before; it must be safe once this returns.

        It must bear being called again with the same token, which happens after a cancellation.
        """

    def lock(self) -> AbstractAsyncContextManager[Any]:
        """A context that one holder at a time is in, among all tasks and processes that share the store."""


class MemoryTokenStore:
    """Keeps the token as long as the process lives."""

    def __init__(self, token: Token | None = None) -> None:
        self._token = token
        # Of no event loop, unlike asyncio.Lock, so that the store serves one loop after another.
        self._lock = threading.Lock()

    async def load(self) -> Token | None:
        """The token that was saved last, or None."""
        return self._token

    async def save(self, token: Token) -> None:
        """Keep `token`."""
        self._token = token

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Exclude the other tasks that share this store."""
        while not self._lock.acquire(blocking=False):  # noqa: ASYNC110 - an Event belongs to one loop
            await asyncio.sleep(0.01)
        try:
            yield
        finally:
            self._lock.release()


class _Record(msgspec.Struct):
    """The content of a token file; `format` tells it from any other JSON."""

    format: Literal["cc-async token 1"]
    access_token: str
    refresh_token: str | None = None
    expires_at: float | None = None
    scope: str | None = None


class FileTokenStore:
    """Keeps the token in a JSON file that only its owner may read, shared safely between processes.

    The file is replaced as a whole, so a reader finds the old token or the new one and nothing between. A file that
    is not a token file is never overwritten. A symbolic link is followed. Next to the file stays an empty one with
    `.lock` at the end of its name. `lock_timeout` is how many seconds `lock` waits for another process.

    Every method raises `TokenStoreError` for what does not work, with what to do about it.
    """

    def __init__(self, path: str | os.PathLike[str], *, lock_timeout: float = 60.0) -> None:
        self._path = Path(path).absolute()
        self._lock_timeout = lock_timeout

    async def load(self) -> Token | None:
        """The token in the file, or None if there is no file."""
        return await run_uninterrupted(self._read)

    async def save(self, token: Token) -> None:
        """Replace the file; once begun this ends before a cancellation gets through."""
        await run_uninterrupted(lambda: self._write(token))

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Exclude every other task and process that uses the same file through this class."""
        path = f"{self._target()}.lock"
        import filelock  # noqa: PLC0415  # a tenth of the time to import us, and only for those who keep a file

        # One of its own for each caller: within a process, too, only another open file is kept out.
        lock = filelock.FileLock(path, mode=0o600, thread_local=False)
        deadline = time.monotonic() + self._lock_timeout
        while not self._try(lock):
            if time.monotonic() >= deadline:
                raise TokenStoreError(
                    f"{path} has been held by someone else for {self._lock_timeout:g} s: end the process that"
                    " hangs with it, or give FileTokenStore a longer lock_timeout"
                )
            # Polled here, not awaited in a thread: a lock that a thread gets after its caller was cancelled is lost.
            await asyncio.sleep(0.02)
        try:
            yield
        finally:
            lock.release()

    def _target(self) -> Path:
        return Path(os.path.realpath(self._path))

    def _try(self, lock: "filelock.BaseFileLock") -> bool:
        try:
            # filelock would make the missing directories of a mistyped path.
            Path(lock.lock_file).parent.stat()
            lock.acquire(blocking=False)
        except TimeoutError:  # filelock's own is one
            return False
        except OSError as error:
            raise self._error("be locked", error) from error
        return True

    def _read(self) -> Token | None:
        try:
            token = _decode(self._target().read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error("be read", error) from error
        if token is None:
            raise TokenStoreError(
                f"{self._path} is not a token file of this library, or is damaged: choose another path,"
                " or remove the file and authorize again"
            )
        return token

    def _write(self, token: Token) -> None:
        self._read()
        try:
            _replace(self._target(), token)
        except OSError as error:
            raise self._error("be written", error) from error

    def _error(self, verb: str, error: OSError) -> TokenStoreError:
        return TokenStoreError(f"{self._path} cannot {verb}: {error.strerror or type(error).__name__}")


def _decode(content: bytes) -> Token | None:
    """The token, or None for anything else; an exception would carry the content in its traceback."""
    try:
        record = msgspec.json.decode(content, type=_Record)
    except (ValueError, RecursionError):
        return None
    return Token(record.access_token, record.refresh_token, record.expires_at, record.scope)


def _encode(token: Token) -> bytes:
    record = _Record("cc-async token 1", token.access_token, token.refresh_token, token.expires_at, token.scope)
    return msgspec.json.encode(record, enc_hook=str)  # a Secret is not exactly a str


def _replace(target: Path, token: Token) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_encode(token))
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    # The rename itself survives a loss of power only so; not every system lets a directory be opened.
    with suppress(OSError):
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class CheckedStore:
    """A store whose every failure is a TokenStoreError, whoever wrote it."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store

    async def load(self) -> Token | None:
        """The token that was saved last, or None."""
        with _checked("load"):
            return await self._store.load()

    async def save(self, token: Token) -> None:
        """Keep `token`; the caller holds the lock."""
        with _checked("save"):
            await self._store.save(token)

    async def save_locked(self, token: Token) -> None:
        """Take the lock and keep `token`."""
        async with self.lock():
            await self.save(token)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Exclude all others; what the body raises passes as it is."""
        async with AsyncExitStack() as stack:
            with _checked("lock"):
                await stack.enter_async_context(self._store.lock())
            yield


@contextmanager
def _checked(verb: str) -> Iterator[None]:
    try:
        yield
    except ConstantContactError:
        raise
    except Exception as error:
        # Without its text, which may quote the token; the cause has it.
        raise TokenStoreError(f"the token store failed to {verb} ({type(error).__name__})") from error
