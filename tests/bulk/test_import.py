"""Imports of any size: what is sent, what is told of it, and that nothing is lost or sent twice."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from support.bulk_provider import Provider
from support.virtual_time import in_virtual_time

from cc_async import ActivityTimeoutError, BadRequestError, ImportRow, InvalidRequestError
from cc_async.errors import ImportJournalError
from cc_async.models.imports import ImportOutcome
from cc_async.resources.bulk import imports
from cc_async.resources.bulk.imports import Import
from cc_async.resources.bulk.rows import RowEncoder
from cc_async.resources.contacts import Contacts


@pytest.fixture
def small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MOST_ROWS", 3)


@pytest.fixture(autouse=True)
def journals_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual time knows no threads."""

    async def at_once(work: Callable[[], Any]) -> Any:
        return work()

    monkeypatch.setattr("cc_async.resources.bulk.journal.run_uninterrupted", at_once)


def importing(provider: Provider, rows: Any, **options: Any) -> Import:
    return Contacts(provider).import_many(rows, list_ids=options.pop("list_ids", "l1"), **options)  # type: ignore[arg-type]  # what it needs of a session


def people(*numbers: int) -> list[dict[str, Any]]:
    return [{"email": f"p{number}@example.com", "first_name": "Ada"} for number in numbers]


def ranges(outcomes: Iterable[ImportOutcome]) -> list[tuple[int, int, int, str]]:
    return [(outcome.first, outcome.last, outcome.sent, outcome.state) for outcome in outcomes]


@pytest.mark.usefixtures("small_jobs")
@in_virtual_time
async def test_rows_are_cut_into_jobs_and_each_is_accounted_for() -> None:
    provider = Provider()
    run = importing(provider, people(*range(8)), list_ids=["l1", "l2"])
    outcomes = [outcome async for outcome in run]
    assert ranges(outcomes) == [(0, 2, 3, "done"), (3, 5, 3, "done"), (6, 7, 2, "done")]
    assert [job.lists for job in provider.jobs] == [["l1", "l2"]] * 3
    assert provider.imported == {f"p{number}@example.com": 1 for number in range(8)}
    assert (run.progress.total, run.progress.finished, run.progress.jobs_finished) == (8, 8, 3)
    assert outcomes[0].counts is not None
    assert outcomes[0].counts.person_count == 3


@in_virtual_time
async def test_a_body_never_has_more_bytes_than_the_api_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MOST_BYTES", 300)
    provider = Provider()
    names = ["Ж" * number for number in range(40)]
    rows = [{"email": f"p{number}@example.com", "first_name": name or "x"} for number, name in enumerate(names)]
    outcomes = [outcome async for outcome in importing(provider, rows)]
    assert 250 < provider.largest <= 300
    assert sum(outcome.sent for outcome in outcomes) == sum(provider.imported.values()) == 40


@in_virtual_time
async def test_a_row_that_is_too_big_alone_has_an_outcome_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MOST_BYTES", 300)
    provider = Provider()
    rows = [*people(1), {"email": "p2@example.com", "first_name": "x" * 300}, *people(3)]
    outcomes = [outcome async for outcome in importing(provider, rows)]
    assert sorted(ranges(outcomes)) == [(0, 0, 1, "done"), (1, 1, 0, "failed"), (2, 2, 1, "done")]
    assert [str(outcome.error) for outcome in outcomes if outcome.error] == [
        "The row alone has 343 bytes, more than an import may have."
    ]


async def sent(rows: Iterable[Any], **options: Any) -> list[dict[str, Any]]:
    provider = Provider(duration=0.0)
    async for outcome in importing(provider, rows, **options):
        assert outcome.state == "done", outcome.error
    return [row for job in provider.jobs for row in job.rows]


@in_virtual_time
async def test_blanks_are_not_sent() -> None:
    rows: list[Any] = [
        {"email": "a@example.com", "first_name": "", "last_name": None, "city": "Rome"},
        ImportRow(email="b@example.com", first_name="", city="Oslo"),
    ]
    assert await sent(rows) == [
        {"email": "a@example.com", "city": "Rome"},
        {"email": "b@example.com", "city": "Oslo"},
    ]


@in_virtual_time
async def test_custom_fields_are_named_by_label_or_name_and_sent_by_name() -> None:
    rows: list[Any] = [
        ImportRow(email="a@example.com", custom_fields={"Shoe size": 42}),
        {"email": "b@example.com", "shoe size": "43"},
        {"email": "c@example.com", "cf:shoe_size": "44"},
        {"email": "d@example.com", "custom_fields": {"shoe_size": 4.5}},
    ]
    assert [row["cf:shoe_size"] for row in await sent(rows)] == ["42", "43", "44", "4.5"]


@in_virtual_time
async def test_values_are_written_as_the_api_takes_them() -> None:
    rows = [
        ImportRow(
            email="a@example.com",
            birthday_month="7",
            birthday_day=9,
            anniversary=date(2020, 1, 2),
            custom_fields={"Shoe size": datetime(2020, 1, 2, 3, tzinfo=UTC)},
        ),
        {"email": "b@example.com", "Shoe size": True},
    ]
    assert await sent(rows) == [
        {
            "email": "a@example.com",
            "birthday_month": 7,
            "birthday_day": 9,
            "anniversary": "2020-01-02",
            "cf:shoe_size": "2020-01-02T03:00:00Z",
        },
        {"email": "b@example.com", "cf:shoe_size": "true"},
    ]


@in_virtual_time
async def test_an_unknown_custom_field_is_refused_before_anything_is_sent() -> None:
    provider = Provider()
    with pytest.raises(InvalidRequestError, match="'Hat size' is neither"):
        await anext(importing(provider, [*people(1), {"email": "a@example.com", "Hat size": "7"}]))
    assert provider.posts == 0
    assert await sent([{"email": "a@example.com", "home country": "x"}], extra_keys=["home country"]) == [
        {"email": "a@example.com", "home country": "x"}
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"first_name": "Ada"}, "A row needs an email or an sms_number."),
        ({"email": "", "first_name": "Ada"}, "A row needs an email or an sms_number."),
        ({"email": {"address": "a@example.com"}}, "email must be a string"),
        ({"email": "a"}, "email is not an e-mail address."),
        ({"email": "@"}, "email is not an e-mail address."),
        ({"email": "a@"}, "email is not an e-mail address."),
        ({"email": "@example.com"}, "email is not an e-mail address."),
        ({"email": "a@b@example.com"}, "email is not an e-mail address."),
        ({"email": "a a@example.com"}, "email is not an e-mail address."),
        ({"email": "a@example.com, a@example.com"}, "email is not an e-mail address."),
        ({"email": "a@example.com", "custom_fields": [{"custom_field_id": "x"}]}, "a row is not a contact"),
        ({"email": "a@example.com", "first_name": ["Ada"]}, "A row of an import is flat"),
        ({"email": "a@example.com", "first_name": b"Ada"}, "not bytes"),
        ({"email": "a@example.com", "first_name": "\ud800"}, "first_name is not valid Unicode"),
        ({"email": "a@example.com", "first_name": float("nan")}, "NaN"),
        ({"email": "a@example.com", "anniversary": datetime(2020, 1, 1)}, "must be aware"),  # noqa: DTZ001  # on purpose
        ({"email": "a@example.com", "birthday_day": 3}, "must be given together"),
        ("a@example.com", "must be an ImportRow or a mapping"),
        ({7: "x", "email": "a@example.com"}, "keys of a row must be strings"),
        ({"email": "a@example.com", "Shoe size": "1", "shoe_size": "2"}, "cf:shoe_size is given twice"),
    ],
)
@in_virtual_time
async def test_a_row_that_cannot_be_sent_is_told_alone_and_without_its_values(row: Any, reason: str) -> None:
    provider = Provider()
    outcomes = [outcome async for outcome in importing(provider, [*people(1), row, *people(2)])]
    assert sorted(ranges(outcomes)) == [(0, 2, 2, "done"), (1, 1, 0, "failed")]
    (error,) = [outcome.error for outcome in outcomes if outcome.error is not None]
    assert reason in str(error)
    assert "a@example.com" not in str(error)


@given(st.lists(st.text(st.sampled_from("aÄ@. \n\x1c"), max_size=4), min_size=1))
def test_an_address_is_judged_alike_alone_and_among_others(addresses: list[str]) -> None:
    rows = [{"email": address} for address in addresses]
    alone = [RowEncoder(lambda key: key).encode([row]) for row in rows]
    together = RowEncoder(lambda key: key).encode(rows)
    assert together == (b"".join(lines for lines, _ in alone), [name for _, names in alone for name in names])


@pytest.mark.usefixtures("small_jobs")
@in_virtual_time
async def test_of_rows_with_one_address_the_last_is_sent() -> None:
    rows = [
        {"email": "A@Example.com", "first_name": "1"},
        *people(1, 2, 3),
        {"email": "a@example.com", "first_name": "2"},
        {"email": "a@EXAMPLE.com", "first_name": "3"},
    ]
    provider = Provider()
    run = importing(provider, rows)
    async for outcome in run:
        assert outcome.state == "done"
    assert run.progress.duplicates == 2
    assert [row["first_name"] for job in provider.jobs for row in job.rows if "a@" in row["email"].lower()] == ["3"]


@in_virtual_time
async def test_duplicates_are_an_error_on_request_before_anything_is_sent() -> None:
    provider = Provider()
    with pytest.raises(
        InvalidRequestError, match=r"2 rows have an address that comes again later \(at positions 0, 1\)"
    ):
        await anext(importing(provider, people(1, 1, 1), duplicates="error"))
    assert provider.posts == 0


@in_virtual_time
async def test_messages_that_name_a_line_are_mapped_to_rows() -> None:
    provider = Provider(errors=["Line 2: Invalid birthday", "line 4: Invalid e-mail", "Line 99: odd", "No line."])
    (outcome,) = [outcome async for outcome in importing(provider, people(7, 1, 1, 2))]
    assert outcome.state == "partial"
    assert outcome.errors == tuple(provider.errors)
    assert outcome.rows == {0: ("Line 2: Invalid birthday",), 3: ("line 4: Invalid e-mail",)}


@pytest.mark.parametrize("state", ["failed", "cancelled", "timed_out"])
@in_virtual_time
async def test_a_job_that_does_not_complete_has_failed(state: str) -> None:
    (outcome,) = [outcome async for outcome in importing(Provider(state=state), people(1))]
    assert (outcome.state, outcome.activity and outcome.activity.state) == ("failed", state)


@pytest.mark.usefixtures("small_jobs")
@in_virtual_time
async def test_a_refused_job_does_not_stop_the_others() -> None:
    provider = Provider(faults=["ok", "refused"])
    outcomes = [outcome async for outcome in importing(provider, people(*range(9)))]
    assert ranges(outcomes) == [(0, 2, 3, "done"), (3, 5, 3, "failed"), (6, 8, 3, "done")]
    assert isinstance(outcomes[1].error, BadRequestError)


@pytest.mark.usefixtures("small_jobs")
@in_virtual_time
async def test_a_job_is_not_followed_longer_than_asked_for() -> None:
    provider = Provider(duration=1_000)
    outcomes = [outcome async for outcome in importing(provider, people(*range(4)), timeout=100)]
    assert [outcome.state for outcome in outcomes] == ["unknown"] * 2
    assert all(isinstance(outcome.error, ActivityTimeoutError) and outcome.activity for outcome in outcomes)
    assert sum(provider.imported.values()) == 4


@in_virtual_time
async def test_an_unknown_state_counts_as_unfinished() -> None:
    provider = Provider(state="resting")
    (outcome,) = [outcome async for outcome in importing(provider, people(1), timeout=100)]
    assert outcome.state == "unknown"


@in_virtual_time
async def test_polls_become_rare_and_several_jobs_are_seen_with_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MOST_ROWS", 1)
    provider = Provider(duration=300)
    assert len([outcome async for outcome in importing(provider, people(*range(4)), jobs=4)]) == 4
    assert asyncio.get_running_loop().time() < 340
    assert provider.requests["GET /activities"] <= 22
    assert sum(provider.requests.values()) <= 30


@in_virtual_time
async def test_a_full_queue_is_waited_for() -> None:
    provider = Provider(faults=["full", "full"])
    (outcome,) = [outcome async for outcome in importing(provider, people(1))]
    assert outcome.state == "done"
    assert (provider.posts, sum(provider.imported.values())) == (3, 1)
    assert asyncio.get_running_loop().time() > 90


@pytest.mark.usefixtures("small_jobs")
@in_virtual_time
async def test_leaving_early_says_what_was_handed_over_and_sends_no_more() -> None:
    provider = Provider(duration=50)
    async with importing(provider, people(*range(30)), jobs=2) as run:
        first = await anext(run)
        assert run.progress.handed_over == 6
    assert [(left.first, left.last) for left in (first, *run.unfinished)] == [(0, 2), (3, 5)]
    await asyncio.sleep(100)
    assert provider.posts == 2


@in_virtual_time
async def test_a_string_is_not_an_iterable_of_rows() -> None:
    with pytest.raises(InvalidRequestError, match="jobs must be"):
        importing(Provider(), [], jobs=0)
    with pytest.raises(InvalidRequestError, match="list_ids"):
        importing(Provider(), [], list_ids=[])
    with pytest.raises(InvalidRequestError, match="at most 50"):
        importing(Provider(), [], list_ids=["x"] * 51)
    with pytest.raises(InvalidRequestError, match="duplicates"):
        importing(Provider(), [], duplicates="first")


@in_virtual_time
async def test_nothing_is_sent_for_no_rows() -> None:
    provider = Provider()
    assert [outcome async for outcome in importing(provider, [])] == []
    assert provider.requests == {}


async def slowly(rows: Iterable[Any]) -> AsyncIterator[Any]:
    for row in rows:
        await asyncio.sleep(0.01)
        yield row


# --- nothing is lost, and nothing is sent twice ----------------------------------------------------------------------

fault = st.sampled_from(["ok", "lost", "vanished", "full"])
names = st.sampled_from(["", "x", "ж" * 9, "\U0001f600" * 5, '"\\\n', "y" * 70])
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
