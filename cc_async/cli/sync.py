"""`sync`: keep a copy of the account in a database."""

import argparse
import asyncio
import contextlib
import functools
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from sqlalchemy.engine import make_url

from cc_async.cli.connect import connected
from cc_async.cli.exits import INTERRUPTED, OK, TERMINATED
from cc_async.cli.text import complain, printable
from cc_async.client import ConstantContact
from cc_async.errors import (
    AuthenticationError,
    AuthorizationError,
    ConstantContactError,
    InvalidRequestError,
    PermissionDeniedError,
)
from cc_async.mirror import Mirror, SyncProgress, SyncReport

_LASTING = (AuthenticationError, AuthorizationError, PermissionDeniedError, InvalidRequestError)
"""Errors that waiting does not mend."""

_say = functools.partial(print, flush=True)  # unbuffered: in a log each synchronization shows when it ends


def run(given: argparse.Namespace) -> int:
    """Synchronize once, or again and again."""
    try:
        return asyncio.run(_sync(given))
    except KeyboardInterrupt:
        complain("stopped. Everything stored so far is kept: run the same command again to go on")
        return INTERRUPTED


async def _sync(given: argparse.Namespace) -> int:
    stop = asyncio.Event()
    with _on_sigterm(stop):
        work = asyncio.ensure_future(_work(given))
        stopped = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, stopped):
                task.cancel()
            await asyncio.wait({work, stopped})
        if work.cancelled():
            return OK if given.watch is not None else TERMINATED
        return work.result()


@contextlib.contextmanager
def _on_sigterm(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGTERM, stop.set)
    except (NotImplementedError, RuntimeError):  # not on Windows, nor outside the main thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def _work(given: argparse.Namespace) -> int:
    async with Mirror(given.database) as mirror, connected(given) as cc:
        if given.watch is None:
            _say(_line(given.database, await _once(mirror, cc, full=given.full)))
            return OK
        full = given.full
        while True:
            try:
                report = await _once(mirror, cc, full=full)
            except _LASTING:
                raise
            except ConstantContactError as error:
                complain(f"{_now()} {error} The next synchronization is in {given.watch:g} s.")
            else:
                full = False
                _say(f"{_now()} {_line(given.database, report)}")
            await asyncio.sleep(given.watch)


async def _once(mirror: Mirror, cc: ConstantContact, *, full: bool) -> SyncReport:
    if not sys.stderr.isatty():
        return await mirror.sync(cc, full=full)
    with _progress_bar() as show:
        return await mirror.sync(cc, full=full, on_progress=show)


@contextlib.contextmanager
def _progress_bar() -> Iterator[Callable[[SyncProgress], None] | None]:
    try:
        from rich.console import Console  # noqa: PLC0415  # without it there is no bar

        from cc_async.cli import show  # noqa: PLC0415  # see above
    except ModuleNotFoundError:
        yield None
        return
    with show.progress(Console(stderr=True)) as advance:

        def on_progress(progress: SyncProgress) -> None:
            of_all = f" of {progress.total:,}" if progress.total else ""
            text = f"{progress.contacts:,}{of_all} {'contacts' if progress.full else 'changed contacts'}"
            advance(progress.contacts, progress.total or progress.contacts, text)

        yield on_progress


def _line(database: str, report: SyncReport) -> str:
    shown = make_url(database).render_as_string(hide_password=True) if "://" in database else database
    parts = (
        [f"{report.contacts:,} contacts read{' since the interruption' if report.resumed else ''}"]
        if report.full
        else []
    )
    parts.append(f"{report.changed:,} changed")
    parts += [
        f"{number:,} {what}"
        for number, what in ((report.removed, "removed"), (report.skipped, "without an id"))
        if number
    ]
    rest = f"{report.lists:,} lists, {report.tags:,} tags, {report.custom_fields:,} custom fields"
    return printable(f"{shown}: {', '.join(parts)}; {rest}; {report.duration.total_seconds():.1f} s")


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}Z"
