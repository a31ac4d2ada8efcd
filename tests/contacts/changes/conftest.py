"""An account whose contacts change."""

from collections.abc import AsyncIterator

import pytest
from support.changing_account import World, opened


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


@pytest.fixture
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cc_async.resources.contacts.filters.LIMIT_AT_MOST", 2)
