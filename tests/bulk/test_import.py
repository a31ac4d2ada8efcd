"""Imports of any size: what is sent, and what is told of it."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st
from support.bulk_provider import Provider
from support.imports import importing, people, sent
from support.virtual_time import in_virtual_time

from cc_async import ActivityTimeoutError, BadRequestError, ImportRow, InvalidRequestError
from cc_async.models.imports import ImportOutcome
from cc_async.resources.bulk import imports
from cc_async.resources.bulk.rows import RowEncoder

pytestmark = pytest.mark.usefixtures("journals_are_written_at_once")


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
