"""Collections in pages with many kinds of cursors, in memory and behind a real socket; they owe the sandbox nothing."""

import asyncio
import base64
import functools
import json
import re
from collections import Counter
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from hashlib import sha256
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote, unquote

import attrs
from aiohttp import web
from yarl import URL

from cc_async.codec.decode import Decoded, Envelope
from cc_async.errors import NotFoundError, ServerError
from cc_async.limits.protocol import Limiter, Turn
from cc_async.streams.pager import Pager, PageSource
from cc_async.streams.prefetch import RawPage
from cc_async.wire.links import resolve_link

from .virtual_time import SlidingWindow

T = TypeVar("T")
BASE = URL("https://api.example.com/v3")
ENDS: tuple[Mapping[str, Any], ...] = ({}, {"_links": None}, {"_links": {}}, {"_links": {"self": {"href": "/v3/c"}}})


def cursor(query: str) -> str:
    return base64.b64encode(query.encode()).decode()


def numbered(number: int, tail: str = "&status%5B%5D=all") -> str:
    return f"/v3/contacts?cursor={cursor(f'limit=50&next={number}{tail}')}"


def _url_safe(number: int, tail: str) -> str:
    return numbered(number, tail).replace("+", "-").replace("/", "_").replace("_v3_", "/v3/", 1)


def _opaque(number: int) -> str:
    return f"/v3/contacts?cursor={sha256(b'%d' % number).hexdigest()}"


STYLES: dict[str, Callable[[int], str]] = {
    "page numbers": numbered,
    "short numbers": lambda page: numbered(page, ""),
    "quoted": lambda page: numbered(page).replace("==", "%3D%3D"),
    "all quoted": lambda page: (
        "/v3/contacts?cursor=" + quote(numbered(page, "&email=~~~").partition("cursor=")[2], safe="")
    ),
    "unpadded": lambda page: numbered(page).rstrip("="),
    "url-safe": lambda page: _url_safe(page, "&email=~~~"),
    "url-safe now and then": lambda page: _url_safe(page, "&email=~"),
    "plus signs": lambda page: numbered(page, "&email=>>>"),
    "beside others": lambda page: f"{numbered(page)}&limit=50",
    "absolute": lambda page: f"https://api.example.com{numbered(page)}",
    "from zero": lambda page: numbered(page - 1),
    "opaque": _opaque,
    "other unit": lambda page: numbered(3 * page - 2),
    "backwards": lambda page: numbered(1_000 - page),
    "lying": lambda page: numbered({5: 7, 6: 5, 7: 6}.get(page, page)),
    "becomes opaque": lambda page: numbered(page) if page < 5 else _opaque(page),
    "becomes numbers": lambda page: _opaque(page) if page < 5 else numbered(page),
    "loses padding": lambda page: numbered(page) if page < 5 else numbered(page).rstrip("="),
    "padding flickers": lambda page: numbered(page) if page % 2 else numbered(page).rstrip("="),
    "quoting flickers": lambda page: numbered(page) if page % 2 else numbered(page).replace("=", "%3D"),
    "other order": lambda page: (
        numbered(page) if page < 5 else f"/v3/contacts?cursor={cursor(f'next={page}&limit=50')}"
    ),
    "time in it": lambda page: numbered(page, f"&at={page * page}"),
    "two numbers": lambda page: numbered(page, f"&next={page}"),
    "leading zero": lambda page: f"/v3/contacts?cursor={cursor(f'limit=50&next=0{page}')}",
    "no cursor": lambda page: f"/v3/contacts?page={page}",
}
GUESSABLE = (
    "page numbers",
    "short numbers",
    "quoted",
    "all quoted",
    "unpadded",
    "url-safe",
    "beside others",
    "from zero",
)


@attrs.frozen(kw_only=True)
class Book:
    """A collection that does not change: `sizes` are those of its pages, `totals` what each of them says of the whole.

    A page that nothing links to is answered as `beyond` says: "refused", "empty", or "poison": a page that looks right.
    """

    sizes: Sequence[int]
    style: str = "page numbers"
    totals: Mapping[int, int] = attrs.field(factory=dict)
    end: int = 0
    beyond: str = "refused"
    last_href: str | None = None
    """A link on the last page, where none belongs."""

    @functools.cached_property
    def _places(self) -> dict[str, int]:
        return {_plain(self.href(page)): page for page in range(2, len(self.sizes) + 1)}

    @functools.cached_property
    def items(self) -> list[str]:
        return [f"{page}.{place}" for page, size in enumerate(self.sizes, 1) for place in range(size)]

    def href(self, page: int) -> str:
        return STYLES[self.style](page)

    def page_of(self, link: str | None) -> int:
        """The number of a page, 0 for one that nobody was given a link to."""
        return 1 if link is None else self._places.get(_plain(link), 0)

    def document(self, page: int) -> dict[str, Any] | None:
        """The page as JSON, None where it is refused."""
        if page == 0:
            poison = {"contacts": ["poison"], "contacts_count": 5, "_links": {"next": {"href": self.href(3)}}}
            return {"refused": None, "empty": {"contacts": []}, "poison": poison}[self.beyond]
        items = [f"{page}.{place}" for place in range(self.sizes[page - 1])]
        document: dict[str, Any] = {"contacts": items}
        if page in self.totals:
            document["contacts_count"] = self.totals[page]
        href = self.href(page + 1) if page < len(self.sizes) else self.last_href
        return {**document, **(ENDS[self.end] if href is None else {"_links": {"next": {"href": href}}})}


def _plain(link: str) -> str:
    path = re.sub(r"&include(_count)?=[^&]*", "", link.removeprefix("https://api.example.com"))
    return path.replace("%3D", "=").replace("%2F", "/").replace("%2B", "+")


def raw(document: Mapping[str, Any]) -> RawPage:
    link = ((document.get("_links") or {}).get("next") or {}).get("href")
    return RawPage(200, {}, Envelope(list(document["contacts"]), link, document.get("contacts_count")))


@attrs.define(kw_only=True)
class MemoryApi:
    """Fetches pages as the client's session would, from memory, in the time of the loop.

    `faults` says by page how many requests fail before one succeeds; -1 refuses them for good.
    """

    read: Callable[[str | None], Mapping[str, Any] | None]
    """The page behind a link at this moment; None is refused."""
    page_of: Callable[[str | None], int] = lambda _: 0
    latency: Callable[[], float] = lambda: 1.0
    faults: dict[int, int] = attrs.field(factory=dict)
    limiter: Limiter | None = None
    limit: SlidingWindow | None = None
    sent: list[str | None] = attrs.field(factory=list)
    turns: list[Turn] = attrs.field(factory=list)
    refused: int = 0
    under_way: int = 0
    most_under_way: int = 0

    @classmethod
    def of(cls, book: Book, **settings: Any) -> Self:
        return cls(read=lambda link: book.document(book.page_of(link)), page_of=book.page_of, **settings)

    async def fetch(
        self,
        link: str | None,
        *,
        first: bool,
        turn: Turn,
        guessed: bool,
        on_retry: Callable[[], None],  # of the protocol
    ) -> RawPage:
        assert first is not turn.stream
        self.turns.append(turn)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            for attempt in range(1 if guessed else 6):
                if attempt:
                    await asyncio.sleep(0.3)
                if self.limiter is not None:
                    await self.limiter.acquire(turn)
                if attempt:
                    on_retry()
                document = await self._attempt(link)
                if document is not None:
                    return raw(document)
            raise ServerError(f"page {self.page_of(link)} failed", status=500)
        finally:
            self.under_way -= 1

    async def _attempt(self, link: str | None) -> Mapping[str, Any] | None:
        self.sent.append(link)
        page, fault = self.page_of(link), self.faults.get(self.page_of(link), 0)
        self.faults[page] = max(fault - 1, -1 if fault < 0 else 0)
        if self.limit is not None and not self.limit.accepts(asyncio.get_running_loop().time()):
            self.refused += 1
            if self.limiter is not None:
                await self.limiter.throttled()
            return None
        document = self.read(link)  # before the response travels, so pages are read in the order of the requests
        await asyncio.sleep(self.latency())
        if fault < 0 or document is None:
            raise NotFoundError(f"page {page} is refused", status=404)
        return None if fault else document

    def requests(self) -> Counter[str | None]:
        return Counter(self.sent)

    def pager(
        self, *, read_ahead: int = 12, start: str | None = None, size: int | None = None, strict: bool = False
    ) -> Pager[str]:
        return Pager(
            PageSource(
                fetch_page=self.fetch,
                decode=_decode,
                check=functools.partial(resolve_link, BASE),
                identify=lambda item: item,
                start=start,
                size=size,
                strict=strict,
            ),
            read_ahead=read_ahead,
        )


async def _decode(items: list[str]) -> Decoded[list[str]]:
    await asyncio.sleep(0)
    return Decoded(items)


async def take(stream: AsyncIterable[T], into: list[T]) -> None:
    """Read a stream to its end or its error, and keep what came before that."""
    async for item in stream:
        into.append(item)  # noqa: PERF401  # a comprehension would lose everything at an error


@attrs.define(kw_only=True)
class PagedServer:
    """A book behind a real socket; `rate` requests in any second, None for no limit; 202 for `pending` times."""

    book: Book
    latency: float = 0.0
    rate: int | None = None
    pending: int = 0
    targets: list[str] = attrs.field(factory=list)
    tokens: list[str] = attrs.field(factory=list)
    refused: int = 0
    _limit: SlidingWindow | None = None
    _runner: web.AppRunner | None = None
    base_url: str = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v3"
        self._limit = None if self.rate is None else SlidingWindow(self.rate)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        target = request.raw_path
        self.targets.append(target)
        self.tokens.append(request.headers.get("Authorization", ""))
        if self._limit is not None and not self._limit.accepts(asyncio.get_running_loop().time()):
            self.refused += 1
            return web.json_response({"error_key": "throttled", "error_message": "Too Many Requests"}, status=429)
        await asyncio.sleep(self.latency)
        if self.pending:
            self.pending -= 1
            return web.json_response({"contacts": [], "status": "processing"}, status=202)
        document = self.book.document(self.book.page_of(target if "cursor=" in target or "page=" in target else None))
        if document is None:
            return web.json_response([{"error_key": "contacts.api.validation.error"}], status=400)
        contacts = [{"contact_id": unquote(item)} for item in document["contacts"]]
        return web.Response(body=json.dumps(document | {"contacts": contacts}), content_type="application/json")
