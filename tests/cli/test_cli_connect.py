"""How commands reach an account: by profile or token, and how they end where they cannot."""

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from cc_async import Token
from cc_async.__main__ import main
from cc_async.cli import output, profiles
from cc_async.cli.profiles import Profile
from cc_async.sandbox import Sandbox


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(contacts=3, public_client=True) as box:
        yield box


def profile_of(box: Sandbox, **changes: object) -> Profile:
    facts: dict[str, object] = {
        "client_id": box.client_id,
        "confidential": False,
        "base_url": box.base_url,
        "token_url": box.token_url,
        "logged_in_at": 0.0,
    }
    return Profile(**{**facts, **changes})  # type: ignore[arg-type]


async def log_in(box: Sandbox, name: str = "default", *, token: str | None = None, **changes: object) -> None:
    profiles.prepare()
    granted = Token(token or box.access_token, box.refresh_token, box.clock() + 3_600)
    await profiles.save(name, profile_of(box, **changes), granted)


async def run(*arguments: str) -> int:
    """Run the command in a thread, because the sandbox needs this one's event loop."""
    return await asyncio.to_thread(main, list(arguments))


async def test_a_profile_needs_no_other_argument(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    await log_in(box)
    assert await run("contacts", "--status", "all") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


async def test_an_expired_token_is_refreshed_and_the_next_one_kept(box: Sandbox) -> None:
    await log_in(box, "shop")
    before = await profiles.token_store("shop").load()
    box.expire_access_tokens()
    assert await run("contacts", "--profile", "shop") == 0
    assert await run("contacts", "--profile", "Shop") == 0
    assert box.refreshes == 1
    assert await profiles.token_store("shop").load() != before


async def test_an_expired_login_is_one_line_that_names_the_command(
    box: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    await log_in(box, "shop", token="eyJlong-gone")
    box.revoke(box.refresh_token)
    assert await run("contacts", "--profile", "shop") == 3
    told = capsys.readouterr().err
    assert told == (
        "cc-async: The login of the profile 'shop' has expired or was revoked. Run `cc-async login --profile shop`.\n"
    )


async def test_the_token_of_the_environment_goes_before_the_default_profile_and_after_a_named_one(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log_in(box)
    monkeypatch.setenv("CC_ACCESS_TOKEN", "not-a-token")
    assert await run("contacts", "--base-url", box.base_url) == 3
    assert await run("contacts", "--profile", "default") == 0


async def test_a_profile_never_sends_its_token_to_another_server(
    box: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    await log_in(box)
    async with Sandbox() as other:
        assert await run("contacts", "--base-url", other.base_url) == 2
        assert other.requests == []
    assert "Leave out --base-url" in capsys.readouterr().err


async def test_a_confidential_app_takes_its_secret_from_the_environment_every_time(
    box: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box.public_client = False
    await log_in(box, confidential=True, token="eyJno-longer-valid")
    assert await run("contacts") == 3
    assert "CC_CLIENT_SECRET" in capsys.readouterr().err
    monkeypatch.setenv("CC_CLIENT_SECRET", box.client_secret)
    assert await run("contacts") == 0
    assert box.refreshes == 1


@pytest.mark.parametrize("content", [b"", b"{", b'{"client_id": 1}', b"\xff\xfe", b"[" * 100_000])
async def test_a_damaged_profile_is_one_line_that_names_the_file(
    content: bytes, box: Sandbox, profile_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await log_in(box)
    file = profile_folder / "default.profile.json"
    file.write_bytes(content)
    assert await run("contacts") == 3
    told = capsys.readouterr().err
    assert str(file) in told
    assert told.count("\n") == 1


async def test_a_damaged_token_file_is_one_line(
    box: Sandbox, profile_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await log_in(box)
    (profile_folder / "default.token.json").write_bytes(b"{}")
    assert await run("contacts") == 1
    told = capsys.readouterr().err
    assert "default.token.json" in told
    assert told.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
@pytest.mark.parametrize("umask", [0o000, 0o077])
async def test_only_the_owner_can_read_a_login_whatever_the_umask(
    umask: int, box: Sandbox, profile_folder: Path
) -> None:
    before = os.umask(umask)
    try:
        await log_in(box)
    finally:
        os.umask(before)
    assert mode(profile_folder) == 0o700
    assert mode(profile_folder / "default.profile.json") == 0o600
    assert mode(profile_folder / "default.token.json") == 0o600


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", ["../default", "", "a.token", "x" * 65, "-x"])
def test_a_name_that_is_no_file_name_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["contacts", f"--profile={name}"])
    assert end.value.code == 2
    assert "is not a name" in capsys.readouterr().err


@attrs.frozen
class Thing:
    name: str | None
    count: int
    tags: tuple[str, ...] = ()


COLUMNS = [
    output.Column[Thing]("name", lambda thing: thing.name),
    output.Column[Thing]("count", lambda thing: thing.count),
    output.Column[Thing]("tags", lambda thing: thing.tags),
]
THINGS = [Thing("Łucja, 李", 12_000, ("a", "b")), Thing(None, 1)]


async def test_other_programs_get_json_lines_or_csv(capsys: pytest.CaptureFixture[str]) -> None:
    assert await output.write(THINGS, COLUMNS, None) == 2
    assert capsys.readouterr().out.splitlines()[0] == '{"name":"Łucja, 李","count":12000,"tags":["a","b"]}'
    assert await output.write(THINGS, COLUMNS, "csv") == 2
    assert capsys.readouterr().out == 'name,count,tags\n"Łucja, 李",12000,a;b\n,1,\n'


async def test_a_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert await output.write(THINGS, COLUMNS, "table") == 2
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["name", "count", "tags"],
        ["Łucja,", "李", "12,000", "a,", "b"],
        ["-", "1", "-"],
    ]
