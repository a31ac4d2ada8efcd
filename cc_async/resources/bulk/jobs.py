"""Run bulk jobs: start and follow them, and look for those whose response was lost before repeating them."""

import asyncio
import itertools
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

import attrs

from cc_async.codec.decode import Decoded, decode
from cc_async.errors import (
    ActivityTimeoutError,
    ApiError,
    BulkQueueFullError,
    ConstantContactError,
    DecodeError,
    NotFoundError,
    TransportError,
)
from cc_async.http.call import Call, RawResponse
from cc_async.http.session import Session
from cc_async.limits.protocol import Turn
from cc_async.models.activities import Activity
from cc_async.resources.activities import calls

SpecT = TypeVar("SpecT")
SpecT_contra = TypeVar("SpecT_contra", contravariant=True)
_LOG = logging.getLogger("cc_async")
_PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between two polls of a job; the last one repeats."""
_QUEUE_PAUSES = (30.0, 60.0, 120.0, 300.0)
"""Seconds between attempts to start a job while the queue of the account is full; the last one repeats."""
_LOOKS = (0.0, 2.0, 5.0)
"""Seconds before each search for a job whose response was lost; if none finds it, the job is sent again."""
_SENDINGS = 3
"""How often a job is sent at most if all its responses are lost and no search finds it."""
_DOUBT = 300.0
"""Seconds to wait for the counters that show whether a job in the list is the lost one."""
_REFUSALS = {400, 404, 409, 413, 415, 422}
"""Statuses that affect one job only, not all further ones."""
_SLACK = timedelta(seconds=3)
"""Tolerance between the time of a job and of an earlier response: HTTP dates have whole seconds."""


@attrs.frozen
class _Listed:
    activities: list[Activity] | None = None


def _recent(turn: Turn) -> Call[list[Activity]]:
    """GET /activities: the newest 500 jobs."""

    def parse(response: RawResponse) -> Decoded[list[Activity]]:
        found = decode(response.body, _Listed)
        return Decoded(found.value.activities or [], found.problems)

    return Call(operation="activities.list", method="GET", path="/activities?limit=500", parse=parse, turn=turn)


def poll_pauses() -> Iterator[float]:
    """Yield the seconds to wait before each poll of a job."""
    return itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1]))


@attrs.define(eq=False)
class BulkJob(Generic[SpecT]):
    """The state of one job, from before it is sent until it has ended."""

    spec: SpecT
    """What the job is for."""
    call: Callable[[], Call[Activity]]
    """Builds the request that starts it."""
    items: int
    """The number of its rows or ids, by which it is recognised in the list of activities."""
    activity: Activity | None = None
    """The latest known state."""
    error: ConstantContactError | None = None
    """Why the job was not started, or why its outcome is unknown."""
    unknown: bool = False
    """Whether the job may have been started or may still run, but its outcome is unknown."""
    deadline: float = math.inf
    next_look: float = 0.0
    pauses: Iterator[float] = attrs.field(factory=poll_pauses, repr=False)

    def give_up(self, error: ConstantContactError, *, unknown: bool = False) -> None:
        """Record why the job was not started, or is no longer followed."""
        self.error, self.unknown = error, unknown


@attrs.frozen
class Recollection:
    """The record of a job that an earlier process was about to start."""

    activity_id: str | None
    """None if that process ended before it knew."""
    since: datetime | None
    """The time of the server before the job was sent."""


class Journal(Protocol[SpecT_contra]):
    """Records jobs beyond the end of the process."""

    def activity_ids(self) -> Iterable[str]:
        """The ids of all jobs that were started."""
        ...

    def recall(self, spec: SpecT_contra) -> Recollection | None:
        """Return the record of a job, or None if it was never about to be started."""
        ...

    async def about_to_start(self, spec: SpecT_contra, since: datetime | None) -> None:
        """Record that a job may be started from now on."""
        ...

    async def started(self, spec: SpecT_contra, activity_id: str) -> None:
        """Record the id of a job that was started."""
        ...


class JobRunner(Generic[SpecT]):
    """Starts jobs in order, at most `jobs` at a time, and yields each when it has ended.

    There are no tasks: it makes progress only while the next ended job is awaited. Closing the generator does not stop
    jobs that were started, because the API cannot cancel them.
    """

    def __init__(
        self,
        session: Session,
        *,
        jobs: int = 1,
        background: bool = False,
        timeout: float | None = None,
        journal: Journal[SpecT] | None = None,
    ) -> None:
        self._session = session
        self._jobs = jobs
        self._background = background
        self._timeout = math.inf if timeout is None else timeout
        self._journal = journal
        self._older: set[str] = set()
        """Ids of jobs from before this run."""
        self._recognised: set[str] = set()
        """Ids of jobs that are known to be ours."""
        self._clock: tuple[datetime, float] | None = None
        """A time of the server, and the corresponding time of the event loop."""
        self.running: list[BulkJob[SpecT]] = []
        """Jobs that were started and are not known to have ended."""

    async def run(self, jobs: AsyncIterator[BulkJob[SpecT]]) -> AsyncGenerator[BulkJob[SpecT]]:
        """Yield every job when it has ended, been refused, or can no longer be followed.

        Raises:
            ConstantContactError: Every further job would fail, too, as with an exhausted quota or a lost
                authorization. Jobs in `running` continue at the provider.

        """
        more = True
        while more or self.running:
            if more and len(self.running) < self._jobs:
                upcoming = await anext(jobs, None)
                more = upcoming is not None
                if upcoming is not None and (upcoming.error is not None or not await self._start(upcoming)):
                    yield upcoming
                continue
            await self._poll()
            while (job := next(filter(_ended, self.running), None)) is not None:
                self.running.remove(job)
                yield job

    # --- starting ------------------------------------------------------------------------------------------------

    async def _start(self, job: BulkJob[SpecT]) -> bool:
        """Start a job; return False if it was refused, or may or may not have been started."""
        if self._clock is None:
            await self._take_stock()
        remembered = None if self._journal is None else self._journal.recall(job.spec)
        if remembered is not None and remembered.activity_id is not None:
            job.activity = Activity(activity_id=remembered.activity_id)
        else:
            job.activity = await self._send(job, remembered)
        if job.activity is None:
            return False
        if job.activity.activity_id is None:
            job.give_up(DecodeError("The response that started the job does not name its id."), unknown=True)
            return False
        self._recognised.add(job.activity.activity_id)
        if self._journal is not None:
            await self._journal.started(job.spec, job.activity.activity_id)
        now = asyncio.get_running_loop().time()
        job.deadline, job.next_look = now + self._timeout, now + next(job.pauses)
        self.running.append(job)
        return True

    async def _take_stock(self) -> None:
        """Record the existing jobs, so that a job whose response is lost can be recognised as new."""
        response = await self._session.request(_recent(self._turn()))
        self._older.update(_ids(response.data))
        if self._journal is not None:
            self._recognised.update(self._journal.activity_ids())
        self._clock = _date_of(response.headers), asyncio.get_running_loop().time()

    def _server_time(self) -> datetime | None:
        if self._clock is None:
            return None
        then, loop_time = self._clock
        return then + timedelta(seconds=asyncio.get_running_loop().time() - loop_time) - _SLACK

    async def _send(self, job: BulkJob[SpecT], remembered: Recollection | None) -> Activity | None:
        """Send a job until it is accepted; return None if it was refused, or may or may not have been started."""
        lost: ConstantContactError | None = None if remembered is None else _never_heard()
        since = None if remembered is None else remembered.since
        sent = 0
        # A job of an earlier process is older than this run.
        others = self._recognised if remembered is not None else self._recognised | self._older
        while True:
            if lost is not None:
                try:
                    found = await self._find(job, since, others)
                except _AmbiguousError:
                    job.give_up(lost, unknown=True)
                    return None
                if found is not None:
                    return found
                if sent == _SENDINGS:
                    job.give_up(lost, unknown=True)
                    return None
            since, others = self._server_time(), self._recognised | self._older
            if self._journal is not None:
                await self._journal.about_to_start(job.spec, since)
            sent += 1
            try:
                return await self._post(job)
            except ConstantContactError as error:
                if not error.maybe_applied:
                    if isinstance(error, ApiError) and error.status in _REFUSALS:
                        job.give_up(error)
                        return None
                    raise
                lost = error

    async def _post(self, job: BulkJob[SpecT]) -> Activity:
        """Send the request that starts a job, and repeat it while the queue of the account is full."""
        for pause in itertools.chain(_QUEUE_PAUSES, itertools.repeat(_QUEUE_PAUSES[-1])):
            try:
                return (await self._session.request(attrs.evolve(job.call(), turn=self._turn()))).data
            except BulkQueueFullError:
                _LOG.warning("The account's queue of bulk jobs is full; trying again in %.0f s.", pause)
            await self._session.sleep(pause)
        raise AssertionError("The pauses never end.")

    async def _find(self, job: BulkJob[SpecT], since: datetime | None, others: set[str]) -> Activity | None:
        """Return the activity of a job whose response was lost, or None if it was certainly not started.

        Raises:
            _AmbiguousError: Several jobs may be the lost one.

        """
        doubt_ends = asyncio.get_running_loop().time() + _DOUBT
        looks, pauses = iter(_LOOKS), poll_pauses()
        pause: float | None = next(looks)
        while pause is not None:
            await self._session.sleep(pause)
            recent = (await self._session.request(_recent(self._turn()))).data
            new = [each for each in recent if each.activity_id not in others and _not_before(each, since)]
            possible = [(each, fit) for each in new if (fit := _fits(each, job.items)) is not False]
            if not possible:
                pause = next(looks, None)
                continue
            if len(possible) == 1 and possible[0][1]:
                return possible[0][0]
            undecided = any(fit is None and not each.finished for each, fit in possible)
            if not undecided or asyncio.get_running_loop().time() >= doubt_ends:
                raise _AmbiguousError
            pause = next(pauses)
        return None

    # --- following -----------------------------------------------------------------------------------------------

    async def _poll(self) -> None:
        """Wait until the next poll of the running jobs is due, and do it."""
        loop = asyncio.get_running_loop()
        due = min(min(job.next_look, job.deadline) for job in self.running)
        await self._session.sleep(max(0.0, due - loop.time()))
        await self._update()
        now = loop.time()
        for job in self.running:
            job.next_look = now + next(job.pauses)
            if not _ended(job) and job.deadline <= now:
                message = f"The job had not ended after {self._timeout:g} seconds. It goes on: wait for it again."
                job.give_up(ActivityTimeoutError(message, activity=job.activity), unknown=True)

    async def _update(self) -> None:
        """Update the running jobs: several with one request, if they are among the newest 500."""
        missing = {job.activity.activity_id: job for job in self.running if job.activity is not None}
        if len(missing) > 1:
            for activity in (await self._session.request(_recent(self._turn()))).data:
                job = missing.pop(activity.activity_id, None)
                if job is not None:
                    job.activity = activity
        for activity_id, job in missing.items():
            try:
                call = attrs.evolve(calls.get(activity_id or ""), turn=self._turn())
                job.activity = (await self._session.request(call)).data
            except NotFoundError as error:
                job.give_up(error, unknown=True)

    def _turn(self) -> Turn:
        return Turn(stream=self._background)


class _AmbiguousError(Exception):
    """Raised if the list of activities does not show which job is the lost one."""


def state_of(job: BulkJob[Any]) -> Literal["done", "partial", "failed", "unknown"]:
    """Return the outcome of a job; completed with errors is partial, because the provider calls that completed, too."""
    if job.unknown:
        return "unknown"
    activity = job.activity
    if job.error is not None or activity is None or activity.state != "completed":
        return "failed"
    status = activity.status
    counters = () if status is None else (status.error_count, status.correctable_count, status.cannot_add_to_list_count)
    return "partial" if activity.activity_errors or any(counters) else "done"


def _ended(job: BulkJob[Any]) -> bool:
    return job.error is not None or (job.activity is not None and job.activity.finished)


def _ids(activities: Iterable[Activity]) -> set[str]:
    return {activity.activity_id for activity in activities if activity.activity_id is not None}


def _date_of(headers: Mapping[str, str]) -> datetime:
    try:
        found = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return datetime.now(UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _not_before(activity: Activity, since: datetime | None) -> bool:
    return since is None or activity.created_at is None or activity.created_at >= since


def _fits(activity: Activity, items: int) -> bool | None:
    """Whether a job has this number of rows or ids, by its counters; None if these are not available yet."""
    status = activity.status
    if status is None:
        return None
    bad = (status.error_count or 0, status.correctable_count or 0)
    people, total = status.person_count or 0, status.items_total_count or 0
    counted = {people, people + bad[0], people + sum(bad), total, total - 1 if total else 0} - {0}
    return items in counted if counted else None


def _never_heard() -> ConstantContactError:
    return TransportError(
        "An earlier process was about to start this job and did not learn whether it was: look at the list of"
        " activities before importing its rows again.",
        maybe_applied=True,
    )
