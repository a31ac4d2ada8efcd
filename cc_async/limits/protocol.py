"""The protocol of rate limiters."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import attrs


@attrs.define(eq=False)
class Turn:
    """A request, as the limiter sees it. See `Limiter.acquire`."""

    stream: bool = False
    """Whether a stream prefetches it; the first request of a stream counts as a direct call."""
    awaited: bool = False
    """Whether the consumer of the stream is waiting for this page."""
    on_promotion: Callable[[], None] | None = attrs.field(default=None, init=False, repr=False)
    """Called by `promote`; a limiter sets it while the request waits."""

    def promote(self) -> None:
        """Move this page ahead of the other prefetches of its stream, because the consumer now waits for it."""
        self.awaited = True
        if self.on_promotion is not None:
            self.on_promotion()


class Limiter(Protocol):
    """Limits the rate of requests; `RateLimiter` is the implementation for a single process."""

    async def acquire(self, turn: Turn) -> None:
        """Wait until this request may be sent; raise QuotaExceededError if none may be sent today."""

    async def throttled(self, retry_after: float | None = None) -> None:
        """Report that the server refused a request as too early, and the seconds that it asked to wait."""

    async def quota_exceeded(self) -> None:
        """Report that the server says that the daily quota is exhausted."""

    @property
    def resets_at(self) -> datetime:
        """When to try again after the quota is exhausted."""

    @property
    def remaining_today(self) -> int | None:
        """The requests left of the daily quota; None if unlimited or unknown."""
