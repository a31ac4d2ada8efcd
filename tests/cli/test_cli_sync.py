"""`sync`, against a sandbox: one line a synchronization, and an end that says how to go on."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from support.sandbox_contract import until

from cc_async.__main__ import main
from cc_async.cli.exits import FAILED, INTERRUPTED, NOT_LOGGED_IN, OK, TERMINATED, USAGE
from cc_async.sandbox import Sandbox

LINE = re.compile(r".*contacts\.db: (\d[\d,]* contacts read(?: since the interruption)?, )?\d+ changed; .* s\n")


def arguments(box: Sandbox, database: Path, *options: str) -> list[str]:
    return ["sync", str(database), "--base-url", box.base_url, *options]


async def started(box: Sandbox, database: Path, *options: str) -> asyncio.subprocess.Process:
    """A process of its own, because signals reach all of one."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cc_async", *arguments(box, database, *options)),
        env={**os.environ, "CC_ACCESS_TOKEN": box.access_token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_it_says_in_one_line_what_it_did(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with Sandbox(contacts=700, rate=None) as box:
        monkeypatch.setenv("CC_ACCESS_TOKEN", box.access_token)
        for _ in range(2):
            assert await asyncio.to_thread(main, arguments(box, tmp_path / "contacts.db")) == OK
    first, second = capsys.readouterr().out.splitlines(keepends=True)
    assert "contacts.db: 700 contacts read, 0 changed; 13 lists, 8 tags, 6 custom fields; " in first
    assert LINE.fullmatch(first)
    assert "contacts read" not in second
    assert LINE.fullmatch(second)


def test_a_pause_of_nothing_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sync", "--watch", "0"])
    assert ended.value.code == USAGE
    assert "'0' is not a number of seconds, 0.01 or more" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("signal_", "options", "code"),
    [
        (signal.SIGINT, (), INTERRUPTED),
        (signal.SIGTERM, (), TERMINATED),
        (signal.SIGINT, ("--watch", "5"), INTERRUPTED),
        (signal.SIGTERM, ("--watch", "5"), OK),
    ],
)
async def test_a_signal_stops_it_and_the_next_run_goes_on(
    signal_: signal.Signals, options: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    database = tmp_path / "contacts.db"
    async with Sandbox(contacts=3_000, rate=4) as box:
        process = await started(box, database, *options)
        await until(lambda: len(box.requests) >= 6)
        process.send_signal(signal_)
        out, complaints = await process.communicate()
        assert (process.returncode, out) == (code, b"")
        wanted = "cc-async: stopped. Everything stored so far is kept: run the same command again to go on\n"
        assert complaints.decode() == (wanted if signal_ == signal.SIGINT else "")
        box.rate = None
        process = await started(box, database)
        out, complaints = await process.communicate()
        assert (process.returncode, complaints) == (OK, b"")
        assert b"since the interruption" in out


async def test_watching_goes_on_after_a_failure(tmp_path: Path) -> None:
    async with Sandbox(contacts=100, rate=None) as box:
        box.fault("status", path="/contact_tags$", status=500, times=8)
        process = await started(box, tmp_path / "contacts.db", "--watch", "0.1")
        assert process.stdout is not None
        assert process.stderr is not None
        complaint = (await process.stderr.readline()).decode()
        assert re.fullmatch(r"cc-async: \S+ \S+Z The API answered 500 .* The next .* is in 0\.1 s\.\n", complaint)
        box.clear_faults()
        lines = [(await process.stdout.readline()).decode() for _ in range(3)]
        assert all(LINE.fullmatch(line) for line in lines)
        process.terminate()
        await process.communicate()
        assert process.returncode == OK


async def test_watching_ends_with_a_login_that_is_no_longer_valid(tmp_path: Path) -> None:
    async with Sandbox(contacts=100, rate=None) as box:
        process = await started(box, tmp_path / "contacts.db", "--watch", "0.1")
        assert process.stdout is not None
        await process.stdout.readline()
        box.revoke(box.access_token)
        _, complaints = await process.communicate()
        assert process.returncode == NOT_LOGGED_IN
        assert complaints.count(b"\n") == 1


@pytest.mark.parametrize(
    ("database", "code", "complaint"),
    [
        ("mysql://user:hunter2@host/name", FAILED, "A mirror needs SQLite or PostgreSQL."),
        ("postgresql://user:hunter2@127.0.0.1:9/name", FAILED, "The database of the mirror cannot be opened: "),
        ("nowhere/contacts.db", FAILED, "The database of the mirror cannot be opened: its folder does not exist."),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(
    database: str, code: int, complaint: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC_ACCESS_TOKEN", "token")
    assert main(["sync", database]) == code
    printed = capsys.readouterr().err
    assert printed.startswith(f"cc-async: {complaint}")
    assert printed.count("\n") == 1
    assert "hunter2" not in printed


def test_without_the_extra_it_says_which(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("sqlalchemy", "cc_async.mirror", "cc_async.cli.sync"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert main(["sync"]) == USAGE
    assert 'python -m pip install "cc-async[mirror]"' in capsys.readouterr().err
