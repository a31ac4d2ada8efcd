"""The token store in a file that several processes may share."""

import asyncio
import errno
import logging
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cc_async._tasks import run_uninterrupted
from cc_async.errors import TokenStoreError
from cc_async.oauth.serialize import decode_token, encode_token
from cc_async.oauth.token import Token

if TYPE_CHECKING:
    import filelock

_RENAME_SECONDS: Final = 2.0
"""How long a rename is retried that the system refuses, as while a virus scanner reads the file."""
_RESERVE: Final = 4_096
"""Bytes reserved beyond twice the present size, since the next tokens may be longer."""
_LOG = logging.getLogger("cc_async")


class FileTokenStore:
    """Keeps the token in a JSON file that only its owner may read, shared safely between processes.

        oauth = OAuth2(client_id, client_secret=client_secret, store=FileTokenStore("cc-token.json"))

    The file is replaced atomically: readers see the old token or the new one. A file that is not a token file is
    never overwritten. Symbolic links are followed. Beside the file an empty one remains, whose name ends in `.lock`,
    and during a refresh one that ends in `.spare` reserves the disk space of the next token. A file that cannot be
    replaced because it is a mount point, as in containers, is overwritten in place with a single write: a killed
    process cannot damage it, a power failure can. `lock_timeout` is how many seconds `lock` waits for another process.

    Every method raises `TokenStoreError` on failure and says what to do.
    """

    def __init__(self, path: str | os.PathLike[str], *, lock_timeout: float = 60.0) -> None:
        self._path = Path(path).absolute()
        self._lock_timeout = lock_timeout
        self._in_place = False

    async def load(self) -> Token | None:
        """Return the token in the file, or None if there is no file."""
        return await run_uninterrupted(self._read)

    async def save(self, token: Token) -> None:
        """Replace the file; once begun, this completes before a cancellation takes effect."""
        await run_uninterrupted(lambda: self._write(token))

    async def prepare_save(self) -> None:
        """Save the stored token again, which proves that it can be done, and reserve space for the next one."""
        await run_uninterrupted(self._prepare)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Exclude every other task and process that uses the same file through this class."""
        path = f"{self._target()}.lock"
        import filelock  # noqa: PLC0415  # a tenth of our import time, and needed only for files

        # One for each caller: within a process, too, only another open file is kept out.
        lock = filelock.FileLock(path, mode=0o600, thread_local=False)
        deadline = time.monotonic() + self._lock_timeout
        while not self._try(lock):
            if time.monotonic() >= deadline:
                raise TokenStoreError(
                    f"{path} has been held by another process for {self._lock_timeout:g} s. End the process that"
                    " hangs while holding it, or give FileTokenStore a longer lock_timeout."
                )
            # Polled here instead of awaited in a thread: a lock that a thread gets for a cancelled caller is lost.
            await asyncio.sleep(0.02)
        try:
            yield
        finally:
            with suppress(OSError):
                self._spare().unlink(missing_ok=True)
            lock.release()

    def _target(self) -> Path:
        return Path(os.path.realpath(self._path))

    def _spare(self) -> Path:
        target = self._target()
        return target.with_name(f".{target.name}.spare")

    def _try(self, lock: "filelock.BaseFileLock") -> bool:
        try:
            # filelock would create the missing directories of a mistyped path.
            Path(lock.lock_file).parent.stat()
            lock.acquire(blocking=False)
        except TimeoutError:  # filelock's own is one
            return False
        except OSError as error:
            raise self._error("be locked", error) from error
        return True

    def _read(self) -> Token | None:
        try:
            token = decode_token(self._target().read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error("be read", error) from error
        if token is None:
            raise TokenStoreError(
                f"{self._path} is not a token file of this library, or is damaged. Choose another path,"
                " or remove the file and authorize again."
            )
        return token

    def _write(self, token: Token) -> None:
        self._read()
        try:
            self._replace(token)
        except OSError as error:
            raise self._error("be written", error) from error

    def _prepare(self) -> None:
        token = self._read()
        try:
            if token is not None:
                self._replace(token, reserve=True)
            if not self._in_place:
                size = 0 if token is None else len(encode_token(token))
                _write_beside(self._spare(), b" " * (2 * size + _RESERVE))
        except OSError as error:
            raise self._error("be written", error) from error

    def _replace(self, token: Token, *, reserve: bool = False) -> None:
        target, content = self._target(), encode_token(token)
        if not self._in_place:
            try:
                _replace(target, content, self._spare())
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                self._in_place = True
                _LOG.warning("%s is a mount point and cannot be replaced. It is overwritten in place.", self._path)
            else:
                return
        _overwrite(target, content, 2 * len(content) + _RESERVE if reserve else 0)

    def _error(self, verb: str, error: OSError) -> TokenStoreError:
        return TokenStoreError(f"{self._path} cannot {verb}: {error.strerror or type(error).__name__}.")


def _replace(target: Path, content: bytes, spare: Path) -> None:
    """Replace the file atomically, in the space that `spare` has reserved if it exists."""
    if not _fill(spare, content):
        _write_beside(target, content)
        return
    try:
        _rename(spare, target)
    except BaseException:
        spare.unlink(missing_ok=True)
        raise


def _fill(spare: Path, content: bytes) -> bool:
    """Write the content over the spare file's blanks, so that no space is allocated; False if there is no spare."""
    try:
        descriptor = os.open(spare, os.O_RDWR)
    except OSError:
        return False
    try:
        if os.fstat(descriptor).st_size < len(content):
            return False
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def _write_beside(target: Path, content: bytes) -> None:
    """Write a temporary file in the directory of the target and move it there."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        _rename(Path(name), target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _rename(source: Path, target: Path) -> None:
    deadline = time.monotonic() + _RENAME_SECONDS
    while True:
        try:
            source.replace(target)
            break
        except PermissionError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.05)
    # Only this makes the rename survive a power failure; not every system can open a directory.
    with suppress(OSError):
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _overwrite(target: Path, content: bytes, size: int) -> None:
    """Write over the file with one call, which no kill interrupts, padded with blanks to `size` and its old length."""
    descriptor = os.open(target, os.O_RDWR)
    try:
        padded = content.ljust(max(size, os.fstat(descriptor).st_size))
        if os.pwrite(descriptor, padded, 0) < len(padded):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
