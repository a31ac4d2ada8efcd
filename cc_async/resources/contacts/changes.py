"""The contacts that changed since a point in time, as far as the API shows it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Generic, Self, TypeVar

import attrs

from cc_async.errors import InvalidRequestError
from cc_async.models.contacts import Contact
from cc_async.resources._checks import StrOrIterable
from cc_async.resources.contacts.deletions import deletions_move_updated_at, first_day_from, monday_before
from cc_async.resources.contacts.filters import ContactFilters, DatetimeOrStr
from cc_async.streams.pager import Page, Pager

T = TypeVar("T")

OVERLAP = timedelta(minutes=5)
"""How far a call reaches back before `since`: clocks and replicas of the API may differ by that much."""
_REACH = timedelta(days=9)
"""The longest way that a call reaches back: to the day before the Monday before `since`."""
_QUIET_PASSES = 3
"""Consecutive passes without additions after which the traversal ends although contacts keep changing."""


@attrs.frozen
class _Query:
    """One of the queries that together cover all changes."""

    filters: ContactFilters
    changed_at: Callable[[Contact], datetime | None] = lambda _: None
    """When the contact entered the collection, if known."""
    deleted: bool = False
    """Whether it covers the deleted contacts, whose deletion is only known by day."""


@attrs.define
class _Pass:
    """The results of one pass over all queries."""

    began: datetime | None = None
    """The start, by the clock of the server."""
    added: int = 0
    moved: bool = False
    """Whether contacts moved during the pass, so that one may have shifted to a page already read."""
    many_pages: bool = False


class ChangesAs(Generic[T]):
    """What `Changes` is, for contacts in any form: `stream` yields them, and `contact_of` returns their model."""

    def __init__(
        self,
        stream: Callable[[ContactFilters], Pager[T]],
        contact_of: Callable[[T], Contact],
        since: DatetimeOrStr,
        *,
        until: DatetimeOrStr | None,
        include: StrOrIterable,
        sweep_deleted: bool | None,
    ) -> None:
        self._stream = stream
        self._contact_of = contact_of
        self._since = _in_utc("since", since)
        self._bound = None if until is None else _in_utc("until", until)
        if self._bound is not None and self._bound < self._since:
            raise InvalidRequestError("until must not be before since.")
        self._include = include if isinstance(include, str) else tuple(include)
        self._sweep_deleted = sweep_deleted  # None until a page of deleted contacts decides
        self._deleted_from = first_day_from(self._since - OVERLAP)
        self._lock = asyncio.Lock()  # two consumers at the end of a query would each skip to another one
        self._seen: set[str] = set()
        self._found: deque[T] = deque()
        self._queries: deque[_Query] = deque(self._all_queries())
        self._pages: AsyncIterator[Page[T]] | None = None
        self._met: set[str] = set()
        """The ids found by the current query."""
        self._total: int | None = None
        """How many contacts the current query should return."""
        self._pass = _Pass()
        self._again = False
        """Whether this is not the first pass."""
        self._quiet = 0
        self._ended = False

    @property
    def watermark(self) -> datetime:
        """The `since` of the next call."""
        return self._bound if self._ended and self._bound is not None else self._since

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        async with self._lock:
            while not self._found:
                if self._ended:
                    raise StopAsyncIteration
                await self._read_page()
            return self._found.popleft()

    def _all_queries(self) -> list[_Query]:
        after = self._since - OVERLAP
        # One page at a time: a page fetched ahead could miss a contact that moves behind it meanwhile.
        common: ContactFilters = {"include": self._include, "read_ahead": 0}
        queries = [
            _Query({**common, "status": "all", "updated_after": after}, lambda contact: contact.updated_at),
            _Query({**common, "status": "all", "optout_after": after}, _opt_out_date),
        ]
        if self._sweep_deleted is not False:
            queries.append(_Query({**common, "status": "deleted"}, deleted=True))
        return queries

    async def _read_page(self) -> None:
        """Read the next page of the current query, or continue with the next query or pass."""
        if not self._queries:
            self._end_pass()
            return
        if self._pages is None:
            self._pages = self._stream(self._queries[0].filters).pages()
            self._met, self._total = set(), None
        try:
            page = await anext(self._pages, None)
        except Exception:
            self._pages = None  # the next call must not mistake this for the end of the query
            raise
        if page is None:
            self._end_collection()
        else:
            self._look_through(page, self._queries[0])

    def _look_through(self, page: Page[T], query: _Query) -> None:
        if self._pass.began is None:
            self._pass.began = server_time(page.headers)
            # Never later than now: later changes belong to the next call.
            self._bound = min(self._bound or self._pass.began, self._pass.began)
            self._sweep_each_week(self._bound)
        if query.deleted and page.next_url is not None and not self._sweeps(page.items):
            self._next_collection()
            return
        self._pass.many_pages |= page.next_url is not None
        self._pass.moved |= bool(page.repeated) or page.previous_total is not None
        self._total = page.total
        for item in page.items:
            self._look_at(item, query)

    def _sweep_each_week(self, bound: datetime) -> None:
        """Look for deletions that the calls of the past week may have missed, because a page is evidence, not proof."""
        if self._sweep_deleted is None and monday_before(bound) > self._since:
            self._sweep_deleted = True
            self._deleted_from = first_day_from(monday_before(self._since) - OVERLAP)

    def _sweeps(self, items: list[T]) -> bool:
        """Whether to read all deleted contacts, given their first page; once decided, the later passes do as well."""
        if self._sweep_deleted is None and not deletions_move_updated_at([*map(self._contact_of, items)]):
            self._sweep_deleted = True
        return self._sweep_deleted is True

    def _look_at(self, item: T, query: _Query) -> None:
        contact = self._contact_of(item)
        for stamp in (contact.updated_at, _opt_out_date(contact)):
            # Both may be cut to the second, so what is not before the beginning may have come after it.
            self._pass.moved |= stamp is not None and self._pass.began is not None and stamp >= self._pass.began
        if contact.contact_id is None:
            return  # without an id it cannot be recognised
        self._met.add(contact.contact_id)
        changed_at = query.changed_at(contact)
        too_late = changed_at is not None and self._bound is not None and changed_at > self._bound
        too_early = query.deleted and contact.deleted_at is not None and contact.deleted_at < self._deleted_from
        if too_late or too_early or contact.contact_id in self._seen:
            return
        self._seen.add(contact.contact_id)
        self._found.append(item)
        if not (query.deleted and self._again):
            self._pass.added += 1
        else:
            # A day does not tell whether it was missed before or has just been deleted, as others may keep being.
            self._pass.moved = True

    def _end_collection(self) -> None:
        # Contacts that left and that came may cancel out in the total, but not in the number of those met.
        self._pass.moved |= self._total is not None and self._total != len(self._met)
        self._next_collection()

    def _next_collection(self) -> None:
        self._queries.popleft()
        self._pages = None

    def _end_pass(self) -> None:
        """Decide whether another pass could find contacts that shifted to pages this one had already read."""
        done, self._pass = self._pass, _Pass()
        self._again = True
        self._quiet = 0 if done.added else self._quiet + 1
        settled = self._quiet and not done.moved
        if not done.many_pages or settled or self._quiet >= _QUIET_PASSES:
            self._ended = True
        else:
            self._queries.extend(self._all_queries())


def _opt_out_date(contact: Contact) -> datetime | None:
    return contact.email_address.opt_out_date if contact.email_address else None


class Changes(ChangesAs[Contact]):
    """The contacts that changed since a point in time, each once, as an asynchronous iterator.

        changes = cc.contacts.changes(since=datetime.now(UTC) - timedelta(days=1))
        async for contact in changes:
            print(contact.contact_id)
        await save(changes.watermark)

    Store `watermark` after the loop and pass it as `since` to the next call. It stays the old one until the loop has
    ended by itself, so an interrupted traversal is simply repeated. After an exception the iteration can continue.
    """


def server_time(headers: Mapping[str, str]) -> datetime:
    """Return the server's time, with which its timestamps are compared, or ours if the response lacks it."""
    try:
        told = parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, OverflowError):
        return datetime.now(UTC)
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def _in_utc(name: str, value: DatetimeOrStr) -> datetime:
    try:
        when = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(when, datetime) and when.utcoffset() is not None:
            when = when.astimezone(UTC)
            when - _REACH  # raises at the end of the calendar
            return when
    except (ValueError, OverflowError):
        pass
    raise InvalidRequestError(f"{name} must be an aware datetime, or one as an ISO 8601 string with its zone.")
