"""The pytest fixture `cc_sandbox`: a started sandbox with 1,000 contacts, new for every test.

Installed as `cc_async_pytest` too, where pytest finds it without importing the client.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cc_async.sandbox import Sandbox

try:
    import pytest_asyncio
except ImportError:

    @pytest.fixture
    def cc_sandbox() -> None:
        """Say what the fixture needs."""
        raise pytest.UsageError("the fixture cc_sandbox needs pytest-asyncio: pip install pytest-asyncio")

else:

    @pytest_asyncio.fixture(name="cc_sandbox")
    async def _cc_sandbox() -> "AsyncIterator[Sandbox]":
        """A server that behaves like the Constant Contact V3 API, with 1,000 contacts and no latency."""
        # Imported late: pytest loads this module in every run, whether or not anything uses the fixture.
        from cc_async.sandbox import Sandbox  # noqa: PLC0415

        async with Sandbox(contacts=1_000) as box:
            yield box
