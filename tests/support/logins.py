"""Logging in from the command line against a sandbox."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cc_async.__main__ import main
from cc_async.sandbox import Sandbox


async def run(*arguments: str) -> int:
    """Run the command in a thread, because the sandbox needs this one's event loop."""
    return await asyncio.to_thread(main, list(arguments))


async def log_in(box: Sandbox, *arguments: str) -> int:
    return await run("login", "--base-url", box.base_url, "--client-id", box.client_id, *arguments)


def deciding(box: Sandbox, monkeypatch: pytest.MonkeyPatch, decide: Callable[[str], None]) -> None:
    """Decide on every device before the first poll, so that nothing waits."""
    start = box.oauth.device

    def device(*request: object) -> object:
        response = start(*request)  # type: ignore[arg-type]
        decide(json.loads(response.body)["user_code"])
        return response

    monkeypatch.setattr(box.oauth, "device", device)


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    told = capsys.readouterr().err
    assert told.startswith("cc-async: ")
    assert told.count("\n") == 1
    return told


def contents(folder: Path) -> str:
    return "".join(file.read_text() for file in folder.iterdir())


def empty(folder: Path) -> bool:
    return list(folder.iterdir()) == []
