"""Work that tests let finish or fail item by item."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from cc_async import Many, Outcome


class Work:
    """What is done for each item: what the test lets happen, when it does."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.under_way: set[int] = set()
        self.most = 0
        self.gates: dict[int, asyncio.Future[str]] = {}
        self.fails: dict[int, Exception] = {}
        self.open = False

    async def __call__(self, item: int) -> str:
        self.begun.append(item)
        self.under_way.add(item)
        self.most = max(self.most, len(self.under_way))
        try:
            if not self.open:
                self.gates[item] = asyncio.get_running_loop().create_future()
                await self.gates[item]
            if item in self.fails:
                raise self.fails[item]
            return f"did {item}"
        finally:
            self.under_way.discard(item)

    def finish(self, *items: int) -> None:
        for item in items:
            self.gates[item].set_result("")


class Counter:
    """An endless iterator that counts what was taken of it."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.taken += 1
        return self.taken - 1


class AsyncSource:
    """An asynchronous generator of numbers that tells when it was closed; those from `slow` on are held back."""

    def __init__(self, count: int = 1_000, slow: int = 1_000_000) -> None:
        self.given = 0
        self.closed = False
        self.slow = slow
        self.more = asyncio.Event()
        self.count = count

    async def __call__(self) -> AsyncIterator[int]:
        try:
            for number in range(self.count):
                if number >= self.slow:
                    await self.more.wait()
                await asyncio.sleep(0)
                self.given += 1
                yield number
        finally:
            await asyncio.sleep(0)
            self.closed = True


async def drained(many: Many[Any, Any]) -> tuple[list[Outcome[Any, Any]], BaseException | None]:
    """All outcomes, and what was raised after them."""
    outcomes = []
    try:
        async for outcome in many:
            outcomes.append(outcome)  # noqa: PERF401  # what came before the error counts
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # whatever it is
        return outcomes, error
    return outcomes, None


def tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def next_outcome(many: Many[Any, Any]) -> Outcome[Any, Any]:
    return await anext(many)
