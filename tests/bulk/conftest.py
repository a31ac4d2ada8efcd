"""Imports in jobs of a few rows."""

from collections.abc import Callable
from typing import Any

import pytest

from cc_async.resources.bulk import imports


@pytest.fixture
def small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MOST_ROWS", 3)


@pytest.fixture
def journals_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual time knows no threads."""

    async def at_once(work: Callable[[], Any]) -> Any:
        return work()

    monkeypatch.setattr("cc_async.resources.bulk.journal.run_uninterrupted", at_once)
