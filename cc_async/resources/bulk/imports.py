"""Imports any number of contacts as jobs of up to 39,999 rows."""

import asyncio
import itertools
import re
from array import array
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
)
from contextlib import aclosing, nullcontext, suppress
from functools import partial
from types import TracebackType
from typing import Literal, Self, TypeAlias, TypeVar

import attrs
import msgspec

from cc_async.errors import InvalidRequestError
from cc_async.http.session import Session
from cc_async.models.imports import ImportOutcome, ImportProgress
from cc_async.resources.activities import calls
from cc_async.resources.bulk.jobs import BulkJob, JobRunner, state_of
from cc_async.resources.bulk.journal import FileJournal
from cc_async.resources.bulk.rows import CustomFieldNames, Row, RowEncoder
from cc_async.resources.bulk.spool import Job, RejectedRow, Spool

T = TypeVar("T")
Rows: TypeAlias = Iterable[Row] | AsyncIterable[Row]

MOST_ROWS = 39_999
"""One less than the API accepts, because it is undocumented whether a header counts."""
MOST_BYTES = 4_000_000
"""4 MB in the smallest interpretation."""
_BATCH = 500
"""Rows that are encoded before the event loop runs again: about a millisecond."""
_LINE = re.compile(r"\bline\s+(\d{1,6})\b", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class ImportOptions:
    """The options of an import; see `contacts.import_many`."""

    list_ids: tuple[str, ...]
    jobs: int
    verify: bool
    duplicates: Literal["last", "error"]
    extra_keys: frozenset[str]
    sms_permission_to_send: str | None
    background: bool
    timeout: float | None
    journal: FileJournal | None


class Import:
    """An import; iterate over it, once, to get an `ImportOutcome` for each job.

        async for outcome in cc.contacts.import_many([{"email": "ada@example.com"}], list_ids=[list_id]):
            print(outcome.first, outcome.last, outcome.state, outcome.errors)

    It makes progress only while the next outcome is awaited. All rows are read and checked before the first job is
    sent; meanwhile they are kept in a temporary file, about as large as the rows in JSON. Leaving early never cancels
    the jobs that the provider has accepted: see `progress.handed_over` and `unfinished`.
    """

    def __init__(
        self,
        session: Session,
        rows: Rows,
        options: ImportOptions,
        *,
        custom_fields: Callable[[], Awaitable[Iterable[tuple[str | None, str | None]]]],
        addresses_on: Callable[[str], AsyncIterator[str]],
    ) -> None:
        self._session = session
        self._rows = rows
        self._options = options
        self._custom_fields = custom_fields
        self._addresses_on = addresses_on
        self._encoder = RowEncoder(partial(self._key, None))
        self._runner: JobRunner[Job] = JobRunner(
            session,
            jobs=options.jobs,
            background=options.background,
            timeout=options.timeout,
            journal=options.journal,
        )
        self._progress = ImportProgress(
            rows_read=0,
            total=None,
            rejected=0,
            duplicates=0,
            handed_over=0,
            finished=0,
            jobs_started=0,
            jobs_finished=0,
        )
        self._missing: tuple[str, ...] | None = None
        self._outcomes = self._run()

    @property
    def progress(self) -> ImportProgress:
        """The progress of the import."""
        running = self._runner.running
        return attrs.evolve(
            self._progress,
            handed_over=self._progress.finished + sum(job.items for job in running),
            jobs_started=self._progress.jobs_finished + len(running),
        )

    @property
    def unfinished(self) -> tuple[ImportOutcome, ...]:
        """The latest known state of the jobs that the provider has accepted and that are not known to have ended.

        Their rows are handed over: do not import them again, but wait for the activity with `activities.wait`.
        """
        return tuple(self._outcome(job) for job in self._runner.running)

    @property
    def missing(self) -> tuple[str, ...] | None:
        """With `verify`, after the loop: the addresses that are not on the list, in lower case; None before."""
        return self._missing

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ImportOutcome:
        return await anext(self._outcomes)

    async def aclose(self) -> None:
        """Stop the import; jobs that the provider has accepted continue there."""
        await self._outcomes.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # --- what runs -----------------------------------------------------------------------------------------------

    async def _run(self) -> AsyncGenerator[ImportOutcome]:
        journal = self._options.journal
        with Spool(digests=journal is not None) as spool, journal or nullcontext():
            await self._read(spool)
            superseded = await _in_slices(spool.superseded())
            self._check_duplicates(superseded)
            self._note(total=len(spool), duplicates=len(superseded), rejected=spool.rejected)
            async with aclosing(self._runner.run(self._jobs(spool, superseded))) as ended:
                async for job in ended:
                    outcome = self._outcome(job)
                    if outcome.activity is not None:
                        finished, jobs = self._progress.finished + outcome.sent, self._progress.jobs_finished + 1
                        self._note(finished=finished, jobs_finished=jobs)
                    yield outcome
            if self._options.verify:
                self._missing = await self._verify(spool)

    async def _read(self, spool: Spool) -> None:
        async for batch in _batches(self._rows):
            encoded = None
            with suppress(_FieldsNeeded):
                encoded = self._encoder.encode(batch)
            if encoded is None:
                self._encoder.key_of = partial(self._key, CustomFieldNames.of(await self._custom_fields()))
                encoded = self._encoder.encode(batch)
            spool.add(*encoded)
            self._note(rows_read=len(spool), rejected=spool.rejected)
            await asyncio.sleep(0)

    def _key(self, names: CustomFieldNames | None, key: str) -> str:
        if key in self._options.extra_keys:
            return key
        if names is None:
            raise _FieldsNeeded
        return names.key(key)

    def _check_duplicates(self, superseded: "array[int]") -> None:
        if superseded and self._options.duplicates == "error":
            some = ", ".join(map(str, superseded[:5]))
            raise InvalidRequestError(
                f"{len(superseded):,} rows have an address that comes again later (at positions {some}"
                f"{', …' if len(superseded) > 5 else ''}). Nothing was sent."
            )

    async def _jobs(self, spool: Spool, superseded: "array[int]") -> AsyncGenerator[BulkJob[Job]]:
        head = b'{"list_ids":' + msgspec.json.encode(self._options.list_ids)
        if self._options.sms_permission_to_send is not None:
            head += b',"sms_permission_to_send":' + msgspec.json.encode(self._options.sms_permission_to_send)
        pieces = spool.jobs(
            superseded, head=head + b',"import_data":[', tail=b"]}", most_rows=MOST_ROWS, most_bytes=MOST_BYTES
        )
        for piece in pieces:
            if isinstance(piece, RejectedRow):
                rejected = BulkJob(Job(array("q", [piece.position])), partial(calls.import_encoded, b""), items=0)
                rejected.give_up(InvalidRequestError(piece.reason))
                yield rejected
            else:
                job, body = piece
                yield BulkJob(job, partial(calls.import_encoded, body), items=len(job.positions))

    def _outcome(self, job: BulkJob[Job]) -> ImportOutcome:
        errors = tuple((job.activity and job.activity.activity_errors) or ())
        return ImportOutcome(
            first=job.spec.first,
            last=job.spec.last,
            sent=job.items,
            state=state_of(job),
            activity=job.activity,
            errors=errors,
            rows=_messages_by_row(errors, job.spec.positions),
            error=job.error,
        )

    async def _verify(self, spool: Spool) -> tuple[str, ...]:
        """Find the addresses that are not on the first list, to which every row should have been added."""
        arrived = array("q")
        async for address in self._addresses_on(self._options.list_ids[0]):
            arrived.append(hash(address.strip().casefold()))
        return tuple(await _in_slices(spool.missing(arrived)))

    def _note(self, **changed: int) -> None:
        self._progress = attrs.evolve(self._progress, **changed)


class _FieldsNeeded(Exception):  # noqa: N818  # never leaves this module
    """Raised at the first key that may be a custom field, so that the fields of the account are requested."""


async def _in_slices(steps: Generator[None, None, T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: T = end.value
            return found
        await asyncio.sleep(0)


async def _batches(rows: Rows) -> AsyncGenerator[list[Row]]:
    if isinstance(rows, AsyncIterable):
        batch: list[Row] = []
        async for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch
        return
    source = iter(rows)
    while more := list(itertools.islice(source, _BATCH)):
        yield more


def __messages_by_row(errors: Iterable[str], positions: "array[int]") -> Mapping[int, tuple[str, ...]]:
    """Group the messages that name a line of the job by the position of its row; the header is line 1."""
    found: dict[int, tuple[str, ...]] = {}
    for message in errors:
        line = _LINE.search(message)
        index = int(line[1]) - 2 if line else -1
        if 0 <= index < len(positions):
            found[positions[index]] = (*found.get(positions[index], ()), message)
    return found


def _messages_by_row(errors: Iterable[str], positions: "array[int]") -> Mapping[int, tuple[str, ...]]:
    """Group the messages that name a line of the job by the position of its row; the header is line 1."""
    found: dict[int, tuple[str, ...]] = {}
    for message in errors:
        line = _LINE.search(message)
        index = int(line[1]) - 2 if line else -1
        if 0 <= index < len(positions):
            found[positions[index]] = (*found.get(positions[index], ()), message)
    return found
