"""GET /contacts as a stream."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import parse_qsl

import attrs

from cc_async.codec.decode import decode_contacts
from cc_async.errors import SegmentNotReadyError
from cc_async.http.call import Call
from cc_async.http.session import Session
from cc_async.limits.protocol import Turn
from cc_async.models.contacts import Contact
from cc_async.resources.contacts.calls import page
from cc_async.resources.contacts.filters import ContactFilters, list_params
from cc_async.streams.cursor import NumberedLink
from cc_async.streams.pager import Pager, PageSource
from cc_async.streams.prefetch import RawPage
from cc_async.wire.links import resolve_link
from cc_async.wire.urls import with_query

READ_AHEAD = 12
"""Pages under way at most, by default: three seconds of latency at four requests a second."""
SEGMENT_TIMEOUT = 300.0
"""Seconds that a segment may take, by default."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


def contact_stream(session: Session, filters: ContactFilters) -> Pager[Contact]:
    """A stream over the contacts that match, which sends nothing yet."""
    params = list_params(filters)
    start = filters.get("start")
    link = None if start is None else resolve_link(session.base_url, start)
    include = params.get("include") or _values(link).get("include")

    def check(href: str) -> str:
        # Whether `include` rides in the cursor is unknown; sent again beside it, it works either way.
        return _beside(resolve_link(session.base_url, href), {"include": include})

    cursor = _cursor(link)
    if link is None:
        first = with_query(session.prefix + "/contacts", params)
    else:
        # A segment combines with `limit` only; and where the cursor does not show its question, it may be one.
        countable = cursor and not any(name.startswith("segment_id") for name in cursor)
        first = _beside(link, {"include_count": "true"} if countable else {})
    source = PageSource(
        fetch_page=_Fetcher(session, first, filters.get("segment_timeout", SEGMENT_TIMEOUT)).fetch,
        decode=decode_contacts,
        check=check,
        identify=lambda contact: contact.contact_id,
        start=link,
        size=params.get("limit") or _size(cursor),
        strict=session.strict,
    )
    return Pager(source, read_ahead=filters.get("read_ahead", READ_AHEAD))


def _values(link: str | None) -> Mapping[str, str]:
    return dict(parse_qsl((link or "").partition("?")[2]))


def _beside(link: str, params: Mapping[str, str | None]) -> str:
    """The link with the parameters it does not carry itself."""
    carried = _values(link)
    return with_query(link, {name: value for name, value in params.items() if name not in carried})


def _cursor(link: str | None) -> Mapping[str, str]:
    """What the cursor of a saved link shows of the question it goes on with: nothing, if it is opaque."""
    number = NumberedLink.parse(link or "")
    return {} if number is None else number.params


def _size(cursor: Mapping[str, str]) -> int | None:
    limit = cursor.get("limit", "")
    return int(limit) if re.fullmatch("[1-9][0-9]{0,2}", limit) else None


@attrs.frozen
class _Fetcher:
    """Gets single pages, and asks again while a segment is being computed."""

    session: Session
    first: str
    segment_timeout: float

    async def fetch(self, link: str | None, *, turn: Turn, guessed: bool, on_retry: Callable[[], None]) -> RawPage:
        """Get one page."""
        path = self.first if not turn.stream else cast(str, link)
        call = Call(
            method="GET",
            path=path[len(self.session.prefix) :],
            parse=page,
            turn=turn,
            retry=attrs.evolve(self.session.retry, attempts=1) if guessed else None,
            on_retry=on_retry,
        )
        deadline = asyncio.get_running_loop().time() + self.segment_timeout
        pause = _FIRST_PAUSE
        while (response := await self.session.request(call)).status == 202:
            if guessed or asyncio.get_running_loop().time() + pause > deadline:
                raise SegmentNotReadyError("The API is still computing the segment: ask again later.")
            await self.session.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            on_retry()
        return RawPage(response.status, response.headers, response.data)
