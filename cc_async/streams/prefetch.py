"""Fetches the pages of a stream ahead of its consumer, in order, and never delivers a page that was only guessed.

Today's cursors hold a page number, so the links to the next pages can be guessed and fetched concurrently. That is
undocumented, so a guessed page is only used once the page before it has arrived and turned out to link to it. For a
collection that does not change, the pages are exactly those of following the links.
"""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol

import attrs

from cc_async.codec.decode import Envelope
from cc_async.errors import ClientClosedError, PaginationError
from cc_async.limits.protocol import Turn
from cc_async.streams.cursor import Cursor, CursorStyle, FirstPage, PageNumberCursor, Trust
from cc_async.wire.links import without_query

_LOG = logging.getLogger("cc_async")
_BLIND = 3
"""Guesses beyond the known link if the number of pages is unknown."""
_EMPTY_PAGES_WARNED = 100
_EMPTY_PAGES_MAX = 1_000
"""Consecutive empty pages after which a stream gives up, because the links may never end."""


@attrs.frozen
class RawPage:
    """A page as received, its items still as bytes."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    envelope: Envelope = attrs.field(repr=False)


class FetchPage(Protocol):
    """Fetches one page."""

    def __call__(
        self, link: str | None, *, first: bool, turn: Turn, guessed: bool, on_retry: Callable[[], None]
    ) -> Coroutine[Any, Any, RawPage]:
        """Fetch the page behind a link, None for the first one; a guessed page gets no second attempt."""


@attrs.define(eq=False)
class _Fetch:
    """The request for one page."""

    link: str | None
    cursor: Cursor | None
    turn: Turn
    first: bool
    """Whether it is the first of the stream, whose request may have more parameters than the link."""
    once: bool
    """Whether it was sent without a second attempt, because it was a guess."""
    task: "asyncio.Task[RawPage]" = attrs.field(init=False, repr=False)
    href: str | None = None
    """The link in the page, once it has been read."""

    @property
    def failed(self) -> bool:
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    @property
    def doomed(self) -> bool:
        """Whether nothing should be fetched after it: it failed, or is being cancelled, as when an event loop ends."""
        return self.failed or self.task.cancelling() > 0


class Prefetcher:
    """One traversal of the pages of a collection, up to `read_ahead` pages ahead of its consumer.

    `start` is the link to begin with, None for the first page; `check` validates a link before it is followed; `most`
    is the maximum number of pages to fetch ahead in total; `parse_cursor` and `trust` are for guessing links.
    """

    def __init__(
        self,
        fetch_page: FetchPage,
        *,
        start: str | None,
        check: Callable[[str], str],
        read_ahead: int,
        most: int | None = None,
        parse_cursor: CursorStyle = PageNumberCursor.parse,
        trust: Trust | None = None,
        request: str | None = None,
    ) -> None:
        self.abandoned = False
        self._fetch_page = fetch_page
        self._check = check
        self._read_ahead = read_ahead
        self._most = most
        self._parse_cursor = parse_cursor
        self._trust = Trust() if trust is None else trust
        self._guesses = self._trust.guesses(read_ahead)  # that may be under way; 0 once one was wrong
        self._confirmed: deque[_Fetch] = deque()  # known to be the next pages, the first one being the consumer's
        self._speculative: deque[_Fetch] = deque()  # guessed to follow them
        self._unread: _Fetch | None = None  # the last one confirmed, until the link it carries has been read
        self._taken = False  # the consumer has the first page, so that its place is free for another
        self._link = start  # to the next page, while it is known and not fetched
        self._ended = False  # no page follows those confirmed
        self._errors: list[Exception] = []  # why, if not because the collection ends
        self._tasks: set[asyncio.Task[RawPage]] = set()
        # The consumer's: a page fetched ahead is not part of the call during which its fetch happens to begin.
        self._context = contextvars.copy_context()
        self._seen = {start}
        self._started = 0
        self._empty_pages = 0  # in a row
        self._request = request
        expected = self._trust.expect(request)
        # The guess for the link of a first page that has not arrived; the sizes of the collection and of a page.
        self._second = None if expected is None else expected.second
        self._size = None if expected is None else expected.size

    async def head(self) -> tuple[RawPage, str | None] | None:
        """Return the next page and its link, None at the end; it stays the next one until `advance`."""
        self._context = contextvars.copy_context()
        if not self._confirmed and not self._ended:
            self._add(self._link)
        if not self._confirmed:
            if self._errors:
                raise self._errors.pop()  # not from a variable, because its traceback will hold this frame
            return None
        self._confirmed[0].turn.promote()
        self._read_links()
        while self._confirmed and not self._confirmed[0].task.done():
            await asyncio.wait({self._confirmed[0].task})
            self._read_links()
        return self._take()

    def _take(self) -> tuple[RawPage, str | None]:
        # No variable here holds the fetch or its task, whose error would then refer to itself through this frame.
        if not self._confirmed or self._confirmed[0].task.cancelled():
            self.abandon()
            raise ClientClosedError("The stream was closed while its next page was awaited.")
        try:
            page = self._confirmed[0].task.result()
        except BaseException:
            self.abandon()
            raise
        link = self._confirmed[0].href
        self._taken = True
        self._read_links()
        return page, link

    def advance(self) -> None:
        """Release the page that `head` returned."""
        if self._confirmed:
            self._confirmed.popleft()
            self._taken = False
            self._read_links()

    def abandon(self) -> None:
        """Stop the traversal: cancel the requests in flight and deliver nothing more."""
        self.abandoned = self._ended = True
        self._unread = None
        self._errors.clear()
        self._drop_guesses()
        while self._confirmed:
            self._confirmed.pop().task.cancel()

    async def aclose(self) -> None:
        """Stop the traversal and wait until it has ended."""
        self.abandon()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # The methods below do not await, so no other task sees inconsistent queues.

    def _read_links(self) -> None:
        """Read the links of confirmed pages that have arrived, and fetch further pages."""
        while not self._ended and (last := self._unread) is not None and last.task.done():
            if last.failed:
                self._retry(last)
                return
            self._unread = link = None
            try:
                link = self._link_of(last)
                self._remember(last, link)
            except Exception as error:  # noqa: BLE001  # in a callback it would be lost: the consumer gets it
                self._errors.append(error)
            if link is None:
                self._ended = True
                self._drop_guesses()
                return
            self._verify(link)
        if not self._ended:
            failed = next((fetch for fetch in self._speculative if fetch.failed), None)
            if failed is not None:  # pages read before it is sent again are useless
                self._drop_guesses(after=failed)
            self._fill()

    def _retry(self, fetch: _Fetch) -> None:
        """Repeat the request for a confirmed page if it was only sent as a guess; else its error ends the stream."""
        self._drop_guesses()
        if fetch.task.cancelled() or not fetch.once:
            self._ended = True
        else:
            self._start(fetch, once=False)
            self._fill()

    def _link_of(self, fetch: _Fetch) -> str | None:
        """Return the link in a page after checking that it is safe to follow."""
        envelope = fetch.task.result().envelope
        fetch.href = envelope.href
        if fetch.href is None:
            return None
        fetch.href = link = self._check(fetch.href)
        if link in self._seen:
            raise PaginationError(
                "The link to the next page was followed before: the pages repeat.", url=without_query(link)
            )
        self._seen.add(link)
        self._count_empty(link, empty=not envelope.items)
        if envelope.total is not None and envelope.items:
            self._size = envelope.total, len(envelope.items)
        return link

    def _remember(self, fetch: _Fetch, link: str | None) -> None:
        if fetch.first and self._request is not None:
            cursor = self._parse_cursor(link) if link else None
            self._trust.first_page = None if cursor is None else FirstPage(self._request, cursor, self._size)

    def _count_empty(self, link: str, *, empty: bool) -> None:
        self._empty_pages = self._empty_pages + 1 if empty else 0
        if self._empty_pages == _EMPTY_PAGES_WARNED:
            _LOG.warning(
                "The last %d pages were empty, and each links to another; after %d the stream ends with an error.",
                _EMPTY_PAGES_WARNED,
                _EMPTY_PAGES_MAX,
            )
        if self._empty_pages >= _EMPTY_PAGES_MAX:
            raise PaginationError(
                f"The last {_EMPTY_PAGES_MAX} pages were empty, and each links to another: the pages never end.",
                url=without_query(link),
            )

    def _verify(self, link: str) -> None:
        """Compare the link in the last confirmed page with the guess for it."""
        guess = self._speculative[0] if self._speculative else None
        if guess is None or guess.cursor is None:
            self._link = link
        elif guess.cursor.matches(link):
            self._confirmed.append(self._speculative.popleft())
            self._unread = guess
            self._guesses = min(self._read_ahead, self._guesses * 2)
            self._trust.right = True
        else:
            recalled = guess.cursor is self._second  # such a guess does not show whether pages are numbered
            self._guesses = 1 if recalled or guess.cursor.resembles(link) else 0
            self._trust.right, self._trust.repeatable = False, self._trust.repeatable and not recalled
            self._link = link
            self._drop_guesses()

    def _fill(self) -> None:
        """Fetch the next page if its link is known, and guess further ones as far as trust and total permit."""
        if self._link is not None and self._read_ahead:
            guessable = self._guesses > 0 and self._parse_cursor(self._link) is not None
            if self._has_room(self._read_ahead if guessable else 1):
                self._add(self._link)
        while (cursor := self._next_guess()) is not None and self._has_room(self._read_ahead):
            self._speculative.append(self._new_fetch(cursor.link, cursor, once=True))

    def _has_room(self, room: int) -> bool:
        waiting = len(self._confirmed) + len(self._speculative) - self._taken
        return waiting < room and (self._most is None or self._started < self._most)

    def _next_guess(self) -> Cursor | None:
        # A known link that waits for room takes precedence over guesses.
        if self._link is not None or not self._confirmed:
            return None
        known, newest = self._confirmed[-1], (self._speculative or self._confirmed)[-1]
        guess = newest.cursor.following() if newest.cursor else self._second if newest.first else None
        if guess is None or newest.doomed:
            return None
        if self._size is not None and not (known.cursor and known.cursor.is_beyond(*self._size)):
            allowed = not guess.is_beyond(*self._size)
        else:
            allowed = len(self._speculative) < _BLIND
        return guess if allowed and len(self._speculative) < self._guesses else None

    def _add(self, link: str | None) -> None:
        """Fetch a page that is confirmed to be the next one."""
        self._link = None
        self._unread = self._new_fetch(link, self._parse_cursor(link) if link else None, once=False)
        self._confirmed.append(self._unread)

    def _new_fetch(self, link: str | None, cursor: Cursor | None, *, once: bool) -> _Fetch:
        # A caller waits for the first page of a stream; the pages after it give way to callers.
        first = self._started == 0
        fetch = _Fetch(link, cursor, Turn(stream=not first), first, once)
        self._started += 1
        self._start(fetch, once=once)
        return fetch

    def _start(self, fetch: _Fetch, *, once: bool) -> None:
        fetch.once = once
        coroutine = self._fetch_page(
            fetch.link,
            first=fetch.first,
            turn=fetch.turn,
            guessed=once,
            on_retry=partial(self._sent_again, fetch.turn),
        )
        fetch.task = asyncio.create_task(coroutine, context=self._context.copy())
        self._tasks.add(fetch.task)
        fetch.task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[RawPage]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log it for a guess that is never awaited
        self._read_links()

    def _sent_again(self, turn: Turn) -> None:
        """Discard the prefetches behind a page that is requested again: out of order, an item could be lost."""
        # Identified by its turn: a finished task keeps its arguments, so the fetch would keep itself alive.
        fetch = next((fetch for fetch in (*self._confirmed, *self._speculative) if fetch.turn is turn), None)
        if fetch is not None and not self._ended:
            if fetch.first:
                self._second = None  # the first page may be long in coming, and guesses would be sent in vain
            self._drop_guesses(after=fetch)
            self._fill()

    def _drop_guesses(self, after: _Fetch | None = None) -> None:
        """Cancel all guesses, or those behind one of them."""
        while self._speculative and self._speculative[-1] is not after:
            self._speculative.pop().task.cancel()
