"""What the client asks of a rate limiter."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import attrs


def _notice(turn: "Turn", _attribute: object, value: bool) -> bool:
    if value and turn.on_awaited is not None:
        turn.on_awaited()
    return value


@attrs.define(eq=False)
class Turn:
    """What a request is to the limiter."""

    stream: bool = False
    """Fetched by a stream rather than awaited by a caller; a stream's first request counts as a caller's."""
    awaited: bool = attrs.field(default=False, on_setattr=_notice)
    """The stream's consumer waits for this page; may become true while the request waits for its turn."""
    on_awaited: Callable[[], None] | None = attrs.field(default=None, init=False, repr=False)
    """How the limiter learns that `awaited` became true; the limiter sets it while the request waits."""


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
