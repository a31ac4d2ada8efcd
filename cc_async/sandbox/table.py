"""The contacts and their index: columns of what can be searched, JSON made only when it is asked for."""

from array import array
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import msgspec

from .chance import identifier, mix
from .generate import DELETED, SMS_STATUSES, STATUSES, SUBRESOURCES, Entry, Generator, Parts
from .settings import Settings
from .stamps import moment

Test: TypeAlias = Callable[[int], bool]
Document: TypeAlias = dict[str, Any]
ALL = tuple(range(1, len(SUBRESOURCES) + 1))
_KEPT_VIEWS = 16


class View:
    """The rows that pass some tests, in the order of the collection; true after every write."""

    def __init__(self, tests: Sequence[Test], rows: Iterable[int], rank: Callable[[int], Any]) -> None:
        self._tests, self._rank = tests, rank
        self.rows = list(rows)
        for test in tests:
            self.rows = [row for row in self.rows if test(row)]

    def drop(self, row: int) -> None:
        """Take out a row that is about to change."""
        place = bisect_left(self.rows, self._rank(row), key=self._rank)
        if self.rows[place : place + 1] == [row]:
            del self.rows[place]

    def add(self, row: int) -> None:
        """Put in a row that has changed, if it passes."""
        if all(test(row) for test in self._tests):
            insort(self.rows, row, key=self._rank)


class Table:
    """Rows of contacts, numbered in the order of their creation."""

    def __init__(self, settings: Settings) -> None:
        seed = settings.seed
        self.settings = settings
        self.list_ids = [identifier(seed, 101, place) for place in range(12)]
        self.tag_ids = [identifier(seed, 102, place) for place in range(8)]
        self.field_ids = [identifier(seed, 103, place) for place in range(6)]
        self.ids: list[str] = []
        self.by_id: dict[str, int] = {}
        self.by_email: dict[str, int] = {}
        self.emails: list[str] = []
        self.created, self.updated, self.opted_out = array("q"), array("q"), array("q")
        self.status, self.sms = bytearray(), bytearray()
        self.lists: list[int] = []
        self.tags: list[int] = []
        self._generator = Generator(seed, tuple(self.list_ids), tuple(self.tag_ids), self.field_ids)
        self._written: dict[int, Parts] = {}
        self._views: dict[tuple[Any, ...], View] = {}
        for row in range(settings.contacts):
            self._append(self._generator.entry(row))
        self._all = View((), sorted(range(len(self.ids)), key=self._rank), self._rank)

    def __len__(self) -> int:
        return len(self.ids)

    def parts(self, row: int) -> Parts:
        """Return the JSON of a contact, in parts."""
        return self._written.get(row) or self._generator.parts(row, self._entry(row))

    def document(self, row: int) -> Document:
        """Return a contact with all its sub-resources, as a dict of the caller's own."""
        document: Document = msgspec.json.decode(self.json(row, ALL))
        return document

    def json(self, row: int, include: Iterable[int]) -> bytes:
        """Return a contact as JSON, with the sub-resources whose places in `parts` are named."""
        parts = self.parts(row)
        pieces = [parts[0]]
        for place in include:
            if parts[place]:
                pieces += _LABELS[place], parts[place]
        pieces.append(b"}")
        return b"".join(pieces)

    def save(self, document: Document, row: int | None = None) -> int:
        """Write a contact, a new one where no row is given, and keep index and views true."""
        entry = self._index(document)
        core = {name: value for name, value in document.items() if name not in SUBRESOURCES}
        encoded = [msgspec.json.encode(document[name]) if document.get(name) else _none(name) for name in SUBRESOURCES]
        if row is None:
            row = self._append(entry)
        else:
            for view in self._every_view():
                view.drop(row)
            self._replace(row, entry)
        self._written[row] = (msgspec.json.encode(core)[:-1], *encoded)
        for view in self._every_view():
            view.add(row)
        return row

    def view(self, key: tuple[Any, ...], tests: Sequence[Test]) -> View:
        """Return the rows that pass; equal keys must stand for equal tests."""
        view = self._views.pop(key, None) or View(tests, self._all.rows, self._rank)
        self._views[key] = view
        if len(self._views) > _KEPT_VIEWS:
            del self._views[next(iter(self._views))]
        return view

    def _every_view(self) -> Iterable[View]:
        return (self._all, *self._views.values())

    def _rank(self, row: int) -> Any:
        """Return what a row is sorted by; no two rows have the same."""
        order = self.settings.order
        if order == "id":
            return self.ids[row]
        if order == "shuffled":
            return mix(self.settings.seed, 104, row)
        return ((self.updated if order == "updated" else self.created)[row], row)

    def _entry(self, row: int) -> Entry:
        return Entry(
            self.ids[row],
            self.emails[row],
            self.created[row],
            self.updated[row],
            self.opted_out[row],
            self.status[row],
            self.sms[row],
            self.lists[row],
            self.tags[row],
        )

    def _append(self, entry: Entry) -> int:
        row = len(self.ids)
        self.ids.append(entry.contact_id)
        self.by_id[entry.contact_id] = row
        self.emails.append(entry.email)
        if entry.email:
            self.by_email[entry.email] = row
        self.created.append(entry.created)
        self.updated.append(entry.updated)
        self.opted_out.append(entry.opted_out)
        self.status.append(entry.status)
        self.sms.append(entry.sms)
        self.lists.append(entry.lists)
        self.tags.append(entry.tags)
        return row

    def _replace(self, row: int, entry: Entry) -> None:
        self.by_email.pop(self.emails[row], None)
        if entry.email:
            self.by_email[entry.email] = row
        self.emails[row] = entry.email
        self.created[row], self.updated[row] = entry.created, entry.updated
        self.opted_out[row] = entry.opted_out
        self.status[row], self.sms[row] = entry.status, entry.sms
        self.lists[row], self.tags[row] = entry.lists, entry.tags

    def _index(self, document: Document) -> Entry:
        email = document.get("email_address") or {}
        permission = email.get("permission_to_send") or "not_set"
        return Entry(
            document["contact_id"],
            (email.get("address") or "").lower(),
            moment(document["created_at"]),
            moment(document["updated_at"]),
            moment(email.get("opt_out_date")),
            STATUSES.index(DELETED if document.get("deleted_at") else permission),
            SMS_STATUSES.index(sms_status(document)),
            mask(document.get("list_memberships") or (), self.list_ids),
            mask(document.get("taggings") or (), self.tag_ids),
        )


_LABELS = [b"", *(f',"{name}":'.encode() for name in SUBRESOURCES)]


def _none(name: str) -> bytes:
    return b"" if name == "sms_channel" else b"[]"


def sms_status(document: Document) -> str:
    """Return the consent of a contact's SMS channel; without a channel none is set."""
    consents = (document.get("sms_channel") or {}).get("sms_channel_consents") or [{}]
    status: str = consents[0].get("sms_consent_permission", "not_set")
    return status


def mask(chosen: Iterable[str], known: Sequence[str]) -> int:
    """Return the chosen ones among the known ones as bits; unknown ones have none."""
    return sum(1 << known.index(name) for name in set(chosen) if name in known)
