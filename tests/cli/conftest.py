"""What keeps the tests of the command line away from the logins of whoever runs them."""

from pathlib import Path

import pytest

from cc_async.cli import profiles


@pytest.fixture(autouse=True)
def profile_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty configuration folder, and none of our variables in the environment."""
    for name in ("CC_ACCESS_TOKEN", "CC_CLIENT_ID", "CC_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "config" / "profiles"
    monkeypatch.setattr(profiles, "folder", lambda: folder)
    return folder
