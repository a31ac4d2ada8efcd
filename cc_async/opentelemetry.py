"""Report the calls of a client to OpenTelemetry; needs the extra `opentelemetry`."""

from contextvars import Token
from typing import Final

from cc_async.observer import ObservedCall, ObservedRefresh, Observer

try:
    from opentelemetry import context, metrics, trace
except ImportError as error:
    raise ImportError(
        "cc_async.opentelemetry needs the extra `opentelemetry`: pip install 'cc-async[opentelemetry]'.",
        name=error.name,
    ) from error

_SCOPE: Final = "cc_async"


class OpenTelemetryObserver(Observer):
    """Reports each logical call as a span, and counts requests, refusals, waits and refreshes.

        cc = ConstantContact(auth, observer=OpenTelemetryObserver())

    A span has the name of the operation, such as `contacts.get`, and the caller's span as its parent; the spans of an
    instrumented aiohttp are its children. A call that raises sets the status to an error and `error.type` to the name
    of the exception's class; a cancelled call leaves the status unset and sets `cc_async.outcome` to `cancelled`.

    The instruments:

    - `cc_async.requests`: a counter of the requests sent, by operation and outcome of their call.
    - `cc_async.refusals`: a counter of the responses with the status code 429, by operation.
    - `cc_async.refreshes`: a counter of the requests for a new token, by outcome.
    - `cc_async.wait`: a histogram of the seconds that a call waited at the rate limiter, by operation.
    - `cc_async.remaining_today`: a gauge of the requests left of the daily quota.

    Without providers of your own the global ones are used. One object can serve any number of clients.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
        self._requests = meter.create_counter("cc_async.requests", "{request}", "Requests sent.")
        self._refusals = meter.create_counter("cc_async.refusals", "{response}", "Responses with the status code 429.")
        self._refreshes = meter.create_counter("cc_async.refreshes", "{request}", "Requests for a new access token.")
        self._wait = meter.create_histogram("cc_async.wait", "s", "Time that a call waited at the rate limiter.")
        self._remaining = meter.create_gauge("cc_async.remaining_today", "{request}", "Requests left of the quota.")
        self._open: dict[ObservedCall, tuple[trace.Span, Token[context.Context]]] = {}

    def started(self, call: ObservedCall) -> None:
        """Start a span and make it the current one."""
        attributes = {"cc_async.operation": call.operation, "http.request.method": call.method}
        span = self._tracer.start_span(call.operation, kind=trace.SpanKind.CLIENT, attributes=attributes)
        self._open[call] = span, context.attach(trace.set_span_in_context(span))

    def finished(self, call: ObservedCall) -> None:
        """End the span of the call, and record its figures."""
        span, token = self._open.pop(call)
        # An abandoned call may be finalized in another context, in which its token means nothing.
        if trace.get_current_span() is span:
            context.detach(token)
        self._describe(span, call)
        span.end()
        operation = {"cc_async.operation": call.operation}
        self._requests.add(call.attempts, {**operation, "cc_async.outcome": call.outcome})
        self._wait.record(call.waited, operation)
        if call.refusals:
            self._refusals.add(call.refusals, operation)
        if call.remaining_today is not None:
            self._remaining.set(call.remaining_today)

    @staticmethod
    def _describe(span: trace.Span, call: ObservedCall) -> None:
        span.set_attributes(
            {
                "cc_async.outcome": call.outcome,
                "cc_async.attempts": call.attempts,
                "cc_async.refusals": call.refusals,
                "cc_async.wait": call.waited,
            }
        )
        if call.status is not None:
            span.set_attribute("http.response.status_code", call.status)
        if call.outcome not in {"ok", "cancelled"}:
            span.set_attribute("error.type", call.outcome)
            span.set_status(trace.StatusCode.ERROR, call.outcome)

    def refreshed(self, refresh: ObservedRefresh) -> None:
        """Count a request for a new token."""
        self._refreshes.add(1, {"cc_async.outcome": refresh.outcome})
