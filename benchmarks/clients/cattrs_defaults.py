"""aiohttp, and cattrs into our classes, with the converter that it offers for orjson and all its defaults."""

import attrs
from cattrs.preconf.orjson import make_converter

from cc_async import Contact

from . import loop


@attrs.define
class _Next:
    href: str


@attrs.define
class _Links:
    next: _Next | None = None


@attrs.define
class _Page:
    contacts: list[Contact]
    _links: _Links | None = None

    @property
    def href(self) -> str | None:
        return self._links.next.href if self._links and self._links.next else None


_converter = make_converter()


def decode(body: bytes) -> list[Contact]:
    return _read(body)[0]


def stream(base_url: str) -> int:
    return loop.stream(base_url, _read)


def _read(body: bytes) -> tuple[list[Contact], str | None]:
    page = _converter.loads(body, _Page)
    return page.contacts, page.href
