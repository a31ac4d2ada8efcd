"""GET /contacts: what it may ask for, the cursors that carry the question on, and the pages that answer it."""

import base64
import binascii
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import attrs

from .answers import invalid, not_found
from .chance import mix
from .generate import DELETED, SMS_STATUSES, STATUSES, SUBRESOURCES
from .settings import Settings
from .stamps import moment
from .table import Table, Test, View, mask

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
    "include": SUBRESOURCES,
}
_MOST = {"lists": 25, "tags": 50, "segment_id": 1}
_FILTERS = ("status", "sms_status", "email", "lists", "tags", "segment_id", *_DATES)
_COLUMNS = {"updated": "updated", "created": "created", "optout": "opted_out"}
_LIMIT, _MOST_PER_PAGE = 50, 500
_NUMBERED_PAGES = 3  # of the cursor that switches


@attrs.frozen
class Search:
    """One question to the collection; `position` counts the places, empty pages included, before the page."""

    filters: tuple[tuple[str, str], ...] = ()
    include: tuple[str, ...] = ()
    include_count: bool = False
    limit: int = _LIMIT
    position: int = 0

    @property
    def page(self) -> int:
        """The number of the page, from 1."""
        return self.position // self.limit + 1


class Questions:
    """Reads searches from query strings and cursors, and writes the next cursor."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._key = f"cursor {settings.seed}".encode()

    def read(self, query: str) -> Search:
        """Read a query string, following the cursor in it; raises Refused."""
        given = read_pairs(query)
        if "cursor" not in given:
            return _search(given, position=0)
        search = self._follow(given["cursor"])
        include = read_include(given["include"]) if "include" in given else search.include
        return attrs.evolve(search, include=include, include_count=search.include_count or _count(given))

    def next_cursor(self, search: Search) -> str:
        """Write the cursor of the page after this one."""
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
        except binascii.Error:
            raise invalid("cursor is in an invalid format.") from None
        kind, opaque = self._settings.cursor, raw.startswith(_MARK)
        given = read_pairs((self._unscramble(raw) if opaque else raw).decode("ascii", "replace"))
        number = given.pop("next", "")
        if not number.isdecimal() or int(number) < 1 or opaque is not self._is_opaque(int(number)):
            raise invalid("cursor is not valid.")
        return _search(given, int(number) - 1 if kind == "lying" else (int(number) - 1) * _limit(given))

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
    """Answers searches from the table as it is at that moment; there is no snapshot."""

    def __init__(self, settings: Settings, table: Table) -> None:
        self._settings, self._table = settings, table
        self.questions = Questions(settings)

    def answer(self, search: Search) -> bytes:
        """Return the JSON of one page."""
        settings, rows = self._settings, self.view(search).rows
        skipped = sum(1 for number in settings.empty_pages if 1 <= number < search.page)
        start = max(0, search.position - skipped * search.limit)
        empty = search.page in settings.empty_pages
        chosen = [] if empty else rows[start : start + search.limit]
        more = start + (0 if empty else search.limit) < len(rows)
        include = [place for place, name in enumerate(SUBRESOURCES, 1) if name in search.include]
        contacts = b",".join([self._table.json(row, include) for row in chosen])
        first = search.position == 0
        counted = search.include_count and (first or settings.count_every_page)
        count = b',"contacts_count":%d' % len(rows) if counted else b""
        return b'{"contacts":[%b]%b%b}' % (contacts, count, self._links(search, more=more))

    def view(self, search: Search) -> View:
        """Return all the rows that a search finds."""
        filters = dict(search.filters)
        tests = self._tests(filters)
        email = filters.get("email", "").lower()
        if email:
            row = self._table.by_email.get(email)
            return View(tests, () if row is None else (row,), _unranked)
        return self._table.view(search.filters, tests)

    def _links(self, search: Search, *, more: bool) -> bytes:
        if more:
            href = f"/v3/contacts?cursor={quote(self.questions.next_cursor(search), safe='=')}"
            return b',"_links":{"next":{"href":"%b"}}' % href.encode()
        return _ENDS[self._settings.end_style]

    def _tests(self, filters: Mapping[str, str]) -> list[Test]:
        table = self._table
        tests: list[Test] = [] if "segment_id" in filters else [self._status(filters.get("status"))]
        if "segment_id" in filters:
            tests = self._segment(filters["segment_id"])
        if "all" not in filters.get("sms_status", "all").split(","):
            wanted = {SMS_STATUSES.index(name) for name in filters["sms_status"].split(",")}
            tests.append(lambda row: table.sms[row] in wanted)
        if "lists" in filters:
            in_lists = mask(filters["lists"].split(","), table.list_ids)
            tests.append(lambda row: bool(table.lists[row] & in_lists))
        if "tags" in filters:
            tagged = mask(filters["tags"].split(","), table.tag_ids)
            tests.append(lambda row: bool(table.tags[row] & tagged))
        return tests + [self._date(name, filters[name]) for name in _DATES if name in filters]

    def _status(self, status: str | None) -> Test:
        column, deleted = self._table.status, STATUSES.index(DELETED)
        if status is None:
            return lambda row: column[row] != deleted
        names = set(status.split(","))
        if "all" in names:
            return _anything
        names |= {"explicit", "implicit"} if "active" in names else set()
        wanted = {STATUSES.index(name) for name in names - {"active"}}
        return lambda row: column[row] in wanted

    def _segment(self, segment: str) -> list[Test]:
        """A segment is every tenth contact that is not deleted; there are ten of them, 1 to 10."""
        if segment not in SEGMENTS:
            raise not_found("The segment was not found.")
        seed = self._settings.seed
        return [self._status(None), lambda row: mix(seed, 105, row) % len(SEGMENTS) == int(segment) - 1]

    def _date(self, name: str, value: str) -> Test:
        kind, _, side = name.partition("_")
        column, bound = getattr(self._table, _COLUMNS[kind]), moment(value)
        if side == "after":
            return lambda row: column[row] > bound
        return lambda row: 0 < column[row] < bound


SEGMENTS = tuple(str(number) for number in range(1, 11))
_ENDS = {
    "absent": b"",
    "null": b',"_links":null',
    "empty": b',"_links":{}',
    "no_next": b',"_links":{"self":{"href":"/v3/contacts"}}',
}


def _anything(_row: int) -> bool:
    return True


def _unranked(row: int) -> Any:
    return row


def read_include(value: str) -> tuple[str, ...]:
    """Read the names of sub-resources; raises Refused."""
    return _listed("include", value)


def read_pairs(query: str) -> dict[str, str]:
    """Read a query string; names sent several times become one csv value, as do names with brackets."""
    pairs: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        plain = name.removesuffix("[]")
        pairs[plain] = f"{pairs[plain]},{value}" if plain in pairs else value
    return pairs


def _search(given: Mapping[str, str], position: int) -> Search:
    if "segment_id" in given and set(given) - {"segment_id", "limit"}:
        raise invalid("segment_id can only be combined with limit.")
    filters = tuple((name, _filter(name, given[name])) for name in _FILTERS if given.get(name))
    include = read_include(given["include"]) if given.get("include") else ()
    return Search(filters, include, _count(given), _limit(given), position)


def _filter(name: str, value: str) -> str:
    if name in _DATES:
        try:
            moment(value)
        except ValueError:
            raise invalid(f"{name} is not a valid ISO-8601 date.") from None
    if name in _LISTED:
        return ",".join(_listed(name, value))
    if value.count(",") >= _MOST.get(name, len(value) + 1):
        raise invalid(f"{name} has more than {_MOST[name]} values.")
    return value


def _listed(name: str, value: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in value.split(",") if part)
    for part in parts:
        if part not in _LISTED[name]:
            raise invalid(f"{name} does not have a valid value: {part}")
    return parts


def _limit(given: Mapping[str, str]) -> int:
    limit = given.get("limit", str(_LIMIT))
    if not limit.isdecimal() or not 1 <= int(limit) <= _MOST_PER_PAGE:
        raise invalid(f"limit must be a number from 1 to {_MOST_PER_PAGE}.")
    return int(limit)


def _count(given: Mapping[str, str]) -> bool:
    count = given.get("include_count", "false").lower()
    if count not in ("true", "false"):
        raise invalid("include_count must be true or false.")
    return count == "true"
