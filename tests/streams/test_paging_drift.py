"""What a stream does while contacts are created and deleted behind it."""

import asyncio
import logging
import random
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies as st
from support.paged_server import MemoryApi, numbered
from support.virtual_time import in_virtual_time, run

from cc_async import ConstantContact, RateLimiter
from cc_async.sandbox import Sandbox
from cc_async.streams.cursor import PageNumberCursor

SIZE = 5


@attrs.define
class Changing:
    """A collection that is cut into pages as it is at the moment of the request; before each one it may change."""

    items: list[str]
    seed: int = 0
    inserts: float = 0.0
    """How likely each request is to find new contacts, up to a page of them, anywhere."""
    made: int = 0
    chance: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def read(self, link: str | None) -> Mapping[str, Any]:
        while self.chance.random() < self.inserts and self.made < 50:
            self.made += 1
            self.items.insert(self.chance.randint(0, len(self.items)), f"new {self.made}")
        return self.page(self.page_of(link))

    def page(self, number: int) -> dict[str, Any]:
        end = number * SIZE
        links = {"_links": {"next": {"href": numbered(number + 1)}}} if end < len(self.items) else {}
        return {"contacts": self.items[end - SIZE : end], "contacts_count": len(self.items), **links}

    @staticmethod
    def page_of(link: str | None) -> int:
        parsed = PageNumberCursor.parse(link or "")
        return 1 if parsed is None else parsed.number


@settings(max_examples=300, deadline=None)
@given(
    contacts=st.integers(1, 90),
    seed=st.integers(0, 10_000),
    inserts=st.sampled_from([0.1, 0.4, 0.7]),
    faults=st.dictionaries(st.integers(1, 20), st.integers(1, 5), max_size=6),
    read_ahead=st.integers(0, 20),
    slow=st.booleans(),
)
def test_no_contact_that_was_there_throughout_is_lost_to_insertions(
    *, contacts: int, seed: int, inserts: float, faults: dict[int, int], read_ahead: int, slow: bool
) -> None:
    """Whatever fails and is sent again: pages are used only as they were read one after the other."""

    async def walk() -> None:
        book, chance = Changing([str(number) for number in range(contacts)], seed, inserts), random.Random(seed)
        api = MemoryApi(
            read=book.read, page_of=book.page_of, faults=dict(faults), latency=lambda: chance.choice((0.1, 1.0, 2.0))
        )
        found: list[str] = []
        async for page in api.pager(read_ahead=read_ahead, size=SIZE).pages():
            found += page.items
            await asyncio.sleep(slow * chance.choice((0.0, 4.0)))
        assert [item for item in dict.fromkeys(found) if not item.startswith("new")] == [
            str(n) for n in range(contacts)
        ]

    run(walk())


async def _pages_with_insertions(read_ahead: int, before: int, inserted: int) -> tuple[list[Any], Changing]:
    book = Changing([str(number) for number in range(100)])
    pages = MemoryApi(read=book.read, page_of=book.page_of).pager(read_ahead=read_ahead, size=SIZE).pages()
    found = [await anext(pages) for _ in range(before)]
    book.items[0:0] = [f"new {number}" for number in range(inserted)]
    found += [page async for page in pages]
    return found, book


@in_virtual_time
async def test_contacts_that_come_again_are_dropped_and_named() -> None:
    pages, _ = await _pages_with_insertions(read_ahead=0, before=3, inserted=2)
    assert [item for page in pages for item in page.items] == [str(number) for number in range(100)]
    assert [page.repeated for page in pages if page.repeated] == [("13", "14")]
    assert [(page.previous_total, page.total) for page in pages[2:5]] == [(None, 100), (100, 102), (None, 102)]


@pytest.mark.parametrize("inserted", [1, SIZE, 4 * SIZE])
def test_insertions_of_several_pages_are_still_noticed_as_repeats(inserted: int) -> None:
    pages, _ = run(_pages_with_insertions(read_ahead=0, before=6, inserted=inserted))
    assert [item for page in pages for item in page.items] == [str(number) for number in range(100)]
    assert sum(len(page.repeated) for page in pages) == inserted


@in_virtual_time
async def test_a_contact_twice_on_one_page_is_dropped_and_one_without_an_id_never() -> None:
    api = MemoryApi(read=lambda _: {"contacts": ["a", "a", "b"]})
    page = await anext(api.pager().pages())
    assert (page.items, page.repeated) == (["a", "b"], ("a",))
    pager = api.pager()
    pager._source = attrs.evolve(pager._source, identify=lambda _: None)  # contacts whose id could not be read
    assert await pager.collect() == ["a", "a", "b"]


def test_the_log_tells_of_a_change_without_naming_anybody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "cc_async")
    run(_pages_with_insertions(read_ahead=0, before=3, inserted=2))
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "The collection changed while it was read: 2 repeated items were dropped; the total was 100 and is 102."
    ]


@in_virtual_time
async def test_pages_read_before_one_that_is_sent_again_are_read_again_after_it() -> None:
    """Else a contact that an insertion moved between the two readings would be on neither."""
    book = Changing([str(number) for number in range(60)])
    reads: list[int] = []

    def read(link: str | None) -> Mapping[str, Any]:
        reads.append(book.page_of(link))
        return book.read(link)

    api = MemoryApi(read=read, page_of=book.page_of, faults={7: 1})
    assert len(await api.pager(size=SIZE).collect()) == 60
    last = {number: place for place, number in enumerate(reads)}
    assert sorted(last, key=lambda number: last[number]) == list(range(1, 13))
    assert reads.count(7) == 2


@pytest.mark.parametrize("read_ahead", [0, 12])
async def test_contacts_created_in_the_sandbox_during_a_walk_cost_no_other_contact(read_ahead: int) -> None:
    async with Sandbox(contacts=400, rate=None, order="updated") as box:
        before = set(box.store.ids())
        box.fault("status", path="/contacts", after=4, status=503, times=2)
        async with ConstantContact(box.access_token, base_url=box.base_url, rate_limiter=RateLimiter(1000)) as cc:
            found: list[str | None] = []
            async for page in cc.contacts.list(status="all", limit=20, read_ahead=read_ahead).pages():
                found += [contact.contact_id for contact in page.items]
                box.store.create({"create_source": "Account", "first_name": "New"})
        assert before <= set(found)
        assert len(found) == len(set(found))
        since = [c async for c in _changes(box)]
        assert set(box.store.ids()) - before <= set(since)


async def _changes(box: Sandbox) -> Any:
    """What `updated_after` finds afterwards: the sandbox's own contacts are from years before."""
    async with ConstantContact(box.access_token, base_url=box.base_url, rate_limiter=RateLimiter(1000)) as cc:
        async for contact in cc.contacts.list(updated_after="2025-06-01T00:00:00Z"):
            yield contact.contact_id


@in_virtual_time
async def test_a_deletion_can_hide_a_contact_but_never_shows_one_twice() -> None:
    book = Changing([str(number) for number in range(40)])
    pages = MemoryApi(read=book.read, page_of=book.page_of).pager(read_ahead=0).pages()
    first = await anext(pages)
    del book.items[0]
    rest = [page async for page in pages]
    found = [*first.items, *(item for page in rest for item in page.items)]
    assert found == [str(number) for number in range(40) if number != 5]
    assert rest[0].previous_total == 40
