"""Stream any paged collection."""

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar, cast, get_args, get_origin
from urllib.parse import parse_qsl

import attrs

from cc_async.codec.decode import (
    Decoded,
    Envelope,
    RawItem,
    decode_items,
    decode_plain_items,
    raw_items,
    read_page,
)
from cc_async.errors import InvalidRequestError, SegmentNotReadyError
from cc_async.http.call import Call, RawResponse
from cc_async.http.session import Session
from cc_async.limits.protocol import Turn
from cc_async.streams.collection import Collection
from cc_async.streams.cursor import PageNumberCursor, Trust
from cc_async.streams.pager import Pager, PageSource
from cc_async.streams.prefetch import RawPage
from cc_async.wire.links import path_below, resolve_link, resolve_page_link
from cc_async.wire.urls import with_query

T = TypeVar("T")

READ_AHEAD = 12
"""The default maximum of concurrent prefetches: three seconds of latency at four requests per second."""
PENDING_TIMEOUT = 300.0
"""The default time for the API to compute a page, in seconds."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


def stream(
    session: Session,
    collection: Collection[T],
    params: Mapping[str, Any],
    *,
    start: str | None = None,
    read_ahead: int = READ_AHEAD,
    pending_timeout: float = PENDING_TIMEOUT,
) -> Pager[T]:
    """Stream the items of a collection; nothing is sent yet.

    `params` are those of the first page, or with `start`, the `next_url` of an earlier page, those that are added to
    it.

    Raises:
        InvalidRequestError: `start` is empty.
        PaginationError: `start` leads out of the API.

    """
    if start is not None and not start:
        raise InvalidRequestError("start is empty: the last page had no link, so there is nothing to continue with.")
    link = None if start is None else resolve_link(session.base_url, start)
    again = {name: params.get(name) or query_of(link).get(name) for name in collection.sent_again}

    def check(href: str) -> str:
        return beside(resolve_page_link(session.base_url, collection.path, href), again)

    first = with_query(collection.path, params) if link is None else path_below(session.base_url, beside(link, params))
    pages = _Pages(session, collection, first, pending_timeout)
    return Pager(
        PageSource(
            fetch_page=pages.fetch,
            decode=partial(_decode, collection),
            check=check,
            identify=collection.key,
            start=link,
            size=params.get("limit") or _page_size(cursor_of(link)),
            strict=session.strict,
            parse_cursor=collection.parse_cursor,
            trust=_trust_of(session, collection.path),
            request=first if link is None else None,
        ),
        read_ahead=read_ahead,
    )


def _trust_of(session: Session, path: str) -> Trust:
    """Return this client's experience with the links of a collection."""
    trust: Trust = session.learned.setdefault(path, Trust())
    return trust


async def _decode(collection: Collection[T], raws: list[Any]) -> Decoded[list[T]]:
    if get_origin(collection.model) is dict:
        return cast("Decoded[list[T]]", decode_plain_items(raws, collection.items))
    if get_origin(collection.model) is RawItem:
        (model,) = get_args(collection.model)
        return cast("Decoded[list[T]]", raw_items(raws, model, collection.items))
    return await decode_items(raws, collection.model, collection.items)


def query_of(link: str | None) -> Mapping[str, str]:
    """Return the parameters of a link."""
    return dict(parse_qsl((link or "").partition("?")[2]))


def beside(link: str, params: Mapping[str, Any]) -> str:
    """Add the parameters that a link does not already have."""
    carried = query_of(link)
    return with_query(link, {name: value for name, value in params.items() if name not in carried})


def cursor_of(link: str | None) -> Mapping[str, str]:
    """Return the query that the cursor of a link contains; nothing, if the cursor is opaque."""
    number = PageNumberCursor.parse(link or "")
    return {} if number is None else number.params


def _page_size(cursor: Mapping[str, str]) -> int | None:
    limit = cursor.get("limit", "")
    return int(limit) if re.fullmatch("[1-9][0-9]{0,3}", limit) else None


@attrs.frozen
class _Pages(Generic[T]):
    """Fetches single pages, and polls while one is being computed."""

    session: Session
    collection: Collection[T]
    first: str
    """The path of the first page."""
    pending_timeout: float

    async def fetch(
        self, link: str | None, *, first: bool, turn: Turn, guessed: bool, on_retry: Callable[[], None]
    ) -> RawPage:
        """Fetch one page."""
        call = Call(
            operation=self.collection.operation,
            method="GET",
            path=self.first if first or link is None else path_below(self.session.base_url, link),
            parse=self._parse,
            turn=turn,
            retry=attrs.evolve(self.session.retry, attempts=1) if guessed else None,
            on_retry=on_retry,
        )
        deadline = asyncio.get_running_loop().time() + self.pending_timeout
        pause = _FIRST_PAUSE
        while (response := await self.session.request(call)).status == 202 or response.data.pending:
            if guessed or asyncio.get_running_loop().time() + pause > deadline:
                raise SegmentNotReadyError("The API is still computing the segment: ask again later.")
            await self.session.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            on_retry()
        return RawPage(response.status, response.headers, response.data)

    def _parse(self, response: RawResponse) -> Decoded[Envelope]:
        if response.status == 202:  # the rest of such a response is not documented
            return Decoded(Envelope([], None, None))
        page = read_page(response.body, self.collection.shape)
        pending = page.pending and self.collection.computed
        return Decoded(attrs.evolve(page, pending=pending), page.problems)
