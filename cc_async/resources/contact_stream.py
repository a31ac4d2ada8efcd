"""GET /contacts as a stream."""

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import cast
from urllib.parse import parse_qsl

import attrs

from cc_async.codec import decode_contacts
from cc_async.errors import SegmentNotReadyError
from cc_async.limits import Turn
from cc_async.models.contact import Contact
from cc_async.paging import Pager, PageSource, beside
from cc_async.readahead import RawPage
from cc_async.resources.contact_calls import ContactFilters, list_params, page
from cc_async.session import Call, Session
from cc_async.wire import follow, with_query

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
    link = None if start is None else follow(session.base_url, start)
    include = params.get("include") or dict(parse_qsl((link or "").partition("?")[2])).get("include")
    beside_cursor = {"include": include} if include else {}
    first = (
        with_query(session.prefix + "/contacts", params) if link is None else beside(link, {"include_count": "true"})
    )
    fetcher = _Fetcher(session, first, beside_cursor, filters.get("segment_timeout", SEGMENT_TIMEOUT))
    source = PageSource(
        fetch_page=fetcher.fetch,
        decode=decode_contacts,
        check=functools.partial(follow, session.base_url),
        identify=lambda contact: contact.contact_id,
        start=link,
        size=params.get("limit"),
        beside=beside_cursor,
        strict=session.strict,
    )
    return Pager(source, read_ahead=filters.get("read_ahead", READ_AHEAD))


@attrs.frozen
class _Fetcher:
    """Gets single pages, and asks again while a segment is being computed."""

    session: Session
    first: str
    beside: Mapping[str, str]
    segment_timeout: float

    async def fetch(self, link: str | None, *, turn: Turn, guessed: bool, on_resend: Callable[[], None]) -> RawPage:
        path = self.first if not turn.stream else beside(cast(str, link), self.beside)
        call = Call(
            method="GET",
            path=path[len(self.session.prefix) :],
            parse=page,
            turn=turn,
            retry=attrs.evolve(self.session.retry, attempts=1) if guessed else None,
            on_resend=on_resend,
        )
        deadline = asyncio.get_running_loop().time() + self.segment_timeout
        pause = _FIRST_PAUSE
        while (response := await self.session.request(call)).status == 202:
            if guessed or asyncio.get_running_loop().time() + pause > deadline:
                raise SegmentNotReadyError("The API is still computing the segment: ask again later.")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            on_resend()
        return RawPage(response.status, response.headers, response.data)
