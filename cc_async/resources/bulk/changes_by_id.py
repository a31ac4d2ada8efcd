"""Change any number of contacts by their ids, in jobs of 500."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Literal, Self, TypeAlias

import attrs

from cc_async.errors import InvalidRequestError
from cc_async.http.call import Call
from cc_async.http.session import Session
from cc_async.models.activities import Activity
from cc_async.resources.bulk.jobs import BulkJob, JobRunner, state_of

Ids: TypeAlias = Iterable[str] | AsyncIterable[str]

MOST_IDS = 500
"""The most contact ids in one job."""


@attrs.frozen(kw_only=True)
class BulkOutcome:
    """The outcome of one job for up to 500 contacts. Positions count the given ids from 0. See `BulkChange`."""

    first: int
    last: int
    contact_ids: tuple[str, ...] = attrs.field(repr=lambda ids: f"<{len(ids)} ids>")
    state: Literal["done", "partial", "failed", "unknown"]
    """partial: completed with errors. unknown: the job may have been started, but its outcome is unknown."""
    activity: Activity | None = None
    errors: tuple[str, ...] = ()
    """The provider's own error messages."""
    error: Exception | None = None
    """Why the job was not started, or why its outcome is unknown."""


@attrs.frozen
class _Slice:
    first: int
    ids: tuple[str, ...]


class BulkChange:
    """A change of many contacts; iterate over it, once, to get a `BulkOutcome` for each job.

        async for outcome in cc.contacts.add_to_lists([contact_id], [list_id]):
            print(outcome.state, outcome.errors)

    It makes progress only while the next outcome is awaited. Leaving early does not cancel jobs that the provider has
    accepted: see `unfinished`.
    """

    def __init__(
        self,
        session: Session,
        contact_ids: Ids,
        build: Callable[[tuple[str, ...]], Call[Activity]],
        *,
        jobs: int,
        background: bool,
        timeout: float | None,  # of each job, which goes on afterwards
    ) -> None:
        if isinstance(contact_ids, str):
            raise InvalidRequestError("contact_ids must be several ids, such as a list of one.")
        self._ids = contact_ids
        self._build = build
        self._runner: JobRunner[_Slice] = JobRunner(session, jobs=jobs, background=background, timeout=timeout)
        self._outcomes = self._run()

    @property
    def unfinished(self) -> tuple[BulkOutcome, ...]:
        """The latest known state of the jobs that the provider has accepted and that are not known to have ended."""
        return tuple(map(_outcome, self._runner.running))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> BulkOutcome:
        return await anext(self._outcomes)

    async def aclose(self) -> None:
        """Stop the iteration; jobs that the provider has accepted continue there."""
        await self._outcomes.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self) -> AsyncGenerator[BulkOutcome]:
        async with aclosing(self._jobs()) as jobs, aclosing(self._runner.run(jobs)) as ended:
            async for job in ended:
                yield _outcome(job)

    async def _jobs(self) -> AsyncGenerator[BulkJob[_Slice]]:
        first = 0
        async for ids in _slices(self._ids):
            yield BulkJob(_Slice(first, ids), partial(self._build, ids), items=len(ids))
            first += len(ids)


def _outcome(job: BulkJob[_Slice]) -> BulkOutcome:
    ids = job.spec.ids
    return BulkOutcome(
        first=job.spec.first,
        last=job.spec.first + len(ids) - 1,
        contact_ids=ids,
        state=state_of(job),
        activity=job.activity,
        errors=tuple((job.activity and job.activity.activity_errors) or ()),
        error=job.error,
    )


async def _slices(ids: Ids) -> AsyncGenerator[tuple[str, ...]]:
    found: list[str] = []
    if isinstance(ids, AsyncIterable):
        async for one in ids:
            found.append(one)
            if len(found) == MOST_IDS:
                yield tuple(found)
                found = []
    else:
        for one in ids:
            found.append(one)
            if len(found) == MOST_IDS:
                yield tuple(found)
                found = []
    if found:
        yield tuple(found)
