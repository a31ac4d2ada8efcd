"""What changed since a moment, as far as the API lets it be seen."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Self

import attrs

from cc_async.errors import InvalidRequestError
from cc_async.http.session import Session
from cc_async.models.contacts import Contact
from cc_async.resources.contacts.filters import ContactFilters, Moment, Several
from cc_async.resources.contacts.stream import contact_stream
from cc_async.streams.pager import Page

OVERLAP = timedelta(minutes=5)
"""How far a call reaches back behind `since`: what the clocks and the copies of the API may be apart."""
_QUIET_PASSES = 3
"""Passes in a row that add nothing, after which the walk ends though contacts go on changing under it."""


@attrs.frozen
class _Walk:
    """One of the collections that together hold what changed."""

    filters: ContactFilters
    moment: Callable[[Contact], datetime | None]
    """When the contact came into the collection, where that is known."""
    since: date | None = None
    """The first day of deletion that counts."""


@attrs.define
class _Pass:
    """What one pass over all the collections has shown so far."""

    began: datetime | None = None
    """By the clock of the server."""
    added: int = 0
    moved: bool = False
    """Contacts came, went or changed places while it ran, so that one may have shifted past it."""
    many_pages: bool = False


class Changes:
    """The contacts that changed since a moment, each once, as an asynchronous iterator.

    Store `watermark` after the loop and give it to the next call as `since`. Until the loop has ended by itself it is
    the old one, so that a walk that was broken off is simply done again. After an exception the iteration can go on.
    """

    def __init__(
        self, session: Session, since: Moment, *, until: Moment | None, include: Several, sweep_deleted: bool
    ) -> None:
        self._session = session
        self._since = _in_utc("since", since)
        self._bound = None if until is None else _in_utc("until", until)
        if self._bound is not None and self._bound < self._since:
            raise InvalidRequestError("until must not be before since.")
        self._include = include if isinstance(include, str) else tuple(include)
        self._sweep_deleted = sweep_deleted
        self._turn = asyncio.Lock()  # of two consumers at the end of a walk, each would go on to another one
        self._seen: set[str] = set()
        self._found: deque[Contact] = deque()
        self._walks: deque[_Walk] = deque(self._collections())
        self._pages: AsyncIterator[Page[Contact]] | None = None
        self._met: set[str] = set()
        """The ids of the present walk."""
        self._total: int | None = None
        """How many contacts the present walk should meet."""
        self._pass = _Pass()
        self._again = False
        """A pass has ended before this one."""
        self._quiet = 0
        self._ended = False

    @property
    def watermark(self) -> datetime:
        """Where the next call has to begin."""
        return self._bound if self._ended and self._bound is not None else self._since

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Contact:
        async with self._turn:
            while not self._found:
                if self._ended:
                    raise StopAsyncIteration
                await self._read_page()
            return self._found.popleft()

    def _collections(self) -> list[_Walk]:
        after = self._since - OVERLAP
        # One page at a time: what is read ahead of its turn could miss a contact that moves behind it meanwhile.
        common: ContactFilters = {"include": self._include, "read_ahead": 0}
        walks = [
            _Walk({**common, "status": "all", "updated_after": after}, lambda contact: contact.updated_at),
            _Walk({**common, "status": "all", "optout_after": after}, _opt_out_date),
        ]
        if self._sweep_deleted:
            # deleted_at is a day, in a zone that is not known.
            day = (after - timedelta(days=1)).date()
            walks.append(_Walk({**common, "status": "deleted"}, lambda _: None, since=day))
        return walks

    async def _read_page(self) -> None:
        """Read the next page of the present walk, or go on to the next walk or pass."""
        if not self._walks:
            self._end_pass()
            return
        if self._pages is None:
            self._pages = contact_stream(self._session, self._walks[0].filters).pages()
            self._met, self._total = set(), None
        try:
            page = await anext(self._pages, None)
        except Exception:
            self._pages = None  # whoever asks again shall not take this for the end of the walk
            raise
        if page is None:
            self._end_walk()
        else:
            self._note(page)
            for contact in page.items:
                self._look_at(contact, self._walks[0])

    def _note(self, page: Page[Contact]) -> None:
        if self._pass.began is None:
            self._pass.began = _server_time(page)
            # Never later than now: what is still to come is for the next call.
            self._bound = min(self._bound or self._pass.began, self._pass.began)
        self._pass.many_pages |= page.next_url is not None
        self._pass.moved |= bool(page.repeated) or page.previous_total is not None
        self._total = page.total

    def _look_at(self, contact: Contact, walk: _Walk) -> None:
        for stamp in (contact.updated_at, _opt_out_date(contact)):
            # Both may be cut to the second, so what is not before the beginning may have come after it.
            self._pass.moved |= stamp is not None and self._pass.began is not None and stamp >= self._pass.began
        if contact.contact_id is None:
            return  # it cannot be told from others, nor be found again
        self._met.add(contact.contact_id)
        moment = walk.moment(contact)
        too_late = moment is not None and self._bound is not None and moment > self._bound
        too_early = walk.since is not None and contact.deleted_at is not None and contact.deleted_at < walk.since
        if too_late or too_early or contact.contact_id in self._seen:
            return
        self._seen.add(contact.contact_id)
        self._found.append(contact)
        if walk.since is None or not self._again:
            self._pass.added += 1
        else:
            # A day does not tell whether it was missed before or was deleted just now, as others may be for ever.
            self._pass.moved = True

    def _end_walk(self) -> None:
        # Who left and who came may hide each other in the total, but not in the number of those who were met.
        self._pass.moved |= self._total is not None and self._total != len(self._met)
        self._walks.popleft()
        self._pages = None

    def _end_pass(self) -> None:
        """Decide whether another pass could find what shifted past this one from page to page."""
        done, self._pass = self._pass, _Pass()
        self._again = True
        self._quiet = 0 if done.added else self._quiet + 1
        settled = self._quiet and not done.moved
        if not done.many_pages or settled or self._quiet >= _QUIET_PASSES:
            self._ended = True
        else:
            self._walks.extend(self._collections())


def _opt_out_date(contact: Contact) -> datetime | None:
    return contact.email_address.opt_out_date if contact.email_address else None


def _server_time(page: Page[Contact]) -> datetime:
    """The server's clock where it tells it, since its stamps are compared with it; else ours."""
    try:
        told = parsedate_to_datetime(page.headers.get("Date", ""))
    except (ValueError, OverflowError):
        return datetime.now(UTC)
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def _in_utc(name: str, value: Moment) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, datetime) and moment.utcoffset() is not None:
            moment = moment.astimezone(UTC)
            moment - OVERLAP - timedelta(days=1)  # as far as a call reaches back
            return moment
    except (ValueError, OverflowError):
        pass
    raise InvalidRequestError(f"{name} must be an aware datetime, or one as an ISO 8601 string with its zone.")
