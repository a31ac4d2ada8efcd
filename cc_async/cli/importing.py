"""`import`: contacts from a file, in bulk jobs."""

import argparse
import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
from rich.table import Table
from rich.text import Text

from cc_async.cli import show
from cc_async.cli.connect import connected
from cc_async.cli.exits import INTERRUPTED, OK, PARTLY, USAGE, CommandError
from cc_async.cli.exporting import progress_on_stderr
from cc_async.cli.import_columns import REASON, Mapped, map_columns
from cc_async.cli.import_file import ImportFile, write_rejected
from cc_async.cli.lookup import UnknownNameError, find_lists
from cc_async.cli.text import complain, printable
from cc_async.client import ConstantContact
from cc_async.errors import ImportJournalError
from cc_async.models.activities import ActivityStatus
from cc_async.models.custom_fields import CustomFieldCatalog
from cc_async.models.imports import ImportOutcome
from cc_async.models.lists import ContactList
from cc_async.resources.bulk.check import check_rows
from cc_async.resources.bulk.imports import Import

_LATER: Final = "because the same address comes again later"
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SHOWN: Final = 10
"""Rows that cannot be sent which a dry run names."""


@attrs.define
class _Result:
    """What became of the rows."""

    rows: int = 0
    imported: int = 0
    duplicates: int = 0
    jobs: int = 0
    reasons: dict[int, str] = attrs.field(factory=dict)
    """Why rows were not imported, by their position."""
    uncertain: int = 0
    """Rows in jobs whose outcome is unknown."""
    off_lists: int = 0
    """Contacts that were updated, but not put on the lists."""

    @property
    def unnamed(self) -> int:
        """The number of rows that were refused without a word of which they are."""
        return max(self.rows - self.duplicates - self.imported - self.uncertain - len(self.reasons), 0)


def run(given: argparse.Namespace) -> int:
    """Import the file, or show what would be sent."""
    path = Path(given.file)
    if path.suffix.lower() not in {".csv", ".jsonl"}:
        raise CommandError("The name of the file must end in .csv or .jsonl.", USAGE)
    source = ImportFile(path, given.encoding)
    try:
        return asyncio.run(_run(given, source))
    except KeyboardInterrupt:
        complain(_interrupted(path))
        return INTERRUPTED


def _interrupted(path: Path) -> str:
    if _journal(path).exists():
        return f"stopped. Jobs that were started go on, and {_journal(path)} names them: run the same command to go on"
    return "stopped. Nothing was sent: run the same command again"


def _journal(path: Path) -> Path:
    return path.with_name(f"{path.name}.journal")


def _rejected(path: Path) -> Path:
    return path.with_name(f"{path.stem}.failed{path.suffix.lower()}")


async def _run(given: argparse.Namespace, source: ImportFile) -> int:
    columns = source.columns()
    async with connected(given) as cc:
        catalog = await cc.custom_fields.catalog()
        mapped = map_columns(columns, given.maps, catalog)
        if given.dry_run:
            return await _dry_run(cc, given, source, mapped, catalog)
        known = await _lists(cc, given.lists)
        lists = [known[name] or await cc.lists.get_or_create(name) for name in given.lists]
        result = await _import(cc, source, mapped, lists)
    journal = _journal(source.path)
    for leftover in (journal, journal.with_name(f"{journal.name}.lock")):
        leftover.unlink(missing_ok=True)
    rejected = _rejected(source.path)
    if result.reasons:
        write_rejected(source, rejected, columns, result.reasons)
    _summarize(result, lists, rejected)
    return PARTLY if result.reasons or result.unnamed or result.uncertain else OK


async def _lists(cc: ConstantContact, names: Sequence[str]) -> dict[str, ContactList | None]:
    """Return the lists of these names or ids, and None for a name that is to be created."""
    found: dict[str, ContactList | None] = {}
    for name in names:
        try:
            (found[name],) = await find_lists(cc, [name])
        except UnknownNameError:
            if _ID.fullmatch(name):
                raise
            found[name] = None
    return found


def _rows(source: ImportFile, mapped: Mapped) -> Iterator[dict[str, Any]]:
    for row in source.rows():
        # Positions have to stay those of the file, so a row that cannot be read is an empty one.
        yield mapped.row(row) if isinstance(row, dict) else {}


async def _import(cc: ConstantContact, source: ImportFile, mapped: Mapped, lists: Sequence[ContactList]) -> _Result:
    result = _Result()
    journal = _journal(source.path)
    with progress_on_stderr() as advance:
        run = cc.contacts.import_many(_rows(source, mapped), list_ids=lists, journal=journal)
        try:
            async with run, _watched(run, advance):
                async for outcome in run:
                    _record(result, outcome)
        except ImportJournalError as error:
            hint = f"If {source.path} has changed since it was interrupted, delete {journal}."
            raise CommandError(f"{error} {hint}") from error
    progress = run.progress
    result.rows, result.duplicates, result.jobs = progress.rows_read, progress.duplicates, progress.jobs_finished
    for position, row in enumerate(source.rows() if result.reasons else ()):
        if isinstance(row, str) and position in result.reasons:
            result.reasons[position] = row
    return result


@contextlib.asynccontextmanager
async def _watched(run: Import, advance: show.Advance) -> AsyncIterator[None]:
    def show_progress(*, ended: bool = False) -> None:
        now = run.progress
        done, total = now.rows_read + now.handed_over + now.finished, 3 * (now.total or now.rows_read)
        text = f"{now.rows_read:,} read, {now.handed_over:,} sent, {now.finished:,} done"
        advance(total if ended else done, total, text)

    async def watch() -> None:
        while True:
            show_progress()
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    try:
        yield
        show_progress(ended=True)
    finally:
        watching.cancel()
        await asyncio.wait({watching})


def _record(result: _Result, outcome: ImportOutcome) -> None:
    if not outcome.sent:
        result.reasons[outcome.first] = _reason(outcome.error)
        return
    if outcome.state == "unknown":
        result.uncertain += outcome.sent
        return
    if outcome.state == "failed":
        reason = "; ".join(outcome.errors) or _reason(outcome.error) or "the job failed"
        result.reasons |= dict.fromkeys(range(outcome.first, outcome.last + 1), reason)
        return
    refused = {position: "; ".join(messages) for position, messages in outcome.rows.items()}
    result.reasons |= refused
    counts = outcome.counts or ActivityStatus()
    counted = (counts.error_count or 0) + (counts.correctable_count or 0)
    result.imported += outcome.sent - max(len(refused), counted)
    result.off_lists += counts.cannot_add_to_list_count or 0


def _reason(error: Exception | None) -> str:
    return "" if error is None else str(error)


def _summarize(result: _Result, lists: Sequence[ContactList], rejected: Path) -> None:
    facts = [("rows", f"{result.rows:,}"), ("imported", f"{result.imported:,}")]
    if result.reasons:
        facts.append(("not imported", f"{len(result.reasons):,}: see {rejected}"))
    if result.unnamed:
        facts.append(("refused", f"{result.unnamed:,}, the provider does not say which"))
    if result.off_lists:
        facts.append(("not put on the lists", f"{result.off_lists:,}, who have unsubscribed"))
    if result.duplicates:
        facts.append(("left out", f"{result.duplicates:,}, {_LATER}"))
    if result.uncertain:
        facts.append(("unknown", f"{result.uncertain:,}, whose job was not finished or not found"))
    facts += [("jobs", f"{result.jobs:,}"), ("lists", ", ".join(each.name or "" for each in lists))]
    show.summary(show.console(), "Import", facts)
    if result.reasons:
        show.console().print(f"Mend the rows in {rejected} and import that file.", markup=False, soft_wrap=True)


async def _dry_run(
    cc: ConstantContact, given: argparse.Namespace, source: ImportFile, mapped: Mapped, catalog: CustomFieldCatalog
) -> int:
    checked = check_rows(_rows(source, mapped), catalog)
    reasons = checked.rejected | {at: row for at, row in enumerate(source.rows()) if isinstance(row, str)}
    lists = await _lists(cc, given.lists)
    console = show.console()
    console.print(_mapping(source, mapped))
    console.print()
    facts = [
        ("rows", f"{checked.rows:,}"),
        ("would be sent", f"{checked.sent:,}, in {checked.jobs} job{'' if checked.jobs == 1 else 's'}"),
        ("cannot be sent", f"{len(reasons):,}"),
        *([("left out", f"{checked.duplicates:,}, {_LATER}")] if checked.duplicates else []),
        *(("list", one.name or name if one else f"{name}, which would be created") for name, one in lists.items()),
    ]
    show.summary(console, "Nothing was sent: this is what an import would do", facts)
    for position, reason in [*sorted(reasons.items())][:_SHOWN]:
        console.print(f"row {position + 1:,}: {printable(reason)}", markup=False, soft_wrap=True)
    if len(reasons) > _SHOWN:
        console.print(f"and {len(reasons) - _SHOWN:,} more")
    return PARTLY if reasons else OK


def _mapping(source: ImportFile, mapped: Mapped) -> Table:
    first = next((row for row in source.rows() if isinstance(row, dict)), {})
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("column", style="bold", max_width=30, no_wrap=True)
    table.add_column("sent as", no_wrap=True)
    table.add_column("in the first row", max_width=40, no_wrap=True, style="dim")
    for column in (*mapped.fields, *mapped.left_out):
        field = mapped.fields.get(column)
        shown = "" if column == REASON else str(first.get(column) or "")
        table.add_row(*(Text(printable(cell)) for cell in (column, field or "not sent", shown)))
    return table
