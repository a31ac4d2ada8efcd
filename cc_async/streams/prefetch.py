"""Fetches the pages of one stream ahead of its consumer, in order, and never shows it a page that was only guessed.

The cursors of today hold a page number, so the links of the next pages can be guessed and fetched concurrently. That is
undocumented, and so a guess is only ever a head start: its page is used once the page before it has arrived and really
links to it, letter for letter. For a collection that does not change, the pages are those of following the links.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol

import attrs

from cc_async.codec.decode import Envelope
from cc_async.errors import ClientClosedError, PaginationError
from cc_async.limits.protocol import Turn
from cc_async.streams.cursor import NumberedLink, _same
from cc_async.wire.links import without_query

_BLIND = 3
"""Guesses beyond the known link where nothing tells how many pages there are."""


@attrs.frozen
class RawPage:
    """A page as it came, its items still bytes."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    envelope: Envelope = attrs.field(repr=False)


class FetchPage(Protocol):
    """Gets one page."""

    def __call__(
        self, link: str | None, *, first: bool, turn: Turn, guessed: bool, on_retry: Callable[[], None]
    ) -> Coroutine[Any, Any, RawPage]:
        """The page behind a link, None for the first; a guessed one is not worth a second attempt."""


@attrs.define(eq=False)
class _Fetch:
    """One page on its way."""

    link: str | None
    number: NumberedLink | None
    turn: Turn
    first: bool
    """The first of the stream, whose request may carry more than the link."""
    sure: bool
    """Known to be the next page, rather than guessed."""
    once: bool
    """Sent without the right to a second attempt, because it was a guess."""
    task: "asyncio.Task[RawPage]" = attrs.field(init=False, repr=False)
    taken: bool = False
    """The consumer is about to get it, so that its place is free for another."""
    settled: bool = False
    """Its own link has been read."""
    href: str | None = None
    """The link it carries."""

    @property
    def failed(self) -> bool:
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    @property
    def doomed(self) -> bool:
        """Nothing is worth fetching behind it: it failed, or is being cancelled, as all tasks are when a loop ends."""
        return self.failed or self.task.cancelling() > 0


class Prefetcher:
    """One walk over the pages of a collection, up to `read_ahead` pages ahead of its consumer.

    `start` is the link to begin with, None for the first page; `check` makes sure of a link before it is followed;
    `most` is how many pages are worth fetching ahead in all.
    """

    def __init__(
        self,
        fetch_page: FetchPage,
        *,
        start: str | None,
        check: Callable[[str], str],
        read_ahead: int,
        most: int | None = None,
    ) -> None:
        self.abandoned = False
        self._fetch_page = fetch_page
        self._check = check
        self._read_ahead = read_ahead
        self._most = most
        self._trust = 1  # guesses that may be under way: doubles with each that proved right; a wrong one ends them all
        self._numbers: int | None = None  # of the last page, as far as the total tells
        self._queue: deque[_Fetch] = deque()  # in the order of the pages, the sure ones first
        self._tasks: set[asyncio.Task[RawPage]] = set()
        self._link = start  # of the next page, while it is sure and not queued
        self._seen = {start}
        self._started = 0
        self._over = False  # nothing follows what is queued,
        self._trouble: Exception | None = None  # and this is why, if not for the end of the collection

    async def head(self) -> tuple[RawPage, str | None] | None:
        """The next page and the link it carries; None at the end. It stays at the head until `advance` is called."""
        if not self._queue and not self._over:
            self._add(self._link, sure=True)
        if not self._queue:
            self._raise_trouble()
            return None
        fetch = self._queue[0]
        try:
            fetch.turn.promote()
            self._settle()
            while not fetch.task.done():
                await asyncio.wait({fetch.task})
                self._settle()
            if fetch.failed:
                self.abandon()
            if fetch.task.cancelled():
                raise ClientClosedError("The stream was closed while its next page was awaited.")
            page = fetch.task.result()
            fetch.taken = True
            self._settle()
            return page, fetch.href
        finally:
            del fetch  # the traceback of its failure holds this frame: a cycle only a garbage collection would end

    def advance(self) -> None:
        """Let go of the page at the head."""
        if self._queue:
            self._queue.popleft()
            self._settle()

    def abandon(self) -> None:
        """End the walk: cancel what is under way and give nothing more."""
        self.abandoned = self._over = True
        self._trouble = None
        self._drop_after(None)

    async def aclose(self) -> None:
        """End the walk and wait until nothing of it runs."""
        self.abandon()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # Everything below is called between awaits only: the queue is never seen half changed.

    def _raise_trouble(self) -> None:
        trouble, self._trouble = self._trouble, None
        try:
            if trouble is not None:
                raise trouble
        finally:
            del trouble  # the same cycle

    def _settle(self) -> None:
        """Read the links of the pages that have arrived, and fetch what may be fetched now."""
        while not self._over and (last := self._last_sure()) is not None and last.task.done() and not last.settled:
            if last.failed:
                self._fail(last)
                return
            last.settled = True
            try:
                link = self._link_of(last)
            except Exception as trouble:  # noqa: BLE001  # in a callback it would be lost: the consumer shall see it
                self._trouble, link = trouble, None
            if link is None:
                self._over = True
                self._drop_after(last)
                return
            self._verify(last, link)
        if not self._over:
            failed = next((fetch for fetch in self._queue if fetch.failed), None)
            if failed is not None:  # what was read before it is sent again is of no use
                self._drop_after(failed)
            self._fill()

    def _last_sure(self) -> _Fetch | None:
        return next((fetch for fetch in reversed(self._queue) if fetch.sure), None)

    def _fail(self, fetch: _Fetch) -> None:
        """A sure page did not come: ask for it again if it has only been asked for as a guess."""
        if fetch.task.cancelled() or not fetch.once:
            self._over = True
            self._drop_after(fetch)
        else:
            self._drop_after(fetch)
            self._start(fetch, once=False)
            self._fill()

    def _link_of(self, fetch: _Fetch) -> str | None:
        """The link that a page carries, once it is known to be fit to follow."""
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
        if envelope.total is not None and envelope.items:
            self._numbers = -(-envelope.total // len(envelope.items))  # rounded up
        return link

    def _verify(self, last: _Fetch, link: str) -> None:
        """Compare the link that a page really carries with the one that was guessed for it."""
        guess = next((fetch for fetch in self._queue if not fetch.sure), None)
        if guess is None or guess.number is None:
            self._link = link
            return
        true, guessed = NumberedLink.parse(link), guess.number
        if true is not None and _same(true, guessed):
            guess.sure = True
            self._trust = min(self._read_ahead, self._trust * 2)
            return
        # Some spellings show in some links only, so that a guess could not know.
        spelling = {name: getattr(guessed, name) for name in ("url_safe", "padded", "quoted")}
        respelled = true and attrs.evolve(true, **spelling) == guessed
        self._trust = 1 if respelled else 0
        self._link = link
        self._drop_after(last)

    def _fill(self) -> None:
        """Fetch the next page if it is known, and guess further ones as far as trust and the total allow."""
        if self._link is not None and self._read_ahead:
            number = NumberedLink.parse(self._link) if self._trust else None
            if self._has_room(self._read_ahead if number else 1):
                self._add(self._link, sure=True)
        while (number := self._next_guess()) is not None and self._has_room(self._read_ahead):
            self._add(number.at(number.number), sure=False, number=number)

    def _has_room(self, room: int) -> bool:
        waiting = sum(not fetch.taken for fetch in self._queue)
        return waiting < room and (self._most is None or self._started < self._most)

    def _next_guess(self) -> NumberedLink | None:
        # Beside a link that is known nothing is guessed: where that one waits for room, a guess would take its place.
        if self._link is not None or not self._queue or self._queue[-1].doomed:
            return None
        if (newest := self._queue[-1].number) is None:
            return None
        unsure = sum(not fetch.sure for fetch in self._queue)
        known = newest.number - unsure
        guess = attrs.evolve(newest, number=newest.number + 1)
        if self._numbers is not None and known <= self._numbers:
            allowed = guess.number <= self._numbers
        else:
            allowed = unsure < _BLIND
        return guess if allowed and unsure < self._trust else None

    def _add(self, link: str | None, *, sure: bool, number: NumberedLink | None = None) -> None:
        if sure:
            self._link = None
            number = NumberedLink.parse(link) if link else None
        # A stream's first page is what a caller waits for; only what follows has to give way to callers.
        first = self._started == 0
        fetch = _Fetch(link, number, Turn(stream=not first), first=first, sure=sure, once=not sure)
        self._started += 1
        self._queue.append(fetch)
        self._start(fetch, once=not sure)

    def _start(self, fetch: _Fetch, *, once: bool) -> None:
        fetch.once = once
        coroutine = self._fetch_page(
            fetch.link,
            first=fetch.first,
            turn=fetch.turn,
            guessed=once,
            on_retry=partial(self._resent, fetch.turn),
        )
        fetch.task = asyncio.create_task(coroutine)
        self._tasks.add(fetch.task)
        fetch.task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[RawPage]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, lest asyncio report it of a guess that nobody will ever await
        self._settle()

    def _resent(self, turn: Turn) -> None:
        """Discard what was fetched ahead of a page that is sent again: read out of order, a contact could be lost."""
        # Told by its turn: a task that ended knows its arguments, and with its fetch among them would never be freed.
        fetch = next((fetch for fetch in self._queue if fetch.turn is turn), None)
        if fetch is not None and not self._over:
            self._drop_after(fetch)
            self._fill()

    def _drop_after(self, fetch: _Fetch | None) -> None:
        while self._queue and self._queue[-1] is not fetch:
            self._queue.pop().task.cancel()
