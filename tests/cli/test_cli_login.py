"""`login` against a sandbox: consent, refusals, and a machine that does not cooperate."""

import asyncio
import errno
import getpass
import os
import re
import socket
import sys
import webbrowser
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from support.logins import contents, deciding, empty, error_line, log_in, run

from cc_async.__main__ import main
from cc_async.cli import browser, profiles
from cc_async.oauth.provider import OAuth2
from cc_async.sandbox import Sandbox


def browsing(monkeypatch: pytest.MonkeyPatch, visit: Callable[[str], Coroutine[Any, Any, None]]) -> None:
    """Let `visit` be the browser."""
    monkeypatch.setattr(webbrowser, "open", lambda url: asyncio.run(visit(url)) or True)


async def consent(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        assert "Return to the terminal" in await response.text()


@pytest.mark.usefixtures("approving")
async def test_a_login_by_device_is_kept_and_used(
    box: Sandbox, capsys: pytest.CaptureFixture[str], profile_folder: Path
) -> None:
    assert await log_in(box) == 0
    printed = capsys.readouterr().out
    stored = await profiles.token_store("default").load()
    assert stored is not None
    assert stored.refresh_token is not None
    assert f"{box.base_url.removesuffix('/v3')}/activate?user_code=" in printed
    assert "Harbour Street Books" in printed
    assert str(profile_folder) in printed
    for secret in (stored.access_token, stored.refresh_token, box.client_secret):
        assert secret not in printed
    assert stored.scope == "contact_data account_read offline_access"
    assert await run("contacts") == 0


async def test_the_page_of_the_sandbox_approves_and_denies(box: Sandbox) -> None:
    auth = OAuth2(box.client_id, token_url=box.token_url, device_url=box.device_url)
    device = await auth.start_device_authorization()
    assert device.verification_uri_complete is not None
    async with aiohttp.ClientSession() as session:
        async with session.get(device.verification_uri_complete) as page:
            assert f'value="{device.user_code}"' in await page.text()
        async with session.get(f"{device.verification_uri}?user_code=%22%3E%3Cscript%3E") as page:
            assert "<script>" not in await page.text()
        form = {"user_code": "unknown", "decision": "approve"}
        async with session.post(device.verification_uri, data=form) as page:
            assert page.status == 404
        form["user_code"] = device.user_code.lower()
        async with session.post(device.verification_uri, data=form) as page:
            assert "approved" in await page.text()
    assert (await auth.poll_device_authorization(device)).refresh_token is not None
    await auth.close()


@pytest.mark.parametrize("confidential", [False, True])
async def test_a_login_by_browser_uses_pkce_and_comes_back_to_this_machine(
    confidential: bool, box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    visited: list[str] = []

    async def visit(url: str) -> None:
        visited.append(url)
        await consent(url)

    browsing(monkeypatch, visit)
    if confidential:
        box.public_client = False
        monkeypatch.setenv("CC_CLIENT_SECRET", box.client_secret)
    assert await log_in(box, "--browser", "--port", "0") == 0
    (query,) = (parse_qs(urlsplit(url).query) for url in visited)
    assert query["code_challenge_method"] == ["S256"]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/callback", query["redirect_uri"][0])
    assert "offline_access" in query["scope"][0].split()
    stored = profiles.load("default")
    assert stored is not None
    assert stored.confidential is confidential


async def test_a_confidential_app_asks_for_its_secret_and_stores_it_nowhere(
    box: Sandbox, profile_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box.public_client = False
    deciding(box, monkeypatch, box.approve_device)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(getpass, "getpass", lambda _: box.client_secret)
    assert await log_in(box, "--confidential") == 0
    assert "set CC_CLIENT_SECRET" in capsys.readouterr().out
    assert box.client_secret not in contents(profile_folder)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--client-id"),
        (("--client-id", "app", "--confidential"), "CC_CLIENT_SECRET"),
        (("--client-id", "app", "--base-url", "nowhere"), "absolute URL"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_sent(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["login", *arguments]) == 2
    assert told in error_line(capsys)


def test_no_argument_takes_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["login", "--client-id", "app", "--client-secret", "secret"])
    assert "unrecognized arguments" in capsys.readouterr().err


async def test_a_denied_device_is_one_line_and_nothing_is_stored(
    box: Sandbox, profile_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deciding(box, monkeypatch, box.deny_device)
    assert await log_in(box) == 1
    assert error_line(capsys) == "cc-async: Consent was refused. Nothing was stored.\n"
    assert empty(profile_folder)


async def test_a_code_that_nobody_enters_expires_in_one_line(
    box: Sandbox, profile_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    box.device_lifetime = 0
    assert await log_in(box) == 1
    assert "Nobody entered the code in time" in error_line(capsys)
    assert empty(profile_folder)


async def test_an_unknown_app_is_one_line(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("login", "--base-url", box.base_url, "--client-id", "unknown") == 1
    assert "does not accept this client id" in error_line(capsys)


def test_a_server_that_cannot_be_reached_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["login", "--base-url", "http://127.0.0.1:1/v3", "--client-id", "app"]) == 1
    assert "did not respond" in error_line(capsys)


async def test_consent_refused_in_the_browser_is_one_line(
    box: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(url: str) -> None:
        sent = parse_qs(urlsplit(url).query)
        back = {"error": "access_denied", "state": sent["state"][0]}
        async with aiohttp.ClientSession() as session, session.get(sent["redirect_uri"][0], params=back) as response:
            assert "Consent was refused" in await response.text()

    browsing(monkeypatch, refuse)
    assert await log_in(box, "--browser", "--port", "0") == 1
    assert error_line(capsys) == "cc-async: Consent was refused. Nothing was stored.\n"


async def test_a_forged_callback_neither_ends_a_login_nor_enters_it(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def attacked(url: str) -> None:
        redirect = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        async with aiohttp.ClientSession() as session:
            for query in ({"code": "mine", "state": "guessed"}, {"code": "mine"}, {"error": "access_denied"}, {}):
                async with session.get(redirect, params=query) as response:
                    assert response.status == 400
            async with session.get(redirect.replace("/callback", "/favicon.ico")) as response:
                assert response.status == 404
        await consent(url)

    browsing(monkeypatch, attacked)
    assert await log_in(box, "--browser", "--port", "0") == 0


async def test_a_rejected_code_is_one_line(
    box: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forge(url: str) -> None:
        sent = parse_qs(urlsplit(url).query)
        back = {"code": "of-another-login", "state": sent["state"][0]}
        async with aiohttp.ClientSession() as session, session.get(sent["redirect_uri"][0], params=back):
            pass

    browsing(monkeypatch, forge)
    assert await log_in(box, "--browser", "--port", "0") == 1
    told = error_line(capsys)
    assert "rejected the code" in told
    assert "of-another-login" not in told


async def test_a_browser_that_never_comes_back_ends_the_login_in_time(
    box: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "SECONDS", 0.05)
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    assert await log_in(box, "--browser", "--port", "0") == 1
    assert "Nobody consented" in error_line(capsys)


async def test_a_port_that_is_taken_is_one_line(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert await log_in(box, "--browser", "--port", port) == 1
    told = error_line(capsys)
    assert port in told
    assert "--port" in told


async def test_a_folder_that_cannot_be_written_is_told_before_anybody_consents(
    box: Sandbox, profile_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked(profile_folder)
    assert await log_in(box) == 1
    assert str(profile_folder) in error_line(capsys)
    assert box.requests == []


def blocked(folder: Path) -> None:
    """Make a folder impossible, even for root."""
    folder.parent.mkdir()
    folder.write_text("a file in its place")


@pytest.mark.usefixtures("approving")
async def test_a_disk_that_is_full_in_the_end_leaves_nobody_half_logged_in(
    box: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(profiles, "_replace", full)
    assert await log_in(box) == 1
    assert "No space left" in error_line(capsys)
    assert await run("whoami") == 3


@pytest.mark.usefixtures("approving")
async def test_two_logins_at_once_leave_one_that_works(box: Sandbox) -> None:
    first, second = await asyncio.gather(log_in(box), log_in(box))
    assert (first, second) == (0, 0)
    box.expire_access_tokens()
    assert await run("whoami") == 0
    assert box.spent_token_uses == 0


@pytest.mark.usefixtures("approving")
async def test_a_profile_keeps_its_account(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert await log_in(box) == 0
    before = await profiles.token_store("default").load()
    async with Sandbox(seed=7, public_client=True, device_interval=0.01) as other:
        with pytest.MonkeyPatch.context() as patch:
            deciding(other, patch, other.approve_device)
            capsys.readouterr()
            assert await log_in(other) == 1
            assert "log out first" in error_line(capsys)
            assert await profiles.token_store("default").load() == before
            assert await log_in(other, "--profile", "other") == 0
    assert await run("whoami") == 0
