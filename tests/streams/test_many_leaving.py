"""Leaving many operations early: calls end, and what was not done is told."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from support.many_items import AsyncSource, Work, drained, next_outcome, tasks
from support.raw_server import OpenLimiter
from support.sandbox_contract import until

from cc_async import ClientClosedError, Many, QuotaExceededError


async def test_leaving_the_block_ends_what_is_under_way_and_tells_what_is_left_over(work: Work) -> None:
    source = AsyncSource()
    async with Many(source(), work, concurrency=3, as_completed=True) as many:
        first = asyncio.create_task(next_outcome(many))
        await until(lambda: len(work.gates) == 3)
        work.finish(1, 2)
        assert (await first).item == 1
    assert not tasks()
    assert source.closed
    left = {outcome.item: outcome.state for outcome in many.left_over}
    assert left[2] == "done"
    assert set(left) | {1} == set(range(source.given))
    assert {state for item, state in left.items() if item != 2} == {"maybe_done"}
    assert not work.under_way
    assert [outcome async for outcome in many] == []


@pytest.mark.parametrize("how", ["break", "error", "cancel"])
async def test_dropping_the_iterator_ends_the_calls(work: Work, how: str) -> None:
    source = AsyncSource()

    async def consume() -> None:
        async for outcome in Many(source(), work, concurrency=3):
            assert outcome.item == 0
            if how == "break":
                break
            if how == "error":
                raise LookupError

    consumer = asyncio.create_task(consume())
    await until(lambda: len(work.gates) == 3)
    if how == "cancel":
        consumer.cancel()
    else:
        work.finish(0)
    try:
        await consumer
    except (asyncio.CancelledError, LookupError) as error:
        kept = error  # and with it the frames of its traceback
        assert kept.__traceback__ is not None
    await until(lambda: not tasks())
    assert source.closed
    assert not work.under_way


async def test_a_consumer_that_gives_up_waiting_misses_no_outcome(work: Work) -> None:
    many = Many(range(3), work)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(many), 0.001)
    work.finish(0, 1, 2)
    assert [outcome.item async for outcome in many] == [0, 1, 2]


async def test_closing_wakes_who_waits_for_an_outcome(work: Work) -> None:
    many = Many(range(3), work)
    waiting = asyncio.create_task(next_outcome(many))
    await until(lambda: len(work.gates) == 3)
    await many.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting
    await many.aclose()
    assert [outcome.state for outcome in many.left_over] == ["maybe_done"] * 3


async def test_an_item_that_comes_in_spite_of_the_closing_is_left_over_as_not_done(work: Work) -> None:
    class Stubborn:
        def __init__(self) -> None:
            self.given = 0

        def __aiter__(self) -> "Stubborn":
            return self

        async def __anext__(self) -> int:
            self.given += 1
            if self.given == 2:
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            return self.given

    source = Stubborn()
    async with Many(source, work) as many:
        waiting = asyncio.create_task(next_outcome(many))
        await until(lambda: source.given == 2)
    waiting.cancel()
    assert [(outcome.item, outcome.state) for outcome in many.left_over] == [(1, "maybe_done"), (2, "not_done")]
    assert isinstance(many.left_over[1].error, ClientClosedError)
    assert source.given == 2


async def test_what_goes_wrong_when_the_generator_is_closed_is_not_swallowed(opened_work: Work) -> None:
    async def items() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            raise LookupError("the file was not closed")

    many = Many(items(), opened_work)
    await anext(many)
    with pytest.raises(LookupError, match="not closed"):
        await many.aclose()


async def test_an_iterator_made_of_the_items_is_closed_with_them(opened_work: Work) -> None:
    source = AsyncSource(30)

    class Collection:
        def __aiter__(self) -> Any:
            return source()

    opened_work.fails = {0: QuotaExceededError("spent", resets_at=OpenLimiter.resets_at)}
    assert isinstance((await drained(Many(Collection(), opened_work)))[1], QuotaExceededError)
    assert source.closed


def test_a_loop_that_ends_in_the_middle_leaves_no_warning() -> None:
    kept: list[Many[int, str]] = []

    async def main() -> None:
        kept.append(Many(AsyncSource()(), Work()))
        waiting = asyncio.create_task(next_outcome(kept[0]))
        await asyncio.sleep(0.001)
        waiting.cancel()

    asyncio.run(main())
    kept.clear()
    gc.collect()


async def test_an_item_that_waited_for_its_key_when_the_consumer_left_was_not_sent() -> None:
    work = Work()
    many = Many([1, 11], work, key=lambda item: item % 10)
    first = asyncio.ensure_future(anext(many))
    await until(lambda: work.begun == [1])
    await asyncio.sleep(0)
    first.cancel()
    await many.aclose()
    assert [(outcome.item, outcome.state) for outcome in many.left_over] == [(1, "maybe_done"), (11, "not_done")]
