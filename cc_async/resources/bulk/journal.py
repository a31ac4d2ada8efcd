"""A file that records which jobs of an import were started, so that another process can continue it."""

import json
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from cc_async._tasks import run_uninterrupted
from cc_async.errors import ImportJournalError
from cc_async.resources.bulk.jobs import Recollection
from cc_async.resources.bulk.spool import Job

if TYPE_CHECKING:
    import filelock


class FileJournal:
    """The journal of one import, one line of JSON per event; it holds positions and ids but no data of contacts.

    After an import was killed, another process can continue it with the same rows, lists and journal: jobs that were
    started are not sent again, and their outcomes are reported again. While the import runs, a file of the same name
    that ends in `.lock` excludes others.

    Raises:
        ImportJournalError: The file cannot be read or written, belongs to other rows, or is in use.

    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._jobs: dict[int, dict[str, Any]] = {}
        self._file: IO[bytes] | None = None
        self._lock: filelock.BaseFileLock | None = None

    def activity_ids(self) -> Iterable[str]:
        """The ids of all jobs that were started."""
        return [entry["activity_id"] for entry in self._jobs.values() if entry.get("activity_id")]

    def recall(self, spec: Job) -> Recollection | None:
        """Return the record of a job, or None if it was never about to be started."""
        entry = self._jobs.get(spec.first)
        if entry is None:
            return None
        if (entry["last"], entry["digest"]) != (spec.last, spec.digest):
            raise ImportJournalError(
                f"The journal {self.path} belongs to an import of other rows or lists: give the same ones, or another"
                " file."
            )
        since = entry.get("since")
        return Recollection(entry.get("activity_id"), None if since is None else datetime.fromisoformat(since))

    async def about_to_start(self, spec: Job, since: datetime | None) -> None:
        """Record that a job may be started from now on."""
        await self._record(spec, {"since": None if since is None else since.isoformat()})

    async def started(self, spec: Job, activity_id: str) -> None:
        """Record the id of a job that was started."""
        await self._record(spec, {"activity_id": activity_id})

    async def _record(self, spec: Job, event: dict[str, Any]) -> None:
        entry = {"first": spec.first, "last": spec.last, "digest": spec.digest, **event}
        self._jobs[spec.first] = self._jobs.get(spec.first, {}) | entry
        await run_uninterrupted(lambda: self._append(entry))

    def _append(self, entry: dict[str, Any]) -> None:
        if self._file is None:
            raise ImportJournalError(f"The journal {self.path} is not open.")
        try:
            self._file.write(json.dumps(entry).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._error("written", error) from error

    def __enter__(self) -> Self:
        import filelock  # noqa: PLC0415  # only for those who keep a journal

        lock = filelock.FileLock(f"{self.path}.lock", thread_local=False)
        try:
            lock.acquire(blocking=False)
        except TimeoutError:
            raise ImportJournalError(f"The journal {self.path} is in use by another import.") from None
        except OSError as error:
            raise self._error("locked", error) from error
        try:
            self._file = self.path.open("a+b")
            self._load(self._file)
        except BaseException as error:
            self._close()
            lock.release()
            if isinstance(error, OSError):
                raise self._error("opened", error) from error
            raise
        self._lock = lock
        return self

    def _load(self, file: IO[bytes]) -> None:
        """Read the events; a last line without its end was cut off by the end of its process."""
        file.seek(0)
        content = file.read()
        whole, _, torn = content.rpartition(b"\n")
        try:
            for line in whole.splitlines():
                entry = json.loads(line)
                self._jobs[entry["first"]] = self._jobs.get(entry["first"], {}) | entry
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ImportJournalError(f"{self.path} is not the journal of an import: choose another file.") from None
        if torn:
            file.truncate(len(content) - len(torn))

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()
        if self._lock is not None:
            self._lock.release()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _error(self, verb: str, error: OSError) -> ImportJournalError:
        return ImportJournalError(
            f"The journal {self.path} cannot be {verb}: {error.strerror or type(error).__name__}."
        )
