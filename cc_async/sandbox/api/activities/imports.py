"""Bulk imports: reading JSON and CSV bodies, and applying their rows."""

import csv
import email
import email.policy
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from email.message import Message
from typing import Any, cast

import msgspec

from cc_async.sandbox.api.contacts.store import Store, make_email
from cc_async.sandbox.data import Data
from cc_async.sandbox.jobs import Job
from cc_async.sandbox.requests import Call, Document
from cc_async.sandbox.responses import Refused, invalid, unsupported
from cc_async.sandbox.stamps import stamp

from .bodies import JsonImport
from .rows import COLUMNS, CSV_COLUMNS, Correctable, Wrong, apply_row, check_row, sms_digits

_SLICE = 1_000  # rows, which take some 50 ms
_HEADER_LINES = 1  # rows become a file with a header, so that the first one is in line 2
_MOST_LISTS = 50


def read_json(call: Call, most_rows: int, most_bytes: int) -> tuple[list[Document], list[str]]:
    """Return rows and lists of a JSON import, without the rows above the limits; raises Refused."""
    if call.media_type != "application/json":
        raise unsupported()
    try:
        body = msgspec.json.decode(call.body, type=JsonImport)
        kept = list(_within(body["import_data"], most_rows, most_bytes))
        return [msgspec.json.decode(row, type=dict[str, Any]) for row in kept], body["list_ids"]
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(400, "contacts.api.malformed_json", "The body is not valid JSON.") from None


def _within(rows: Sequence[msgspec.Raw], most_rows: int, most_bytes: int) -> Iterator[msgspec.Raw]:
    size = 0
    for row in rows[:most_rows]:
        size += len(memoryview(row)) + 1
        if size > most_bytes:
            return
        yield row


def read_csv(call: Call, most_rows: int, most_bytes: int) -> tuple[str, list[Document], list[str]]:
    """Return file name, rows and lists of a CSV import, without what is above the limits; raises Refused."""
    if call.media_type != "multipart/form-data" or "boundary=" not in call.headers["Content-Type"]:
        raise unsupported()
    head = f"Content-Type: {call.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + call.body, policy=email.policy.HTTP)
    parts = {str(part.get_param("name", header="content-disposition")): part for part in message.iter_parts()}
    if "file" not in parts or "list_ids" not in parts:
        raise invalid("file and list_ids are required")
    name = parts["file"].get_filename() or ""
    if not name.endswith(".csv"):
        raise unsupported()
    ids = [one.strip() for one in _text(parts["list_ids"]).split(",") if one.strip()]
    if not 0 < len(ids) <= _MOST_LISTS:
        raise invalid(f"list_ids must hold from 1 to {_MOST_LISTS} ids")
    lines = csv.DictReader(io.StringIO(_text(parts["file"], most_bytes), newline=""))
    try:
        rows = list(itertools.islice(lines, most_rows))
    except csv.Error as error:
        raise invalid(f"file is not valid CSV: {error}") from None
    return name, [{column: value for column, value in row.items() if _is_csv(column)} for row in rows], ids


def _text(part: Message, most_bytes: int | None = None) -> str:
    content = cast("bytes", part.get_payload(decode=True) or b"")
    return content[:most_bytes].decode("utf-8-sig", "replace")


def _is_csv(column: str | None) -> bool:
    return column is not None and (column in CSV_COLUMNS or column.startswith("cf:"))


class Import:
    """The work of one import job."""

    def __init__(self, data: Data, store: Store, rows: list[Document], lists: Sequence[str]) -> None:
        self._data, self._store, self._rows, self._lists = data, store, rows, list(lists)
        self._by_name = {str(field["name"]): field_id for field_id, field in data.custom_fields.items()}
        self._by_number: dict[str, int] | None = None
        self._fresh: dict[str, Document] = {}  # new contacts of this slice by address or number
        if data.settings.import_unknown_columns == "refused":
            self._refuse_unknown()

    def work(self, job: Job) -> Iterator[None]:
        """Apply the rows in slices."""
        counters: dict[str, int] = job.counters if job.counters is not None else {}
        for start in range(0, len(self._rows), _SLICE):
            self._lists = [one for one in self._lists if one in self._data.lists]  # others were deleted since
            for place, row in enumerate(self._rows[start : start + _SLICE], start):
                try:
                    self._apply(row, counters)
                except (Correctable, Wrong) as problem:
                    kind = "error_count" if isinstance(problem, Wrong) else "correctable_count"
                    counters[kind] += 1
                    if self._data.settings.job_error_lines:
                        job.errors.append(f"Line {place + 1 + _HEADER_LINES}: {problem}")
            self._data.contacts.add_many(self._fresh.values())
            self._fresh.clear()
            self._by_number = None
            yield

    def _apply(self, row: Mapping[str, Any], counters: dict[str, int]) -> None:
        check_row(row)
        erases = self._data.settings.import_blanks_erase
        given = {name: value for name, value in row.items() if erases or value not in (None, "")}
        now, address = self._data.now(), str(given.get("email") or "")
        key = address.lower() or sms_digits(given.get("sms_number", ""))
        known = self._find(address, key)
        if known is None:
            document = self._fresh.get(key) or self._store.blank("Account", now)
            if address and "email_address" not in document:
                document["email_address"] = make_email(address, "implicit", "Account", now)
            apply_row(self._data, given, document, self._by_name)
            document["list_memberships"] = list(dict.fromkeys([*document.get("list_memberships", ()), *self._lists]))
            self._fresh[key or document["contact_id"]] = document
            return
        self._update(known, given, now, counters)

    def _update(self, known: int, given: Mapping[str, Any], now: int, counters: dict[str, int]) -> None:
        old, table = self._data.contacts.document(known), self._data.contacts
        new = {**old}
        if old.get("deleted_at"):
            if not self._data.settings.import_revives:
                raise Wrong("The contact was deleted")
            del new["deleted_at"]
        apply_row(self._data, given, new, self._by_name)
        if (old.get("email_address") or {}).get("permission_to_send") == "unsubscribed":
            counters["cannot_add_to_list_count"] += 1
        else:
            new["list_memberships"] = list(dict.fromkeys([*old["list_memberships"], *self._lists]))[:50]
        if new != old:
            table.save(new | {"update_source": "Account", "updated_at": stamp(now)}, known)

    def _find(self, address: str, key: str) -> int | None:
        """Return the row of a contact by its address, or else by its SMS number."""
        if address or not key:
            return self._data.contacts.find("email", key) if key else None
        if self._by_number is None:
            rows = self._data.contacts.search("sms != 'not_set'")
            self._by_number = {self._data.contacts.document(row)["sms_channel"]["sms_address"]: row for row in rows}
        return self._by_number.get(key)

    def _refuse_unknown(self) -> None:
        for column in {column: None for row in self._rows for column in row}:
            custom = column.startswith("cf:")
            if (custom and column[3:] not in self._by_name) or not (custom or column in COLUMNS):
                raise invalid(f"{column} is not a known column")
