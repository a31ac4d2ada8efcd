"""The hook through which an application watches the calls of a client."""

import inspect
import logging
import traceback
from collections.abc import Callable
from typing import Any, Protocol

import attrs

_LOG = logging.getLogger("cc_async")
_METHODS = ("started", "finished", "refreshed")


@attrs.define(eq=False, kw_only=True)
class ObservedCall:
    """One logical call as an `Observer` sees it: an operation with all its attempts, such as one page of a stream.

    It contains no id, no token and no data of a contact. The fields with a default are set when the call has finished.
    """

    operation: str
    """Its name, such as `contacts.get`; each page of a stream is `contacts.list`."""
    method: str
    """The HTTP method."""
    background: bool = False
    """Whether other calls have priority at the limiter, as they have over the pages that a stream fetches ahead."""
    outcome: str = ""
    """`ok`, `cancelled` or the name of the exception's class."""
    status: int | None = None
    """The status code of the response to the last attempt; None if there was no response."""
    attempts: int = 0
    """The number of requests sent."""
    refusals: int = 0
    """The number of responses with the status code 429."""
    waited: float = 0.0
    """Seconds spent waiting at the rate limiter."""
    duration: float = 0.0
    """Seconds from start to end, including all waits and pauses."""
    remaining_today: int | None = None
    """The requests left of the daily quota; None if the limiter does not know."""


@attrs.frozen(kw_only=True)
class ObservedRefresh:
    """One request for a new access token as an `Observer` sees it."""

    outcome: str
    """`ok` or the name of the exception's class."""
    duration: float
    """Seconds that the request took, including saving the token."""


class Observer(Protocol):
    """Sees each logical call of a client. Derive from it and override what you need; the methods do nothing.

        class SlowCalls(Observer):
            def finished(self, call: ObservedCall) -> None:
                if call.waited > 1:
                    print(call.operation, call.outcome, f"waited {call.waited:.1f} s")

        cc = ConstantContact(auth, observer=SlowCalls())

    The methods are called in the event loop, in the context of the call, and must return quickly. The first exception
    that they raise is logged as a warning; none of them affects the call. A download finishes when its body begins.
    """

    def started(self, call: ObservedCall) -> None:  # noqa: ARG002  # for those who override it
        """Handle the start of a call."""
        return  # else type checkers call a class that leaves the method out abstract

    def finished(self, call: ObservedCall) -> None:  # noqa: ARG002  # for those who override it
        """Handle the end of a call, whether successful or not; `call` is the object that `started` received."""
        return  # else type checkers call a class that leaves the method out abstract

    def refreshed(self, refresh: ObservedRefresh) -> None:  # noqa: ARG002  # for those who override it
        """Handle a request of an `OAuth2` for a new token, on behalf of any of the clients that share it."""
        return  # else type checkers call a class that leaves the method out abstract


def is_observer(value: Any) -> bool:
    """Return whether a value has the methods of an `Observer`, none of them a coroutine function."""
    methods = [getattr(value, name, None) for name in _METHODS]
    return not inspect.isclass(value) and all(
        callable(method) and not inspect.iscoroutinefunction(method) for method in methods
    )


@attrs.define(eq=False)
class GuardedObserver(Observer):
    """Forwards everything to an observer, and keeps its exceptions away from the calls."""

    observer: Observer
    _warned: bool = attrs.field(default=False, init=False)

    def started(self, call: ObservedCall) -> None:
        """Forward the start of a call."""
        self._forward(self.observer.started, call)

    def finished(self, call: ObservedCall) -> None:
        """Forward the end of a call."""
        self._forward(self.observer.finished, call)

    def refreshed(self, refresh: ObservedRefresh) -> None:
        """Forward a request for a new token."""
        self._forward(self.observer.refreshed, refresh)

    def _forward(self, method: Callable[[Any], None], event: Any) -> None:
        try:
            method(event)
        except Exception as error:  # noqa: BLE001  # no call may fail because of its observer
            if not self._warned:
                self._warned = True
                # Without the exception's context, which is the error of the call: its message may name a contact.
                shown = "".join(traceback.format_exception(error, chain=False)).rstrip()
                _LOG.warning("The observer raised an exception; further ones are not logged.\n%s", shown)
