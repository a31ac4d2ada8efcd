"""A sandbox to log in to, and what keeps the tests away from the logins of whoever runs them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.logins import deciding

from cc_async.cli import profiles
from cc_async.sandbox import Sandbox


@pytest.fixture(autouse=True)
def profile_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty configuration folder, and none of our variables in the environment."""
    for name in ("CC_ACCESS_TOKEN", "CC_CLIENT_ID", "CC_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "config" / "profiles"
    monkeypatch.setattr(profiles, "folder", lambda: folder)
    return folder


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(public_client=True, device_interval=0.01, rate=None) as box:
        yield box


@pytest.fixture
def approving(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody approves every device as soon as it shows its code."""
    deciding(box, monkeypatch, box.approve_device)
