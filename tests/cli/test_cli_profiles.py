"""What comes after a login: profiles, `whoami`, `logout`, and Ctrl-C at the wrong moment."""

import argparse
import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.logins import contents, deciding, empty, error_line, log_in, run

from cc_async import Token
from cc_async.__main__ import main
from cc_async.cli import login, profiles, show
from cc_async.sandbox import Sandbox

TABLE = ("--format", "table")


@pytest.mark.usefixtures("approving")
async def test_logging_in_again_needs_no_arguments_and_mends_what_is_damaged(
    box: Sandbox, profile_folder: Path
) -> None:
    assert await log_in(box) == 0
    token_file = profile_folder / "default.token.json"
    token_file.write_bytes(b"damaged")
    assert await run("whoami") == 1
    assert await run("login") == 0
    assert await run("whoami") == 0
    (profile_folder / "default.profile.json").write_bytes(b"damaged")
    assert await run("whoami") == 3
    assert await log_in(box) == 0
    assert await run("whoami") == 0


@pytest.mark.usefixtures("approving")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
async def test_a_login_is_its_owners_alone(box: Sandbox, profile_folder: Path) -> None:
    before = os.umask(0)
    try:
        assert await log_in(box) == 0
    finally:
        os.umask(before)
    assert modes(profile_folder) == {0o700, 0o600}


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("way", [(), ("--browser", "--port", "0")])
async def test_ctrl_c_while_waiting_stores_nothing(way: tuple[str, ...], box: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder), "BROWSER": "true"}
    command = [
        sys.executable,
        "-m",
        "cc_async",
        "login",
        "--base-url",
        box.base_url,
        "--client-id",
        box.client_id,
        *way,
    ]
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    while b"Ctrl-C" not in await process.stdout.readline():
        assert process.returncode is None
    process.send_signal(signal.SIGINT)
    _, told = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, told) == (130, b"cc-async: stopped\n")
    assert empty(folder / "cc-async" / "profiles")


async def test_ctrl_c_during_the_save_takes_effect_once_it_is_complete(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    deciding(box, monkeypatch, box.approve_device)
    saving = asyncio.Event()
    save = profiles.save

    async def slow(name: str, profile: profiles.Profile, token: Token) -> None:
        saving.set()
        await asyncio.sleep(0.01)
        await save(name, profile, token)

    monkeypatch.setattr(profiles, "save", slow)
    profiles.prepare()
    given = argparse.Namespace(browser=False)
    app = login._App(box.client_id, None, box.base_url, box.token_url.removesuffix("/token"))
    task = asyncio.create_task(login._log_in(given, show.console(), "default", app))
    await saving.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert profiles.load("default") is not None
    assert await profiles.token_store("default").load() is not None


@pytest.mark.usefixtures("approving")
@pytest.mark.parametrize("columns", [80, 120])
async def test_whoami_tells_people_in_plain_words(
    columns: int, box: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    await log_in(box)
    capsys.readouterr()
    assert await run("whoami", *TABLE) == 0
    printed = capsys.readouterr().out
    for text in (
        "Harbour Street Books",
        "read contacts",
        "change lists and segments",
        "9,998 left",
        "valid for 23 hours",
    ):
        assert text in printed
    assert "may not" not in printed
    assert "�" not in printed
    assert "\x1b" not in printed
    assert max(map(len, printed.splitlines())) <= columns


@pytest.mark.usefixtures("approving")
async def test_whoami_tells_programs_the_same(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    await log_in(box)
    capsys.readouterr()
    assert await run("whoami") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["organization"] == "Harbour Street Books"
    assert told["profile"] == "default"
    assert "contacts:write" in told["privileges"]
    assert told["requests_left_today"] == 9_998
    assert told["token_expires_at"] > told["logged_in_at"]


async def test_whoami_works_where_the_account_may_not_be_read(
    box: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC_ACCESS_TOKEN", str(box.oauth.grant("contact_data")["access_token"]))
    assert await run("whoami", "--base-url", box.base_url, *TABLE) == 0
    printed = capsys.readouterr().out
    assert "may not read" in printed
    assert "CC_ACCESS_TOKEN" in printed


@pytest.mark.usefixtures("approving")
async def test_profiles_are_listed_the_damaged_ones_too(
    box: Sandbox, profile_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run("profiles", *TABLE) == 0
    assert "no login yet" in capsys.readouterr().out
    await log_in(box, "--profile", "another")
    await log_in(box)
    (profile_folder / "shop.profile.json").write_bytes(b"damaged")
    capsys.readouterr()
    assert await run("profiles") == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["profile"] for one in told] == ["default", "another", "shop"]
    assert told[0]["account"] == "Harbour Street Books"
    assert await run("profiles", *TABLE) == 0
    assert "damaged" in capsys.readouterr().out


@pytest.mark.usefixtures("approving")
async def test_logout_deletes_the_login_and_no_other(
    box: Sandbox, profile_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await log_in(box)
    await log_in(box, "--profile", "shop")
    token = await profiles.token_store("default").load()
    assert token is not None
    assert await run("logout") == 0
    assert "deleted" in capsys.readouterr().out
    assert token.access_token not in contents(profile_folder)
    assert await run("whoami") == 3
    assert await run("whoami", "--profile", "shop") == 0
    assert await run("logout") == 0
    assert "does not exist" in capsys.readouterr().out


def test_logout_without_any_login_creates_nothing(profile_folder: Path) -> None:
    assert main(["logout"]) == 0
    assert not profile_folder.exists()


@pytest.mark.parametrize("command", ["login", "logout", "whoami", "profiles"])
def test_every_command_about_logins_explains_itself_within_80_columns(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_missing_platformdirs_is_one_line_that_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cc_async.cli.profiles", "cc_async.cli.login"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    assert main(["login", "--client-id", "app"]) == 2
    assert "cc-async[cli]" in error_line(capsys)
