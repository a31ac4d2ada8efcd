"""Export contacts through a bulk job: start it, wait for it, and read its file."""

import codecs
import csv
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from cc_async._tasks import run_uninterrupted
from cc_async.errors import ActivityFailedError, DecodeError, NotFoundError, TransportError
from cc_async.models.activities import Activity

_NOT_THERE_YET = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt if the file of a completed export is not found yet."""
_DOWNLOADS = 5
"""How often the file is downloaded if the connection breaks before its end."""
_LONGEST_RECORD = 10_000_000
"""Characters of one record, beyond which a quotation mark must be missing."""
_CHUNK = 1_000_000
"""Bytes that are written to disk at a time."""


class Steps(Protocol):
    """The requests of an export."""

    async def start(self) -> Activity:
        """Start the job."""
        ...

    async def wait(self, activity: str | Activity, *, timeout: float | None) -> Activity:  # noqa: ASYNC109
        """Wait until a job has ended."""
        ...

    def download(self, file_id: str) -> AsyncGenerator[bytes]:
        """Return the file of a completed export."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        ...


class Export:
    """An export under way: iterate over its rows, or save it to a file.

        await cc.contacts.export(in_lists=[list_id]).save(export_path)

    Each row is a dict by the header of the file, as the provider writes it: "Email address", "First name", labels of
    custom fields. The columns depend on the data, and never include a contact id. The job is started when the first row
    is requested, or by `save`. `activity` identifies it, so that another process can continue with
    `contacts.export(activity=...)`. Leaving early does not cancel the job.
    """

    def __init__(self, steps: Steps, *, activity: str | Activity | None, timeout: float | None) -> None:
        self._steps = steps
        self._timeout = timeout
        self._resumed = activity
        self._activity = activity if isinstance(activity, Activity) else None
        self._rows: AsyncGenerator[dict[str, str]] | None = None

    @property
    def activity(self) -> Activity | None:
        """The latest known state of the job; None before it is started."""
        return self._activity

    def __aiter__(self) -> AsyncGenerator[dict[str, str]]:
        """Iterate over the rows; each iteration downloads the file anew."""
        self._rows = self._read()
        return self._rows

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._rows is not None:
            await self._rows.aclose()

    async def wait(self) -> Activity:
        """Start the job if necessary, and wait until its file exists.

        Raises:
            ActivityTimeoutError: It did not end within `timeout` seconds; it continues, so call `wait` again.
            ActivityFailedError: It ended without a file.

        """
        if self._activity is None and self._resumed is None:
            self._activity = await self._steps.start()
        self._activity = await self._steps.wait(self._activity or self._resumed or "", timeout=self._timeout)
        if self._activity.state != "completed":
            raise ActivityFailedError("The export ended without a file.", activity=self._activity)
        return self._activity

    async def save(self, path: str | os.PathLike[str]) -> None:
        """Save the file of the provider byte for byte, replacing an existing file atomically.

        The file appears under its name once it is complete: if the connection breaks, it is downloaded again, and an
        error or a cancellation leaves nothing behind. Memory is bounded for files of any size.

        Raises:
            OSError: The file cannot be written.
            TransportError: The connection broke repeatedly.
            NotFoundError: The provider no longer has the file.

        """
        target = Path(path)
        await run_uninterrupted(target.parent.stat)  # before the job is started
        await self.wait()

        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                await self._download_into(file)
            await run_uninterrupted(lambda: Path(name).replace(target))
        except BaseException:
            await run_uninterrupted(lambda: Path(name).unlink(missing_ok=True))
            raise

    async def _download_into(self, file: IO[bytes]) -> None:
        for left in reversed(range(_DOWNLOADS)):
            file.seek(0)
            file.truncate()
            try:
                async with aclosing(self._open()) as chunks:
                    await _store(chunks, file)
            except TransportError:
                if not left:
                    raise
            else:
                return

    async def _read(self) -> AsyncGenerator[dict[str, str]]:
        await self.wait()
        delivered = 0
        for left in reversed(range(_DOWNLOADS)):
            try:
                async with aclosing(self._open()) as chunks, aclosing(records(chunks)) as found:
                    header = await anext(found, None)
                    skipped = 0
                    async for record in found:
                        if skipped < delivered:  # delivered before the connection broke
                            skipped += 1
                            continue
                        yield dict(zip(header or (), record, strict=False))
                        delivered += 1
                        skipped += 1
            except TransportError:
                if not left:
                    raise
            else:
                return

    async def _open(self) -> AsyncGenerator[bytes]:
        """Wait for the file and yield its chunks."""
        if self._activity is None or self._activity.file_export_id is None:
            raise DecodeError("The completed export does not name its file.", path="$._links.results.href")
        pauses = iter(_NOT_THERE_YET)
        while True:
            try:
                async with aclosing(self._steps.download(self._activity.file_export_id)) as chunks:
                    async for chunk in chunks:
                        pauses = iter(())  # it existed before, so waiting is useless
                        yield chunk
            except NotFoundError:
                pause = next(pauses, None)
                if pause is None:
                    raise
                await self._steps.sleep(pause)
            else:
                return


async def _store(chunks: AsyncIterator[bytes], file: IO[bytes]) -> None:
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        if len(waiting) >= _CHUNK:
            await run_uninterrupted(partial(file.write, bytes(waiting)))
            waiting.clear()
    file.write(waiting)
    file.flush()
    await run_uninterrupted(partial(os.fsync, file.fileno()))


async def records(chunks: AsyncIterator[bytes]) -> AsyncGenerator[list[str]]:
    """Parse the records of a CSV file from chunks of bytes; quoted line breaks belong to their field.

    Raises:
        DecodeError: The file is not UTF-8, or a quotation mark is not closed.

    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest, record = "", ""
    try:
        async for chunk in chunks:
            lines = (rest + decoder.decode(chunk)).split("\n")
            rest = lines.pop()
            for line in lines:
                record += line + "\n"
                if record.count('"') % 2 == 0:  # every quotation mark is closed; one within a field is doubled
                    yield _fields(record)
                    record = ""
            if len(record) + len(rest) > _LONGEST_RECORD:
                raise DecodeError("The exported file has a quotation mark that is not closed.")
        record += rest + decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise DecodeError("The exported file is not UTF-8.") from None
    if record.count('"') % 2:
        raise DecodeError("The exported file has a quotation mark that is not closed.")
    if record:
        yield _fields(record)


def _fields(record: str) -> list[str]:
    return next(csv.reader([record.rstrip("\r\n") if '"' not in record else record]), [])
