"""`export`: contacts as a file of CSV or of JSON Lines."""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.console import Console

from cc_async.cli import show
from cc_async.cli.connect import connected
from cc_async.cli.contact_columns import EVERYTHING, columns, read_names
from cc_async.cli.data import filters_of
from cc_async.cli.exits import INTERRUPTED, OK, USAGE, CommandError
from cc_async.cli.files import complete_file
from cc_async.cli.output import csv_row
from cc_async.cli.text import complain
from cc_async.client import ConstantContact
from cc_async.codec.decode import dumps


def run(given: argparse.Namespace) -> int:
    """Write the file."""
    kind = Path(given.file).suffix.lower()
    if kind not in {".csv", ".jsonl"}:
        raise CommandError("The name of the file must end in .csv or .jsonl.", USAGE)
    if given.job and kind != ".csv":
        raise CommandError("The provider writes CSV only: without --job, .jsonl is possible.", USAGE)
    began = time.monotonic()
    try:
        written = asyncio.run(_export(given, kind))
    except KeyboardInterrupt:
        complain("stopped. No file was written: run the same command again")
        return INTERRUPTED
    size = Path(given.file).stat().st_size
    what = f"{written:,} contact{'' if written == 1 else 's'}, " if written is not None else ""
    print(f"{given.file}: {what}{size:,} bytes, {time.monotonic() - began:.1f} s")  # noqa: T201  # it is a command
    return OK


async def _export(given: argparse.Namespace, kind: str) -> int | None:
    async with connected(given) as cc:
        if given.job:
            await _by_job(cc, given)
            return None
        with complete_file(given.file) as file:
            return await _by_pages(cc, given, file, kind)


async def _by_pages(cc: ConstantContact, given: argparse.Namespace, file: IO[str], kind: str) -> int:
    filters = await filters_of(cc, given)
    # A segment combines with no other parameter.
    include = () if "segment_id" in filters else EVERYTHING
    shown = columns(await read_names(cc, include), include) if kind == ".csv" else []
    if shown:
        file.write(csv_row([column.name for column in shown]))
    done = 0
    with progress_on_stderr() as advance:
        async with cc.contacts.list(**filters, include=include or None) as contacts:
            async for page in contacts.pages():
                for contact in page.items:
                    if shown:
                        file.write(csv_row([column.value(contact) for column in shown]))
                    else:
                        file.write(dumps(contact).decode() + "\n")
                done += len(page.items)
                advance(done, page.total or done, f"{done:,} of {page.total or done:,} contacts")
    return done


async def _by_job(cc: ConstantContact, given: argparse.Namespace) -> None:
    filters = await filters_of(cc, given)
    sources = {"lists": "in_lists", "tags": "with_tags", "segment_id": "in_segment", "status": "status"}
    if unknown := filters.keys() - sources.keys():
        named = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(unknown))
        raise CommandError(f"The provider's export does not know {named}: leave out --job.", USAGE)
    if len(filters.keys() & {"lists", "tags", "segment_id"}) > 1:
        raise CommandError("The provider's export takes only one kind of --list, --tag and --segment.", USAGE)
    export = cc.contacts.export(**{sources[name]: value for name, value in filters.items()})
    with show.waiting(Console(stderr=True), "The provider is writing the file."):
        await export.save(given.file)


@contextmanager
def progress_on_stderr() -> Iterator[show.Advance]:
    """Show a progress bar where standard error is a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    with show.progress(Console(stderr=True)) as advance:
        yield advance
