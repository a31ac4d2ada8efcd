"""`sandbox`: what it prints is enough to use the server, with any client."""

import asyncio
import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress

import aiohttp
import pytest

from cc_async import OAuth2
from cc_async.__main__ import main
from cc_async.cli import sandbox
from cc_async.sandbox import Sandbox


def facts_in(printed: str) -> dict[str, str]:
    """The lines of a name and a value."""
    pairs = (line.partition("  ") for line in printed.splitlines())
    return {name: value.strip() for name, _, value in pairs if name and value}


async def wait_for_output(capsys: pytest.CaptureFixture[str], task: "asyncio.Task[None]") -> str:
    printed = ""
    async with asyncio.timeout(5):
        while "contacts --base-url" not in printed and not task.done():
            await asyncio.sleep(0.005)
            printed += capsys.readouterr().out
    return printed


async def test_what_it_prints_reaches_the_api_and_the_token_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    box = Sandbox(contacts=5, rate=None, daily=None)
    task = asyncio.create_task(sandbox.serve(box))
    printed = await wait_for_output(capsys, task)
    facts = facts_in(printed)
    assert "no limit to requests" in printed
    (curl,) = (line for line in printed.splitlines() if line.strip().startswith("curl"))
    _, _, header, url = shlex.split(curl)
    headers = dict([header.split(": ")])
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        assert response.status == 200
        assert len((await response.json())["contacts"]) == 2
    auth = OAuth2(
        facts["client id"],
        client_secret=facts["client secret"],
        refresh_token=facts["refresh token"],
        token_url=facts["token URL"],
    )
    assert await auth.token() not in ("", facts["access token"])
    await auth.close()
    assert facts["access token"] in curl
    assert url.startswith(facts["base URL"] + "/")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)


def test_every_option_reaches_the_sandbox(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Sandbox] = []

    async def keep(box: Sandbox) -> None:
        served.append(box)

    monkeypatch.setattr(sandbox, "serve", keep)
    given = {
        "contacts": 7,
        "port": 8_025,
        "latency": 0.5,
        "jitter": 0.25,
        "seed": 9,
        "rate": 10,
        "daily": 250_000,
        "cursor": "opaque",
        "order": "shuffled",
        "enforcement": "bucket",
        "token_lifetime": 60.0,
        "job_seconds": 30.0,
    }
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    assert main(["sandbox", *options]) == 0
    assert {name: getattr(served[0], name) for name in given} == given
    assert len(served[0].store) == 7
    assert main(["sandbox", "--contacts", "0", "--rate", "0", "--daily", "0"]) == 0
    assert (served[1].rate, served[1].daily) == (None, None)
    assert capsys.readouterr().out == "Making 7 contacts ...\nMaking 0 contacts ...\n"


async def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    async with Sandbox() as box:
        port = box.base_url.removesuffix("/v3").rpartition(":")[2]
        assert await asyncio.to_thread(main, ["sandbox", "--contacts", "0", "--port", port]) == 1
    printed = capsys.readouterr().err
    assert port in printed
    assert printed.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_it_serves_until_ctrl_c_and_ends_with_130() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "cc_async", "sandbox", "--contacts", "3"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        restore_signals=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for line in process.stdout:
                if "contacts --base-url" in line:
                    break
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 130
        finally:
            process.kill()
        assert process.stderr.read() == "cc-async: stopped\n"
