"""What tests of several operations on contacts begin with."""

from collections.abc import AsyncIterator

import pytest
from support.contact_with_everything import World, opened


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world
