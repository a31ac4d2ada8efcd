"""The pytest fixture, as a user's suite meets it."""

from importlib import import_module, reload
from typing import Any

import aiohttp
import pytest
from cc_async.sandbox import Sandbox, pytest_plugin


async def test_the_fixture_is_a_started_sandbox(cc_sandbox: Sandbox) -> None:
    assert len(cc_sandbox.store) == 1_000
    headers = {"Authorization": f"Bearer {cc_sandbox.access_token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{cc_sandbox.base_url}/contacts") as response,
    ):
        assert len((await response.json())["contacts"]) == 50


def test_without_pytest_asyncio_the_fixture_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setitem(import_module("sys").modules, "pytest_asyncio", None)
        plugin: Any = reload(pytest_plugin)
        with pytest.raises(pytest.UsageError, match="needs pytest-asyncio"):
            plugin.cc_sandbox.__wrapped__()
    reload(pytest_plugin)
