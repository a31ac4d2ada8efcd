"""Many operations on contacts against the sandbox: nothing is written that has no outcome."""

import asyncio
import importlib
import itertools
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.many_items import Counter, drained
from support.raw_server import OpenLimiter, hasty
from support.sandbox_contract import Clock
from support.virtual_time import in_virtual_time

from cc_async import (
    ClientClosedError,
    ConflictError,
    ConstantContact,
    Contact,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    EmailAddressInput,
    InvalidRequestError,
    Many,
    Outcome,
    QuotaExceededError,
    RateLimiter,
    ServerError,
    TransportError,
)
from cc_async.limits.protocol import Turn
from cc_async.sandbox import Sandbox


@asynccontextmanager
async def opened(
    client: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[Sandbox, ConstantContact]]:
    settings = {"rate": None, "daily": None} | settings
    async with Sandbox(**settings) as box, hasty(box.base_url, box.access_token, **(client or {})) as cc:
        yield box, cc


def person(number: int) -> CreateContactRequest:
    return CreateContactRequest(
        create_source="Account", email_address=EmailAddressInput(address=f"n{number}@example.com")
    )


def addresses(box: Sandbox) -> list[str]:
    return sorted(box.store.get(contact_id)["email_address"]["address"] for contact_id in box.store.ids())


async def test_all_five_operations_run_on_many() -> None:
    async with opened() as (box, cc):
        made = [outcome.unwrap() async for outcome in cc.contacts.create_many(map(person, range(20)), concurrency=3)]
        ids = [str(contact.contact_id) for contact in made]
        assert ids == box.store.ids()
        read = [outcome.unwrap() async for outcome in cc.contacts.get_many(ids, include=("list_memberships",))]
        assert [contact.list_memberships for contact in read] == [[]] * 20
        lists = box.store.lists
        signs = [
            CreateOrUpdateContactRequest(email_address=f"n{n}@example.com", list_memberships=lists[:1])
            for n in range(19, 22)
        ]
        signed = [outcome.unwrap().action async for outcome in cc.contacts.create_or_update_many(signs)]
        assert signed == ["updated", "created", "created"]
        patches = [(contact_id, {"first_name": "x"}) for contact_id in ids]
        patched = [outcome.unwrap() async for outcome in cc.contacts.patch_many(patches, as_completed=True)]  # type: ignore[arg-type]  # mypy: a dict is no TypedDict
        assert {contact.first_name for contact in patched} == {"x"}
        deleted = [outcome.state async for outcome in cc.contacts.delete_many(ids)]
        assert deleted == ["done"] * 20
        assert all(box.store.get(contact_id)["deleted_at"] for contact_id in ids)


async def test_a_request_that_is_refused_before_it_is_sent_is_an_outcome_too() -> None:
    async with opened() as (box, cc):
        requests = [person(0), CreateContactRequest(create_source="Account"), person(0)]
        outcomes = [outcome async for outcome in cc.contacts.create_many(requests, concurrency=1)]
        assert [outcome.state for outcome in outcomes] == ["done", "not_done", "not_done"]
        assert [type(outcome.error) for outcome in outcomes[1:]] == [InvalidRequestError, ConflictError]
        assert box.applied("POST", "/contacts") == 1


async def test_many_go_in_the_background_only_on_request() -> None:
    turns: list[bool] = []

    class Noting(OpenLimiter):
        async def acquire(self, turn: Turn) -> None:
            turns.append(turn.stream)

    async with opened({"rate_limiter": Noting()}) as (_, cc):
        async for _ in cc.contacts.create_many([person(0)]):
            pass
        async for _ in cc.contacts.create_many([person(1)], background=True):
            pass
    assert turns == [False, True]


async def test_patches_of_one_contact_are_applied_in_their_order() -> None:
    async with opened() as (box, cc):
        contact_id = box.store.create({"create_source": "Account", "first_name": "0"})["contact_id"]
        patches = ((contact_id, {"first_name": str(n), "add_lists": [box.store.lists[n % 12]]}) for n in range(60))
        async for outcome in cc.contacts.patch_many(patches):  # type: ignore[arg-type]  # mypy: a dict is no TypedDict
            outcome.unwrap()
        after = box.store.get(contact_id)
        assert after["first_name"] == "59"
        assert set(after["list_memberships"]) == set(box.store.lists)


async def test_a_lost_response_to_a_create_is_maybe_done_and_never_sent_again() -> None:
    async with opened() as (box, cc):
        box.fault("cut", method="POST", when="after", after=2, times=2)
        box.fault("cut", method="POST", when="before", after=6, times=1)
        box.fault("status", method="POST", status=500, when="after", after=8, times=1)
        states = {
            outcome.item: outcome async for outcome in cc.contacts.create_many(map(person, range(20)), concurrency=4)
        }
        assert len(states) == 20
        doubtful = [outcome for outcome in states.values() if outcome.state == "maybe_done"]
        assert {type(outcome.error) for outcome in doubtful} == {TransportError, ServerError}
        assert len(doubtful) == 4
        assert sum(record.method == "POST" for record in box.requests) == 20
        assert box.applied("POST") == len(set(addresses(box))) == len(addresses(box)) == 19


async def test_closing_the_client_stops_the_rest_and_leaves_no_item_without_an_outcome() -> None:
    async with opened(latency=0.01) as (box, cc):
        source = Counter()
        many = cc.contacts.create_many(map(person, source), concurrency=4)
        outcomes = [await anext(many) for _ in range(10)]
        await cc.close()
        rest, raised = await drained(many)
        outcomes += rest
        assert isinstance(raised, ClientClosedError)
        assert len(outcomes) == source.taken
        unsure = [outcome for outcome in outcomes if outcome.state != "done"]
        assert {type(outcome.error) for outcome in unsure} == {ClientClosedError}
        surely = [outcome for outcome in outcomes if outcome.state == "done"]
        assert len(surely) <= len(addresses(box)) <= len(surely) + sum(o.state == "maybe_done" for o in unsure)


async def test_after_a_spent_quota_one_goes_on_the_next_day_and_nothing_is_written_twice() -> None:
    clock = Clock()
    async with opened(clock=clock, daily=37, token_lifetime=1e9) as (box, cc):
        box.fault("cut", method="POST", when="after", after=11, times=1)
        box.fault("cut", method="POST", when="before", after=60, times=1)
        todo: Iterator[CreateContactRequest] = map(person, range(100))
        days = doubtful = 0
        error: BaseException | None = None
        while days == 0 or error is not None:
            days += 1
            outcomes, error = await drained(cc.contacts.create_many(todo, concurrency=5))
            assert isinstance(error, QuotaExceededError | None)
            doubtful += sum(outcome.state == "maybe_done" for outcome in outcomes)
            again = [outcome.item for outcome in outcomes if outcome.state != "done" and not written(box, outcome)]
            todo = itertools.chain(again, todo)
            clock.now += 86_400
        assert addresses(box) == sorted(f"n{number}@example.com" for number in range(100))
        assert box.applied("POST") == 100
        assert (days, doubtful) == (3, 2)


def written(box: Sandbox, outcome: Outcome[CreateContactRequest, Contact]) -> bool:
    """Look, as one does where it is not sure; what is called not done must not be there."""
    assert outcome.item.email_address is not None
    found = outcome.item.email_address.address in addresses(box)
    assert outcome.state == "maybe_done" or not found
    return found


async def test_deletes_with_lost_responses_are_all_done() -> None:
    async with opened(contacts=120) as (box, cc):
        alive = [contact_id for contact_id in box.store.ids() if not box.store.get(contact_id).get("deleted_at")]
        for number in range(10):
            box.fault("cut", method="DELETE", when="after", after=7 * number, times=1)
        states = [outcome.state async for outcome in cc.contacts.delete_many(alive, as_completed=True)]
        assert states == ["done"] * len(alive)
        assert box.applied("DELETE") == len(alive)


@in_virtual_time
async def test_the_default_options_keep_the_limit_busy_at_three_seconds_of_latency() -> None:
    """Twelve calls under way are three seconds of latency at four requests a second."""

    async def work(item: int) -> int:
        await asyncio.sleep(3)
        return item

    count = 0
    async for _ in Many(range(120), work):
        count += 1
    assert asyncio.get_running_loop().time() == pytest.approx(count * 3 / 12)


def test_upserts_at_300_ms_of_latency_reach_the_limit_by_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2])])
    figures = importlib.import_module("benchmarks.many").main(quick=True)
    assert figures["share_300_ms"] >= 0.95
    assert figures["share_300_ms_background"] >= 0.95
    assert figures["refused"] == 0
    assert "300 ms" in capsys.readouterr().out


def test_an_outcome_shows_neither_its_item_nor_its_result() -> None:
    shown = repr(Outcome(item=person(1), state="done", result=Contact(first_name="Ada")))
    assert shown == "Outcome(state='done', error=None)"


async def test_one_string_is_not_taken_for_many_ids() -> None:
    async with ConstantContact("token", base_url="http://127.0.0.1:9/v3") as cc:
        with pytest.raises(InvalidRequestError, match="a string is one"):
            cc.contacts.delete_many("abc")
        with pytest.raises(TypeError, match="'nope'"):
            cc.contacts.get_many(["abc"], nope=1)  # type: ignore[call-arg]  # which is the point


async def test_one_address_twice_is_signed_up_once_after_the_other() -> None:
    async with Sandbox(contacts=0, rate=None, daily=None, latency=0.05) as box:
        lists = [box.store.lists[0]]
        rows = [
            CreateOrUpdateContactRequest(email_address=address, list_memberships=lists, first_name=str(number))
            for number, address in enumerate(["ada@example.com", "ADA@example.com", "eve@example.com"])
        ]
        limiter = RateLimiter(rate=1000, daily=None)
        async with ConstantContact(box.access_token, base_url=box.base_url, rate_limiter=limiter) as cc:
            outcomes = [outcome.unwrap() async for outcome in cc.contacts.create_or_update_many(rows)]
            ada = await cc.contacts.find("ada@example.com")
    assert [outcome.action for outcome in outcomes] == ["created", "updated", "created"]
    assert ada is not None
    assert ada.first_name == "1"
