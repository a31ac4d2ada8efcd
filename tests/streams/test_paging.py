"""Streams as their users see them: lazy, resumable, and safe whoever writes the links."""

import asyncio
import contextlib
from typing import Any

import attrs
import pytest
from support.paged_server import ENDS, Book, MemoryApi, PagedServer, numbered, take
from support.virtual_time import in_virtual_time

from cc_async import ConstantContact, DecodeError, InvalidRequestError, Page, PaginationError, RateLimiter
from cc_async.codec.decode import Decoded
from cc_async.codec.problems import Problem
from cc_async.errors import NotFoundError

TEN = Book(sizes=[3] * 10, totals={1: 30})
TOKEN = "token"
READ_AHEADS = pytest.mark.parametrize("read_ahead", [0, 1, 2, 12])


@in_virtual_time
async def test_nothing_is_sent_before_the_first_item_is_asked_for() -> None:
    api = MemoryApi.of(TEN)
    pager = api.pager()
    pager.pages(), aiter(pager)
    await asyncio.sleep(100)
    assert api.sent == []


@READ_AHEADS
@in_virtual_time
async def test_iterating_again_starts_afresh(read_ahead: int) -> None:
    pager = MemoryApi.of(TEN).pager(read_ahead=read_ahead)
    assert [item async for item in pager] == [item async for item in pager] == TEN.items
    assert await pager.collect() == TEN.items


@READ_AHEADS
@in_virtual_time
async def test_two_iterations_at_once_do_not_disturb_each_other(read_ahead: int) -> None:
    pager = MemoryApi.of(TEN).pager(read_ahead=read_ahead)
    both = await asyncio.gather(pager.collect(), pager.collect())
    assert both == [TEN.items, TEN.items]  # type: ignore[comparison-overlap]  # a list, whatever typeshed says


@READ_AHEADS
@pytest.mark.parametrize("what", ["items", "pages"])
@in_virtual_time
async def test_consumers_that_share_an_iterator_get_each_item_once(read_ahead: int, what: str) -> None:
    pager = MemoryApi.of(TEN).pager(read_ahead=read_ahead)
    shared: Any = aiter(pager) if what == "items" else pager.pages()
    found: list[str] = []

    async def consume(pause: float) -> None:
        async for got in shared:
            found.extend([got] if isinstance(got, str) else got.items)
            await asyncio.sleep(pause)

    await asyncio.gather(*(consume(number % 3 / 10) for number in range(100)))
    assert sorted(found) == sorted(TEN.items)


@in_virtual_time
async def test_first_fetches_one_page_however_far_streams_read_ahead() -> None:
    api = MemoryApi.of(TEN)
    assert await api.pager().first() == "1.0"
    await asyncio.sleep(100)
    assert api.sent == [None]


@in_virtual_time
async def test_first_goes_past_empty_pages_and_is_none_where_nothing_is() -> None:
    assert await MemoryApi.of(Book(sizes=[0, 0, 2])).pager().first() == "3.0"
    assert await MemoryApi.of(Book(sizes=[0, 0])).pager().first() is None


@pytest.mark.parametrize(("most", "requests"), [(0, 0), (1, 1), (3, 1), (4, 2), (9, 3), (30, 10), (99, 10)])
@in_virtual_time
async def test_collecting_the_first_items_fetches_no_page_too_many(most: int, requests: int) -> None:
    api = MemoryApi.of(TEN)
    assert await api.pager(size=3).collect(most) == TEN.items[:most]
    await asyncio.sleep(100)
    assert len(api.sent) == requests


@in_virtual_time
async def test_collecting_goes_on_where_pages_hold_fewer_items_than_asked_for() -> None:
    book = Book(sizes=[3, 0, 1, 0, 3, 3])
    api = MemoryApi.of(book)
    assert await api.pager(size=3).collect(6) == book.items[:6]
    assert len(api.sent) == 5


@in_virtual_time
async def test_numbers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidRequestError):
        MemoryApi.of(TEN).pager(read_ahead=-1)
    with pytest.raises(InvalidRequestError):
        await MemoryApi.of(TEN).pager().collect(-1)


@READ_AHEADS
@pytest.mark.parametrize("end", range(len(ENDS)))
@in_virtual_time
async def test_the_missing_link_is_the_end_in_all_four_shapes_and_an_empty_page_is_not(
    end: int, read_ahead: int
) -> None:
    book = Book(sizes=[0, 2, 0, 0, 2, 0], end=end)
    pages = [page async for page in MemoryApi.of(book).pager(read_ahead=read_ahead).pages()]
    assert [len(page.items) for page in pages] == [0, 2, 0, 0, 2, 0]
    assert [page.next_url for page in pages] == [*(numbered(number) for number in range(2, 7)), None]


@pytest.mark.parametrize(
    "href",
    [
        "https://elsewhere.example.com/v3/contacts?cursor=bmV4dD0z",
        "http://api.example.com/v3/contacts?cursor=bmV4dD0z",
        "https://user@api.example.com/v3/contacts",
        "//elsewhere.example.com/v3/contacts",
        "/v2/contacts?cursor=bmV4dD0z",
        "/v3/../admin",
        "/v3x/contacts",
        "https://api.example.com",
        "contacts?cursor=x",
    ],
)
@READ_AHEADS
@in_virtual_time
async def test_a_link_out_of_the_api_is_reported_behind_its_page_and_never_followed(href: str, read_ahead: int) -> None:
    api = MemoryApi.of(attrs.evolve(TEN, last_href=href, totals={1: 60}))
    found: list[str] = []
    with pytest.raises(PaginationError):
        await take(api.pager(read_ahead=read_ahead), found)
    assert found == TEN.items
    await asyncio.sleep(100)
    assert all(link is None or link.startswith("/v3/contacts?cursor=") for link in api.sent)


@READ_AHEADS
@pytest.mark.parametrize("back_to", [2, 7, 10])
@in_virtual_time
async def test_a_link_that_was_followed_before_ends_the_stream_instead_of_looping(
    back_to: int, read_ahead: int
) -> None:
    api = MemoryApi.of(attrs.evolve(TEN, last_href=numbered(back_to)))
    found: list[str] = []
    with pytest.raises(PaginationError) as caught:
        await take(api.pager(read_ahead=read_ahead), found)
    assert found == TEN.items
    assert caught.value.url == "/v3/contacts"


@READ_AHEADS
@in_virtual_time
async def test_a_resumed_stream_notices_a_link_back_to_where_it_began(read_ahead: int) -> None:
    api = MemoryApi.of(attrs.evolve(TEN, last_href=numbered(8)))
    with pytest.raises(PaginationError):
        await api.pager(read_ahead=read_ahead, start=numbered(8)).collect()


@READ_AHEADS
@in_virtual_time
async def test_after_an_error_the_iterator_is_over_but_the_pager_is_not(read_ahead: int) -> None:
    api = MemoryApi.of(TEN, faults={4: -1})
    pager = api.pager(read_ahead=read_ahead)
    pages = pager.pages()
    assert [(await anext(pages)).items[0] for _ in range(3)] == ["1.0", "2.0", "3.0"]
    with pytest.raises(NotFoundError):
        await anext(pages)
    assert [page async for page in pages] == []
    api.faults.clear()
    assert await pager.collect() == TEN.items


@READ_AHEADS
@in_virtual_time
async def test_a_consumer_that_stops_waiting_can_go_on_and_misses_nothing(read_ahead: int) -> None:
    api = MemoryApi.of(TEN)
    items = aiter(api.pager(read_ahead=read_ahead))
    found: list[str] = []
    while True:
        with contextlib.suppress(TimeoutError):
            item = await asyncio.wait_for(anext(items, None), 0.3)
            if item is None:
                break
            found.append(item)
    assert found == TEN.items
    assert set(api.requests().values()) == {1}


@in_virtual_time
async def test_closing_ends_an_iteration_in_the_middle_of_a_page() -> None:
    pager = MemoryApi.of(TEN).pager()
    items, pages = aiter(pager), pager.pages()
    await anext(items)
    await anext(pages)
    await pager.aclose()
    assert await anext(items, None) is None
    assert await anext(pages, None) is None
    assert await pager.collect() == TEN.items


@READ_AHEADS
@in_virtual_time
async def test_a_strict_stream_delivers_what_was_read_before_a_value_that_cannot_be(read_ahead: int) -> None:
    async def decode(items: list[str]) -> Decoded[list[str]]:
        return Decoded(items, (Problem("$.contacts[0]", "odd"),) if "3.0" in items else ())

    api = MemoryApi.of(TEN)
    pager = api.pager(read_ahead=read_ahead, strict=True)
    pager._source = attrs.evolve(pager._source, decode=decode)
    found: list[str] = []
    items = aiter(pager)
    with pytest.raises(DecodeError):
        await take(items, found)
    assert found == TEN.items[:6]
    sent = len(api.sent)
    await asyncio.sleep(100)
    assert await anext(items, None) is None
    assert len(api.sent) == sent


@in_virtual_time
async def test_a_page_shows_no_address_in_its_repr() -> None:
    page = await anext(MemoryApi.of(TEN).pager().pages())
    assert repr(page).startswith("Page(items=<3 items>, next_url='…', total=30")


def _client(server: PagedServer, token: str = TOKEN) -> ConstantContact:
    return ConstantContact(token, base_url=server.base_url, rate_limiter=RateLimiter(1000, daily=None))


async def _pages(server: PagedServer, token: str = TOKEN, **filters: Any) -> list[Page[Any]]:
    async with _client(server, token) as cc:
        return [page async for page in cc.contacts.list(**filters).pages()]


@pytest.mark.parametrize("style", ["page numbers", "quoted", "opaque", "lying", "no cursor"])
@pytest.mark.parametrize("read_ahead", [0, 12])
async def test_a_stream_goes_on_after_any_page_with_another_client_and_another_token(
    style: str, read_ahead: int
) -> None:
    book = Book(sizes=[2, 1, 0, 2, 2, 1, 2], style=style, totals=dict.fromkeys(range(1, 8), 10))
    async with PagedServer(book=book) as server:
        pages = await _pages(server, include=["notes"], read_ahead=read_ahead)
        assert [contact.contact_id for page in pages for contact in page.items] == book.items
        for place, page in enumerate(pages[:-1], 1):
            server.tokens.clear()
            rest = await _pages(server, "another-token", start=page.next_url, read_ahead=read_ahead)
            assert [found.next_url for found in rest] == [found.next_url for found in pages[place:]]
            assert [found.items for found in rest] == [found.items for found in pages[place:]]
            assert set(server.tokens) == {"Bearer another-token"}
        assert pages[-1].next_url is None


async def test_include_is_sent_again_beside_every_cursor_and_no_other_filter_is() -> None:
    async with PagedServer(book=TEN) as server:
        pages = await _pages(server, include=["notes", "taggings"], status="all", email="ada+l@example.com", limit=3)
        first = {"include=notes,taggings", "status=all", "email=ada%2Bl%40example.com", "limit=3", "include_count=true"}
        assert set(server.targets[0].removeprefix("/v3/contacts?").split("&")) == first
        links = [f"{numbered(number)}&include=notes,taggings" for number in range(2, 11)]
        assert sorted(server.targets[1:]) == sorted(links)
        assert [page.next_url for page in pages[:-1]] == links
        server.targets.clear()
        await _pages(server, start=pages[7].next_url)
        assert server.targets[0] == f"{numbered(9)}&include=notes,taggings&include_count=true"
        assert server.targets[1:] == [f"{numbered(10)}&include=notes,taggings"]


async def test_a_link_that_carries_include_itself_gets_no_second_one() -> None:
    book = attrs.evolve(TEN, sizes=[2, 2], last_href=None)
    assert book.document(1) is not None
    start = f"/v3/contacts?include=notes&cursor={numbered(2).partition('=')[2]}"
    async with PagedServer(book=attrs.evolve(book, sizes=[1], last_href=start)) as server, _client(server) as cc:
        page = await anext(cc.contacts.list(include=["taggings"]).pages())
        assert page.next_url == start


async def test_a_saved_link_excludes_every_filter_and_leads_nowhere_else() -> None:
    async with PagedServer(book=TEN) as server, _client(server) as cc:
        for filters in ({"status": "all"}, {"limit": 5}, {"include": ["notes"]}):
            with pytest.raises(InvalidRequestError, match="start carries all filters"):
                cc.contacts.list(start=numbered(2), **filters)
        for link in ("https://elsewhere.example.com/v3/contacts?cursor=x", "/v2/contacts?cursor=x", "//e/v3/c"):
            with pytest.raises(PaginationError):
                cc.contacts.list(start=link)
        assert server.targets == []


async def test_collecting_from_a_saved_link_knows_the_page_size_by_the_cursor() -> None:
    async with PagedServer(book=attrs.evolve(TEN, sizes=[50] * 10)) as server, _client(server) as cc:
        found = await cc.contacts.list(start=numbered(2)).collect(60)
        assert [contact.contact_id for contact in found[49:51]] == ["2.49", "3.0"]
        assert len(server.targets) == 2


async def test_no_total_is_asked_for_beside_the_cursor_of_a_segment() -> None:
    """A segment combines with `limit` only, and a saved link may go on with one."""
    async with PagedServer(book=TEN) as server, _client(server) as cc:
        saved = numbered(2, "&segment_id%5B%5D=7")
        with pytest.raises(Exception, match="400"):
            await cc.contacts.list(start=saved).first()
        assert server.targets == [saved]
