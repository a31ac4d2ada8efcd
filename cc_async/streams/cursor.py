"""Cursor styles: how the links of the next pages are guessed from the link to one.

A guessed page is only used once the page before it turns out to link to it.
"""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qsl, quote, unquote

import attrs


class Cursor(Protocol):
    """A link with a known position in the collection."""

    @property
    def link(self) -> str:
        """The link itself."""

    def following(self) -> "Cursor":
        """Guess the link to the page after this one."""

    def matches(self, link: str) -> bool:
        """Whether a link from the API is this one."""

    def resembles(self, link: str) -> bool:
        """Whether a link that does not match differs only in its spelling, so that guessing may continue."""

    def is_beyond(self, total: int, page_size: int) -> bool:
        """Whether the page would lie beyond the end of a collection with so many items."""


@attrs.frozen
class FirstPage:
    """What the first page of a stream carried."""

    request: str = attrs.field(repr=False)
    """The path and query by which it was requested."""
    second: Cursor = attrs.field(repr=False)
    size: tuple[int, int] | None
    """Of the collection and of a page, as far as the API has told."""


@attrs.define
class Trust:
    """Experience with guessing the links of a collection, shared by all of its streams."""

    right: bool | None = None
    """Whether the latest verified guess was right; None before the first one."""
    first_page: FirstPage | None = None
    """The latest that arrived."""
    repeatable: bool = True
    """Whether the same first request was always answered with the same link."""

    def guesses(self, read_ahead: int) -> int:
        """Return how many guesses a new stream may have in flight before one of its own is verified."""
        return max(1, read_ahead) if self.right else 1

    def expect(self, request: str | None) -> FirstPage | None:
        """Return what the response to a first request will carry, if guessing from it has proved right before."""
        known = self.first_page if self.right and self.repeatable else None
        return known if known is not None and known.request == request else None


CursorStyle = Callable[[str], Cursor | None]
"""Parses a link; returns None if no further links can be guessed from it."""


@attrs.frozen
class PageNumberCursor:
    """A parsed link whose cursor is a base64-encoded query with one page number."""

    head: str
    tail: str
    before: str
    number: int
    after: str
    url_safe: bool
    padded: bool
    quoted: bool

    @classmethod
    def parse(cls, href: str) -> "PageNumberCursor | None":
        """Parse a link; return None unless the parts reproduce exactly the same link."""
        found = re.fullmatch(r"(.*[?&]cursor=)([^&#]+)(.*)", href)
        if not found:
            return None
        cursor = unquote(found[2])
        url_safe, padded = not set("-_").isdisjoint(cursor), len(cursor) % 4 == 0
        try:
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_" if url_safe else None, validate=True)
            query = text.decode("ascii")
        except (binascii.Error, ValueError):
            return None
        numbers = re.findall(r"(?:^|&)next=(\d{1,9})(?=&|$)", query)
        if len(numbers) != 1 or query.count("next=") != 1:
            return None
        before, _, after = query.partition(f"next={numbers[0]}")
        link = cls(found[1], found[3], before, int(numbers[0]), after, url_safe, padded, quoted=cursor != found[2])
        return link if link.at(link.number) == href else None

    @property
    def params(self) -> dict[str, str]:
        """The other parameters in the cursor, such as the page size and the filters."""
        return dict(parse_qsl(f"{self.before}&{self.after}"))

    @property
    def link(self) -> str:
        """The link itself."""
        return self.at(self.number)

    def at(self, number: int) -> str:
        """Return the link with another page number."""
        query = f"{self.before}next={number}{self.after}".encode()
        cursor = (base64.urlsafe_b64encode if self.url_safe else base64.b64encode)(query).decode()
        cursor = cursor if self.padded else cursor.rstrip("=")
        return self.head + (quote(cursor, safe="") if self.quoted else cursor) + self.tail

    def following(self) -> "PageNumberCursor":
        """Guess the link to the page after this one."""
        return attrs.evolve(self, number=self.number + 1)

    def matches(self, link: str) -> bool:
        """Whether a link from the API is this one, possibly with `%3D` for `=`."""
        true = PageNumberCursor.parse(link)
        if true is None or attrs.evolve(true, quoted=False).link != attrs.evolve(self, quoted=False).link:
            return False
        # `+` is not the same as `%2B`: in a query it means a space.
        return true.quoted is self.quoted or "+" not in attrs.evolve(true, quoted=False).link

    def resembles(self, link: str) -> bool:
        """Whether a link differs only in the spelling of base64, which a guess cannot always know."""
        true = PageNumberCursor.parse(link)
        if true is None:
            return False
        return attrs.evolve(true, url_safe=self.url_safe, padded=self.padded, quoted=self.quoted) == self

    def is_beyond(self, total: int, page_size: int) -> bool:
        """Whether the page would lie beyond the end of a collection with so many items."""
        return self.number > -(-total // page_size)  # rounded up
