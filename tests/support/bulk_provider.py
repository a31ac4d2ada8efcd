"""The provider's queue of import jobs without a network: what bulk operations see of a session, and its faults."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import attrs
from yarl import URL

from cc_async.errors import BadRequestError, BulkQueueFullError, NotFoundError, TransportError
from cc_async.http.call import ApiResponse, Call, RawResponse
from cc_async.http.retry import RetryPolicy

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)


@attrs.define
class ProviderJob:
    """One import job."""

    activity_id: str
    rows: list[dict[str, Any]]
    lists: list[str]
    created: float
    ends: float
    counters: bool


@attrs.define(eq=False)
class Provider:
    """Stands for a session; `faults` says what becomes of each POST in turn: ok, lost, vanished, full or refused."""

    faults: list[str] = attrs.field(factory=list)
    duration: float = 5.0
    counters: bool = True
    most_rows: int = 39_999
    most_bytes: int = 4_000_000
    foreign: int = 0
    """Jobs of the same size that somebody else starts beside each of ours."""
    jobs: list[ProviderJob] = attrs.field(factory=list)
    posts: int = 0
    requests: Counter[str] = attrs.field(factory=Counter)
    largest: int = 0
    on_request: Callable[[Call[Any]], None] | None = None
    state: str = "completed"
    errors: Sequence[str] = ()
    learned: dict[str, Any] = attrs.field(factory=dict)
    base_url = URL("https://api.example.com/v3")
    strict = False
    retry = RetryPolicy()

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        await asyncio.sleep(seconds)

    async def request(self, call: Call[Any]) -> ApiResponse[Any]:
        """Respond to a request."""
        if self.on_request is not None:
            self.on_request(call)
        self.requests[f"{call.method} {call.path.partition('?')[0]}"] += 1
        await asyncio.sleep(0.2)
        status, document = self._respond(call)
        headers = {"Date": format_datetime(self._at(self._now()).replace(microsecond=0), usegmt=True)}
        decoded = call.parse(RawResponse(status, headers, json.dumps(document).encode()))
        await asyncio.sleep(0.05)
        return ApiResponse(decoded.value, status, headers)

    def _respond(self, call: Call[Any]) -> tuple[int, Any]:
        if call.method == "POST":
            return 201, self._start(call)
        if call.path == "/activities?limit=500":
            return 200, {"activities": [self._document(job) for job in reversed(self.jobs)][:500]}
        if call.path.startswith("/activities/"):
            found = [job for job in self.jobs if call.path.endswith("/" + job.activity_id)]
            if not found:
                raise NotFoundError("There is no such job.", status=404)
            return 200, self._document(found[0])
        if call.path.startswith("/contact_custom_fields"):
            return 200, {"custom_fields": [{"label": "Shoe size", "name": "shoe_size"}]}
        raise AssertionError(f"{call.method} {call.path} was not expected")

    def _start(self, call: Call[Any]) -> Mapping[str, Any]:
        self.posts += 1
        fault = self.faults.pop(0) if self.faults else "ok"
        if fault == "full":
            raise BulkQueueFullError("The queue is full.", status=429)
        if fault == "refused":
            raise BadRequestError("A list does not exist.", status=400)
        if fault == "vanished":
            raise TransportError("The connection broke.", maybe_applied=True)
        assert call.body is not None
        self.largest = max(self.largest, len(call.body))
        body = json.loads(call.body)
        rows = body["import_data"] if len(call.body) <= self.most_bytes else []
        now = self._now()
        for number in range(1 + self.foreign):
            name, kept = f"job-{len(self.jobs)}", rows[: self.most_rows] if number == 0 else [{}] * len(rows)
            self.jobs.append(ProviderJob(name, kept, body["list_ids"], now, now + self.duration, self.counters))
        if fault == "lost":
            raise TransportError("The connection broke.", maybe_applied=True)
        return self._document(self.jobs[-1 - self.foreign])

    def _document(self, job: ProviderJob) -> dict[str, Any]:
        ended = self._now() >= job.ends
        document: dict[str, Any] = {
            "activity_id": job.activity_id,
            "state": self.state if ended else "initialized",
            "created_at": self._at(job.created).isoformat(),
            "_links": {"self": {"href": "/wrong/path"}},
        }
        if ended and job.counters:
            document["status"] = {"person_count": len(job.rows), "items_total_count": len(job.rows) + 1}
        if ended:
            document["activity_errors"] = list(self.errors)
        return document

    @property
    def imported(self) -> Counter[str]:
        """How often each address was imported."""
        return Counter(row["email"].casefold() for job in self.jobs for row in job.rows if row)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    @staticmethod
    def _at(seconds: float) -> datetime:
        return EPOCH + timedelta(seconds=seconds)
