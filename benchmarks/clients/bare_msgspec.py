"""aiohttp, and msgspec straight into our classes, a whole page at a time."""

import msgspec

from cc_async import Contact

from . import loop


class _Next(msgspec.Struct):
    href: str


class _Links(msgspec.Struct):
    next: _Next | None = None


class _Page(msgspec.Struct):
    contacts: list[Contact]
    links: _Links | None = msgspec.field(default=None, name="_links")


_decoder = msgspec.json.Decoder(_Page)


def decode(body: bytes) -> list[Contact]:
    return _read(body)[0]


def stream(base_url: str) -> int:
    return loop.stream(base_url, _read)


def _read(body: bytes) -> tuple[list[Contact], str | None]:
    page = _decoder.decode(body)
    return page.contacts, page.links.next.href if page.links and page.links.next else None
