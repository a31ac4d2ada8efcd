"""A refresh token is used only once the next one is certain to be kept."""

import asyncio
import errno
import json
import os
import subprocess
import sys
import time as wall
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support.token_server import TokenServer

from cc_async.errors import TokenRefreshError, TokenStoreError
from cc_async.oauth.file_store import FileTokenStore
from cc_async.oauth.provider import OAuth2
from cc_async.oauth.stores import MemoryTokenStore
from cc_async.oauth.token import Token

OLD = Token("a0", "r0", 1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "token.json"
    asyncio.run(FileTokenStore(path).save(OLD))
    return path


def mount(*arguments: str) -> None:
    run = subprocess.run(["mount", *arguments], capture_output=True, text=True)  # noqa: S603, S607, PLW1510  # a test's own
    if run.returncode:
        pytest.skip(f"mounting needs a privilege that this process lacks: {run.stderr.strip()}")


def unmount(path: Path) -> None:
    subprocess.run(["umount", "-l", str(path)], check=True)  # noqa: S603, S607  # a test's own


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not sys.platform.startswith("linux"):
        pytest.skip("a small disk is a tmpfs of Linux")
    mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk))
    yield disk
    unmount(disk)


def fill(disk: Path) -> None:
    with (disk / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def content(path: Path) -> bytes:
    return path.read_bytes()


def oauth_for(server: TokenServer, store: Any, **options: Any) -> OAuth2:
    return OAuth2("the-app", token_url=server.url, device_url=server.url, store=store, **options)


async def exchange(oauth: OAuth2) -> Token:
    request = oauth.authorization_url("https://app.example/")
    return await oauth.exchange(request, f"https://app.example/?code=c&state={request.state}")


class TestOwnStores:
    class Plain:
        """What a user wrote for the protocol as it always was."""

        def __init__(self, token: Token | None = OLD) -> None:
            self.kept = token
            self.saved: list[Token] = []
            self.failing = False

        async def load(self) -> Token | None:
            return self.kept

        async def save(self, token: Token) -> None:
            if self.failing:
                raise OSError(errno.ENOSPC, "full")
            self.saved.append(token)
            self.kept = token

        @asynccontextmanager
        async def lock(self) -> AsyncIterator[None]:
            yield

    async def test_save_what_they_hold_before_a_token_is_sent(self, server: TokenServer) -> None:
        store = self.Plain()
        assert await oauth_for(server, store).token() == "a1"
        assert [token.refresh_token for token in store.saved] == ["r0", "r1"]

    async def test_that_cannot_save_cost_no_token(self, server: TokenServer) -> None:
        store = self.Plain()
        store.failing = True
        oauth = oauth_for(server, store)
        with pytest.raises(TokenStoreError, match="failed to save"):
            await oauth.token()
        assert server.forms == []
        store.failing = False
        assert await oauth.token() == "a1"

    async def test_that_are_empty_save_nothing_that_is_no_token(self, server: TokenServer) -> None:
        store = self.Plain(None)
        assert await oauth_for(server, store, refresh_token="r0").token() == "a1"
        assert len(store.saved) == 1

    async def test_may_say_that_they_cannot_prove_it(self, server: TokenServer) -> None:
        class Modest(self.Plain):  # type: ignore[name-defined, misc]
            async def prepare_save(self) -> None:
                pass

        store = Modest()
        assert await oauth_for(server, store).token() == "a1"
        assert len(store.saved) == 1

    async def test_that_cannot_save_cost_no_authorization_code_and_no_device_code(self, server: TokenServer) -> None:
        store = self.Plain()
        store.failing = True
        oauth = oauth_for(server, store)
        with pytest.raises(TokenStoreError):
            await exchange(oauth)
        assert server.forms == []
        store.failing = False
        assert (await exchange(oauth)).access_token == "a1"


class TestFullDisk:
    @pytest.mark.parametrize("begun", [True, False])
    async def test_costs_neither_a_refresh_token_nor_a_code(
        self, server: TokenServer, small_disk: Path, begun: bool
    ) -> None:
        store = FileTokenStore(small_disk / "token.json")
        async with store.lock():
            if begun:
                await store.save(OLD)
        fill(small_disk)
        oauth = oauth_for(server, store, refresh_token="r0")
        with pytest.raises(TokenStoreError, match="No space left"):
            await oauth.token()
        with pytest.raises(TokenStoreError, match="No space left"):
            await exchange(oauth)
        assert server.forms == []
        assert await store.load() == (OLD if begun else None)
        (small_disk / "filler").unlink()
        assert await oauth.token() == "a1"
        assert names(small_disk) == {"token.json", "token.json.lock"}

    @pytest.mark.parametrize("begun", [True, False])
    async def test_that_fills_up_while_the_request_is_under_way_loses_nothing(
        self, server: TokenServer, small_disk: Path, begun: bool
    ) -> None:
        store = FileTokenStore(small_disk / "token.json")
        if begun:
            await store.save(OLD)
        server.gate.clear()
        task = asyncio.create_task(oauth_for(server, store, refresh_token="r0").token())
        await asyncio.to_thread(server.arrived.acquire)
        await asyncio.to_thread(fill, small_disk)
        server.gate.set()
        assert await task == "a1"
        stored = await FileTokenStore(small_disk / "token.json").load()
        assert stored is not None
        assert stored.refresh_token == "r1"

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
    async def test_or_quota_is_noticed_before_the_request(
        self, server: TokenServer, path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def full(_: int) -> None:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(TokenStoreError, match="cannot be written"):
                await oauth_for(server, FileTokenStore(path)).token()
        assert server.forms == []
        assert await oauth_for(server, FileTokenStore(path)).token() == "a1"


async def test_a_directory_that_cannot_be_written_costs_no_token(
    server: TokenServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("cc_async.oauth.file_store.tempfile.mkstemp", refuse)
    with pytest.raises(TokenStoreError, match="cannot be written: Permission denied"):
        await oauth_for(server, FileTokenStore(path)).token()
    assert server.forms == []


async def test_the_proof_for_an_empty_store_leaves_no_token_file(path: Path) -> None:
    await asyncio.to_thread(path.unlink)
    store = FileTokenStore(path)
    async with store.lock():
        await store.prepare_save()
        assert await store.load() is None
    assert names(path.parent) == {"token.json.lock"}


class TestMountedFile:
    @pytest.fixture
    def mounted(self, path: Path, tmp_path: Path) -> Iterator[Path]:
        outside = tmp_path / "outside.json"
        path.replace(outside)
        path.touch()
        mount("--bind", str(outside), str(path))
        yield path
        unmount(path)

    async def test_is_overwritten_in_place_which_the_log_says_once(
        self, server: TokenServer, mounted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        oauth = oauth_for(server, FileTokenStore(mounted))
        assert [await oauth.token(), await oauth.token("a1"), await oauth.token("a2")] == ["a1", "a2", "a3"]
        assert json.loads((tmp_path / "outside.json").read_bytes())["refresh_token"] == "r3"
        assert [line.getMessage() for line in caplog.records].count(
            f"{mounted} is a mount point and cannot be replaced. It is overwritten in place."
        ) == 1

    async def test_shrinks_and_grows_without_a_trace_of_the_token_before(self, mounted: Path) -> None:
        store = FileTokenStore(mounted)
        for size in (3_000, 1, 20_000, 10):
            await store.save(Token("Z" * size, "r"))
            loaded = await store.load()
            assert loaded is not None
            assert len(loaded.access_token) == size
            assert content(mounted).count(b"Z") == size


class TestRefusedRename:
    async def test_is_tried_again_while_a_scanner_holds_the_file(
        self, server: TokenServer, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refusals = 6
        replace = Path.replace

        def busy(source: Path, target: Path) -> Path:
            nonlocal refusals
            if refusals:
                refusals -= 1
                raise PermissionError(errno.EACCES, "Access is denied")
            return replace(source, target)

        monkeypatch.setattr(Path, "replace", busy)
        monkeypatch.setattr("cc_async.oauth.file_store.time.sleep", lambda _: None)
        assert await oauth_for(server, FileTokenStore(path)).token() == "a1"
        assert server.refreshes == ["r0"]

    async def test_fails_after_two_seconds_without_a_request(
        self, server: TokenServer, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slept: list[float] = []
        began = wall.monotonic()

        def refuse(_: Path, __: Path) -> Path:
            raise PermissionError(errno.EACCES, "Access is denied")

        monkeypatch.setattr(Path, "replace", refuse)
        monkeypatch.setattr("cc_async.oauth.file_store.time.sleep", slept.append)
        monkeypatch.setattr("cc_async.oauth.file_store.time.monotonic", lambda: began + sum(slept))
        with pytest.raises(TokenStoreError, match="cannot be written: Access is denied"):
            await oauth_for(server, FileTokenStore(path)).token()
        assert 2 <= sum(slept) < 2.2
        assert server.forms == []
        assert await FileTokenStore(path).load() == OLD


FORKED = """
import asyncio, os, sys
from cc_async import FileTokenStore, MemoryTokenStore, OAuth2, Token, TokenStoreError

url, path = sys.argv[1:]
memory = OAuth2("the-app", token_url=url, store=MemoryTokenStore(Token("a0", "r0")))
seeded = OAuth2("the-app", token_url=url, refresh_token="r0")
on_disk = OAuth2("the-app", token_url=url, store=FileTokenStore(path))
if not os.fork():
    assert asyncio.run(memory.token()) == "a0", "a token that is valid needs no refresh"
    for call in (memory.token("a0"), seeded.token()):
        try:
            asyncio.run(call)
        except TokenStoreError as error:
            print("refused", str(os.getppid()) in str(error))
    print(asyncio.run(on_disk.token("a0")), flush=True)
    os._exit(0)
os.wait()
print(asyncio.run(on_disk.token("a0")))
"""


def test_a_fork_does_not_use_the_refresh_token_that_its_parent_has_in_memory(server: TokenServer, path: Path) -> None:
    out = subprocess.check_output([sys.executable, "-W", "error", "-c", FORKED, server.url, str(path)], text=True)  # noqa: S603  # our own
    assert out.split("\n") == ["refused True", "refused True", "a1", "a1", ""]
    assert server.refreshes == ["r0"], "only the file's, and once"


async def test_threads_that_run_inside_the_event_loop_end_in_one_clear_error(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Inline:
        """A thread as a patched runtime has it."""

        def __init__(self, target: Any, args: Any, daemon: bool) -> None:  # noqa: ARG002  # as threading.Thread
            self.start = lambda: target(*args)

    monkeypatch.setattr("cc_async._tasks.threading.Thread", Inline)
    oauth = oauth_for(server, MemoryTokenStore(OLD))
    with pytest.raises(TokenRefreshError, match="threads of this process run inside"):
        await oauth.token()
    assert server.forms == []
