"""Other cursor styles, what a client remembers of guessed links, and pages without end."""

import asyncio
import logging
import random
import re
from typing import Any

import attrs
import pytest
from support.paged_server import Book, MemoryApi, numbered, take
from support.virtual_time import SlidingWindow, in_virtual_time

from cc_async import ConstantContact, PaginationError, RateLimiter
from cc_async.resources._collection import stream
from cc_async.resources.contacts.stream import CONTACTS
from cc_async.sandbox import Sandbox
from cc_async.streams.cursor import Trust


@attrs.frozen
class OffsetCursor:
    """A link with `offset` and `limit`: what another style costs."""

    head: str
    offset: int
    limit: int

    @classmethod
    def parse(cls, href: str) -> "OffsetCursor | None":
        found = re.fullmatch(r"(.*[?&])offset=(\d+)&limit=(\d+)", href)
        return cls(found[1], int(found[2]), int(found[3])) if found else None

    @property
    def link(self) -> str:
        return f"{self.head}offset={self.offset}&limit={self.limit}"

    def following(self) -> "OffsetCursor":
        return attrs.evolve(self, offset=self.offset + self.limit)

    def matches(self, link: str) -> bool:
        return link == self.link

    def resembles(self, link: str) -> bool:  # noqa: ARG002  # there is one spelling only
        return False

    def is_beyond(self, total: int, page_size: int) -> bool:  # noqa: ARG002  # of the protocol
        return self.offset >= total


def _offsets(link: str | None) -> dict[str, Any]:
    cursor = OffsetCursor.parse(link or "/v3/contacts?offset=0&limit=2")
    assert cursor is not None
    page: dict[str, Any] = {"contacts": [str(cursor.offset), str(cursor.offset + 1)], "contacts_count": 40}
    following = cursor.following()
    return page | ({} if following.is_beyond(40, 2) else {"_links": {"next": {"href": following.link}}})


@in_virtual_time
async def test_another_cursor_style_is_one_small_class() -> None:
    api = MemoryApi(read=_offsets)
    pager = api.pager(size=2)
    pager._source = attrs.evolve(pager._source, parse_cursor=OffsetCursor.parse)
    assert await pager.collect() == [str(number) for number in range(40)]
    assert len(api.sent) == 20
    assert asyncio.get_running_loop().time() < 10  # 20, link by link


TEN = Book(sizes=[2] * 10, totals={1: 20})


async def _read(api: MemoryApi, trust: Trust, request: str = "/contacts") -> float:
    began = asyncio.get_running_loop().time()
    pager = api.pager(size=2)
    pager._source = attrs.evolve(pager._source, trust=trust, request=request)
    await pager.collect()
    return asyncio.get_running_loop().time() - began


def _limited(style: str = "page numbers") -> MemoryApi:
    chance = random.Random(1)
    return MemoryApi.of(
        Book(sizes=[2] * 48, style=style, totals={1: 96}),
        latency=lambda: 1.0 + chance.uniform(-0.05, 0.05),
        limiter=RateLimiter(daily=None),
        limit=SlidingWindow(4),
    )


@in_virtual_time
async def test_the_second_stream_over_a_collection_need_not_prove_its_guesses_again() -> None:
    trust, ideal = Trust(), 48 / 4 + 1.0
    assert await _read(_limited(), trust) <= 1.12 * ideal
    assert trust.right
    api = _limited()
    assert await _read(api, trust) <= 1.06 * ideal
    assert len(api.sent) == 48


@in_virtual_time
async def test_guesses_before_the_first_page_arrives_need_the_same_request_as_before() -> None:
    trust = Trust()
    await _read(MemoryApi.of(TEN), trust)
    for request, sent in (("/other", 1), ("/other", 10), ("/contacts", 1)):
        api = MemoryApi.of(TEN)
        reading = asyncio.ensure_future(_read(api, trust, request))
        await asyncio.sleep(0.5)
        assert len(api.sent) == sent
        await reading
        assert len(api.sent) == 10


@in_virtual_time
async def test_a_remembered_link_that_proves_wrong_costs_requests_once_and_no_item() -> None:
    """As with cursors that carry the time of their request: the numbers can be guessed, but not the rest."""
    trust, wasted = Trust(), []
    for style in ("page numbers", "short numbers") * 2:
        book = attrs.evolve(TEN, style=style)
        api = MemoryApi.of(book)
        pager = api.pager(size=2)
        pager._source = attrs.evolve(pager._source, trust=trust, request="/contacts")
        assert await pager.collect() == book.items
        wasted.append(len(api.sent) - 10)
        assert trust.right
    assert wasted == [0, 9, 0, 0]


@in_virtual_time
async def test_a_first_page_that_is_sent_again_holds_the_guesses_back() -> None:
    trust = Trust()
    await _read(MemoryApi.of(TEN), trust)
    api = MemoryApi.of(TEN, faults={1: 2}, limiter=RateLimiter())
    assert await _read(api, trust) < 60
    assert len(api.sent) <= 10 + 9 + 2


@in_virtual_time
async def test_a_collection_that_shrank_to_one_page_is_not_guessed_beyond_it_again() -> None:
    trust, one = Trust(), attrs.evolve(TEN, sizes=[2], totals={1: 2}, beyond="poison")
    await _read(MemoryApi.of(TEN), trust)
    await _read(MemoryApi.of(one), trust)
    api = MemoryApi.of(one)
    await _read(api, trust)
    assert api.sent == [None]


@in_virtual_time
async def test_what_was_learned_is_forgotten_at_the_first_guess_that_is_wrong() -> None:
    trust = Trust(right=True)
    book = Book(sizes=[3] * 20, style="becomes opaque", totals={1: 60}, beyond="poison")
    pager = MemoryApi.of(book).pager(size=3)
    pager._source = attrs.evolve(pager._source, trust=trust)
    assert await pager.collect() == book.items
    assert not trust.right


async def test_a_client_remembers_by_collection() -> None:
    async with ConstantContact("t") as cc, ConstantContact("t") as other:
        first, second = (stream(cc._session, CONTACTS, {"limit": 5})._source.trust for _ in range(2))
        lists = stream(cc._session, attrs.evolve(CONTACTS, path="/contact_lists"), {})._source.trust
        elsewhere = stream(other._session, CONTACTS, {})._source.trust
    assert first is second
    assert first is not lists
    assert first is not elsewhere


@in_virtual_time
async def test_empty_pages_that_go_on_for_ever_are_warned_of_and_end_in_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted = iter(range(2, 10_000))
    api = MemoryApi(
        read=lambda _: {"contacts": [], "_links": {"next": {"href": numbered(next(counted)) + "&x=1"}}},
        latency=lambda: 0.01,
    )
    pages: list[Any] = []
    with caplog.at_level(logging.WARNING, "cc_async"), pytest.raises(PaginationError, match="1000 pages were empty"):
        await take(api.pager(read_ahead=0).pages(), pages)
    assert len(pages) == 1_000
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@in_virtual_time
async def test_empty_pages_now_and_then_are_neither() -> None:
    book = Book(sizes=([0] * 99 + [1]) * 12)
    assert await MemoryApi.of(book, latency=lambda: 0.01).pager().collect() == book.items


async def test_an_unfinished_segment_that_responses_200_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(contacts=3, rate=None, daily=None) as box:
        box.fault("body", status=200, body=b'{"contacts": [], "status": "processing"}', times=1)
        async with ConstantContact(box.access_token, base_url=box.base_url) as cc:
            pauses: list[float] = []

            async def sleep(seconds: float) -> None:
                pauses.append(seconds)

            monkeypatch.setattr(cc._session, "sleep", sleep)
            contacts = await cc.contacts.list(status="all").collect()
    assert len(contacts) == 3
    assert pauses == [1.0]
