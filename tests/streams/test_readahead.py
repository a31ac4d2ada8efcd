"""What is guessed, what is fetched ahead, and what a wrong guess costs."""

import asyncio
from typing import Any
from urllib.parse import quote

import attrs
import pytest
from hypothesis import given, strategies as st
from support.paged_server import GUESSABLE, STYLES, Book, MemoryApi, cursor, numbered, take
from support.virtual_time import in_virtual_time, run

from cc_async import RateLimiter
from cc_async.errors import ClientClosedError, NotFoundError
from cc_async.streams.cursor import PageNumberCursor

TWENTY = Book(sizes=[3] * 20, totals=dict.fromkeys(range(1, 21), 60))


@pytest.mark.parametrize("style", [*GUESSABLE, "absolute", "url-safe now and then", "plus signs", "other unit"])
@given(number=st.integers(3, 10_000), step=st.integers(1, 100))
def test_a_numbered_link_taken_apart_gives_the_links_of_other_pages(style: str, number: int, step: int) -> None:
    link = STYLES[style](number)
    parsed = PageNumberCursor.parse(link)
    assert parsed is not None
    assert parsed.at(parsed.number) == link
    if style in {"page numbers", "short numbers", "beside others", "plus signs"}:
        assert parsed.at(number + step) == STYLES[style](number + step)


@pytest.mark.parametrize(
    "link",
    [
        "/v3/contacts",
        "/v3/contacts?cursor=",
        "/v3/contacts?cursor=%%%",
        "/v3/contacts?cursor=é",
        "/v3/contacts?cursor=abcde",
        "/v3/contacts?page=3",
        "/v3/contacts?xcursor=" + cursor("next=3"),
        *(
            f"/v3/contacts?cursor={cursor(query)}"
            for query in (
                "limit=50",
                "next=",
                "next=a",
                "next=-3",
                "next=03",
                "next=3.5",
                "next=1234567890",
                "next=3&next=3",
                "next=3&xnext=4",
                "xnext=3",
                "next=3é",
            )
        ),
        f"/v3/contacts?cursor={cursor('next=3')[:-1]}",
        "/v3/contacts?cursor=bmV4dD0z%0A",
        "/v3/contacts?cursor=bm%56%34dD0z",
    ],
)
def test_a_link_without_exactly_one_page_number_is_no_numbered_link(link: str) -> None:
    parsed = PageNumberCursor.parse(link)
    assert parsed is None or parsed.at(parsed.number) == link
    assert link == f"/v3/contacts?cursor={cursor('next=3')[:-1]}" or parsed is None


@given(st.text())
def test_no_link_whatever_breaks_the_parser(text: str) -> None:
    parsed = PageNumberCursor.parse(f"/v3/contacts?cursor={text}")
    assert parsed is None or parsed.at(parsed.number) == f"/v3/contacts?cursor={text}"


def test_the_cursor_shows_its_other_parameters() -> None:
    parsed = PageNumberCursor.parse(numbered(7))
    assert parsed is not None
    assert parsed.params == {"limit": "50", "status[]": "all"}


async def _walk(api: MemoryApi, read_ahead: int = 12, pause: float = 0.0, **settings: Any) -> list[str]:
    found: list[str] = []
    async for page in api.pager(read_ahead=read_ahead, **settings).pages():
        found += page.items
        await asyncio.sleep(pause)
    return found


def _wasted(api: MemoryApi) -> int:
    return len(api.sent) - len(set(filter(api.page_of, api.sent)))


@pytest.mark.parametrize("style", sorted(set(STYLES) - {"padding flickers"}))
@pytest.mark.parametrize("pause", [0.0, 5.0])
@in_virtual_time
async def test_a_wrong_guess_ends_the_guessing_so_that_few_requests_are_wasted(style: str, pause: float) -> None:
    """A style that changes costs what was under way; one that cannot be guessed costs at most one request."""
    book = attrs.evolve(TWENTY, style=style, beyond="poison")
    api = MemoryApi.of(book, latency=lambda: 2.0)
    assert await _walk(api, pause=pause, size=3) == book.items
    changing = {"becomes opaque", "lying", "other order", "loses padding"}
    respelled = 6 if style == "url-safe now and then" else 2
    assert _wasted(api) <= (0 if style in GUESSABLE[:-1] else 4 if style in changing else respelled)


@in_virtual_time
async def test_spellings_that_show_only_in_some_links_do_not_end_the_guessing() -> None:
    for style in ("unpadded", "url-safe now and then"):
        api = MemoryApi.of(Book(sizes=[1] * 120, style=style, totals={1: 120}), latency=lambda: 3.0)
        await _walk(api, size=1)
        assert asyncio.get_running_loop().time() < 120
        assert _wasted(api) <= 12


@in_virtual_time
async def test_trust_is_earned_with_one_guess_then_doubles_up_to_the_limit() -> None:
    api = MemoryApi.of(Book(sizes=[3] * 99, totals={1: 297}))
    walk = asyncio.ensure_future(_walk(api, 20, size=3))
    sent = []
    for _ in range(5):
        await asyncio.sleep(0.5)
        sent.append(len(api.sent))
        await asyncio.sleep(0.5)
    assert sent == [1, 3, 6, 15, 35]  # each time the page that is known, and 0, 1, 2, 8 and at most 20 guesses
    await walk
    assert api.most_under_way == 20


@pytest.mark.parametrize("read_ahead", [1, 2, 5, 12, 20])
@pytest.mark.parametrize("style", ["page numbers", "opaque", "other unit"])
@in_virtual_time
async def test_a_slow_consumer_holds_the_stream_back(read_ahead: int, style: str) -> None:
    api = MemoryApi.of(attrs.evolve(TWENTY, style=style))
    pages = api.pager(read_ahead=read_ahead, size=3).pages()
    for taken in range(1, 8):
        await anext(pages)
        await asyncio.sleep(100)
        ahead = len(set(filter(api.page_of, api.sent))) - taken
        assert ahead == min(20 - taken, read_ahead if style == "page numbers" else 1)
    assert _wasted(api) == (style == "other unit" and read_ahead > 1)


@in_virtual_time
async def test_a_guess_never_takes_the_place_of_a_link_that_waits_for_room() -> None:
    """The last numbered page has arrived behind others when it turns out that its successor is not numbered."""
    for read_ahead in range(2, 6):
        book = attrs.evolve(TWENTY, style="becomes opaque", beyond="poison")
        assert await _walk(MemoryApi.of(book), read_ahead, pause=9.0) == book.items


@in_virtual_time
async def test_opaque_pages_are_fetched_while_the_consumer_works_on_the_one_before() -> None:
    api = MemoryApi.of(attrs.evolve(TWENTY, style="opaque"))
    loop = asyncio.get_running_loop()
    await _walk(api, 12, pause=1.0)
    ahead = loop.time()
    await _walk(api, 0, pause=1.0)
    assert (ahead, loop.time() - ahead) == (21.0, 40.0)


@in_virtual_time
async def test_the_chain_of_links_goes_on_while_the_consumer_is_busy() -> None:
    api = MemoryApi.of(TWENTY)
    pages = api.pager(size=3).pages()
    await anext(pages)
    await asyncio.sleep(100)
    began = asyncio.get_running_loop().time()
    for _ in range(12):
        await anext(pages)
    assert asyncio.get_running_loop().time() == began


@in_virtual_time
async def test_a_request_waits_as_a_streams_until_it_is_awaited_and_the_first_as_a_callers() -> None:
    api = MemoryApi.of(TWENTY)
    pages = api.pager(size=3).pages()
    await anext(pages)
    await asyncio.sleep(100)
    assert [(turn.stream, turn.awaited) for turn in api.turns] == [(False, True)] + [(True, False)] * 12
    await anext(pages)
    assert [turn.awaited for turn in api.turns[:3]] == [True, True, False]


@in_virtual_time
async def test_without_a_total_no_more_than_three_guesses_go_beyond_the_known_link() -> None:
    api = MemoryApi.of(attrs.evolve(TWENTY, totals={}))
    await _walk(api)
    assert _wasted(api) <= 3


@pytest.mark.parametrize("total", [0, 1, 30, 59, 61, 90, 10_000])
@in_virtual_time
async def test_a_wrong_total_changes_nothing_but_the_speed(total: int) -> None:
    api = MemoryApi.of(attrs.evolve(TWENTY, totals={1: total}))
    assert await _walk(api, size=3) == TWENTY.items
    assert _wasted(api) <= 12


@in_virtual_time
async def test_guesses_behind_one_that_failed_are_not_sent() -> None:
    """They would have to be sent again, because pages are used only in the order in which they were read."""
    api = MemoryApi.of(TWENTY, faults={9: 1}, limiter=RateLimiter())
    api.latency = lambda: 0.05 if api.sent[-1] == numbered(9) else 2.5  # long before the page in front of it
    assert await _walk(api, size=3) == TWENTY.items
    assert _wasted(api) == 1


@pytest.mark.parametrize("page", range(2, 12))
@in_virtual_time
async def test_a_page_that_fails_for_good_is_an_error_behind_the_pages_before_it(page: int) -> None:
    api = MemoryApi.of(TWENTY, faults={page: -1})
    pages = api.pager(size=3).pages()
    for number in range(1, page):
        assert (await anext(pages)).items[0] == f"{number}.0"
    with pytest.raises(NotFoundError):
        await anext(pages)
    sent = len(api.sent)
    await asyncio.sleep(100)
    assert len(api.sent) == sent


@in_virtual_time
async def test_a_failed_prefetch_is_raised_only_to_who_asks_for_its_page() -> None:
    api = MemoryApi.of(TWENTY, faults={3: -1})
    pages = api.pager(size=3).pages()
    await anext(pages)
    await asyncio.sleep(100)
    await anext(pages)
    with pytest.raises(NotFoundError):
        await anext(pages)


@in_virtual_time
async def test_a_stream_whose_requests_were_cancelled_from_outside_says_that_it_was_closed() -> None:
    api = MemoryApi.of(TWENTY)
    pages = api.pager(size=3).pages()
    await anext(pages)
    waiting = asyncio.ensure_future(anext(pages))
    await asyncio.sleep(0.5)
    for task in asyncio.all_tasks() - {asyncio.current_task(), waiting}:
        task.cancel()
    with pytest.raises(ClientClosedError):
        await waiting
    await asyncio.sleep(100)
    assert len(api.sent) == 3


@in_virtual_time
async def test_trouble_with_a_link_reaches_the_consumer_whatever_it_is() -> None:
    """In a callback of the event loop it would only be logged, and the stream would begin again."""

    def check(link: str) -> str:
        if link == numbered(5):
            raise ZeroDivisionError
        return link

    pager = MemoryApi.of(TWENTY).pager(size=3)
    pager._source = attrs.evolve(pager._source, check=check)
    found: list[str] = []
    with pytest.raises(ZeroDivisionError):
        await take(pager, found)
    assert found == TWENTY.items[:12]


@in_virtual_time
async def test_what_is_fetched_ahead_waits_as_it_came_and_is_decoded_when_it_is_asked_for() -> None:
    decoded: list[str] = []
    pager = MemoryApi.of(TWENTY).pager(size=3)
    decode = pager._source.decode

    async def counting(items: list[str]) -> Any:
        decoded.extend(items)
        return await decode(items)

    pager._source = attrs.evolve(pager._source, decode=counting)
    pages = pager.pages()
    await anext(pages)
    await asyncio.sleep(100)
    assert len(decoded) == 3


async def _turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize("later", range(5))
def test_a_loop_that_ends_at_the_moment_a_page_arrives_starts_no_other(later: int) -> None:
    """The loop cancels what runs then, but not what is started while that ends."""
    kept: list[Any] = []
    api = MemoryApi.of(TWENTY)
    api.latency = lambda: 9.0 if api.sent[-1] == numbered(3) else 1.0

    async def fetch(*args: Any, **settings: Any) -> Any:
        try:
            page = await api.fetch(*args, **settings)
            await _turns(later)
        except asyncio.CancelledError:
            await _turns(5)  # closing a connection takes some
            raise
        return page

    async def main() -> None:
        pager = api.pager(size=3)
        pager._source = attrs.evolve(pager._source, fetch_page=fetch)
        kept.append(pager.pages())
        await anext(kept[0])
        await asyncio.sleep(1.0)

    run(main())
    assert api.sent == [None, numbered(2), numbered(3)]


@in_virtual_time
async def test_a_dropped_request_that_ends_in_an_error_makes_no_noise() -> None:
    """A client that is closed turns the cancellation of its requests into an error."""
    noise: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))
    api = MemoryApi.of(TWENTY)

    async def fetch(*args: Any, **settings: Any) -> Any:
        try:
            return await api.fetch(*args, **settings)
        except asyncio.CancelledError:
            raise ClientClosedError("closed") from None

    pager = api.pager(size=3)
    pager._source = attrs.evolve(pager._source, fetch_page=fetch)
    async for _ in pager.pages():
        break
    await asyncio.sleep(100)
    assert noise == []


def test_two_spellings_of_a_link_are_the_same_only_where_they_mean_the_same() -> None:
    """A `+` in a query is a space, and so not the `+` of base64 that `%2B` stands for."""

    def link(text: str) -> PageNumberCursor:
        parsed = PageNumberCursor.parse(text)
        assert parsed is not None
        return parsed

    def quoted(text: str) -> str:
        head, _, value = text.partition("cursor=")
        return f"{head}cursor={quote(value, safe='')}"

    padded, signs = numbered(2), numbered(2, "&email=>>>")
    assert padded.endswith("=")
    assert "+" in signs
    assert link(padded).matches(quoted(padded))
    assert not link(padded).matches(padded + "&x=1")
    assert not link(signs).matches(quoted(signs))


@in_virtual_time
async def test_the_last_page_is_guessed_too() -> None:
    await _walk(MemoryApi.of(Book(sizes=[3, 3, 3], totals={1: 9})), size=3)
    assert asyncio.get_running_loop().time() == 2.0
