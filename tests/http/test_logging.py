"""What the log tells, and what tracing sees."""

import logging
import re
import warnings
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.raw_server import CUT, FAST, HANG, QUOTA, THROTTLED, TOKEN, TokenList, error, hasty, reply, talking

from cc_async import OAuth2, QuotaExceededError, RateLimiter, RequestTimeoutError, TransportError
from cc_async.sandbox import Sandbox

DOWN = error(503, "down")


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """What the logger of the library said, with the milliseconds left out."""
    records = [record for record in caplog.records if record.name.startswith("cc_async")]
    assert {record.name for record in records} <= {"cc_async"}
    return [(record.levelname, re.sub(r"\b\d+ ms", "N ms", record.getMessage())) for record in records]


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, "cc_async"):
        yield caplog


async def test_every_attempt_is_one_line_for_debugging(everything: pytest.LogCaptureFixture) -> None:
    tokens = TokenList("old", "new")
    async with talking(DOWN, CUT, auth=tokens) as (cc, server):
        server.valid_tokens = {"new"}
        await cc.contacts.get("c1", include=["notes"])
    assert lines(everything) == [
        ("DEBUG", "GET /contacts/c1: 401 in N ms (attempt 1)"),
        ("DEBUG", "GET /contacts/c1: 503 in N ms (attempt 1)"),
        ("DEBUG", "GET /contacts/c1: no response in N ms (attempt 2)"),
        ("DEBUG", "GET /contacts/c1: 200 in N ms (attempt 3)"),
    ]


async def test_an_attempt_that_breaks_in_the_body_is_logged_with_its_status(
    everything: pytest.LogCaptureFixture,
) -> None:
    async with talking(reply(200, {"contact_id": "c1"}, cut=3, then="close")) as (cc, _):
        await cc.contacts.get("c1")
    assert [line for _, line in lines(everything)] == [
        "GET /contacts/c1: 200 in N ms (attempt 1)",
        "GET /contacts/c1: 200 in N ms (attempt 2)",
    ]


async def test_an_id_that_is_an_address_is_not_logged(everything: pytest.LogCaptureFixture) -> None:
    async with talking() as (cc, _):
        await cc.contacts.get("ada@example.com")
        await cc.request("GET", "/contacts/ada@example.com", params={"email": "ada@example.com"})
    assert [line for _, line in lines(everything)] == ["GET /contacts/<address>: 200 in N ms (attempt 1)"] * 2


async def test_the_milliseconds_are_those_of_the_attempt(everything: pytest.LogCaptureFixture) -> None:
    async with talking(HANG, timeout=0.2, retry=FAST) as (cc, _):
        await cc.contacts.get("c1")
    took = [int(found) for found in re.findall(r"in (\d+) ms", everything.text)]
    assert took[0] >= 190 > took[1]


async def test_ordinary_calls_say_nothing_above_debug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "cc_async"):
        async with talking(DOWN, CUT) as (cc, _):
            await cc.contacts.get("c1")
    assert lines(caplog) == []


async def test_a_pause_for_all_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with talking(THROTTLED, rate_limiter=RateLimiter(100, 0.02, None)) as (cc, _):
        await cc.contacts.get("c1")
    ((level, line),) = lines(caplog)
    assert (level, line[:39]) == ("WARNING", "The server refused a request as too soon"[:39])


async def test_a_spent_quota_is_one_warning_however_many_calls_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    async with talking(QUOTA, rate_limiter=RateLimiter(100, 0.02)) as (cc, _):
        for _ in range(3):
            with pytest.raises(QuotaExceededError):
                await cc.contacts.get("c1")
    ((level, line),) = lines(caplog)
    assert (level, line[:31]) == ("WARNING", "The day's quota is exhausted; no"[:31])


async def test_a_refresh_is_worth_an_information(caplog: pytest.LogCaptureFixture) -> None:
    async with Sandbox(rate=None) as box:
        auth = OAuth2(
            box.client_id, client_secret=box.client_secret, refresh_token=box.refresh_token, token_url=box.token_url
        )
        with caplog.at_level(logging.INFO, "cc_async"):
            async with hasty(box.base_url, auth) as cc:
                await cc.contacts.counts()
                await cc.contacts.counts()
    assert lines(caplog) == [("INFO", "A new access token is in use.")]


# --- tracing -----------------------------------------------------------------------------------------------------


async def test_the_traces_of_a_lent_session_see_every_attempt() -> None:
    seen: list[str] = []

    async def note(_: Any, __: Any, params: Any) -> None:
        seen.append(re.sub(r"(Trace|Request|Params)", "", type(params).__name__))

    trace = aiohttp.TraceConfig()
    for signal in (trace.on_request_start, trace.on_request_end, trace.on_request_exception):
        signal.append(note)
    async with aiohttp.ClientSession(trace_configs=[trace]) as http, talking(DOWN, CUT, client_session=http) as (cc, _):
        await cc.contacts.get("c1")
    assert seen == ["Start", "End", "Start", "Exception", "Start", "End"]


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """OpenTelemetry's own instrumentation of aiohttp, which collects its spans here."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = AioHttpClientInstrumentor()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its own innards
        instrumentor.instrument(tracer_provider=provider)
    yield exporter
    instrumentor.uninstrument()


def told(span: ReadableSpan) -> tuple[str, Any, bool]:
    attributes = span.attributes or {}
    return span.name, attributes.get("http.status_code"), span.status.is_ok


@pytest.mark.parametrize("lent", [True, False])
async def test_opentelemetry_gets_one_span_an_attempt(lent: bool, spans: InMemorySpanExporter) -> None:
    async with (
        aiohttp.ClientSession() as http,
        talking(DOWN, CUT, client_session=http if lent else None) as (cc, server),
    ):
        await cc.contacts.get("c1")
    assert [told(span) for span in spans.get_finished_spans()] == [
        ("GET", 503, False),
        ("GET", None, False),
        ("GET", 200, True),
    ]
    broken = spans.get_finished_spans()[1]
    assert broken.status.description == "ConnectionBroken"
    assert len(server.requests) == 3
    assert TOKEN not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_opentelemetry_changes_nothing_about_what_is_repeated(spans: InMemorySpanExporter) -> None:
    async with talking(CUT, HANG, timeout=0.2) as (cc, server):
        with pytest.raises(TransportError) as caught:
            await cc.request("POST", "/contact_tags", json={"name": "blue"})
        assert caught.value.maybe_applied
        with pytest.raises(RequestTimeoutError):
            await cc.request("POST", "/contact_tags", json={"name": "blue"})
        await cc.contacts.delete("c1")
    assert len(server.requests) == len(spans.get_finished_spans()) == 3
