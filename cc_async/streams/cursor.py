"""Cursor styles: how the link of a page may be guessed from the one before it."""

import base64
import binascii
import re
from urllib.parse import parse_qsl, quote, unquote

import attrs


@attrs.frozen
class NumberedLink:
    """A link whose cursor is base64 of a query that holds one page number, taken apart."""

    head: str
    tail: str
    before: str
    number: int
    after: str
    url_safe: bool
    padded: bool
    quoted: bool

    @classmethod
    def parse(cls, href: str) -> "NumberedLink | None":
        """The parts of a link, or None unless putting them together again gives the same link."""
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
        """What else the cursor carries, such as the page size and the filters."""
        return dict(parse_qsl(f"{self.before}&{self.after}"))

    def at(self, number: int) -> str:
        """The link with another page number."""
        query = f"{self.before}next={number}{self.after}".encode()
        cursor = (base64.urlsafe_b64encode if self.url_safe else base64.b64encode)(query).decode()
        cursor = cursor if self.padded else cursor.rstrip("=")
        return self.head + (quote(cursor, safe="") if self.quoted else cursor) + self.tail


def _same(true: NumberedLink, guess: NumberedLink) -> bool:
    # `=` and `%3D` are the same value of a parameter; `+` would not be, so nothing is said of a link that holds one.
    plain = [attrs.evolve(link, quoted=False).at(link.number) for link in (true, guess)]
    return plain[0] == plain[1] and (true.quoted is guess.quoted or "+" not in plain[0])
