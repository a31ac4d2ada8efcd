"""Several streams as one: fair, in order, clean to leave, whatever the streams are."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.paged_server import Book, MemoryApi, take
from support.virtual_time import in_virtual_time

from cc_async import ClientClosedError, Page, merge
from cc_async.errors import NotFoundError


async def numbers(name: str, count: int, pause: float = 0.0, log: list[str] | None = None) -> AsyncIterator[str]:
    try:
        for number in range(count):
            if pause:
                await asyncio.sleep(pause)
            yield f"{name}{number}"
    finally:
        if log is not None:
            log.append(f"{name} closed")


async def failing(name: str, count: int, error: BaseException, pause: float = 0.0) -> AsyncIterator[str]:
    async for item in numbers(name, count, pause):
        yield item
    await asyncio.sleep(pause)
    raise error


def _of(name: str, found: list[str]) -> list[str]:
    return [item for item in found if item.startswith(name)]


@in_virtual_time
async def test_each_stream_comes_whole_and_in_its_own_order() -> None:
    found = [item async for item in merge(numbers("a", 2_000), numbers("b", 30, 0.1), numbers("c", 0))]
    assert _of("a", found) == [f"a{number}" for number in range(2_000)]
    assert _of("b", found) == [f"b{number}" for number in range(30)]
    assert len(found) == 2_030


@in_virtual_time
async def test_no_stream_that_has_something_waits_longer_than_one_turn_of_the_others() -> None:
    found = []
    async for item in merge(numbers("a", 900), numbers("b", 900), numbers("c", 900)):
        found.append(item)
        await asyncio.sleep(0.01)
    assert all(len({item[0] for item in found[at : at + 3]}) == 3 for at in range(0, 2_400, 3))


@in_virtual_time
async def test_streams_run_side_by_side() -> None:
    assert len([item async for item in merge(*(numbers(str(at), 10, 1.0) for at in range(20)))]) == 200
    assert asyncio.get_running_loop().time() == 10.0


@in_virtual_time
async def test_no_stream_at_all_is_an_empty_stream() -> None:
    assert [item async for item in merge()] == []  # type: ignore[var-annotated]  # of nothing there is no type


@in_virtual_time
async def test_what_is_merged_may_be_merged_again() -> None:
    inner = merge(numbers("a", 5, 0.3), numbers("b", 5, 0.2))
    found = [item async for item in merge(inner, numbers("c", 5, 0.1))]
    assert sorted(found) == sorted(f"{name}{number}" for name in "abc" for number in range(5))


@in_virtual_time
async def test_an_iterator_without_a_way_to_close_it_is_fine() -> None:
    class Plain:
        def __init__(self) -> None:
            self.left = 3

        def __aiter__(self) -> "Plain":
            return self

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

    assert sorted([item async for item in merge(Plain(), Plain())]) == [0, 0, 1, 1, 2, 2]


def test_what_is_no_asynchronous_iterable_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="each as its own argument"):
        merge([numbers("a", 1)])  # type: ignore[arg-type]  # the mistake under test


@in_virtual_time
async def test_an_iterable_that_breaks_when_it_is_begun_is_an_error_and_no_endless_wait() -> None:
    class Broken:
        def __aiter__(self) -> AsyncIterator[str]:
            raise LookupError

    with pytest.raises(LookupError):
        await anext(aiter(merge(numbers("a", 0), Broken())))


@in_virtual_time
async def test_the_first_error_comes_after_the_items_before_it_and_closes_the_other_streams() -> None:
    log: list[str] = []
    found: list[str] = []
    merged = merge(failing("a", 5, LookupError("mine"), 1.0), numbers("b", 100, 0.9, log))
    with pytest.raises(LookupError, match="mine"):
        await take(merged, found)
    assert _of("a", found) == ["a0", "a1", "a2", "a3", "a4"]
    assert log == ["b closed"]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [item async for item in merged] == []


@in_virtual_time
async def test_of_two_errors_the_first_is_raised_and_the_other_makes_no_noise() -> None:
    with pytest.raises(LookupError):
        async for _ in merge(failing("a", 0, LookupError(), 1.0), failing("b", 0, ZeroDivisionError(), 1.0)):
            pass


@in_virtual_time
async def test_a_cancelled_consumer_can_go_on_and_misses_nothing() -> None:
    merged = aiter(merge(numbers("a", 20, 0.7), numbers("b", 20, 0.4)))
    found = []
    while True:
        with contextlib.suppress(TimeoutError):
            item = await asyncio.wait_for(anext(merged, None), 0.1)
            if item is None:
                break
            found.append(item)
    assert len(set(found)) == len(found) == 40


@in_virtual_time
async def test_an_error_is_not_lost_when_its_consumer_is_cancelled_while_the_others_end() -> None:
    async def reluctant() -> AsyncIterator[str]:
        try:
            yield "r0"
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(5)

    merged = aiter(merge(failing("a", 0, LookupError(), 1.0), reluctant()))
    assert await anext(merged) == "r0"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(merged), 2.0)
    with pytest.raises(LookupError):
        await anext(merged)
    assert asyncio.get_running_loop().time() == 6.0


@in_virtual_time
async def test_consumers_that_share_a_merge_all_come_to_its_end() -> None:
    merged = merge(numbers("a", 30, 0.1), numbers("b", 30, 0.1))

    async def consume() -> list[str]:
        return [item async for item in _shared]

    _shared = aiter(merged)
    found = await asyncio.gather(*(consume() for _ in range(10)))
    assert sum(map(len, found)) == 60


@in_virtual_time
async def test_a_consumer_that_waits_is_told_when_another_task_closes_the_merge() -> None:
    merged = merge(numbers("a", 1, 100.0))
    waiting = asyncio.ensure_future(anext(aiter(merged), "over"))
    await asyncio.sleep(1)
    await merged.aclose()
    assert await waiting == "over"


@in_virtual_time
async def test_a_consumer_is_told_even_if_the_streams_had_not_begun() -> None:
    merged = merge(numbers("a", 1, 100.0))
    waiting = asyncio.ensure_future(anext(merged, "over"))
    await asyncio.sleep(0)
    await merged.aclose()
    assert await asyncio.wait_for(waiting, 1) == "over"


@in_virtual_time
async def test_closing_waits_until_every_stream_is_closed() -> None:
    log: list[str] = []
    async with merge(numbers("a", 9, 1.0, log), numbers("b", 9, 1.0, log)) as merged:
        await anext(merged)
        await anext(merged)
    assert sorted(log) == ["a closed", "b closed"]
    assert await anext(merged, None) is None
    assert asyncio.all_tasks() == {asyncio.current_task()}


@in_virtual_time
async def test_a_loop_that_is_left_closes_the_streams_though_the_merge_has_a_name() -> None:
    log: list[str] = []
    merged = merge(numbers("a", 9, 1.0, log), numbers("b", 9, 1.0, log))
    async for _ in merged:
        break
    await asyncio.sleep(0.1)
    assert sorted(log) == ["a closed", "b closed"]


@in_virtual_time
async def test_items_wait_in_bounded_numbers_for_a_slow_consumer() -> None:
    given: list[int] = []

    async def endless() -> AsyncIterator[int]:
        while True:
            given.append(1)
            yield 1

    merged = aiter(merge(endless(), endless()))
    for _ in range(100):
        await anext(merged)
        await asyncio.sleep(1)
    assert len(given) <= 2 * (500 + 1) + 100


@in_virtual_time
async def test_streams_of_pages_merge_with_their_errors() -> None:
    good, bad = Book(sizes=[3] * 9), Book(sizes=[3] * 9)
    found: list[Page[str]] = []
    streams = MemoryApi.of(good).pager().pages(), MemoryApi.of(bad, faults={4: -1}).pager().pages()
    with pytest.raises(NotFoundError):
        await take(merge(*streams), found)
    assert len([page for page in found if page.items == ["3.0", "3.1", "3.2"]]) == 2


@in_virtual_time
async def test_a_stream_cancelled_from_outside_is_an_error_and_not_an_early_end() -> None:
    async def cancelled() -> AsyncIterator[Any]:
        yield 1
        raise asyncio.CancelledError

    merged = aiter(merge(cancelled()))
    assert await anext(merged) == 1
    with pytest.raises(ClientClosedError):
        await anext(merged)


@in_virtual_time
async def test_a_merge_can_be_asked_for_single_items() -> None:
    merged = merge(numbers("a", 2))
    assert [await anext(merged), await anext(merged), await anext(merged, None)] == ["a0", "a1", None]
