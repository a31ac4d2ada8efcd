"""GET /contacts: its filters, the cursors that carry a search on, and its pages."""

import base64
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

import attrs

from cc_async.sandbox.chance import mix
from cc_async.sandbox.data import Data
from cc_async.sandbox.generate import DELETED, SMS_STATUSES, STATUSES, SUBRESOURCES
from cc_async.sandbox.requests import read_choices, read_flag, read_limit, read_pairs
from cc_async.sandbox.responses import invalid, not_found
from cc_async.sandbox.settings import Settings
from cc_async.sandbox.stamps import parse_stamp
from cc_async.sandbox.table import between_commas, has_any

_DATES = (
    "updated_after",
    "updated_before",
    "created_after",
    "created_before",
    "optout_after",
    "optout_before",
)
_LISTED = {
    "status": ("all", "active", *STATUSES[2:]),
    "sms_status": ("all", *SMS_STATUSES),
}
_MOST = {"lists": 25, "tags": 50, "segment_id": 1}
_FILTERS = ("status", "sms_status", "email", "lists", "tags", "segment_id", *_DATES)
_COLUMNS = {"updated": "updated", "created": "created", "optout": "opted_out"}  # by the beginning of a filter's name
_LIMIT, _MOST_PER_PAGE = 50, 500
_NUMBERED_PAGES = 3  # of the cursor that switches


@attrs.frozen
class Search:
    """One search; `position` counts the places, those of empty pages included, before the page."""

    filters: tuple[tuple[str, str], ...] = ()
    include: tuple[str, ...] = ()
    include_count: bool = False
    limit: int = _LIMIT
    position: int = 0

    @property
    def page(self) -> int:
        """The number of the page, from 1."""
        return self.position // self.limit + 1


class Cursors:
    """Parses searches from query strings and cursors, and formats the next cursor."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = f"cursor {settings.seed}".encode()

    def read(self, query: str) -> Search:
        """Parse a query string and the cursor in it; raises Refused."""
        given = read_pairs(query)
        if "cursor" not in given:
            return _search(given, position=0)
        search = self._follow(given["cursor"])
        include = read_choices(given, "include", SUBRESOURCES) if "include" in given else search.include
        return attrs.evolve(
            search, include=include, include_count=search.include_count or read_flag(given, "include_count")
        )

    def next_cursor(self, search: Search) -> str:
        """Format the cursor of the next page."""
        settings, following = self._settings, search.page + 1
        number = search.position + search.limit + 1 if settings.cursor == "lying" else following
        pairs = [("limit", str(search.limit)), ("next", str(number))]
        for name, value in search.filters:
            listed = name in _LISTED or name in _MOST
            pairs += [(f"{name}[]", part) for part in value.split(",")] if listed else [(name, value)]
        if settings.include_rides_in_cursor:
            pairs += [("include[]", name) for name in search.include]
        if search.include_count and settings.count_every_page:
            pairs.append(("include_count", "true"))
        text = urlencode(pairs).encode()
        if self._is_opaque(following):
            return base64.urlsafe_b64encode(self._scramble(text)).decode()
        return base64.b64encode(text).decode()

    def _follow(self, cursor: str) -> Search:
        try:
            raw = base64.b64decode(cursor, altchars=b"-_" if cursor.startswith("_") else None, validate=True)
        except ValueError:  # neither ASCII nor base64
            raise invalid("cursor is in an invalid format.") from None
        kind, opaque = self._settings.cursor, raw.startswith(_MARK)
        given = read_pairs((self._unscramble(raw) if opaque else raw).decode("ascii", "replace"))
        number = given.pop("next", "")
        if not number.isdecimal() or int(number) < 1 or opaque is not self._is_opaque(int(number)):
            raise invalid("cursor is not valid.")
        return _search(
            given, int(number) - 1 if kind == "lying" else (int(number) - 1) * read_limit(given, _LIMIT, _MOST_PER_PAGE)
        )

    def _is_opaque(self, page: int) -> bool:
        kind = self._settings.cursor
        return kind == "opaque" or (kind == "switching" and page > _NUMBERED_PAGES)

    def _scramble(self, text: bytes) -> bytes:
        salt = sha256(self._key + text).digest()[:8]
        return _MARK + salt + self._mask(salt, text)

    def _unscramble(self, raw: bytes) -> bytes:
        head = len(_MARK)
        return self._mask(raw[head : head + 8], raw[head + 8 :])

    def _mask(self, salt: bytes, text: bytes) -> bytes:
        stream = b"".join(sha256(self._key + salt + bytes([block])).digest() for block in range(len(text) // 32 + 1))
        return bytes(one ^ other for one, other in zip(text, stream, strict=False))


_MARK = b"\xff"  # no query string begins with it


class Pages:
    """Pages of searches over the current contents of the table; there is no snapshot."""

    def __init__(self, data: Data) -> None:
        self._data, self._settings = data, data.settings
        self.cursors = Cursors(data.settings)
        seed = data.settings.seed  # the function is kept by the database: it must not refer back to `data`
        data.contacts.add_function("tenth", lambda row: mix(seed, 105, row) % 10)

    def read(self, query: str) -> bytes:
        """Return the JSON of the page that a query string asks for; raises Refused."""
        search = self.cursors.read(query)
        settings, rows = self._settings, self._data.contacts.search(*self.condition(dict(search.filters)))
        skipped = sum(1 for number in settings.empty_pages if 1 <= number < search.page)
        start = max(0, search.position - skipped * search.limit)
        empty = search.page in settings.empty_pages
        chosen = [] if empty else rows[start : start + search.limit]
        more = start + (0 if empty else search.limit) < len(rows)
        contacts = b",".join([self._data.contacts.json(row, search.include) for row in chosen])
        counted = search.include_count and (search.position == 0 or settings.count_every_page)
        count = b',"contacts_count":%d' % len(rows) if counted else b""
        return b'{"contacts":[%b]%b%b}' % (contacts, count, self._links(search, more=more))

    def condition(self, filters: Mapping[str, str]) -> tuple[str, list[Any]]:
        """Return the SQL condition of some filters, and its values."""
        if "segment_id" in filters:
            return self.in_segment(filters["segment_id"])
        parts = [_statuses(filters.get("status"))]
        values: list[Any] = []
        if "all" not in filters.get("sms_status", "all").split(","):
            parts.append(f"sms IN ({_quoted(filters['sms_status'].split(','))})")
        if "email" in filters:
            parts.append("email = ?")
            values.append(filters["email"].lower())
        for column in ("lists", "tags"):
            if column in filters:
                ids = filters[column].split(",")
                parts.append(has_any(column, ids))
                values += map(between_commas, ids)
        for name in _DATES:
            if name in filters:
                kind, _, side = name.partition("_")
                column = _COLUMNS[kind]
                parts.append(f"{column} > ?" if side == "after" else f"{column} BETWEEN 1 AND ? - 1")
                values.append(parse_stamp(filters[name]))
        return " AND ".join(parts), values

    def in_segment(self, segment: str) -> tuple[str, list[Any]]:
        """Return the condition of a segment, which holds every tenth contact; raises Refused (404)."""
        if segment not in self._data.segments:
            raise not_found("The segment was not found.")
        return f'{_statuses(None)} AND tenth("row") = ?', [(int(segment) - 1) % 10]

    def _links(self, search: Search, *, more: bool) -> bytes:
        if more:
            href = f"/v3/contacts?cursor={quote(self.cursors.next_cursor(search), safe='=')}"
            return b',"_links":{"next":{"href":"%b"}}' % href.encode()
        return _ENDS[self._settings.end_style]


_ENDS = {
    "absent": b"",
    "null": b',"_links":null',
    "empty": b',"_links":{}',
    "no_next": b',"_links":{"self":{"href":"/v3/contacts"}}',
}


def _statuses(status: str | None) -> str:
    if status is None:
        return f"status != '{DELETED}'"
    names = set(status.split(","))
    if "all" in names:
        return "1"
    return f"status IN ({_quoted(names | ({'explicit', 'implicit'} if 'active' in names else set()))})"


def _quoted(names: Iterable[str]) -> str:
    """Format validated names as SQL strings."""
    return ", ".join(f"'{name}'" for name in sorted(names))


def _search(given: Mapping[str, str], position: int) -> Search:
    if "segment_id" in given and set(given) - {"segment_id", "limit"}:
        raise invalid("segment_id can only be combined with limit.")
    filters = tuple((name, _filter(given, name)) for name in _FILTERS if given.get(name))
    include = read_choices(given, "include", SUBRESOURCES)
    limit = read_limit(given, _LIMIT, _MOST_PER_PAGE)
    return Search(filters, include, read_flag(given, "include_count"), limit, position)


def _filter(given: Mapping[str, str], name: str) -> str:
    value = given[name]
    if name in _DATES:
        try:
            parse_stamp(value)
        except ValueError:
            raise invalid(f"{name} is not a valid ISO-8601 date.") from None
    if name in _LISTED:
        return ",".join(read_choices(given, name, _LISTED[name]))
    if value.count(",") >= _MOST.get(name, len(value) + 1):
        raise invalid(f"{name} has more than {_MOST[name]} values.")
    return value
