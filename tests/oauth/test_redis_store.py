"""One token in a whole fleet, on a real Redis server."""

import asyncio
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.redis_server import RedisServer, running
from support.token_server import TokenServer

from cc_async.errors import InvalidRequestError, LockLostError, TokenStoreError
from cc_async.oauth.provider import OAuth2
from cc_async.oauth.token import Token

aioredis = pytest.importorskip("redis.asyncio", reason="the extra redis is not installed")
RedisTokenStore = pytest.importorskip("cc_async.redis").RedisTokenStore
redis_store = pytest.importorskip("cc_async.redis.store")

ROUNDS = int(os.environ.get("CC_ROUNDS", "25"))
"""Kills and pauses; a release is tested with a hundred."""
OLD = Token("a0", "r0", 1.0)


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    yield from running(tmp_path_factory.mktemp("redis") / "data", persistent=True)


@pytest.fixture
def token_server() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Any]:
    async with aioredis.from_url(redis_server.url) as client:
        await client.flushall()
        yield client


class TestMessages:
    async def test_of_a_server_that_is_away_say_so_without_a_token(self) -> None:
        async with aioredis.from_url("redis://127.0.0.1:1/0", socket_timeout=1) as client:
            store = RedisTokenStore(client, "token", timeout=0.1)
            with pytest.raises(TokenStoreError, match="cannot be read on Redis"):
                await store.load()
            with pytest.raises(TokenStoreError, match="cannot be written on Redis") as caught:
                await store.save(OLD)
            assert "r0" not in repr(caught.value)

    async def test_of_a_server_that_is_silent_come_in_time(self, redis_server: RedisServer, redis: Any) -> None:
        store = RedisTokenStore(redis, "token", timeout=0.1)
        await store.save(OLD)
        redis_server.pause()
        try:
            with pytest.raises(TokenStoreError, match="TimeoutError"):
                await store.load()
        finally:
            redis_server.resume()

    async def test_of_a_key_of_another_kind_leave_it_alone(self, redis: Any) -> None:
        await redis.set("token", "mine")
        store = RedisTokenStore(redis, "token")
        for call in (store.load(), store.save(OLD), store.lock().__aenter__()):
            with pytest.raises(TokenStoreError, match="WRONGTYPE"):
                await call
        assert await redis.get("token") == b"mine"

    async def test_of_a_lock_that_others_keep_give_advice(self, redis: Any) -> None:
        async with RedisTokenStore(redis, "token").lock():
            with pytest.raises(TokenStoreError, match=r"held by other processes for 0\.05 s"):
                await RedisTokenStore(redis, "token", lock_timeout=0.05).lock().__aenter__()


class TestEncryption:
    async def test_hides_the_token_from_who_reads_the_server(self, redis: Any) -> None:
        fernet = pytest.importorskip("cryptography.fernet")
        key, newer = fernet.Fernet.generate_key(), fernet.Fernet.generate_key()
        await RedisTokenStore(redis, "token", encryption_key=key).save(OLD)
        assert b"r0" not in (await redis.hgetall("token"))[b"token"]
        assert await RedisTokenStore(redis, "token", encryption_key=[newer, key]).load() == OLD
        for other in (newer, None):
            with pytest.raises(TokenStoreError, match="encrypted with another key"):
                await RedisTokenStore(redis, "token", encryption_key=other).load()

    @pytest.mark.parametrize("key", ["", "secret", b"x" * 32])
    async def test_refuses_what_is_no_key(self, redis: Any, key: Any) -> None:
        with pytest.raises(InvalidRequestError, match="generate_key"):
            RedisTokenStore(redis, "token", encryption_key=key)


class TestProof:
    @pytest.mark.parametrize("begun", [True, False])
    @pytest.mark.parametrize(
        ("option", "reason"), [("maxmemory", "OutOfMemory"), ("min-replicas-to-write", "NOREPLICAS")]
    )
    async def test_costs_no_token_where_the_server_refuses_writes(
        self, redis: Any, token_server: TokenServer, begun: bool, option: str, reason: str
    ) -> None:
        store = RedisTokenStore(redis, "token")
        if begun:
            await store.save(OLD)
        oauth = OAuth2("the-app", token_url=token_server.url, store=store, refresh_token="r0")
        async with store.lock() as lease:
            await redis.config_set(option, "1")
            try:
                with pytest.raises(TokenStoreError, match=reason):
                    await lease.prepare_save()
                with pytest.raises(TokenStoreError, match=reason):
                    await RedisTokenStore(redis, "other").lock().__aenter__()
            finally:
                await redis.config_set(option, "0")
        assert token_server.forms == []
        assert await oauth.token() == "a1"


class TestLease:
    async def test_is_renewed_as_long_as_it_is_held(self, redis: Any) -> None:
        store = RedisTokenStore(redis, "token", lease=0.15)
        async with store.lock() as lease:
            await asyncio.sleep(0.4)
            assert not lease.expired()
            await lease.confirm()

    async def test_that_was_slept_through_neither_sends_nor_overwrites(
        self, redis: Any, token_server: TokenServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sleeper = RedisTokenStore(redis, "token", lease=0.1)
        await sleeper.save(OLD)
        monkeypatch.setattr(redis_store._RedisLease, "renew_for_ever", lambda _: asyncio.sleep(0))
        async with sleeper.lock() as lease:
            assert await lease.load() == OLD
            await asyncio.sleep(0.12)
            assert lease.expired()
            other = OAuth2("the-app", token_url=token_server.url, store=RedisTokenStore(redis, "token"))
            assert await other.token() == "a1"
            with pytest.raises(LockLostError):
                await lease.confirm()
            kept = await lease.save(Token("late", "late"))
            assert kept.refresh_token == "r1"
            with pytest.raises(LockLostError, match="newer token"):
                await sleeper.save(Token("late", "late"))
        assert (await sleeper.load()) == kept

    async def test_that_was_slept_through_after_sending_saves_where_nobody_else_has(self, redis: Any) -> None:
        sleeper = RedisTokenStore(redis, "token", lease=0.1)
        await sleeper.save(OLD)
        async with sleeper.lock() as lease:
            await lease.load()
            await redis.hdel("token", "owner", "until")
            assert (await lease.save(Token("a1", "r1"))).refresh_token == "r1"
        assert await sleeper.load() == Token("a1", "r1")

    async def test_that_is_lost_before_the_request_is_followed_by_another_attempt(
        self, redis: Any, token_server: TokenServer
    ) -> None:
        store = RedisTokenStore(redis, "token")
        await store.save(OLD)

        class Robbed(redis_store._RedisLease):  # type: ignore[name-defined, misc]
            async def confirm(self) -> None:
                if token_server.number == 0:
                    await RedisTokenStore(redis, "token").save(Token("a7", "r7"))
                await super().confirm()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(redis_store, "_RedisLease", Robbed)
            oauth = OAuth2("the-app", token_url=token_server.url, store=store)
            assert await oauth.token() == "a7"
        assert token_server.forms == []

    async def test_survives_a_restart_of_the_server_without_its_data(
        self, redis: Any, redis_server: RedisServer, token_server: TokenServer
    ) -> None:
        store = RedisTokenStore(redis, "token")
        await store.save(Token("a0", "r0"))
        oauth = OAuth2("the-app", token_url=token_server.url, store=store)
        assert await oauth.token() == "a0"
        token_server.gate.clear()
        caller = asyncio.create_task(oauth.token("a0"))
        await asyncio.to_thread(token_server.arrived.acquire)
        await asyncio.to_thread(redis_server.restart, keep_data=False)
        token_server.gate.set()
        assert await caller == "a1"
        stored = await store.load()
        assert stored is not None
        assert stored.refresh_token == "r1"


class TestPersistence:
    @pytest.mark.parametrize("config", ["allowed", "forbidden"])
    async def test_that_is_missing_is_said_once_for_all_accounts(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, config: str
    ) -> None:
        options = () if config == "allowed" else ("--rename-command", "CONFIG", "")
        for server in running(tmp_path / "data", options=options):
            async with aioredis.from_url(server.url) as client:
                for key in ("one", "two"):
                    async with RedisTokenStore(client, key).lock():
                        pass
        said = "does not persist" if config == "allowed" else "persists is unknown"
        records = [record for record in caplog.records if record.name == "cc_async"]
        assert [(record.levelno, said in record.getMessage()) for record in records] == [(logging.WARNING, True)]

    async def test_that_is_there_is_worth_no_word(self, redis: Any, caplog: pytest.LogCaptureFixture) -> None:
        async with RedisTokenStore(redis, "token").lock():
            pass
        assert [record for record in caplog.records if record.name == "cc_async"] == []


def test_importing_the_package_does_not_import_redis() -> None:
    program = (
        "import sys, cc_async, cc_async.testing.token_store; print('redis' in sys.modules, 'pytest' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "False False\n"  # noqa: S603  # our own


PREAMBLE = """
import asyncio, os, sys
import redis.asyncio
from cc_async import OAuth2
from cc_async.redis import RedisTokenStore

token_url, redis_url, name = sys.argv[1:4]

def oauth_on(client, **options):
    return OAuth2(name, token_url=token_url, store=RedisTokenStore(client, "token", **options))
"""
ONE_OF_MANY = f"""{PREAMBLE}
async def main():
    async with redis.asyncio.from_url(redis_url) as client:
        oauth = oauth_on(client)
        print("ready", flush=True)
        sys.stdin.readline()
        print(*await asyncio.gather(*(oauth.token("a0") for _ in range(100))))

asyncio.run(main())
"""
FOR_EVER = f"""{PREAMBLE}
async def main():
    async with redis.asyncio.from_url(redis_url) as client:
        oauth = oauth_on(client, lease=0.3)
        print("ready", flush=True)
        token = None
        while True:
            token = await oauth.token(token)

asyncio.run(main())
"""


def spawn(program: str, token_server: TokenServer, redis_server: RedisServer, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, token_server.url, redis_server.url, name]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603  # our own
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


async def save_first(redis: Any) -> None:
    await RedisTokenStore(redis, "token").save(Token("a0", "r0"))


async def test_eight_processes_with_a_hundred_rejections_each_refresh_once(
    redis: Any, redis_server: RedisServer, token_server: TokenServer
) -> None:
    await save_first(redis)
    token_server.latency = 0.1

    def run() -> list[list[str]]:
        with ExitStack() as stack:
            workers = [
                stack.enter_context(spawn(ONE_OF_MANY, token_server, redis_server, str(number))) for number in range(8)
            ]
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write("go\n")
                worker.stdin.flush()
            return [worker.communicate()[0].split() for worker in workers]

    assert await asyncio.to_thread(run) == [["a1"] * 100] * 8
    assert token_server.refreshes == ["r0"]


class Log(TokenServer):
    """Remembers who sent which refresh token, and when."""

    def __init__(self) -> None:
        super().__init__(forgiving=True, latency=0.01)
        self.sent: list[tuple[str, str, float]] = []

    def response(self, form: dict[str, str], headers: dict[str, str], path: str) -> Any:
        self.sent.append((form["refresh_token"], form["client_id"], time.monotonic()))
        return super().response(form, headers, path)

    def repeated(self) -> list[tuple[tuple[str, float], tuple[str, float]]]:
        """Each two sends of one token that followed each other."""
        last: dict[str, tuple[str, float]] = {}
        found = []
        for token, name, when in self.sent:
            if token in last:
                found.append((last[token], (name, when)))
            last[token] = name, when
        return found


async def number_in(redis: Any) -> int:
    stored = await RedisTokenStore(redis, "token").load()
    assert stored is not None
    assert stored.refresh_token is not None
    return int(stored.refresh_token.removeprefix("r"))


async def test_a_holder_killed_at_any_instant_costs_at_most_its_own_response(
    redis: Any, redis_server: RedisServer
) -> None:
    await save_first(redis)
    chance, killed = random.Random(5), {}
    with Log() as server:
        worker = spawn(FOR_EVER, server, redis_server, "0")
        for number in range(1, ROUNDS + 1):
            before = await number_in(redis)
            await asyncio.sleep(chance.uniform(0.05, 0.2))
            worker.kill()
            killed[str(number - 1)] = time.monotonic()
            worker.communicate()
            assert await number_in(redis) >= before
            worker = await asyncio.to_thread(spawn, FOR_EVER, server, redis_server, str(number))
        worker.kill()
        worker.communicate()
    assert server.number > ROUNDS
    last_sent = {name: when for _, name, when in server.sent}
    for (first, sent), (second, again) in server.repeated():
        assert first != second, "one process sends a token once"
        # `sent` may lie after the kill: the server reads late what the process had still written.
        assert sent == last_sent[first], "a process that read the response goes on with the next token"
        assert killed[first] <= again, "only a token whose first response was lost is sent again"


async def test_a_holder_paused_for_longer_than_its_lease_sends_and_overwrites_nothing(
    redis: Any, redis_server: RedisServer
) -> None:
    await save_first(redis)
    chance = random.Random(6)
    pauses: list[tuple[str, float, float]] = []
    newest = 0
    with Log() as server:
        workers = [spawn(FOR_EVER, server, redis_server, str(number)) for number in range(2)]
        try:
            for _ in range(ROUNDS):
                await asyncio.sleep(chance.uniform(0.05, 0.15))
                name = chance.randrange(2)
                workers[name].send_signal(signal.SIGSTOP)
                began = time.monotonic()
                while time.monotonic() - began < 0.5:
                    number = await number_in(redis)
                    assert number >= newest, "a newer token was overwritten"
                    newest = number
                    await asyncio.sleep(0.01)
                pauses.append((str(name), began, time.monotonic()))
                workers[name].send_signal(signal.SIGCONT)
        finally:
            for worker in workers:
                worker.kill()
                worker.communicate()
    assert len(server.sent) > ROUNDS
    for (first, sent), (second, again) in server.repeated():
        assert first != second
        assert any(name == first and began < again and sent < ended for name, began, ended in pauses), (
            "only a token whose sender was paused before it read the response is sent again",
            (first, sent, second, again, [pause for pause in pauses if pause[1] - 1 < again < pause[2] + 1]),
        )
