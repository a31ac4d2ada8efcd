"""For a collection that does not change, reading ahead shows what following the links one by one shows."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import Any

import attrs
from hypothesis import given, settings, strategies as st
from support.paged_server import GUESSABLE, STYLES, Book, MemoryApi
from support.virtual_time import run

from cc_async.errors import ConstantContactError, NotFoundError, PaginationError

CHANGING = ("becomes opaque", "becomes numbers", "lying", "loses padding", "other order")
FOREIGN = ("https://elsewhere.example.com/v3/contacts?cursor=x", "/v4/contacts?cursor=x", "//elsewhere/v3/c", "/v3/a b")


@attrs.frozen(kw_only=True)
class World:
    """Everything that the outcome may depend on, and what it must not depend on."""

    book: Book
    faults: dict[int, int]
    size: int | None
    read_ahead: int
    seed: int
    slow: bool
    impatient: bool

    def api(self) -> MemoryApi:
        chance = random.Random(self.seed)
        return MemoryApi.of(self.book, faults=dict(self.faults), latency=lambda: chance.choice((0.0, 0.5, 1.0, 3.0)))

    def truth(self) -> list[Any]:
        """What the collection says itself, with the class of the error in which it ends."""
        seen: list[Any] = []
        for page in range(1, len(self.book.sizes) + 1):
            if self.faults.get(page, 0) < 0:
                return [*seen, NotFoundError]
            document = self.book.document(page) or {}
            seen.append(document["contacts"])
        return seen if self.book.last_href is None else [*seen, PaginationError]

    async def walk(self, read_ahead: int, start: str | None) -> list[Any]:
        """What a consumer sees, in its order: pages, then the end or an error."""
        api, chance = self.api(), random.Random(self.seed + 1)
        pager = api.pager(read_ahead=read_ahead, start=start, size=self.size)
        seen: list[Any] = []
        pages = pager.pages()
        try:
            while True:
                if self.slow:
                    await asyncio.sleep(chance.choice((0.0, 0.2, 2.0, 9.0)))
                page = await self._patiently(pages, chance)
                if page is None:
                    break
                seen.append(page)
        except ConstantContactError as error:
            seen.append((type(error), str(error)))
        assert await anext(pages, None) is None  # neither an end nor an error is followed by anything
        for _ in range(2):  # turns of the loop, in which the cancelled requests end
            await asyncio.sleep(0)
        assert api.under_way == 0
        await pager.aclose()
        assert api.most_under_way <= max(1, read_ahead)
        return seen

    async def _patiently(self, pages: Any, chance: random.Random) -> Any:
        while self.impatient and chance.random() < 0.7:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(anext(pages, None), chance.choice((0.0, 0.1, 0.7)))
        return await anext(pages, None)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    sizes = draw(st.one_of(st.lists(st.integers(0, 3), min_size=1, max_size=14), st.just([3] * 13 + [1])))
    items, last = sum(sizes), len(sizes)
    totals: Sequence[dict[int, int]] = (
        {},
        {1: items},
        dict.fromkeys(range(1, last + 1), items),
        dict.fromkeys(range(1, last + 1, 3), items),
        {1: 3 * items},
        {1: items // 2},
        {page: (7 * page) % 23 for page in range(1, last + 1)},
    )
    style = draw(st.one_of(st.sampled_from(sorted(STYLES)), st.sampled_from(CHANGING)))
    book = Book(
        sizes=sizes,
        style=style,
        totals=draw(st.sampled_from(totals)),
        end=draw(st.integers(0, 3)),
        beyond=draw(st.sampled_from(["refused", "empty", "poison"])),
        last_href=draw(st.sampled_from([None, None, None, *FOREIGN, *([STYLES[style](last)] if last > 1 else [])])),
    )
    temporary = draw(st.dictionaries(st.integers(1, last), st.integers(1, 5), max_size=4))
    final = draw(st.dictionaries(st.integers(1, last), st.just(-1), max_size=1))
    return World(
        book=book,
        faults=temporary | final,
        size=draw(st.sampled_from([None, 3])),
        read_ahead=draw(st.one_of(st.integers(1, 4), st.integers(5, 20))),
        seed=draw(st.integers(0, 1_000)),
        slow=draw(st.booleans()),
        impatient=draw(st.booleans()),
    )


@settings(max_examples=600, deadline=None)
@given(worlds())
def test_reading_ahead_shows_what_one_page_at_a_time_shows(world: World) -> None:
    """Items, order, totals, links, the end, and errors with their place; also when resumed after any page."""

    async def compare() -> None:
        plain = await world.walk(0, None)
        assert [page[0] if isinstance(page, tuple) else page.items for page in plain] == world.truth()
        assert await world.walk(world.read_ahead, None) == plain
        starts = [page.next_url for page in plain if not isinstance(page, tuple) and page.next_url in _inside(world)]
        for start in random.Random(world.seed).sample(starts, min(2, len(starts))):
            rest = await world.walk(0, start)
            assert await world.walk(world.read_ahead, start) == rest
            ids = [item for page in plain for item in ([] if isinstance(page, tuple) else page.items)]
            found = [item for page in rest for item in ([] if isinstance(page, tuple) else page.items)]
            assert found == ids[len(ids) - len(found) :]

    run(compare())


def _inside(world: World) -> set[str]:
    links = (world.book.href(page) for page in range(2, len(world.book.sizes) + 1))
    return {link.removeprefix("https://api.example.com") for link in links}


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(1, 20), st.sampled_from(GUESSABLE), st.sampled_from([0.0, 4.0]), st.booleans())
def test_numbered_pages_with_a_total_cost_no_request_more(
    pages: int, read_ahead: int, style: str, pause: float, every: bool
) -> None:
    """At most a page beyond the end, where numbers count from zero."""
    book = Book(sizes=[2] * pages, style=style, totals=dict.fromkeys(range(1, pages + 1 if every else 2), 2 * pages))

    async def walk() -> None:
        api = MemoryApi.of(book)
        async for _ in api.pager(read_ahead=read_ahead, size=2).pages():
            await asyncio.sleep(pause)
        assert len(api.sent) <= pages + (style == "from zero")

    run(walk())
