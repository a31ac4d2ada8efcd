"""However a stream is left nothing of it goes on: no task, no request, no warning; no garbage collector is needed."""

import asyncio
import gc
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.paged_server import Book, MemoryApi, PagedServer, take
from support.virtual_time import in_virtual_time

from cc_async import ClientClosedError, ConstantContact, Pager, RateLimiter, merge
from cc_async.errors import NotFoundError, PaginationError

BOOK = Book(sizes=[3] * 50, totals={1: 150})
KEPT: list[BaseException] = []
"""Exceptions with their tracebacks, as a debugger or a log handler may keep them."""


@pytest.fixture(autouse=True)
def no_garbage_collection() -> Iterator[None]:
    KEPT.clear()
    gc.disable()
    yield
    gc.enable()
    KEPT.clear()


async def _slowly(stream: AsyncIterator[Any] | Pager[str] | merge[Any]) -> None:
    """Consume, and spend two seconds on the 7th; by then requests are under way and others wait at the limiter."""
    count = 0
    async for _ in stream:
        count += 1
        if count == 7:
            await asyncio.sleep(2.0)


async def _by_break(pager: Pager[Any]) -> None:
    count = 0
    async for _ in pager:
        count += 1
        if count == 7:
            break


async def _by_break_between_pages(pager: Pager[Any]) -> None:
    count = 0
    async for _ in pager.pages():
        count += 1
        if count == 3:
            break


def _fail_at(expected: str, item: str) -> None:
    if item == expected:
        raise LookupError


async def _by_an_exception(pager: Pager[str]) -> None:
    try:
        async for item in pager:
            _fail_at("3.0", item)
    except LookupError as error:
        KEPT.append(error)


async def _by_return(pager: Pager[str]) -> None:
    async for _ in pager:
        return


async def _by_cancellation(pager: Pager[str]) -> None:
    task = asyncio.ensure_future(_slowly(pager))
    await asyncio.sleep(1.5)  # it waits for a page then
    task.cancel()
    try:
        await task
    except asyncio.CancelledError as error:
        KEPT.append(error)


async def _by_cancellation_in_the_body(pager: Pager[str]) -> None:
    task = asyncio.ensure_future(_slowly(pager))
    await asyncio.sleep(3.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _by_a_time_out(pager: Pager[str]) -> None:
    try:
        async with asyncio.timeout(1.5):
            await _slowly(pager)
    except TimeoutError as error:
        KEPT.append(error)


async def _by_a_time_out_between_pages(pager: Pager[str]) -> None:
    try:
        async with asyncio.timeout(1.5):
            async for _page in pager.pages():
                pass
    except TimeoutError as error:
        KEPT.append(error)


async def _by_a_time_out_around_collect(pager: Pager[str]) -> None:
    try:
        await asyncio.wait_for(pager.collect(), 1.5)
    except TimeoutError as error:
        KEPT.append(error)


async def _by_dropping_the_iterator(pager: Pager[str]) -> None:
    pages = pager.pages()
    await anext(pages)
    await asyncio.sleep(2.0)
    del pages


async def _by_closing_the_pager(pager: Pager[str]) -> None:
    async with pager:
        pages = pager.pages()
        await anext(pages)
        items = aiter(pager)
        await anext(items)
    assert _others() == set()


async def _by_break_inside_async_with(pager: Pager[str]) -> None:
    async with pager:
        await _by_break(pager)
    assert _others() == set()


async def _by_closing_while_another_task_waits(pager: Pager[str]) -> None:
    task = asyncio.ensure_future(_slowly(pager))
    await asyncio.sleep(1.5)
    await pager.aclose()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, ClientClosedError)


async def _by_never_iterating(pager: Pager[str]) -> None:
    pager.pages()
    aiter(pager)
    merge(pager, pager)


async def _by_break_out_of_a_merge(pager: Pager[str]) -> None:
    async for _ in merge(pager, merge(pager, pager)):
        break


async def _by_a_time_out_in_a_merge(pager: Pager[str]) -> None:
    try:
        async with asyncio.timeout(1.5):
            await _slowly(merge(pager, pager))
    except TimeoutError as error:
        KEPT.append(error)


async def _by_break_out_of_a_merge_that_has_a_name(pager: Pager[str]) -> None:
    merged = merge(pager, pager)
    async for _ in merged:
        break
    await _turns(6)
    assert _others() == set()


async def _by_closing_a_merge(pager: Pager[str]) -> None:
    async with merge(pager, pager) as merged:
        async for _ in merged:
            break
    assert _others() == set()


def _others() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


WAYS = {name.removeprefix("_by_"): way for name, way in list(globals().items()) if name.startswith("_by_")}


@pytest.mark.parametrize("way", sorted(WAYS))
@in_virtual_time
async def test_nothing_goes_on_after_leaving_by(way: str) -> None:
    """Within a few turns of the loop; where something is awaited on leaving, at once."""
    api = MemoryApi.of(BOOK, limiter=RateLimiter())
    pager = api.pager(size=3)
    await WAYS[way](pager)
    await _turns(12 if "merge" in way else 2)
    assert _others() == set()
    sent = len(api.sent)
    await asyncio.sleep(100)
    assert len(api.sent) == sent
    assert bool(sent) is (way != "never_iterating")


async def _turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@in_virtual_time
async def test_an_error_of_the_stream_leaves_nothing_either_though_it_is_kept() -> None:
    api = MemoryApi.of(BOOK, faults={5: -1})
    try:
        await _slowly(api.pager(size=3))
    except NotFoundError as error:
        KEPT.append(error)
    await _turns(2)
    assert _others() == set()


@in_virtual_time
async def test_streams_their_errors_and_their_pages_die_without_a_garbage_collection() -> None:
    gc.collect()
    before = {id(found) for found in gc.get_objects()}
    for way in WAYS.values():
        await way(MemoryApi.of(BOOK).pager(size=3))
    for faults in ({5: -1}, {1: -1}):
        with pytest.raises(NotFoundError):
            await MemoryApi.of(BOOK, faults=dict(faults)).pager(size=3).collect()
        with pytest.raises(NotFoundError):
            await _slowly(merge(MemoryApi.of(BOOK, faults=dict(faults)).pager(size=3)))
    with pytest.raises(PaginationError):
        await MemoryApi.of(Book(sizes=[3], last_href="/elsewhere")).pager().collect()
    KEPT.clear()
    await _turns(6)
    kinds = ("_Reader", "Stream", "merge", "Prefetcher", "_Fetch", "RawPage", "_Merging", "_Source", "NotFoundError")
    left = [type(found).__name__ for found in gc.get_objects() if id(found) not in before]
    assert [name for name in left if name in kinds] == []


# --- with a real client, a real socket, and a Python that shows every warning ----------------------------------------


async def _close_the_client(cc: ConstantContact) -> None:
    task = asyncio.ensure_future(_slowly(cc.contacts.list(limit=3).pages()))
    await asyncio.sleep(0.2)
    await cc.close()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, ClientClosedError)
    await _turns(2)


async def _close_the_client_while_a_segment_is_computed(cc: ConstantContact) -> None:
    task = asyncio.ensure_future(cc.contacts.list(segment_id=7).collect())
    await asyncio.sleep(0.2)
    await cc.close()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, ClientClosedError)


def _typed(cc: ConstantContact) -> Pager[Any]:
    return cc.contacts.list(limit=3)


async def _real_time_out(cc: ConstantContact) -> None:
    try:
        async with asyncio.timeout(0.2):
            async for _page in cc.contacts.list(limit=3).pages():
                pass
    except TimeoutError as error:
        KEPT.append(error)


_RUNNING: list[Any] = []


async def _leave_it_running(cc: ConstantContact) -> None:
    """The iterator outlives the event loop, whose end cancels what runs."""
    _RUNNING.append(cc.contacts.list(limit=3).pages())
    await anext(_RUNNING[0])
    await asyncio.sleep(0.1)


CLIENT_WAYS: dict[str, Callable[[ConstantContact], Awaitable[None]]] = {
    "break": lambda cc: _by_break_between_pages(_typed(cc)),
    "time_out": _real_time_out,
    "close": _close_the_client,
    "close_pending": _close_the_client_while_a_segment_is_computed,
    "merge": lambda cc: _by_break_out_of_a_merge(_typed(cc)),
    "async_with": lambda cc: _by_break_inside_async_with(_typed(cc)),
    "end_of_loop": _leave_it_running,
}


def leave(way: str, base_url: str) -> None:
    """What the subprocess does."""
    gc.disable()

    async def main() -> None:
        limiter = RateLimiter(20, daily=None)
        async with ConstantContact("token", base_url=base_url, rate_limiter=limiter) as cc:
            await CLIENT_WAYS[way](cc)
            left = [task for task in _others() if "fetch" in repr(task.get_coro())]
            assert way == "end_of_loop" or not left or not (await asyncio.wait(left, timeout=0.01))[1]

    asyncio.run(main())


@pytest.mark.parametrize("way", sorted(CLIENT_WAYS))
async def test_a_client_that_leaves_in_development_mode_is_silent_and_sends_nothing_more_after(way: str) -> None:
    script = f"from test_paging_leaving import leave; leave({way!r}, {{!r}})"
    here = Path(__file__).parent
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, [here, here.parent, here.parents[1]])),
        "PYTHONDEVMODE": "1",
    }
    async with PagedServer(book=BOOK, latency=0.05, rate=None, pending=9 if way == "close_pending" else 0) as server:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "error", "-c", script.format(server.base_url)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        told, _ = await process.communicate()
        assert (told.decode(), process.returncode) == ("", 0)
        assert 1 <= len(server.targets) < 30


async def test_closing_the_client_ends_every_request_of_its_streams_and_no_other_is_sent() -> None:
    sent: list[object] = []
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_noting(sent))
    async with PagedServer(book=BOOK, latency=0.05) as server, aiohttp.ClientSession(trace_configs=[trace]) as lent:
        limiter = RateLimiter(20, daily=None)
        cc = ConstantContact("token", base_url=server.base_url, rate_limiter=limiter, client_session=lent)
        pages = cc.contacts.list(limit=3).pages()
        for _ in range(4):
            await anext(pages)
        await cc.close()
        before = len(sent)
        with pytest.raises(ClientClosedError):
            await take(pages, [])  # what had arrived is still given
        assert await anext(pages, None) is None
        await asyncio.sleep(0.2)  # longer than the limiter would have held one back
        assert len(sent) == before


def _noting(sent: list[object]) -> Callable[..., Awaitable[None]]:
    async def note(*_: object) -> None:
        sent.append(None)

    return note
