"""Bulk jobs: a queue of work that is applied as time passes, and its activities."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import attrs

from .data import Data
from .requests import Document
from .responses import QUEUE_FULL, Refused, Response
from .stamps import DAY, stamp

Work: TypeAlias = Callable[["Job"], Iterator[None]]
"""Applies a job in slices, so that a large one does not block the server; fills in its counters and errors."""
_KEPT = 10 * DAY


class QueueFull(Refused):
    """More bulk jobs are queued than the service takes."""

    def __init__(self) -> None:
        super().__init__(QUEUE_FULL.status, "", "")

    @property
    def response(self) -> Response:
        """The third kind of 429."""
        return QUEUE_FULL


@attrs.define(eq=False, kw_only=True)
class Job:
    """One activity; times are in milliseconds."""

    activity_id: str
    created: int
    total: int  # items, as the counters give it
    counters: dict[str, int] | None  # None: the activity has no `status`
    source_file_name: str | None = None
    results: str | None = None  # the path of what the job makes
    state: str = "initialized"
    started: int | None = None
    completed: int | None = None
    errors: list[str] = attrs.field(factory=list)
    slices: Iterator[None] = attrs.field(init=False)  # the remaining work


class Jobs:
    """Runs jobs by the clock, a step at a time; nothing happens unless `step` is called."""

    def __init__(self, data: Data) -> None:
        self._data, self._settings = data, data.settings
        self.all: list[Job] = []

    def add(self, work: Work, total: int, counters: dict[str, int] | None = None, **details: Any) -> Job:
        """Queue a job; raises Refused (429) if too many are queued."""
        if len(self._unfinished()) >= self._settings.job_queue:
            raise QueueFull
        job = Job(
            activity_id=self._data.new_id(),
            created=self._data.now(),
            total=total,
            counters=counters,
            **details,
        )
        job.slices = work(job)
        self.all.append(job)
        return job

    def find(self, activity_id: str) -> Job | None:
        """Return the job with that id if it is not older than ten days."""
        return next((job for job in self.recent() if job.activity_id == activity_id), None)

    def recent(self) -> list[Job]:
        """Return the jobs of the last ten days, newest first."""
        since = self._data.now() - _KEPT
        return [job for job in reversed(self.all) if job.created > since]

    def step(self) -> bool:
        """Do one slice of the work that is due; return whether there may be more."""
        now, unfinished = self._data.now(), self._unfinished()
        running = [job for job in unfinished if job.started is not None]
        for job in running:
            if self._ends(job) <= now:
                self._work(job)
                return True
        waiting = [job for job in unfinished if job.started is None]
        most = self._settings.jobs_at_once
        if not waiting or (most is not None and len(running) >= most):
            return False
        job = waiting[0 if self._settings.job_order == "created" else -1]
        ended = [other.completed for other in self.all if other.completed is not None]
        job.started = job.created if most is None else max([job.created, *ended])
        job.state = "processing"
        return True

    def finish(self) -> None:
        """Complete every job now, regardless of its duration."""
        while unfinished := self._unfinished():
            job = unfinished[0]
            job.started = self._data.now() if job.started is None else job.started
            self._work(job)

    def activity(self, job: Job, self_link: str | None = None) -> Document:
        """Return a job as the API describes it."""
        share = self._share(job)
        document: Document = {
            "activity_id": job.activity_id,
            "state": job.state,
            "created_at": stamp(job.created),
            "updated_at": stamp(job.completed or job.started or job.created),
            "percent_done": max(1, int(100 * share)),
            "activity_errors": self._errors(job),
            "_links": {"self": {"href": self_link or f"/v3/activities/{job.activity_id}"}},
        }
        if job.started is not None:
            document["started_at"] = stamp(job.started)
        if job.completed is not None:
            document["completed_at"] = stamp(job.completed)
        if job.source_file_name:
            document["source_file_name"] = job.source_file_name
        if job.results:
            document["_links"]["results"] = {"href": job.results}
        if job.counters is not None and self._settings.job_counters:
            document["status"] = {"items_total_count": job.total, **job.counters}
            if "items_completed_count" in job.counters:
                document["status"]["items_completed_count"] = int(job.total * share)
        return document

    def _errors(self, job: Job) -> list[Any]:
        strings = self._settings.job_errors == "strings"
        return [error if strings else {"message": error} for error in job.errors]

    def _unfinished(self) -> list[Job]:
        return [job for job in self.all if job.completed is None]

    def _ends(self, job: Job) -> int:
        """Return when a job that has started is to be completed."""
        seconds = self._settings.job_seconds + job.total / self._settings.job_rows_per_second
        return (job.started or 0) + int(1000 * seconds)

    def _share(self, job: Job) -> float:
        """Return how much of a job is done, from 0 to 1."""
        if job.completed is not None or job.started is None:
            return float(job.completed is not None)
        return min(0.99, (self._data.now() - job.started) / max(1, self._ends(job) - job.started))

    def _work(self, job: Job) -> None:
        """Do one slice; a job that is to fail does nothing."""
        if self._settings.job_state == "completed" and next(job.slices, job) is not job:
            return
        job.slices, job.state = iter(()), self._settings.job_state
        job.completed = min(self._ends(job), self._data.now())
