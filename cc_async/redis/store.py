"""The token store that many machines share."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from redis.exceptions import AuthenticationError, ConnectionError as RedisConnectionError, RedisClusterException

from cc_async._secrets import redact
from cc_async._tasks import complete
from cc_async.errors import InvalidRequestError, LockLostError, TokenStoreError
from cc_async.oauth.serialize import decode_token, encode_token
from cc_async.oauth.token import Token
from cc_async.redis.state import FAILURES

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

# One hash holds the token, its version, and the lock (owner, and until when by the server's clock): as there is one
# key, the scripts run on a cluster too.
_ACQUIRE: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'owner', 'until')
if held[1] and held[1] ~= ARGV[1] and tonumber(held[2]) > now then return 0 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'until', string.format('%d', now + ARGV[2]))
return 1
"""
# Fails, too, where the token is no longer the one that the holder has loaded.
_RENEW: Final = """
local held = redis.call('HMGET', KEYS[1], 'owner', 'version')
if held[1] ~= ARGV[1] or (ARGV[3] ~= '' and (held[2] or 'none') ~= ARGV[3]) then return 0 end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', KEYS[1], 'until', string.format('%d', now + ARGV[2]))
return 1
"""
_RELEASE: Final = """
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then redis.call('HDEL', KEYS[1], 'owner', 'until') end
return 1
"""
# Saves for the holder of the lock, and for one that has lost it while the token is still the one it has loaded.
_SAVE: Final = """
local held = redis.call('HMGET', KEYS[1], 'owner', 'version', 'token')
if held[3] and held[1] ~= ARGV[1] and held[2] ~= ARGV[2] then return held[3] end
redis.call('HSET', KEYS[1], 'token', ARGV[4], 'version', ARGV[3])
return false
"""
# Writes what is there once more, which a read-only, full or failing server refuses.
_PROVE: Final = """
local token = redis.call('HGET', KEYS[1], 'token')
if token then
    redis.call('HSET', KEYS[1], 'token', token)
else
    redis.call('HSET', KEYS[1], 'proof', string.rep(' ', 4096))
    redis.call('HDEL', KEYS[1], 'proof')
end
return 1
"""
_REPORTED: Final[WeakSet[Any]] = WeakSet()
"""Clients whose server was checked for persistence, so that many stores on one warn once."""
_LOG = logging.getLogger("cc_async")


def _clock() -> float:
    """Return seconds that also pass while the machine sleeps, where the system can tell."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class RedisTokenStore:
    """Keeps the token in Redis 5 or later, or in Valkey, shared safely between machines.

        store = RedisTokenStore(redis.asyncio.from_url("redis://localhost"), "cc-token")
        oauth = OAuth2(client_id, client_secret=client_secret, store=store)

    `redis` is a `redis.asyncio.Redis`, a Sentinel's master or a `RedisCluster` of yours, used and never closed, and
    belongs to one event loop. The token lies in one hash under `key`: one key for each account. `encryption_key` is a
    Fernet key, or several with the newest first, and needs the extra `encryption`; without it, whoever reads the
    server can read the refresh token.

    The lock expires after `lease` seconds unless its holder renews it, which it does for as long as its event loop
    runs. So a killed holder delays the others by that time. `lock_timeout` is how many seconds `lock` waits for
    another holder, `timeout` how many a command may take, including the wait for a server that restarts.

    A holder that was paused for longer than its lease sends no token and overwrites no newer one: it looks at the
    clock last just before the operating system gets the request. What remains: a pause between these two, a few
    microseconds apart, is not noticed; and after a pause that began when the request was out, the next holder cannot
    tell this from a crash and sends the same refresh token again. A server that loses what it had confirmed (no
    persistence, `appendfsync everysec`, a failover to a replica that lags) can lose the newest token: processes that
    still run go on with theirs, new ones need a person. A server that does not persist is reported in the log once.

    Every method raises `TokenStoreError` on failure.
    """

    def __init__(
        self,
        redis: "Redis | RedisCluster",
        key: str,
        *,
        encryption_key: str | bytes | Iterable[str | bytes] | None = None,
        lease: float = 15.0,
        lock_timeout: float = 60.0,
        timeout: float = 5.0,
    ) -> None:
        self._redis: Any = redis
        self._key = key
        self._fernet = None if encryption_key is None else _fernet(encryption_key)
        self._lease = lease
        self._lock_timeout = lock_timeout
        self._timeout = timeout
        self._held: ContextVar[_RedisLease | None] = ContextVar("held", default=None)

    async def load(self) -> Token | None:
        """Return the token that was saved last, or None."""
        token, _ = await self.load_version()
        return token

    async def save(self, token: Token) -> None:
        """Replace the token: under the lock only if it is still the one of this holder, else in any case."""
        if (lease := self._held.get()) is None:
            await self._run(
                "HSET", self._key, "token", self._encode(token), "version", secrets.token_hex(8), verb="written"
            )
        elif await lease.save(token) != token:
            raise LockLostError(f"The lock on {self._key} was lost, and another process has saved a newer token.")

    @asynccontextmanager
    async def lock(self) -> AsyncIterator["_RedisLease"]:
        """Exclude every other task, process and machine that uses the same key, for as long as the lease lasts."""
        lease = _RedisLease(self, self._lease)
        renewing: asyncio.Task[None] | None = None
        reset = self._held.set(lease)
        try:
            await self._acquire(lease)
            await self._report_volatility()
            renewing = asyncio.get_running_loop().create_task(lease.renew_for_ever())
            yield lease
        finally:
            self._held.reset(reset)
            if renewing is not None:
                renewing.cancel()
            await complete(self._release(lease, renewing))

    async def _acquire(self, lease: "_RedisLease") -> None:
        deadline, pause = _clock() + self._lock_timeout, 0.02
        while not await lease.acquire():
            if _clock() >= deadline:
                raise TokenStoreError(
                    f"The lock on {self._key} has been held by other processes for {self._lock_timeout:g} s."
                    " Find the one that hangs, or give RedisTokenStore a longer lock_timeout."
                )
            await asyncio.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))
            pause = min(pause * 1.5, 0.25)

    async def _release(self, lease: "_RedisLease", renewing: "asyncio.Task[None] | None") -> None:
        if renewing is not None:
            await asyncio.wait({renewing})
        try:
            await self.eval(_RELEASE, lease.owner, verb="unlocked")
        except TokenStoreError as error:
            _LOG.warning("%s Its lock expires in %g s.", error, self._lease)

    async def load_version(self) -> tuple[Token | None, str]:
        """Return the token and the version to compare it by."""
        value, version = await self._run("HMGET", self._key, "token", "version", verb="read")
        return None if value is None else self.decode(value), "none" if version is None else _text(version)

    async def save_version(self, token: Token, owner: str, known: str, new: str) -> Token | None:
        """Save for the holder `owner` that has loaded `known`; return the newer token that is kept instead, if any."""
        newer = await self.eval(_SAVE, owner, known, new, self._encode(token), verb="written")
        return None if newer is None else self.decode(newer)

    async def prepare_save(self) -> None:
        """Write what the server holds once more, which proves that it accepts writes."""
        await self.eval(_PROVE, verb="written")

    async def eval(self, script: str, *arguments: object, verb: str) -> Any:
        """Run a script on the key."""
        return await self._run("EVAL", script, 1, self._key, *arguments, verb=verb)

    async def _run(self, *command: object, verb: str) -> Any:
        # redis-py can swallow a cancellation, and a command that is cut off leaves its outcome open.
        return await complete(self._execute(*command, verb=verb))

    async def _execute(self, *command: object, verb: str) -> Any:
        # Every command can be repeated, so a server that restarts is waited for.
        error: Exception | None = None
        pause = 0.02
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    try:
                        return await self._redis.execute_command(*command)
                    except AuthenticationError:
                        raise
                    except (RedisConnectionError, RedisClusterException) as broken:
                        error = broken
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 0.5)
        except FAILURES as final:
            error = final if error is None else error
        reason = ": ".join(filter(None, (type(error).__name__, redact(str(error)).partition("\n")[0][:200])))
        # Without its cause, since the exception of a command may quote its arguments.
        raise TokenStoreError(f"The token under {self._key} cannot be {verb} on Redis ({reason}).")

    def _encode(self, token: Token) -> bytes:
        content = encode_token(token)
        return content if self._fernet is None else bytes(self._fernet.encrypt(content))

    def decode(self, value: bytes | str) -> Token:
        """Return the token in a stored value."""
        stored = value.encode() if isinstance(value, str) else value
        content = stored if self._fernet is None else _decrypted(self._fernet, stored)
        token = None if content is None else decode_token(content)
        if token is None:
            raise TokenStoreError(
                f"{self._key} on Redis does not hold a token of this library, or it is encrypted with another key."
                " Use the encryption_key it was saved with, or choose another key name."
            )
        return token

    async def _report_volatility(self) -> None:
        if self._redis in _REPORTED:
            return
        _REPORTED.add(self._redis)
        persists = await complete(self._persists())
        if persists is None:
            _LOG.warning("Whether the Redis server persists is unknown. A restart without its data loses the tokens.")
        elif not persists:
            _LOG.warning("The Redis server does not persist. A restart loses the tokens, and a person must authorize.")

    async def _persists(self) -> bool | None:
        try:
            async with asyncio.timeout(self._timeout):
                info = await self._redis.info("persistence")
                if isinstance(next(iter(info.values())), dict):  # of a cluster, by node
                    info = next(iter(info.values()))
                if info.get("aof_enabled"):
                    return True
                config = await self._redis.config_get("save")
        except (*FAILURES, AttributeError):
            return None
        return bool(config["save"]) if "save" in config else None


class _RedisLease:
    """A held lock: a `Lease` that the store renews."""

    def __init__(self, store: RedisTokenStore, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._until = 0.0
        self._version = ""
        self.owner = secrets.token_hex(16)

    async def acquire(self) -> bool:
        """Take the lock if it is free."""
        return await self._extend(_ACQUIRE)

    async def load(self) -> Token | None:
        """Return the token that was saved last, and remember its version."""
        token, self._version = await self._store.load_version()
        return token

    async def prepare_save(self) -> None:
        """Prove that the server accepts writes."""
        await self._store.prepare_save()

    async def confirm(self) -> None:
        """Renew the lock; raise `LockLostError` if it, or the token, is no longer the one of this holder."""
        if not await self._extend(_RENEW, self._version):
            self._until = 0.0
            raise LockLostError("The lock of the token store on Redis was lost before anything was sent.")

    def expired(self) -> bool:
        """Return whether the lock may have passed to someone else."""
        return _clock() >= self._until

    async def save(self, token: Token) -> Token:
        """Save the token unless the server has a newer one, and return the one that it then holds."""
        new = secrets.token_hex(8)
        newer = await self._store.save_version(token, self.owner, self._version, new)
        if newer is None:
            self._version = new
        return newer or token

    async def renew_for_ever(self) -> None:
        """Extend the lease in time, also after errors: they may pass before it ends."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                if not await self._extend(_RENEW, ""):
                    self._until = 0.0
                    return
            except TokenStoreError as error:
                _LOG.warning("The lock of the token store could not be renewed: %s", error)

    async def _extend(self, script: str, *arguments: str) -> bool:
        # Counted from before the command, so that the lease here never outlasts the one on the server.
        began = _clock()
        milliseconds = max(int(self._seconds * 1000), 1)
        held = await self._store.eval(script, self.owner, milliseconds, *(arguments or ("",)), verb="locked")
        if held:
            self._until = began + self._seconds
        return bool(held)


def _fernet(keys: str | bytes | Iterable[str | bytes]) -> Any:
    try:
        from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415  # only for those who encrypt
    except ImportError:
        raise InvalidRequestError(
            'encryption_key needs the package cryptography: install "cc-async[encryption]".'
        ) from None
    try:
        return MultiFernet([Fernet(key) for key in ([keys] if isinstance(keys, str | bytes) else keys)])
    except ValueError:
        raise InvalidRequestError("encryption_key must be made by cryptography.fernet.Fernet.generate_key().") from None


def _decrypted(fernet: Any, content: bytes) -> bytes | None:
    from cryptography.fernet import InvalidToken  # noqa: PLC0415  # only for those who encrypt

    try:
        return bytes(fernet.decrypt(content))
    except InvalidToken:
        return None


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
