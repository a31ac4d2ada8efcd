"""The pytest fixture, as a user's suite meets it."""

import subprocess
import sys
from importlib import import_module, reload
from importlib.util import find_spec
from typing import Any

import aiohttp
import pytest

from cc_async.sandbox import Sandbox

# The installed plugin is a module of its own, which pytest has loaded already; a checkout has it in its place.
INSTALLED, CHECKOUT = "cc_async_pytest", "cc_async.sandbox.pytest_plugin"
PLUGIN = CHECKOUT if find_spec(CHECKOUT) else INSTALLED
pytest_plugins = [] if PLUGIN == INSTALLED else [CHECKOUT]


async def test_the_fixture_is_a_started_sandbox(cc_sandbox: Sandbox) -> None:
    assert len(cc_sandbox.store) == 1_000
    headers = {"Authorization": f"Bearer {cc_sandbox.access_token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{cc_sandbox.base_url}/contacts") as response,
    ):
        assert len((await response.json())["contacts"]) == 50


def test_loading_the_plugin_imports_neither_the_client_nor_the_sandbox() -> None:
    code = "import runpy, sys; runpy.run_path(sys.argv[1]); print(*sys.modules)"
    command = [sys.executable, "-c", code, import_module(PLUGIN).__file__ or ""]
    run = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  # our own
    assert {"cc_async", "aiohttp", "attrs", "msgspec"}.isdisjoint(run.stdout.split())


def test_without_pytest_asyncio_the_fixture_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin: Any = import_module(PLUGIN)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pytest_asyncio", None)
        reload(plugin)
        with pytest.raises(pytest.UsageError, match="needs pytest-asyncio"):
            plugin.cc_sandbox.__wrapped__()
    reload(plugin)
