"""The stream of contacts: segments that take their time, and every fault in the middle of a walk."""

import asyncio
import itertools
from typing import Any

import pytest
from support.paged_server import BASE, numbered
from support.raw_server import reply, talking
from support.virtual_time import in_virtual_time

from cc_async import ConstantContact, RateLimiter, RetryPolicy, SegmentNotReadyError
from cc_async.codec.decode import Envelope
from cc_async.errors import ClientClosedError
from cc_async.http.call import ApiResponse
from cc_async.limits.protocol import Turn
from cc_async.resources.contacts.filters import ContactFilters
from cc_async.resources.contacts.stream import contact_stream
from cc_async.sandbox import Sandbox


class FakeSession:
    """Responds with 202 as often as each page is told to, and notes when it was asked for what."""

    base_url, prefix, strict, retry = BASE, "/v3", False, RetryPolicy()

    def __init__(self, pending: dict[int, int]) -> None:
        self.pending = pending
        self.asked: list[tuple[float, int]] = []
        self.attempts: list[int | None] = []
        self.closed = False
        self.learned: dict[str, Any] = {}

    async def request(self, call: Any) -> Any:
        page = next(
            (number for number in range(2, 9) if numbered(number)[3:] in call.path), 9 if "cursor" in call.path else 1
        )
        self.attempts.append(call.retry and call.retry.attempts)
        self.asked.append((asyncio.get_running_loop().time(), page))
        await asyncio.sleep(0.5)
        if self.pending.get(page):
            self.pending[page] -= 1
            return ApiResponse(Envelope([], None, None), 202, {})
        href = numbered(page + 1) if page < 8 else None
        return ApiResponse(Envelope([b'{"contact_id": "%d"}' % page], href, None), 200, {})

    async def sleep(self, seconds: float) -> None:
        if self.closed:
            raise ClientClosedError("closed")
        await asyncio.sleep(seconds)

    def stream(self, **filters: Any) -> Any:
        typed: ContactFilters = {"segment_id": 7, **filters}  # type: ignore[typeddict-item]  # any of them
        return contact_stream(self, typed)  # type: ignore[arg-type]  # the part of a session that a stream needs


@in_virtual_time
async def test_a_segment_that_is_being_computed_is_asked_for_again_with_a_growing_pause() -> None:
    session = FakeSession({1: 7})
    contacts = await session.stream(read_ahead=0).collect()
    assert [contact.contact_id for contact in contacts] == [str(number) for number in range(1, 9)]
    times = [at for at, page in session.asked if page == 1]
    assert [later - at - 0.5 for at, later in itertools.pairwise(times)] == [1, 2, 4, 8, 16, 30, 30]


@in_virtual_time
async def test_a_segment_that_is_not_computed_by_the_deadline_is_an_error() -> None:
    session = FakeSession({1: 1_000})
    with pytest.raises(SegmentNotReadyError):
        await session.stream(segment_timeout=60).collect()
    assert 25 <= asyncio.get_running_loop().time() <= 60


@pytest.mark.parametrize("read_ahead", [0, 1, 12])
@in_virtual_time
async def test_a_page_that_turns_202_in_the_middle_costs_no_contact_and_no_order(read_ahead: int) -> None:
    """A guess is not asked for again; and what was read ahead of a page that had to wait is read again."""
    session = FakeSession({3: 2, 4: 1, 7: 3})
    contacts = await session.stream(read_ahead=read_ahead).collect()
    assert [contact.contact_id for contact in contacts] == [str(number) for number in range(1, 9)]
    last = {page: place for place, (_, page) in enumerate(session.asked) if page <= 8}
    assert sorted(last, key=lambda page: last[page]) == list(range(1, 9))


@in_virtual_time
async def test_a_guess_is_sent_once_whatever_comes_of_it() -> None:
    session = FakeSession({4: 9})
    fetch_page = session.stream()._source.fetch_page
    with pytest.raises(SegmentNotReadyError):
        await fetch_page(numbered(4), first=False, turn=Turn(stream=True), guessed=True, on_retry=list)
    assert session.attempts == [1]
    await fetch_page(numbered(5), first=False, turn=Turn(stream=True), guessed=False, on_retry=list)
    assert session.attempts == [1, None]


@in_virtual_time
async def test_closing_the_client_ends_the_pause_of_a_segment() -> None:
    session = FakeSession({1: 99})
    session.closed = True
    with pytest.raises(ClientClosedError):
        await session.stream().collect()
    assert asyncio.get_running_loop().time() == 0.5


async def test_an_empty_202_is_a_segment_that_is_being_computed_and_no_broken_response() -> None:
    async with talking(reply(202), timeout=5.0) as (cc, server):
        with pytest.raises(SegmentNotReadyError):
            await cc.contacts.list(segment_id=7, segment_timeout=0.5).collect()
    assert len(server.requests) == 1


async def test_a_saved_link_that_does_not_show_its_question_is_asked_for_as_it_is() -> None:
    page = reply(200, {"contacts": [{"contact_id": "c1"}]})
    async with talking(page) as (cc, server):
        assert len(await cc.contacts.list(start="/v3/contacts?cursor=opaque").collect()) == 1
    assert [request.target for request in server.requests] == ["/v3/contacts?cursor=opaque"]


def _fast(box: Sandbox) -> ConstantContact:
    return ConstantContact(
        box.access_token,
        base_url=box.base_url,
        rate_limiter=RateLimiter(1_000, per=0.05, daily=None),
        retry=RetryPolicy(first_pause=0.01, longest_pause=0.02),
        timeout=1.0,
    )


FAULTS: dict[str, dict[str, Any]] = {
    "throttled": {"kind": "throttled"},
    "cut": {"kind": "cut"},
    "reset": {"kind": "cut", "reset": True},
    "cut in the body": {"kind": "cut_body"},
    "reset in the body": {"kind": "cut_body", "reset": True},
    "truncated": {"kind": "truncated"},
    "broken": {"kind": "broken"},
    "hang": {"kind": "hang"},
    "slow": {"kind": "latency", "seconds": 0.2},
    "too slow": {"kind": "latency", "seconds": 1.5},
    "html": {"kind": "html"},
    "unauthorized once": {"kind": "status", "status": 401, "shape": "object"},
    "html error": {"kind": "status", "status": 502, "shape": "html"},
    "empty error": {"kind": "status", "status": 503, "shape": "empty"},
    **{str(status): {"kind": "status", "status": status} for status in (408, 500, 502, 503, 504)},
    "asked to wait": {"kind": "status", "status": 503, "headers": {"Retry-After": "0"}},
    "still processing": {"kind": "body", "status": 202, "body": b'{"contacts": [], "status": "processing"}'},
}


GROUPS = [sorted(FAULTS)[group::4] for group in range(4)]


@pytest.mark.parametrize("faults", GROUPS, ids=", ".join)
async def test_a_stream_survives_every_passing_fault_and_yields_exactly_the_collection(faults: list[str]) -> None:
    """Each twice, in the middle of 100 pages; where a 401 or a 202 comes, it comes once."""
    async with Sandbox(contacts=300, rate=None, daily=None) as box, _fast(box) as cc:
        for place, fault in enumerate(faults, 1):
            times = 1 if fault in {"unauthorized once", "still processing"} else 2
            box.fault(**FAULTS[fault], path="/contacts", after=15 * place, times=times)
        found = await cc.contacts.list(status="all", limit=3).collect()
        assert [contact.contact_id for contact in found] == box.store.ids()
        failed = sum(record.status not in {200, 0} for record in box.requests) + len(box.requests) - 100
        assert failed >= len(faults) - 2


@pytest.mark.parametrize("cursor", ["page", "opaque", "lying", "switching"])
@pytest.mark.parametrize("read_ahead", [0, 3, 12])
async def test_every_contact_of_the_sandbox_comes_once_whatever_its_cursors(cursor: Any, read_ahead: int) -> None:
    async with Sandbox(contacts=100, rate=None, cursor=cursor, empty_pages=(2, 7)) as box, _fast(box) as cc:
        found = await cc.contacts.list(status="all", limit=9, read_ahead=read_ahead).collect()
        assert [contact.contact_id for contact in found] == box.store.ids()
