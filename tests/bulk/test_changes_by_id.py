"""Changes of any number of contacts by id, in jobs of 500."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cc_async import BulkOutcome, ConstantContact, InvalidRequestError, RateLimiter
from cc_async.sandbox import Sandbox


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cc_async.resources.bulk.jobs._PAUSES", (0.01,))


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(contacts=1_200, rate=None, daily=None, job_seconds=0.0) as box:
        yield box


@pytest.fixture
async def cc(box: Sandbox) -> AsyncIterator[ConstantContact]:
    async with ConstantContact(
        box.access_token, base_url=box.base_url, rate_limiter=RateLimiter(10_000, daily=None)
    ) as cc:
        yield cc


async def ids_of(cc: ConstantContact) -> list[str]:
    return [contact.contact_id or "" async for contact in cc.contacts.list()]


async def test_any_number_of_contacts_is_deleted_in_jobs_of_500(cc: ConstantContact) -> None:
    ids = await ids_of(cc)
    outcomes = [outcome async for outcome in cc.contacts.delete_in_bulk(ids, jobs=2)]
    assert sorted((outcome.first, outcome.last) for outcome in outcomes) == [
        (first, min(first + 499, len(ids) - 1)) for first in range(0, len(ids), 500)
    ]
    assert {outcome.state for outcome in outcomes} == {"done"}
    assert await ids_of(cc) == []


async def test_lists_and_tags_are_added_and_removed(cc: ConstantContact) -> None:
    ids = (await ids_of(cc))[:700]
    newsletter, autumn = await cc.lists.create("A new list"), await cc.tags.create("A new tag")
    assert newsletter.list_id is not None

    async def members() -> set[str | None]:
        return {contact.contact_id async for contact in cc.contacts.list(lists=[newsletter.list_id or ""])}

    async def one_by_one() -> AsyncIterator[str]:
        for contact_id in ids:
            yield contact_id

    outcomes: list[BulkOutcome] = [outcome async for outcome in cc.contacts.add_to_lists(one_by_one(), newsletter)]
    assert [len(outcome.contact_ids) for outcome in outcomes] == [500, 200]
    assert await members() == set(ids)
    async for outcome in cc.contacts.remove_from_lists(ids[:600], [newsletter]):
        assert outcome.state == "done"
    assert await members() == set(ids[600:])
    async for outcome in cc.contacts.add_tags(ids, autumn):
        assert outcome.state == "done"
    assert len(await cc.contacts.list(tags=[autumn.tag_id or ""]).collect()) == 700
    async for outcome in cc.contacts.remove_tags(ids, [autumn]):
        assert outcome.state == "done"
    assert await cc.contacts.list(tags=[autumn.tag_id or ""]).collect() == []


async def test_a_refused_job_is_an_outcome(cc: ConstantContact) -> None:
    (outcome,) = [outcome async for outcome in cc.contacts.add_tags(["c1"], "no-such-tag")]
    assert (outcome.state, outcome.activity) == ("failed", None)
    assert outcome.error is not None


async def test_a_single_id_or_a_wrong_number_of_jobs_is_refused_at_once(cc: ConstantContact) -> None:
    with pytest.raises(InvalidRequestError, match="several ids"):
        cc.contacts.delete_in_bulk("c1")
    for jobs in (0, 21, True, "3"):
        given: Any = jobs
        with pytest.raises(InvalidRequestError, match="from 1 to 20"):
            cc.contacts.delete_in_bulk(["c1"], jobs=given)


async def test_a_whole_list_is_tagged_without_reading_a_contact(cc: ConstantContact, box: Sandbox) -> None:
    autumn = await cc.tags.create("A new tag")
    (first, *_) = await cc.lists.list().collect()
    before = box.spent_today
    done = await cc.activities.wait(await cc.activities.add_tags(autumn, in_lists=first))
    assert done.state == "completed"
    assert box.spent_today - before <= 3
    assert json.dumps(done.state)
