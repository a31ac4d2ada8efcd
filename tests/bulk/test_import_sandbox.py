"""An import from end to end, over sockets."""

from collections.abc import AsyncIterator

import pytest

from cc_async import ConstantContact, ImportRow, RateLimiter
from cc_async.sandbox import Sandbox


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cc_async.resources.bulk.jobs._PAUSES", (0.01,))
    monkeypatch.setattr("cc_async.resources.bulk.jobs._LOOKS", (0.0, 0.05, 0.05))


@pytest.fixture
async def box() -> AsyncIterator[Sandbox]:
    async with Sandbox(contacts=20, rate=None, daily=None, job_seconds=0.0, job_rows_per_second=1e9) as box:
        yield box


@pytest.fixture
async def cc(box: Sandbox) -> AsyncIterator[ConstantContact]:
    async with ConstantContact(
        box.access_token, base_url=box.base_url, rate_limiter=RateLimiter(10_000, daily=None)
    ) as cc:
        yield cc


async def test_an_import_arrives_and_is_verified(cc: ConstantContact, box: Sandbox) -> None:
    fans = await cc.lists.create("Fans")
    field = await cc.custom_fields.create("Shoe size", "string")
    rows = (
        ImportRow(email=f"Fan{number}@example.com", first_name="Zoë", custom_fields={"Shoe size": str(number)})
        for number in range(2_500)
    )
    run = cc.contacts.import_many(rows, list_ids=[fans], verify=True)
    (outcome,) = [outcome async for outcome in run]
    assert (outcome.state, outcome.sent, run.missing) == ("done", 2_500, ())
    assert run.progress.total == run.progress.handed_over == 2_500
    found = await cc.contacts.find("fan7@example.com", include=["custom_fields"])
    assert found is not None
    assert found.custom_fields is not None
    assert [(value.custom_field_id, value.value) for value in found.custom_fields] == [(field.custom_field_id, "7")]
    assert box.applied("POST", "/activities/contacts_json_import") == 1


async def test_whoever_did_not_arrive_is_named(cc: ConstantContact) -> None:
    fans = await cc.lists.create("Fans")
    rows = [{"email": "ada@example.com"}, {"email": "ada@nowhere"}, {"email": "bob@example.com"}]
    run = cc.contacts.import_many(rows, list_ids=[fans], verify=True)
    (outcome,) = [outcome async for outcome in run]
    assert outcome.state == "partial"
    assert run.missing == ("ada@nowhere",)
    assert list(outcome.rows) == [1]


async def test_a_lost_response_to_an_import_is_looked_up(cc: ConstantContact, box: Sandbox) -> None:
    fans = await cc.lists.create("Fans")
    box.fault("cut", method="POST", path="/activities/contacts_json_import", when="after")
    (outcome,) = [o async for o in cc.contacts.import_many([{"email": "ada@example.com"}], list_ids=[fans])]
    assert outcome.state == "done"
    assert box.applied("POST", "/activities/contacts_json_import") == 1
