"""What the client asks of a rate limiter."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import attrs


@attrs.define(eq=False)
class Turn:
    """What a request is to the limiter."""

    stream: bool = False
    """Fetched by a stream rather than awaited by a caller; a stream's first request counts as a caller's."""
    awaited: bool = False
    """The stream's consumer waits for this page."""
    on_promotion: Callable[[], None] | None = attrs.field(default=None, init=False, repr=False)
    """What `promote` calls; a limiter sets it while the request waits there."""

    def promote(self) -> None:
        """Say that the consumer now waits for this page: it goes before what its stream fetches ahead."""
        self.awaited = True
        if self.on_promotion is not None:
            self.on_promotion()


class Limiter(Protocol):
    """What the client asks of a limiter; `RateLimiter` is the one for a single process."""

    async def acquire(self, turn: Turn) -> None:
        """Return when this request may be sent, now; raise QuotaExceededError when none may be today."""

    async def throttled(self, retry_after: float | None = None) -> None:
        """Learn that the server refused a request for coming too soon, and how many seconds it asked for."""

    async def quota_exceeded(self) -> None:
        """Learn that the server called the day's quota spent."""

    @property
    def resets_at(self) -> datetime:
        """When a spent quota is worth the next try."""

    @property
    def remaining_today(self) -> int | None:
        """How many requests are left of the day's quota, None where that is unlimited or not known."""
