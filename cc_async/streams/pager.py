"""Streams over paged collections: lazy, resumable, and cleanly stopped."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar
from weakref import WeakSet

import attrs

from cc_async._tasks import keep_alive
from cc_async.codec.decode import Decoded
from cc_async.codec.problems import Problem, log_problems
from cc_async.errors import InvalidRequestError
from cc_async.streams.cursor import CursorStyle, PageNumberCursor, Trust
from cc_async.streams.prefetch import FetchPage, Prefetcher, RawPage

T = TypeVar("T")
_LOG = logging.getLogger("cc_async")
_REMEMBERED = 4
"""Pages whose ids are remembered to recognise repeats: insertions shift items to later pages."""


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """One page of a collection.

    See `Pager.pages`; "2. Read page by page, and resume tomorrow" in the README reads them.
    """

    items: list[T] = attrs.field(repr=lambda items: f"<{len(items)} items>")
    next_url: str | None = attrs.field(repr=lambda url: "None" if url is None else "'…'")
    """Pass it to `list(start=...)` to continue after this page, even in another process; None on the last page.

    A plain string without a token, but it contains the filters, and thus an e-mail address if that is one.
    """
    total: int | None = None
    """The number of items in the whole collection, if the API has given it."""
    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    problems: tuple[Problem, ...] = ()
    """Values of the page that could not be read: fields became None, entries of lists were left out."""
    repeated: tuple[str, ...] = ()
    """The ids of items that were repeated because others were created meanwhile; they are not in `items`."""
    previous_total: int | None = None
    """The previous `total`, if this page changed it because items were created or deleted meanwhile."""


@attrs.frozen(kw_only=True)
class PageSource(Generic[T]):
    """The collection behind a `Pager`."""

    fetch_page: FetchPage
    decode: Callable[[list[Any]], Awaitable[Decoded[list[T]]]]
    check: Callable[[str], str]
    """Validates a link and returns it in the form to follow, or raises a PaginationError."""
    identify: Callable[[T], str | None]
    start: str | None
    size: int | None
    """The requested number of items per page."""
    strict: bool
    parse_cursor: CursorStyle = PageNumberCursor.parse
    """How links to further pages are guessed."""
    trust: Trust = attrs.field(factory=Trust)
    """Experience with guesses in this collection."""
    request: str | None = attrs.field(default=None, repr=False)
    """Path and query of the first page, by which the link that it carries is remembered; None: it is not."""


class Pager(Generic[T]):
    """A collection as an asynchronous iterable of its items, or with `pages()` of its pages.

        contacts = cc.contacts.list(status="active")
        async for contact in contacts:
            print(contact.contact_id)
        async for page in contacts.pages():
            print(len(page.items), page.next_url)
        first = await contacts.first()

    Nothing is sent before the first item is requested, and each iteration starts anew. The stream ends when a page has
    no link to a next one; an empty page is not the end. Leaving the loop early (`break`, an exception, cancellation)
    cancels the requests in flight; inside `async with pager:` they are also awaited.

    Pages are numbered, not a snapshot. While contacts are created or deleted they shift: one that comes again within a
    few pages is dropped (`Page.repeated`), but one that moves to a page already read is missed. After a traversal, ask
    with `list(updated_after=<its start>)` for what changed meanwhile: that covers missed ones too, except those that
    moved because another contact was deleted, or left its place as it was updated. Only a second traversal finds these.

    Raises:
        ApiError, TransportError, AuthorizationError, ClientClosedError: As for every request.
        DecodeError: A page cannot be read; with a `strict` client, also a single value.
        PaginationError: A link leads out of the collection or repeats; the page with that link is delivered first.
        SegmentNotReadyError: The segment was still being computed at the deadline.

    """

    def __init__(self, source: PageSource[T], *, read_ahead: int) -> None:
        if read_ahead < 0:
            raise InvalidRequestError("read_ahead must be 0 (strictly one page at a time) or more.")
        self._source = source
        self._read_ahead = read_ahead
        self._prefetchers: WeakSet[Prefetcher] = WeakSet()

    def __aiter__(self) -> "Stream[T]":
        """Iterate over the items."""
        reader = self._read(self._read_ahead)
        return Stream(reader.prefetcher, reader.item)

    def pages(self) -> "Stream[Page[T]]":
        """Iterate over the pages, each with the link to continue from later."""
        reader = self._read(self._read_ahead)
        return Stream(reader.prefetcher, reader.page)

    async def collect(self, max_items: int | None = None) -> list[T]:
        """Return all items, or the first `max_items`, as a list."""
        if max_items is not None and max_items < 0:
            raise InvalidRequestError("max_items must be 0 or more.")
        items: list[T] = []
        reader = self._read(self._read_ahead, max_items)
        try:
            while max_items is None or len(items) < max_items:
                items += (await reader.page()).items
        except StopAsyncIteration:
            pass
        finally:
            await reader.prefetcher.aclose()
        return items[:max_items]

    async def first(self) -> T | None:
        """Return the first item, or None if there is none; no page is fetched ahead."""
        reader = self._read(0)
        try:
            return await reader.item()
        except StopAsyncIteration:
            return None
        finally:
            await reader.prefetcher.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop every iteration over this pager and wait until they have ended."""
        prefetchers = list(self._prefetchers)
        for prefetcher in prefetchers:
            prefetcher.abandon()
        for prefetcher in prefetchers:
            await prefetcher.aclose()

    def _read(self, read_ahead: int, max_items: int | None = None) -> "_Reader[T]":
        source = self._source
        most = None if max_items is None or not source.size else -(-max_items // source.size)
        prefetcher = Prefetcher(
            source.fetch_page,
            start=source.start,
            check=source.check,
            read_ahead=read_ahead,
            most=most,
            parse_cursor=source.parse_cursor,
            trust=source.trust,
            request=source.request,
        )
        self._prefetchers.add(prefetcher)
        return _Reader(source, prefetcher)


class Running(Protocol):
    """A background activity that can be stopped."""

    def abandon(self) -> None:
        """Stop it; nothing more is delivered."""

    async def aclose(self) -> None:
        """Stop it and wait until it has ended."""


class Stream(Generic[T]):
    """An asynchronous iterator that stops its background tasks when it is closed or garbage-collected."""

    def __init__(self, running: Running, step: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._running = running
        self._step = step

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return keep_alive(self, self._step)

    async def aclose(self) -> None:
        """Stop the iteration and wait until it has ended."""
        await self._running.aclose()

    def __del__(self) -> None:
        # No task refers to this object, so it is freed as soon as a loop over it is left.
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            self._running.abandon()


class _Reader(Generic[T]):
    """Builds typed pages and items of one traversal, for any number of consumers that share it."""

    def __init__(self, source: PageSource[T], prefetcher: Prefetcher) -> None:
        self._source = source
        self.prefetcher = prefetcher
        self._items: Iterator[T] = iter(())
        self._page_turn, self._item_turn = asyncio.Lock(), asyncio.Lock()
        self._recent: deque[set[str]] = deque(maxlen=_REMEMBERED)
        self._total: int | None = None

    async def item(self) -> T:
        """Return the next item; raise StopAsyncIteration at the end."""
        if self.prefetcher.abandoned:
            raise StopAsyncIteration
        for item in self._items:
            return item
        async with self._item_turn:  # two consumers must not fetch two pages, one replacing the other's items
            while True:
                for item in self._items:
                    return item
                self._items = iter((await self.page()).items)

    async def page(self) -> Page[T]:
        """Return the next page; raise StopAsyncIteration at the end."""
        async with self._page_turn:
            try:
                found = await self.prefetcher.head()
                page = None if found is None else await self._build(*found)
            except Exception:  # after a cancellation the next call returns the same page
                self.prefetcher.abandon()
                raise
            if page is None:
                raise StopAsyncIteration
            self.prefetcher.advance()
            return page

    async def _build(self, raw: RawPage, link: str | None) -> Page[T]:
        decoded = await self._source.decode(raw.envelope.items)
        log_problems(decoded.problems, strict=self._source.strict)
        items, repeated = self._without_repeats(decoded.value)
        total, known = raw.envelope.total, self._total
        changed = total is not None and known is not None and total != known
        self._total = known if total is None else total
        if repeated or changed:
            _LOG.info(
                "The collection changed while it was read: %d repeated items were dropped; the total was %s and is %s.",
                len(repeated),
                known,
                self._total,
            )
        return Page(
            items=items,
            next_url=link,
            total=self._total,
            status=raw.status,
            headers=raw.headers,
            problems=(*raw.envelope.problems, *decoded.problems),
            repeated=tuple(repeated),
            previous_total=known if changed else None,
        )

    def _without_repeats(self, items: list[T]) -> tuple[list[T], list[str]]:
        ids = {ident for item in items if (ident := self._source.identify(item)) is not None}
        if len(ids) == len(items) and all(map(ids.isdisjoint, self._recent)):
            self._recent.append(ids)
            return items, []
        seen: set[str] = set()
        fresh: list[T] = []
        repeated: list[str] = []
        for item in items:
            ident = self._source.identify(item)
            if ident is not None and (ident in seen or any(ident in ids for ids in self._recent)):
                repeated.append(ident)
                continue
            fresh.append(item)
            if ident is not None:
                seen.add(ident)
        self._recent.append(seen.union(repeated))
        return fresh, repeated
