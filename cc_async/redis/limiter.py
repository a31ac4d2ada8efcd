"""The rate limiter that many processes and machines share."""

import asyncio
import logging
import math
import random
from collections.abc import Coroutine
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from cc_async._secrets import redact
from cc_async.errors import ClientClosedError, InvalidRequestError, QuotaExceededError, RateLimiterError
from cc_async.limits.local import check_limit
from cc_async.limits.protocol import Turn
from cc_async.limits.queue import Waiter, WaitingRequests
from cc_async.redis.script import LEAD, Reply
from cc_async.redis.state import FAILURES, Kind, SharedState

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

_LOG = logging.getLogger("cc_async")
_LONGEST_WISH: Final = 60.0
"""Seconds after which one request tests whether a long Retry-After still applies."""
_RETRY: Final = (0.05, 1.0)
"""The shortest and the longest pause before Redis is asked again after an error, in seconds."""


@attrs.define(eq=False)
class _Waiter(Waiter):
    arrived: float
    slot: "_Slot | None" = None
    error: Exception | None = None


@attrs.define(eq=False)
class _Slot:
    """A permit for one request at one time."""

    kind: Kind
    id: int
    at: float  # the loop's time
    timer: asyncio.TimerHandle | None = None


@attrs.define(eq=False)
class _Line:
    """What this process asks for calls, or for streams: one slot at a time."""

    kind: Kind
    task: "asyncio.Task[None] | None" = None
    ask_at: float = -math.inf
    """The loop's time before which there is no point in asking."""
    queued: bool = False
    """Whether this process has a place in the queue on the server."""
    back: int = 0
    """A slot that came too late, to give back with the next request."""
    slots: "set[_Slot]" = attrs.field(factory=set)
    """Slots that have been given and whose time is still to come."""


class RedisRateLimiter:
    """At most `rate` requests in any `per` seconds, and `daily` in a UTC day, over all processes that use `key`.

        limiter = RedisRateLimiter(redis.asyncio.from_url("redis://localhost"), "cc-limit")
        async with limiter, ConstantContact(oauth, rate_limiter=limiter) as client:
            ...

    `redis` is a `redis.asyncio.Redis`, a Sentinel's master or a `RedisCluster` of yours (Redis 5 or later, or Valkey),
    used and never closed. The state is one value under `key`, which expires two days after the last request: use one
    key for each API key of Constant Contact, and the same numbers everywhere. `daily=None` means no daily limit.

    Direct calls take priority over what the streams of all processes fetch ahead, and streams get every fourth permit
    however many calls come. The processes take turns; within a process each class is served in the order of arrival.
    Only the clock of the Redis server counts. A process that dies costs at most its next permit.

    While Redis gives no permission, nothing is sent: a request waits for `patience` seconds and then raises
    `RateLimiterError`. Once Redis is back, everything goes on by itself. If the server was started again, or another
    one has taken over, whatever may have been sent a moment ago counts as sent. The day's count then continues from the
    server's data and from what the processes know, rather too high than too low: it is lost only if the data is, and
    every process that knows it is gone, too. `timeout` is how many seconds one command may take. `margin`, in seconds,
    is as for `RateLimiter`.

    It serves one event loop at a time. `aclose`, or `async with`, returns permits that are not used; without it they
    expire.

    Raises:
        InvalidRequestError: The numbers are not a valid limit.

    """

    def __init__(
        self,
        redis: "Redis | RedisCluster",
        key: str,
        *,
        rate: int = 4,
        per: float = 1.0,
        daily: int | None = 10_000,
        margin: float | None = None,
        patience: float = 30.0,
        timeout: float = 5.0,
    ) -> None:
        if not (patience > 0 and timeout > 0):
            raise InvalidRequestError(f"patience and timeout must be above 0, not {patience} and {timeout}.")
        self._per, self._patience = per, patience
        margin = check_limit(rate, per, daily, margin)
        self._tolerance = max(margin / 2, 0.001)  # seconds that a request may be late
        self._certain = max(margin / 4, 0.005)  # seconds by which the server's clock may be wrong
        self._shared = SharedState(
            redis, key, rate=rate, per=per, margin=margin, daily=daily, timeout=min(timeout, patience)
        )
        self._waiting = WaitingRequests[_Waiter]()
        self._lines: dict[Kind, _Line] = {"c": _Line("c"), "s": _Line("s")}
        self._failing_since: float | None = None
        self._not_before = -math.inf  # the loop's time, after a refusal that could not be reported
        self._warned_of: datetime | None = None
        self._closed = False
        self._background: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def remaining_today(self) -> int | None:
        """The requests left before 00:00 UTC, by the latest response of Redis; None before it, or without a limit."""
        return self._shared.remaining

    @property
    def resets_at(self) -> datetime:
        """When to try again after the quota is exhausted, as of the latest response of Redis."""
        return self._shared.resets_at

    async def acquire(self, turn: Turn) -> None:
        """Wait until this request may be sent.

        Raises:
            QuotaExceededError: No further request may be sent today.
            RateLimiterError: Redis gave no permission for `patience` seconds; nothing was sent.
            ClientClosedError: The limiter was closed.
            InvalidRequestError: Another event loop is using the limiter.

        """
        if self._closed:
            raise ClientClosedError("The rate limiter is closed.")
        loop = self._bind()
        waiter = _Waiter(loop.create_future(), turn.stream, loop.time())
        self._waiting.add(waiter, turn)
        try:
            resets_at = await self._wait(waiter, turn)
        except BaseException:
            self._waiting.discard(waiter)
            if waiter.slot is not None:
                self._use(waiter.slot)
            raise
        finally:
            turn.on_promotion = None
        if waiter.error is not None:
            raise waiter.error
        if resets_at is not None:
            message = f"The daily quota is exhausted: wait until {resets_at}."
            raise QuotaExceededError(message, resets_at=resets_at)

    def _bind(self) -> asyncio.AbstractEventLoop:
        loop, old = asyncio.get_running_loop(), self._loop
        if old is not None and old is not loop:
            busy = self._waiting or self._background or any(line.task or line.slots for line in self._lines.values())
            if old.is_running() or (busy and not old.is_closed()):
                raise InvalidRequestError("A RedisRateLimiter serves one event loop: give each loop its own.")
            self._waiting.clear()
            self._background.clear()
            self._lines = {"c": _Line("c"), "s": _Line("s")}
            self._failing_since, self._not_before = None, -math.inf
            self._shared.change_loop()
        self._loop = loop
        return loop

    async def _wait(self, waiter: _Waiter, turn: Turn) -> datetime | None:
        loop = asyncio.get_running_loop()
        while True:
            self._start(self._lines["s" if turn.stream else "c"])
            resets_at = await waiter.woken
            slot, waiter.slot = waiter.slot, None
            if slot is None or loop.time() <= slot.at + self._tolerance:
                return resets_at
            # The loop stalled: a request that is sent now could meet another one in the same window.
            waiter.woken = loop.create_future()
            self._waiting.add(waiter, turn)
            self._waiting.move_to_front(waiter)
            self._ask_again(slot)

    async def throttled(self, retry_after: float | None = None) -> None:
        """Pause all requests of all processes, because the server refused one as too early.

        Simultaneous reports cause one pause, and further ones soon after it a longer pause. `retry_after`, in seconds,
        is honoured up to a minute.
        """
        wish = min(max(0.0, retry_after or 0.0), _LONGEST_WISH)
        for line in self._lines.values():
            for slot in list(line.slots):
                self._withdraw(line, slot)
        # A caller that is cancelled meanwhile does not keep the others from knowing.
        await asyncio.shield(self._in_background(self._pause(wish)))

    async def _pause(self, wish: float) -> None:
        reply = await self._report("refused", wish)
        until = (
            self._shared.clock.to_local(reply.at) if reply else asyncio.get_running_loop().time() + max(wish, self._per)
        )
        self._not_before = max(self._not_before, until)
        _LOG.warning("The server refused a request as too soon; all processes pause.")

    async def quota_exceeded(self) -> None:
        """Refuse all requests of all processes until `resets_at`, as the server calls the quota exhausted."""
        await asyncio.shield(self._in_background(self._spend()))

    async def _spend(self) -> None:
        if await self._report("spent") is None:
            self._shared.spend()
        self._refuse_all(self.resets_at)

    async def aclose(self) -> None:
        """Let no further request through, and return the permits and places that are not used."""
        self._closed = True
        for waiter in self._waiting:
            self._fail(waiter, ClientClosedError("The rate limiter was closed; nothing was sent."))
        for line in self._lines.values():
            for slot in list(line.slots):
                self._withdraw(line, slot)
            if line.task is not None:
                line.task.cancel()
                await asyncio.wait({line.task})
            if line.queued:
                self._in_background(self._leave(line, 0))
        if self._background:
            await asyncio.wait(self._background)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    # One task for each kind asks for slots while requests of this kind wait.

    def _start(self, line: _Line) -> None:
        if line.task is None and not self._closed:
            line.task = asyncio.create_task(self._serve(line))

    async def _serve(self, line: _Line) -> None:
        pause = _RETRY[0]
        try:
            while (wanted := self._wanted(line)) > 0 or line.queued or line.back:
                now = asyncio.get_running_loop().time()
                if (at := max(line.ask_at, self._not_before)) > now and wanted > 0:
                    await asyncio.sleep(at - now)
                    continue
                try:
                    if wanted > 0:
                        await self._ask(line, more=wanted > 1)
                    else:
                        await self._leave(line, 0)
                    pause = _RETRY[0]
                except FAILURES as error:
                    self._give_up_on(error)
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # no secret
                    pause = min(pause * 2, _RETRY[1])
        except Exception as error:  # otherwise those that wait would wait for ever
            if not self._waiting:
                raise
            for waiter in self._waiting:
                self._fail(waiter, error)
        finally:
            line.task = None

    def _wanted(self, line: _Line) -> int:
        waiting = len(self._waiting.callers) if line.kind == "c" else self._waiting.streams
        return waiting - len(line.slots)

    async def _ask(self, line: _Line, *, more: bool) -> None:
        loop = asyncio.get_running_loop()
        back, line.back = line.back, 0
        reply = await self._shared.run("ask", line.kind, more=more, back=back)
        if reply.status == "spent":
            line.queued = False
            given = [slot.at for line in self._lines.values() for slot in line.slots]
            if given:  # those are still used, by the first that wait
                line.ask_at = max(given) + self._tolerance
            else:
                self._refuse_all(datetime.fromtimestamp(reply.at, UTC))
            return
        going = reply.status == "go"
        line.queued = not going or reply.following > 0
        expected, clock = reply.following if going else reply.at, self._shared.clock
        line.ask_at = clock.to_local(expected) - clock.round_trip - LEAD if line.queued else -math.inf
        if not going:
            self._failing_since = None
            return
        slot, now = _Slot(line.kind, reply.slot, clock.to_local(reply.at)), loop.time()
        if now > slot.at + self._tolerance or clock.uncertainty(now) > self._certain:
            line.back = slot.id
            self._give_up_on(None)
            return
        self._failing_since = None
        line.slots.add(slot)
        slot.timer = loop.call_at(slot.at, self._use, slot)

    def _use(self, slot: _Slot) -> None:
        """Give a slot whose time has come to the next request, or back if none waits."""
        self._lines[slot.kind].slots.discard(slot)
        while (waiter := self._waiting.first(stream=slot.kind == "s")) is not None:
            self._waiting.discard(waiter)
            if not waiter.woken.done():
                waiter.slot = slot
                waiter.woken.set_result(None)
                return
        self._in_background(self._leave(self._lines[slot.kind], slot.id))

    def _ask_again(self, slot: _Slot) -> None:
        """Exchange a slot whose time has passed for another one."""
        line = self._lines[slot.kind]
        if line.back:
            self._in_background(self._leave(line, slot.id))
        else:
            line.back = slot.id
        line.ask_at = -math.inf
        self._start(line)

    def _withdraw(self, line: _Line, slot: _Slot) -> None:
        line.slots.discard(slot)
        if slot.timer is not None:
            slot.timer.cancel()
        self._in_background(self._leave(line, slot.id))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        async def run() -> None:
            try:
                await work
            except FAILURES as error:
                _LOG.debug("A permit could not be returned and expires: %s", type(error).__name__)

        task = asyncio.get_running_loop().create_task(run())
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _give_up_on(self, error: Exception | None) -> None:
        """Fail those that have waited for longer than their patience since Redis last gave a usable response."""
        now = asyncio.get_running_loop().time()
        if self._failing_since is None:
            self._failing_since = now
        since = self._failing_since
        late = [waiter for waiter in self._waiting if now - max(waiter.arrived, since) >= self._patience]
        if not late:
            return
        reason = "its responses come too late"
        if error is not None:
            reason = ": ".join(filter(None, (type(error).__name__, redact(str(error)).partition("\n")[0][:200])))
        message = (
            f"The rate limiter got no permission from Redis for {self._patience:g} s, so nothing was sent ({reason})."
            " Check the server, or give RedisRateLimiter more patience."
        )
        for waiter in late:
            self._fail(waiter, RateLimiterError(message))

    def _fail(self, waiter: _Waiter, error: Exception) -> None:
        self._waiting.discard(waiter)
        if not waiter.woken.done():
            # Not the future's exception, which nobody would retrieve if the task is cancelled meanwhile.
            waiter.error = error
            waiter.woken.set_result(None)

    def _refuse_all(self, resets_at: datetime) -> None:
        if self._warned_of != resets_at:
            self._warned_of = resets_at
            _LOG.warning("The day's quota is exhausted; no request is sent before %s.", resets_at)
        self._waiting.wake_all(resets_at)

    # Commands

    async def _report(self, op: str, wish: float = 0.0) -> Reply | None:
        """Tell the other processes; return None if Redis is away, so that only this one knows."""
        try:
            return await self._shared.run(op, "c", wish=wish)
        except FAILURES as error:
            _LOG.warning("The other processes could not be told to pause: %s.", type(error).__name__)
            return None

    async def _leave(self, line: _Line, slot: int) -> None:
        """Give up the place in the queue, if no slot is named, or else a slot."""
        if slot:
            await self._shared.run("return", line.kind, back=slot)
            return
        back, line.back, line.queued = line.back, 0, False
        await self._shared.run("leave", line.kind, back=back)
