"""Bulk exports: the CSV file with its humanized header."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from cc_async.sandbox.data import Data
from cc_async.sandbox.jobs import Job, Jobs
from cc_async.sandbox.requests import Call, Document
from cc_async.sandbox.responses import Response, not_found

from .bodies import Export, check_export
from .sources import Sources

Column: TypeAlias = tuple[str, str, Callable[[Document], Any]]  # field, header, and value of a contact
_BATCH = 100  # rows, which take some 5 ms and a megabyte


def _plain(name: str) -> Callable[[Document], Any]:
    return lambda contact: contact.get(name)


def _email(name: str) -> Callable[[Document], Any]:
    return lambda contact: (contact.get("email_address") or {}).get(name)


def _phone(kind: str) -> Callable[[Document], Any]:
    return lambda contact: _of_kind(contact["phone_numbers"], kind).get("phone_number")


def _address(kind: str, name: str) -> Callable[[Document], Any]:
    return lambda contact: _of_kind(contact["street_addresses"], kind).get(name)


def _of_kind(parts: Sequence[Document], kind: str) -> Document:
    return next((part for part in parts if part.get("kind") == kind), {})


def _status(contact: Document) -> str:
    unsubscribed = _email("permission_to_send")(contact) == "unsubscribed"
    return "Unsubscribed" if unsubscribed else "Active"


def _birthday(contact: Document) -> str:
    month, day = contact.get("birthday_month"), contact.get("birthday_day")
    return f"{month}/{day}" if month and day else ""


_COLUMNS: tuple[Column, ...] = (
    ("email_address", "Email address", _email("address")),
    ("first_name", "First name", _plain("first_name")),
    ("last_name", "Last name", _plain("last_name")),
    ("company_name", "Company", _plain("company_name")),
    ("job_title", "Job title", _plain("job_title")),
    ("email_address", "Email status", _status),
    ("email_address", "Email permission status", _email("permission_to_send")),
    ("email_optin_source", "Email update source", _email("opt_in_source")),
    ("email_optout_date", "Confirmed Opt-Out Date", _email("opt_out_date")),
    ("email_optout_source", "Confirmed Opt-Out Source", _email("opt_out_source")),
    ("email_optout_reason", "Confirmed Opt-Out Reason", _email("opt_out_reason")),
    *(("phone_number", f"Phone - {kind}", _phone(kind)) for kind in ("home", "mobile", "work", "other")),
    *(
        (field, f"{header} - {kind.title()}", _address(kind, name))
        for kind in ("home", "work", "other")
        for field, header, name in (
            ("street", "Street address line 1", "street"),
            ("city", "City", "city"),
            ("state", "State/Province", "state"),
            ("zip", "Zip/Postal Code", "postal_code"),
            ("country", "Country", "country"),
        )
    ),
)
_LAST: tuple[Column, ...] = (
    ("source_name", "Source Name", lambda _: "Sandbox"),
    ("created_at", "Created At", lambda contact: contact["created_at"][:19].replace("T", " ")),
    ("updated_at", "Updated At", lambda contact: contact["updated_at"][:19].replace("T", " ")),
    ("birthday", "Birthday", _birthday),
    ("anniversary", "Anniversary", _plain("anniversary")),
)


def columns(data: Data, fields: Sequence[str]) -> list[tuple[str, Callable[[Document], Any]]]:
    """Return headers and values of an export: those of the named fields, or all with the custom fields."""
    custom = [("", str(field["label"]), _custom(field_id)) for field_id, field in data.custom_fields.items()]
    names: tuple[Column, ...] = (
        ("tags", "Tags", lambda contact: _names(contact["taggings"], data.tags)),
        ("email_lists", "Email Lists", lambda contact: _names(contact["list_memberships"], data.lists)),
    )
    chosen = [*_COLUMNS, *custom, *names, *_LAST]
    return [(header, value) for field, header, value in chosen if not fields or field in fields]


def _custom(field_id: str) -> Callable[[Document], Any]:
    def value(contact: Document) -> Any:
        return next((one.get("value") for one in contact["custom_fields"] if one["custom_field_id"] == field_id), None)

    return value


def _names(ids: Sequence[str], known: dict[str, Document]) -> str:
    return ", ".join(str(known[one]["name"]) for one in ids if one in known)


def write_csv(data: Data, rows: Sequence[int], fields: Sequence[str]) -> Iterator[bytes]:
    """Write the contacts of some rows, in chunks."""
    chosen = columns(data, fields)
    if data.settings.export_bom:
        yield b"\xef\xbb\xbf"
    yield _lines([[header for header, _ in chosen]])
    for start in range(0, len(rows), _BATCH):
        contacts = [data.contacts.document(row) for row in rows[start : start + _BATCH]]
        yield _lines([[value(contact) for _, value in chosen] for contact in contacts])


def _lines(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


class Exports:
    """Starts exports and serves their files, which are written while they are downloaded."""

    def __init__(self, data: Data, jobs: Jobs, sources: Sources) -> None:
        self._data, self._jobs, self._sources = data, jobs, sources
        self._files: dict[str, tuple[Job, list[int], list[str]]] = {}

    def start(self, call: Call) -> Job:
        """Queue an export; raises Refused."""
        body = call.read(Export)
        check_export(body)
        for name, known in (("list_ids", self._data.lists), ("tag_ids", self._data.tags)):
            ids: list[str] = body.get(name, [])  # type: ignore[assignment]  # one of two names
            for one in ids:
                if one not in known:
                    raise not_found(f"{name}: {one} was not found.")
        file_id, rows = self._data.new_id(), self._sources.exported({**body})

        def work(job: Job) -> Iterator[None]:
            self._files[file_id] = (job, rows, list(body.get("fields", ())))
            yield

        results = f"/v3/contact_exports/{file_id}"
        return self._jobs.add(work, len(rows), {"items_completed_count": 0}, results=results)

    def download(self, call: Call) -> Response:
        """Return a file from when its job completed until it expires; raises Refused (404)."""
        job, rows, fields = self._files.get(call.args["file_export_id"], (None, [], []))
        settings = self._data.settings
        age = -1.0 if job is None or job.completed is None else (self._data.now() - job.completed) / 1000
        if not settings.export_delay <= age < settings.export_lifetime:
            raise not_found("The export was not found.")
        return Response(200, content_type="text/csv", chunks=write_csv(self._data, rows, fields))
