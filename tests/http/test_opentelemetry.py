"""The spans and metrics of `OpenTelemetryObserver`, as the SDK's in-memory exporters receive them."""

import asyncio
import contextlib
from collections.abc import Generator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.raw_server import HANG, THROTTLED, error, talking
from support.token_server import TokenServer

from cc_async import NotFoundError, OAuth2, ObservedCall, RateLimiter
from cc_async.opentelemetry import OpenTelemetryObserver

ADDRESS = "ada@example.com"


class Telemetry:
    """An observer, and what it has exported."""

    def __init__(self) -> None:
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = tracers.get_tracer("application")
        meters = MeterProvider([self.reader])
        self.observer = OpenTelemetryObserver(tracer_provider=tracers, meter_provider=meters)

    @property
    def spans(self) -> Any:
        return self.exporter.get_finished_spans()

    def metrics(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        (resource,) = data.resource_metrics
        (scope,) = resource.scope_metrics
        return {metric.name: list(metric.data.data_points) for metric in scope.metrics}


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


async def test_a_call_is_one_span_with_the_name_of_its_operation(telemetry: Telemetry) -> None:
    async with talking(error(503, "down"), THROTTLED, observer=telemetry.observer) as (cc, _):
        await cc.contacts.get(ADDRESS)
    (span,) = telemetry.spans
    attributes = dict(span.attributes)
    assert attributes.pop("cc_async.wait") >= 0
    assert (span.name, span.kind, span.status.status_code) == (
        *("contacts.get", trace.SpanKind.CLIENT, trace.StatusCode.UNSET),
    )
    assert attributes == {
        "cc_async.operation": "contacts.get",
        "cc_async.outcome": "ok",
        "cc_async.attempts": 3,
        "cc_async.refusals": 1,
        "http.request.method": "GET",
        "http.response.status_code": 200,
    }
    assert "ada" not in span.to_json()


async def test_an_exception_ends_the_span_as_an_error(telemetry: Telemetry) -> None:
    async with talking(error(404, "not_found", ADDRESS), observer=telemetry.observer) as (cc, _):
        with pytest.raises(NotFoundError):
            await cc.contacts.get(ADDRESS)
        assert not trace.get_current_span().is_recording()
    (span,) = telemetry.spans
    assert (span.status.status_code, span.attributes["error.type"]) == (trace.StatusCode.ERROR, "NotFoundError")
    assert "ada" not in span.to_json()


async def test_a_cancellation_ends_the_span_without_an_error(telemetry: Telemetry) -> None:
    async with talking(HANG, observer=telemetry.observer) as (cc, server):
        task = asyncio.create_task(cc.contacts.get("c1"))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    (span,) = telemetry.spans
    assert (span.status.status_code, span.attributes["cc_async.outcome"]) == (trace.StatusCode.UNSET, "cancelled")


async def test_concurrent_calls_have_spans_of_their_own_below_that_of_the_caller(telemetry: Telemetry) -> None:
    async with talking(observer=telemetry.observer) as (cc, _):
        with telemetry.tracer.start_as_current_span("sync") as caller:
            await asyncio.gather(*(cc.contacts.get("c1") for _ in range(20)))
            await cc.contacts.get("c1")
            assert trace.get_current_span() is caller
    spans = [span for span in telemetry.spans if span.name == "contacts.get"]
    assert {span.parent.span_id for span in spans} == {caller.get_span_context().span_id}
    assert len({span.context.span_id for span in spans}) == 21


def test_a_call_that_is_abandoned_in_another_context_ends_its_span(
    telemetry: Telemetry, caplog: pytest.LogCaptureFixture
) -> None:
    call = ObservedCall(operation="contacts.get", method="GET")

    def abandoned() -> Generator[None]:
        telemetry.observer.started(call)
        try:
            yield
        finally:
            telemetry.observer.finished(call)

    generator = abandoned()
    contextlib.ExitStack().enter_context(telemetry.tracer.start_as_current_span("other"))
    next(generator)
    with telemetry.tracer.start_as_current_span("another"):
        generator.close()
    assert {span.name for span in telemetry.spans} >= {"contacts.get"}
    assert caplog.text == ""


async def test_requests_refusals_waits_and_the_remaining_requests_are_measured(telemetry: Telemetry) -> None:
    limiter = RateLimiter(100, 0.01, 1000)
    async with talking(THROTTLED, error(404, "gone"), observer=telemetry.observer, rate_limiter=limiter) as (cc, _):
        with pytest.raises(NotFoundError):
            await cc.contacts.get("c1")
        await cc.contacts.delete("c1")
    metrics = telemetry.metrics()
    requests = {
        (p.attributes["cc_async.operation"], p.attributes["cc_async.outcome"]): p.value
        for p in metrics["cc_async.requests"]
    }
    assert requests == {("contacts.get", "NotFoundError"): 2, ("contacts.delete", "ok"): 1}
    assert [(dict(p.attributes), p.value) for p in metrics["cc_async.refusals"]] == [
        ({"cc_async.operation": "contacts.get"}, 1)
    ]
    assert {(p.attributes["cc_async.operation"], p.count) for p in metrics["cc_async.wait"]} == {
        ("contacts.get", 1),
        ("contacts.delete", 1),
    }
    assert [p.value for p in metrics["cc_async.remaining_today"]] == [997]


async def test_refreshes_are_counted(telemetry: Telemetry) -> None:
    with TokenServer() as server:
        auth = OAuth2("app", refresh_token="r0", token_url=server.url)
        async with talking(auth=auth, observer=telemetry.observer) as (cc, _):
            await cc.contacts.get("c1")
    (point,) = telemetry.metrics()["cc_async.refreshes"]
    assert (dict(point.attributes), point.value) == ({"cc_async.outcome": "ok"}, 1)
