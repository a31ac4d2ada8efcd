"""The contacts in SQLite: columns for what can be searched, JSON for the rest once a contact was written.

A contact that nobody has written is generated when it is read, so that 200,000 of them stay small.
"""

import sqlite3
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import attrs
import msgspec

from .chance import mix
from .generate import DELETED, SUBRESOURCES, Document, Entry, make_document, make_entry
from .settings import Settings
from .stamps import parse_stamp, stamp

_COLUMNS = ", ".join(field.name for field in attrs.fields(Entry)).replace("email", "coalesce(email, '')")
_SCHEMA = """
CREATE TABLE contacts (
    "row" INTEGER PRIMARY KEY, contact_id TEXT UNIQUE, email TEXT UNIQUE, created INTEGER, updated INTEGER,
    opted_out INTEGER, status TEXT, sms TEXT, lists TEXT, tags TEXT, "rank" INTEGER, document BLOB
)
"""
_INSERT = "INSERT INTO contacts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE = """UPDATE contacts SET contact_id = ?, email = ?, created = ?, updated = ?, opted_out = ?, status = ?,
    sms = ?, lists = ?, tags = ?, document = ? WHERE "row" = ?"""
_SELECT = f'SELECT {_COLUMNS}, document FROM contacts WHERE "row" = ?'  # noqa: S608  # our own names
_ORDERS = {"created": 'created, "row"', "updated": 'updated, "row"', "id": "contact_id", "shuffled": '"rank"'}
_KEPT_RESULTS = 16
_CORE = frozenset(SUBRESOURCES)


class Table:
    """Rows of contacts, numbered in the order of their creation.

    `lists` and `tags` hold the ids a contact belongs to between commas (`,a,b,`): bulk changes are one statement.
    """

    def __init__(
        self, settings: Settings, lists: Collection[str], tags: Collection[str], fields: Collection[str]
    ) -> None:
        self._settings = settings
        self._lists, self._tags, self._fields = lists, tags, fields
        self._seeded_fields: tuple[str, ...] = ()
        self._results: dict[tuple[str, tuple[Any, ...]], list[int]] = {}
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._db.close)
        self._db.execute(_SCHEMA)
        self._size = 0

    def fill(self, contacts: int) -> None:
        """Generate that many contacts, as members of the lists and tags that exist now."""
        lists, tags, self._seeded_fields = tuple(self._lists), tuple(self._tags), tuple(self._fields)
        seed = self._settings.seed
        self._insert((make_entry(seed, row, lists, tags), None) for row in range(contacts))

    def __len__(self) -> int:
        return self._size

    def ids(self) -> list[str]:
        """Return all contact ids in the order of creation."""
        return [contact_id for (contact_id,) in self._db.execute('SELECT contact_id FROM contacts ORDER BY "row"')]

    def find(self, column: str, value: Any) -> int | None:
        """Return the row with that `contact_id` or `email`, or None."""
        found = self._db.execute(f'SELECT "row" FROM contacts WHERE {column} = ?', (value,)).fetchone()  # noqa: S608  # our own names
        return found[0] if found else None

    def entry(self, row: int) -> Entry:
        """Return the searchable part of a contact."""
        return self._read(row)[0]

    def document(self, row: int) -> Document:
        """Return a contact with all its sub-resources, as a dict of the caller's own."""
        entry, stored = self._read(row)
        if stored is None:
            document = make_document(self._settings.seed, row, entry, self._seeded_fields)
        else:
            document = msgspec.json.decode(stored)
        fields = document.get("custom_fields") or ()
        document["custom_fields"] = [field for field in fields if field["custom_field_id"] in self._fields]
        document["list_memberships"], document["taggings"] = list(entry.lists), list(entry.tags)
        for name in ("notes", "phone_numbers", "street_addresses"):
            document.setdefault(name, [])
        return document

    def json(self, row: int, include: Collection[str] = ()) -> bytes:
        """Return a contact as JSON with the named sub-resources."""
        hidden = _CORE.difference(include)
        document = self.document(row)
        return msgspec.json.encode({name: value for name, value in document.items() if name not in hidden})

    def save(self, document: Document, row: int | None = None) -> int:
        """Write a contact, a new one if no row is given; return its row."""
        if row is None:
            self._insert([(make_index(document), document)])
            return self._size - 1
        self._db.execute(_UPDATE, (*_encoded(make_index(document)), _stored(document), row))
        self._results.clear()
        return row

    def add_many(self, documents: Iterable[Document]) -> None:
        """Write new contacts."""
        self._insert((make_index(document), document) for document in documents)

    def search(self, where: str, values: Iterable[Any] = ()) -> list[int]:
        """Return the rows that a condition finds, in the order of the collection; kept until something is written."""
        key = (where, tuple(values))
        rows = self._results.pop(key, None)
        if rows is None:
            query = f'SELECT "row" FROM contacts WHERE {where} ORDER BY {_ORDERS[self._settings.order]}'  # noqa: S608  # conditions are ours, values bound
            rows = [row for (row,) in self._db.execute(query, key[1])]
        self._results[key] = rows
        if len(self._results) > _KEPT_RESULTS:
            del self._results[next(iter(self._results))]
        return rows

    def count(self, where: str, values: Iterable[Any] = ()) -> int:
        """Return how many contacts a condition finds."""
        (count,) = self._db.execute(f"SELECT count(*) FROM contacts WHERE {where}", tuple(values)).fetchone()  # noqa: S608  # conditions are ours, values bound
        return int(count)

    def join(self, column: str, one: str, rows: Iterable[int], most: int = 50) -> None:
        """Add contacts to a list or tag, unless they are in it or in `most` already."""
        self.update(
            f"{column} = iif({column} = '', ',', {column}) || ? || ','",
            (one,),
            (row for row in rows if one not in (ids := getattr(self.entry(row), column)) and len(ids) < most),
        )

    def leave(self, column: str, one: str, rows: Iterable[int]) -> None:
        """Take contacts out of a list or tag."""
        change = f"{column} = iif({column} = ?, '', replace({column}, ?, ','))"
        self.update(change, [between_commas(one)] * 2, rows)

    def touch(self, rows: Iterable[int], now: int) -> None:
        """Move `updated_at` of contacts to a time in whole seconds."""
        change = "updated = ?, document = CAST(json_set(CAST(document AS TEXT), '$.updated_at', ?) AS BLOB)"
        self.update(change, (now // 1000 * 1000, stamp(now, 0)), rows)

    def update(self, change: str, values: Iterable[Any], rows: Iterable[int]) -> None:
        """Apply one `SET` clause to some rows."""
        given = tuple(values)
        self._db.execute("BEGIN")
        self._db.executemany(
            f'UPDATE contacts SET {change} WHERE "row" = ?',  # noqa: S608  # clauses are ours, values bound
            ((*given, row) for row in rows),
        )
        self._db.execute("COMMIT")
        self._results.clear()

    def add_function(self, name: str, function: Callable[[int], Any]) -> None:
        """Let conditions call a function of the row."""
        self._db.create_function(name, 1, function, deterministic=True)

    def _read(self, row: int) -> tuple[Entry, bytes | None]:
        columns = self._db.execute(_SELECT, (row,)).fetchone()
        return Entry(*columns[:-3], *map(_split, columns[-3:-1])), columns[-1]

    def _insert(self, contacts: Iterable[tuple[Entry, Document | None]]) -> None:
        self._db.execute("BEGIN")
        self._db.executemany(_INSERT, self._numbered(contacts))
        self._db.execute("COMMIT")
        self._results.clear()

    def _numbered(self, contacts: Iterable[tuple[Entry, Document | None]]) -> Iterator[tuple[Any, ...]]:
        shuffled, seed = self._settings.order == "shuffled", self._settings.seed
        for entry, document in contacts:
            row, self._size = self._size, self._size + 1
            rank = mix(seed, 104, row) >> 1 if shuffled else 0
            yield (row, *_encoded(entry), rank, None if document is None else _stored(document))


def make_index(document: Document) -> Entry:
    """Return the searchable part of a document."""
    email = document.get("email_address") or {}
    permission = email.get("permission_to_send") or "not_set"
    return Entry(
        document["contact_id"],
        (email.get("address") or "").lower(),
        parse_stamp(document["created_at"]),
        parse_stamp(document["updated_at"]),
        parse_stamp(email.get("opt_out_date")),
        DELETED if document.get("deleted_at") else permission,
        sms_status(document),
        tuple(document.get("list_memberships") or ()),
        tuple(document.get("taggings") or ()),
    )


def sms_status(document: Document) -> str:
    """Return the consent of a contact's SMS channel; `not_set` without a channel."""
    consents = (document.get("sms_channel") or {}).get("sms_channel_consents") or [{}]
    status: str = consents[0].get("sms_consent_permission", "not_set")
    return status


def has_any(column: str, ids: Collection[str]) -> str:
    """Return the condition that `lists` or `tags` holds one of some ids; bind `between_commas` of each."""
    return f"({' OR '.join([f'instr({column}, ?)'] * len(ids)) or '0'})"


def between_commas(*ids: str) -> str:
    """Write ids as the columns `lists` and `tags` hold them."""
    return f",{','.join(ids)}," if ids else ""


def _split(ids: str) -> tuple[str, ...]:
    return tuple(ids[1:-1].split(",")) if ids else ()


def _encoded(entry: Entry) -> tuple[Any, ...]:
    return (
        entry.contact_id,
        entry.email or None,
        entry.created,
        entry.updated,
        entry.opted_out,
        entry.status,
        entry.sms,
        between_commas(*entry.lists),
        between_commas(*entry.tags),
    )


def _stored(document: Document) -> bytes:
    return msgspec.json.encode(
        {name: value for name, value in document.items() if name not in ("list_memberships", "taggings")}
    )
