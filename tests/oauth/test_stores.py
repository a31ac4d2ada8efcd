# ruff: noqa: ASYNC240 - a test may wait for the disk
import asyncio
import json
import os
import pickle
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import pytest

from cc_async.errors import TokenStoreError
from cc_async.oauth import file_store
from cc_async.oauth.file_store import FileTokenStore
from cc_async.oauth.stores import CheckedStore, MemoryTokenStore, TokenStore
from cc_async.oauth.token import Token

TOKEN = Token("access-1", "refresh-1", expires_at=1_800_000_000.25, scope="contact_data offline_access")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "token.json"


def leftovers(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} - {"token.json", "token.json.lock"}


class TestToken:
    def test_shows_no_secret_in_any_of_its_texts(self) -> None:
        for text in (repr(TOKEN), str(TOKEN), f"{TOKEN}", repr([TOKEN])):
            assert "access-1" not in text
            assert "refresh-1" not in text

    def test_pickles_and_compares_by_value(self) -> None:
        copy = pickle.loads(pickle.dumps(TOKEN))  # noqa: S301 - our own bytes
        assert copy == TOKEN
        assert "refresh-1" not in repr(copy)

    def test_needs_no_more_than_an_access_token(self) -> None:
        assert Token("a") == Token("a", None, None, None)


@pytest.mark.parametrize("kind", ["memory", "file"])
class TestBothStores:
    @pytest.fixture
    def store(self, kind: str, path: Path) -> TokenStore:
        return MemoryTokenStore() if kind == "memory" else FileTokenStore(path)

    async def test_give_back_what_was_saved_last(self, store: TokenStore) -> None:
        assert await store.load() is None
        for token in (TOKEN, Token("only access")):
            await store.save(token)
            assert await store.load() == token

    async def test_let_one_task_at_a_time_into_the_lock(self, store: TokenStore) -> None:
        inside = most = 0

        async def visit() -> None:
            nonlocal inside, most
            async with store.lock():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(visit() for _ in range(10)))
        assert most == 1

    async def test_release_the_lock_when_the_body_fails_or_is_cancelled(self, store: TokenStore) -> None:
        with pytest.raises(KeyError):
            async with store.lock():
                raise KeyError
        entered = asyncio.Event()

        async def hold() -> None:
            async with store.lock():
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(hold())
        await entered.wait()
        task.cancel()
        await asyncio.wait({task})
        async with asyncio.timeout(5), store.lock():
            pass

    async def test_a_waiter_that_is_cancelled_does_not_keep_the_lock(self, store: TokenStore) -> None:
        async with store.lock():
            waiters = [asyncio.create_task(store.lock().__aenter__()) for _ in range(5)]
            await asyncio.sleep(0)
            for waiter in waiters:
                waiter.cancel()
            await asyncio.wait(waiters)
            assert all(waiter.cancelled() for waiter in waiters)
        async with asyncio.timeout(5), store.lock():
            pass

    def test_serve_one_event_loop_after_another(self, store: TokenStore) -> None:
        async def contend() -> Token | None:
            async def save() -> None:
                async with store.lock():
                    await store.save(TOKEN)

            await asyncio.gather(save(), save())
            return await store.load()

        assert asyncio.run(contend()) == asyncio.run(contend()) == TOKEN


class TestMemoryTokenStore:
    async def test_may_begin_with_a_token(self) -> None:
        assert await MemoryTokenStore(TOKEN).load() == TOKEN


class TestTokenFile:
    @pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
    async def test_belongs_to_its_owner_alone_whatever_the_umask(self, path: Path, mask: int) -> None:
        store = FileTokenStore(path)
        with umask(mask):
            async with store.lock():
                await store.save(TOKEN)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(Path(f"{path}.lock").stat().st_mode) == 0o600

    async def test_becomes_private_again_when_it_was_opened_to_others(self, path: Path) -> None:
        await FileTokenStore(path).save(TOKEN)
        path.chmod(0o644)
        await FileTokenStore(path).save(TOKEN)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    async def test_is_never_readable_by_others_while_it_is_written(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        modes = []
        fsync = os.fsync

        def watch(descriptor: int) -> None:
            modes.append(os.fstat(descriptor).st_mode)
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", watch)
        with umask(0):
            await FileTokenStore(path).save(TOKEN)
        files = [stat.S_IMODE(mode) for mode in modes if stat.S_ISREG(mode)]
        assert files == [0o600]
        assert len(modes) == 2, "the directory must be synced, too"

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"\xff\xfe",
            b"null",
            b"[]",
            b'"a0"',
            b"{}",
            b'{"name": "somebody\'s package.json"}',
            b'{"access_token": "a0", "refresh_token": "r0"}',
            b'{"format": "cc-async token 1"}',
            b'{"format": "cc-async token 1", "access_token": 5}',
            b'{"format": "cc-async token 2", "access_token": "a0"}',
            b"[" * 100_000,
        ],
    )
    async def test_that_is_damaged_or_another_programs_is_refused_and_left_alone(
        self, path: Path, content: bytes
    ) -> None:
        path.write_bytes(content)
        store = FileTokenStore(path)
        with pytest.raises(TokenStoreError, match="not a token file"):
            await store.load()
        with pytest.raises(TokenStoreError, match="not a token file"):
            await store.save(TOKEN)
        assert path.read_bytes() == content
        assert leftovers(path.parent) == set()

    async def test_that_is_damaged_shows_nothing_of_its_content(self, path: Path) -> None:
        path.write_text('{"format": "cc-async token 1", "access_token": "access-1"')
        with pytest.raises(TokenStoreError) as caught:
            await FileTokenStore(path).load()
        trace = caught.value.__traceback__
        while trace is not None:
            assert "access-1" not in repr(trace.tb_frame.f_locals) or trace.tb_frame.f_code.co_filename == __file__
            trace = trace.tb_next

    async def test_cannot_be_a_directory(self, path: Path) -> None:
        path.mkdir()
        with pytest.raises(TokenStoreError, match=r"token\.json cannot be read: Is a directory"):
            await FileTokenStore(path).load()
        with pytest.raises(TokenStoreError):
            await FileTokenStore(path).save(TOKEN)

    async def test_that_may_not_be_read_is_not_taken_for_an_empty_store(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await FileTokenStore(path).save(TOKEN)

        def refuse(_: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(TokenStoreError, match="Permission denied") as caught:
            await FileTokenStore(path).load()
        assert isinstance(caught.value.__cause__, PermissionError)

    async def test_in_a_directory_that_does_not_exist_is_an_error_and_makes_none(self, tmp_path: Path) -> None:
        store = FileTokenStore(tmp_path / "mistyped" / "token.json")
        assert await store.load() is None
        with pytest.raises(TokenStoreError, match="cannot be written: No such file"):
            await store.save(TOKEN)
        with pytest.raises(TokenStoreError, match="cannot be locked: No such file"):
            await store.lock().__aenter__()
        assert not (tmp_path / "mistyped").exists()

    async def test_behind_a_symbolic_link_is_replaced_and_the_link_stays(self, path: Path, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        real = tmp_path / "real" / "store.json"
        path.symlink_to(real)
        store = FileTokenStore(path)
        async with store.lock():
            await store.save(TOKEN)
            with pytest.raises(TokenStoreError):
                await FileTokenStore(real, lock_timeout=0).lock().__aenter__()
        assert path.is_symlink()
        assert stat.S_IMODE(real.stat().st_mode) == 0o600
        assert await FileTokenStore(real).load() == await store.load() == TOKEN

    async def test_stays_where_it_was_when_the_process_changes_its_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        store = FileTokenStore("token.json")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        await store.save(TOKEN)
        assert (tmp_path / "token.json").exists()

    async def test_is_json_that_says_whose_it_is(self, path: Path) -> None:
        await FileTokenStore(path).save(TOKEN)
        assert json.loads(path.read_bytes()) == {
            "format": "cc-async token 1",
            "access_token": "access-1",
            "refresh_token": "refresh-1",
            "expires_at": 1_800_000_000.25,
            "scope": "contact_data offline_access",
        }

    @pytest.mark.parametrize("step", ["fsync", "fdopen"])
    async def test_survives_a_save_that_fails_and_nothing_is_left_over(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        store = FileTokenStore(path)
        await store.save(TOKEN)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, step, full)
            with pytest.raises(TokenStoreError, match="No space left on device"):
                await store.save(Token("a2"))
        assert await store.load() == TOKEN
        assert leftovers(path.parent) == set()

    async def test_is_saved_where_directories_cannot_be_opened(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.open

        def refuse(name: str, flags: int, *args: int, **options: int) -> int:
            if Path(name).is_dir():
                raise PermissionError(13, "Permission denied")
            return real(name, flags, *args, **options)

        monkeypatch.setattr(os, "open", refuse)
        await FileTokenStore(path).save(TOKEN)
        assert await FileTokenStore(path).load() == TOKEN

    async def test_is_whole_when_the_caller_is_cancelled_in_the_middle_of_a_save(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = FileTokenStore(path)
        writing, go_on = threading.Event(), threading.Event()
        replace = file_store._replace

        def slow(target: Path, content: bytes, spare: Path) -> None:
            writing.set()
            go_on.wait(10)
            replace(target, content, spare)

        monkeypatch.setattr(file_store, "_replace", slow)
        task = asyncio.create_task(store.save(TOKEN))
        await asyncio.to_thread(writing.wait)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done(), "the cancellation waits for the end of the save"
        go_on.set()
        await asyncio.wait({task})
        assert task.cancelled()
        assert await store.load() == TOKEN

    async def test_save_that_fails_after_a_cancellation_reports_the_cancellation(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        go_on = threading.Event()

        def fail(*_: object) -> None:
            go_on.wait(10)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(file_store, "_replace", fail)
        task = asyncio.create_task(FileTokenStore(path).save(TOKEN))
        await asyncio.sleep(0)
        task.cancel()
        go_on.set()
        await asyncio.wait({task})
        assert task.cancelled()


class TestFileLock:
    async def test_gives_up_with_advice_when_somebody_else_keeps_it(self, path: Path) -> None:
        message = r"token\.json\.lock has been held .* for 0\.05 s"
        with filelock.FileLock(f"{path}.lock"), pytest.raises(TokenStoreError, match=message):
            await FileTokenStore(path, lock_timeout=0.05).lock().__aenter__()

    async def test_keeps_other_processes_out_until_they_die(self, path: Path) -> None:
        code = (
            "import asyncio, sys\n"
            "from cc_async.oauth.file_store import FileTokenStore\n"
            "async def main():\n"
            "    async with FileTokenStore(sys.argv[1]).lock():\n"
            "        print('in', flush=True)\n"
            "        await asyncio.sleep(60)\n"
            "asyncio.run(main())\n"
        )
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:  # noqa: ASYNC220, S603 - a test may block
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"in\n"
            with pytest.raises(TokenStoreError):
                await FileTokenStore(path, lock_timeout=0).lock().__aenter__()
            holder.kill()
            async with FileTokenStore(path, lock_timeout=10).lock():
                pass

    async def test_that_cannot_be_made_is_a_store_error(self, path: Path) -> None:
        Path(f"{path}.lock").mkdir()
        with pytest.raises(TokenStoreError, match="cannot be locked"):
            await FileTokenStore(path).lock().__aenter__()


class TestCheckedStore:
    async def test_turns_what_a_foreign_store_raises_into_a_store_error_without_its_text(self) -> None:
        class Broken(MemoryTokenStore):
            async def save(self, token: Token) -> None:
                raise ConnectionError(f"SET {token.access_token}")

        with pytest.raises(TokenStoreError, match=r"failed to save \(ConnectionError\)") as caught:
            async with CheckedStore(Broken()).lock() as locked:
                await locked.save(TOKEN)
        assert "access-1" not in str(caught.value)
        assert isinstance(caught.value.__cause__, ConnectionError)

    async def test_leaves_the_advice_of_our_own_stores_as_it_is(self, path: Path) -> None:
        path.write_text("{}")
        with pytest.raises(TokenStoreError, match="not a token file"):
            await CheckedStore(FileTokenStore(path)).load()

    async def test_passes_on_what_is_raised_inside_the_lock(self) -> None:
        with pytest.raises(KeyError):
            async with CheckedStore(MemoryTokenStore()).lock():
                raise KeyError
