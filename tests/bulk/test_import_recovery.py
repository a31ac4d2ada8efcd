"""Imports that are interrupted or lose responses: no row is lost, and none is sent twice."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from support.bulk_provider import Provider
from support.imports import importing, people
from support.virtual_time import in_virtual_time

from cc_async.errors import ImportJournalError
from cc_async.models.imports import ImportOutcome
from cc_async.resources.bulk import imports

pytestmark = pytest.mark.usefixtures("journals_are_written_at_once")


async def slowly(rows: Iterable[Any]) -> AsyncIterator[Any]:
    for row in rows:
        await asyncio.sleep(0.01)
        yield row


names = st.sampled_from(["", "x", "ж" * 9, "\U0001f600" * 5, '"\\\n', "y" * 70])
fault = st.sampled_from(["ok", "lost", "vanished", "full"])
row_lists = st.lists(st.tuples(st.integers(0, 12), names), max_size=25)


def as_rows(drawn: list[tuple[int, str]]) -> list[dict[str, Any]]:
    return [{"email": f"P{number}@example.com", "first_name": name} for number, name in drawn]


@given(
    drawn=row_lists,
    faults=st.lists(fault, max_size=12),
    jobs=st.integers(1, 4),
    rows_at_most=st.integers(1, 5),
    bytes_at_most=st.integers(150, 400),
    asynchronous=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_every_row_is_in_one_job_or_accounted_for(
    *,
    drawn: list[tuple[int, str]],
    faults: list[str],
    jobs: int,
    rows_at_most: int,
    bytes_at_most: int,
    asynchronous: bool,
) -> None:
    @in_virtual_time
    async def run_it() -> None:
        provider = Provider(faults=list(faults), most_rows=rows_at_most, most_bytes=bytes_at_most)
        rows = as_rows(drawn)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(imports, "MOST_ROWS", rows_at_most)
            patch.setattr(imports, "MOST_BYTES", bytes_at_most)
            run = importing(provider, slowly(rows) if asynchronous else iter(rows), jobs=jobs)
            outcomes = [outcome async for outcome in run]
        sent = sum(outcome.sent for outcome in outcomes)
        assert sent + run.progress.rejected + run.progress.duplicates == len(rows)
        assert not any(outcome.state == "failed" and outcome.sent for outcome in outcomes)
        wanted = {row["email"].casefold() for row in rows}
        rejected = {rows[outcome.first]["email"].casefold() for outcome in outcomes if not outcome.sent}
        unknown = sum(outcome.sent for outcome in outcomes if outcome.state == "unknown")
        assert all(count == 1 for count in provider.imported.values())
        assert len(wanted - provider.imported.keys()) <= unknown + len(rejected)
        last = {row["email"].casefold(): row["first_name"] for row in rows}
        for job in provider.jobs:
            for row in job.rows:
                assert row.get("first_name", "") == last[row["email"].casefold()]

    run_it()


@given(
    drawn=row_lists,
    faults=st.lists(fault, max_size=8),
    jobs=st.integers(1, 3),
    kills=st.lists(st.tuples(st.integers(1, 12), st.sampled_from([0.0, 0.1, 0.2, 0.22, 0.25, 1.5])), max_size=6),
)
@settings(max_examples=100, deadline=None)
def test_a_process_that_is_killed_goes_on_from_its_journal(
    drawn: list[tuple[int, str]],
    faults: list[str],
    jobs: int,
    kills: list[tuple[int, float]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    journal = tmp_path_factory.mktemp("journal") / "import.jsonl"

    @in_virtual_time
    async def run_it() -> None:
        provider = Provider(faults=list(faults))
        rows = as_rows(drawn)

        async def once() -> list[ImportOutcome]:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(imports, "MOST_ROWS", 3)
                return [outcome async for outcome in importing(provider, rows, jobs=jobs, journal=journal)]

        for after, delay in kills:
            task = asyncio.ensure_future(once())
            provider.on_request = _cancel_at(after, delay, task)
            await asyncio.wait({task})
            assert task.cancelled() or task.exception() is None
        provider.on_request = None
        outcomes = await once()
        assert all(count == 1 for count in provider.imported.values())
        unknown = sum(outcome.sent for outcome in outcomes if outcome.state == "unknown")
        assert len({row["email"].casefold() for row in rows} - provider.imported.keys()) <= unknown

    run_it()


def _cancel_at(after: int, delay: float, task: "asyncio.Task[Any]") -> Any:
    seen = 0

    def count(_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == after:
            asyncio.get_running_loop().call_later(delay, task.cancel)

    return count


@pytest.mark.usefixtures("small_jobs")
@in_virtual_time
async def test_a_job_whose_response_was_lost_is_found_and_not_sent_again() -> None:
    provider = Provider(faults=["lost", "vanished", "lost"])
    outcomes = [outcome async for outcome in importing(provider, people(*range(6)))]
    assert [outcome.state for outcome in outcomes] == ["done", "done"]
    assert (provider.posts, sum(provider.imported.values())) == (3, 6)


@pytest.mark.usefixtures("small_jobs")
@in_virtual_time
async def test_where_two_jobs_may_be_the_lost_one_nothing_is_sent_again() -> None:
    provider = Provider(faults=["lost"], foreign=1)
    (outcome,) = [outcome async for outcome in importing(provider, people(1, 2))]
    assert (outcome.state, provider.posts) == ("unknown", 1)
    assert outcome.error is not None


@in_virtual_time
async def test_a_lost_job_that_never_counts_stays_unknown() -> None:
    provider = Provider(faults=["lost"], counters=False)
    (outcome,) = [outcome async for outcome in importing(provider, people(1, 2))]
    assert (outcome.state, provider.posts) == ("unknown", 1)


@in_virtual_time
async def test_a_journal_of_other_rows_is_refused(tmp_path: Path) -> None:
    journal, provider = tmp_path / "import.jsonl", Provider()
    async for _ in importing(provider, people(1), journal=journal):
        pass
    with pytest.raises(ImportJournalError, match="other rows"):
        await anext(importing(provider, people(2), journal=journal))
    (tmp_path / "rows.csv").write_text("email\na@example.com")
    with pytest.raises(ImportJournalError, match="not the journal"):
        await anext(importing(provider, people(2), journal=tmp_path / "rows.csv"))
    assert (tmp_path / "rows.csv").read_text() == "email\na@example.com"
    assert provider.posts == 1
    assert "example.com" not in journal.read_text()


@in_virtual_time
async def test_a_journal_serves_one_import_at_a_time(tmp_path: Path) -> None:
    provider = Provider(duration=100)
    async with importing(provider, people(1), journal=tmp_path / "import.jsonl") as first:
        task = asyncio.ensure_future(anext(first))
        await asyncio.sleep(1)
        with pytest.raises(ImportJournalError, match="in use"):
            await anext(importing(provider, people(1), journal=tmp_path / "import.jsonl"))
        await task
