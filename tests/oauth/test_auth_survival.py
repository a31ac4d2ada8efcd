"""What no interruption may do: lose a refresh token, spend one twice, tear the file."""

import asyncio
import contextlib
import json
import logging
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support.token_server import TokenServer

from cc_async.oauth.file_store import FileTokenStore
from cc_async.oauth.provider import OAuth2
from cc_async.oauth.token import Token

COMMAND = [sys.executable, "-X", "dev", "-W", "error"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "token.json"
    asyncio.run(FileTokenStore(path).save(Token("a0", "r0")))
    return path


def number_in(path: Path) -> int:
    """The number of the refresh token in the file, which fails if the file is torn."""
    return int(json.loads(path.read_bytes())["refresh_token"].removeprefix("r"))


ONE_OF_MANY = """
import asyncio, sys
from cc_async.oauth.provider import OAuth2
from cc_async.oauth.file_store import FileTokenStore

async def main():
    oauth = OAuth2("the-app", token_url=sys.argv[1], store=FileTokenStore(sys.argv[2]))
    print("ready", flush=True)
    sys.stdin.readline()
    print(*await asyncio.gather(*(oauth.token("a0") for _ in range(10))))

asyncio.run(main())
"""


def test_eight_processes_with_one_file_refresh_once(server: TokenServer, path: Path) -> None:
    server.latency = 0.1
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(  # noqa: S603 - our own code
                    [sys.executable, "-c", ONE_OF_MANY, server.url, str(path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(8)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        responses = []
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        responses = [worker.communicate()[0].split() for worker in workers]
    assert responses == [["a1"] * 10] * 8
    assert server.refreshes == ["r0"]
    assert number_in(path) == 1


# Forks its victims, so that their imports are paid for once. A victim reports what has been saved.
EXECUTIONER = """
import asyncio, json, os, random, signal, sys, time
from cc_async.oauth.provider import OAuth2
from cc_async.oauth.file_store import FileTokenStore

url, path, rounds, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

async def refresh_for_ever(report):
    oauth = OAuth2("the-app", token_url=url, store=FileTokenStore(path))
    token = await oauth.token()
    while True:
        token = await oauth.token(token)
        os.write(report, token.removeprefix("a").encode() + b" ")

chance, saves = random.Random(seed), 0
for _ in range(rounds):
    read, write = os.pipe()
    if not (child := os.fork()):
        asyncio.run(refresh_for_ever(write))
    os.close(write)
    with open(read, "rb", buffering=0) as reports:
        saved = reports.read(1)
        time.sleep(chance.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        saved = (saved + reports.read()).split()
    with open(path, "rb") as file:
        kept = int(json.load(file)["refresh_token"].removeprefix("r"))
    assert kept >= int(saved[-1]), (kept, saved)
    saves += len(saved)
print(saves)
"""


def test_a_process_killed_at_any_instant_leaves_a_whole_file_with_all_that_was_saved(path: Path) -> None:
    with TokenServer(forgiving=True) as server:
        command = [*COMMAND, "-c", EXECUTIONER, server.url, str(path), "40", str(random.randrange(10**6))]
        saves = int(subprocess.check_output(command, text=True))  # noqa: S603 - our own code
    assert saves >= 40
    # Sent again are only tokens whose response died with its process.
    assert len(server.refreshes) - len(set(server.refreshes)) <= 40


class TestEndOfTheEventLoop:
    @pytest.mark.parametrize("end", ["return", "error", "interrupt", "signal"])
    def test_in_the_middle_of_a_refresh_loses_nothing(
        self, server: TokenServer, path: Path, end: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.latency = 0.3
        oauth = OAuth2("the-app", token_url=server.url, store=FileTokenStore(path))
        tasks: list[asyncio.Task[str]] = []

        async def main() -> None:
            tasks.extend(asyncio.create_task(oauth.token("a0")) for _ in range(3))
            await asyncio.to_thread(server.arrived.acquire)
            if end == "error":
                raise KeyError
            if end == "interrupt":
                raise KeyboardInterrupt
            if end == "signal":
                signal.raise_signal(signal.SIGINT)
                await asyncio.Event().wait()

        expected: Any = {"error": KeyError, "return": None}.get(end, KeyboardInterrupt)
        with pytest.raises(expected) if expected else contextlib.nullcontext():
            asyncio.run(main(), debug=True)
        assert all(task.cancelled() for task in tasks)
        assert number_in(path) == 1
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        assert asyncio.run(oauth.token("a0")) == "a1"
        assert server.refreshes == ["r0"]

    def test_at_any_instant_leaves_in_the_file_what_the_host_granted_last(
        self, server: TokenServer, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        server.latency = 0.005
        chance = random.Random(4)
        oauth = OAuth2("the-app", token_url=server.url, store=FileTokenStore(path))

        async def main() -> None:
            async def use() -> None:
                token = None
                while True:
                    token = await oauth.token(token)

            await oauth.token(await oauth.token())
            users = [asyncio.create_task(use()) for _ in range(3)]
            await asyncio.wait(users, timeout=chance.uniform(0, 0.05))

        for _ in range(40):
            asyncio.run(main())
            assert number_in(path) == server.number
        assert server.number >= 39
        assert len(set(server.refreshes)) == len(server.refreshes)
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []

    def test_and_of_the_process_by_ctrl_c_loses_nothing_and_says_nothing_odd(
        self, server: TokenServer, path: Path
    ) -> None:
        server.latency = 0.3
        command = [*COMMAND, "-c", ONE_OF_MANY, server.url, str(path)]
        with subprocess.Popen(  # noqa: S603 - our own code
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as worker:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
            assert server.arrived.acquire(timeout=20)
            worker.send_signal(signal.SIGINT)
            _, errors = worker.communicate()
        assert number_in(path) == 1
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert not [text for text in ("destroyed", "never", "ResourceWarning", "a1", "r1") if text in errors]

    def test_while_the_lock_is_awaited_sends_nothing_and_frees_the_way(self, server: TokenServer, path: Path) -> None:
        oauth = OAuth2("the-app", token_url=server.url, store=FileTokenStore(path))

        async def main() -> None:
            async with FileTokenStore(path).lock():
                await asyncio.wait({asyncio.create_task(oauth.token("a0"))}, timeout=0.1)

        asyncio.run(main())
        assert server.forms == []
        assert asyncio.run(oauth.token("a0")) == "a1"

    def test_leaves_no_thread_behind(self, server: TokenServer, path: Path) -> None:
        before = threading.active_count()
        oauth = OAuth2("the-app", token_url=server.url, store=FileTokenStore(path))
        asyncio.run(oauth.token("a0"))
        for _ in range(500):  # a thread gives its result a moment before it ends
            if threading.active_count() <= before:
                break
            time.sleep(0.01)
        assert threading.active_count() <= before
