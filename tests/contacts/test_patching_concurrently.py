"""Patches beside other writers: none is lost, none overwrites, and deleted contacts stay deleted."""

import asyncio
import gc
import weakref
from datetime import UTC, datetime

import pytest
from support.contact_with_everything import World, differing, opened
from support.raw_server import OpenLimiter, hasty, reply, talking
from support.sandbox_contract import Clock, until

from cc_async import ContactChangedError, InvalidRequestError, NotFoundError
from cc_async.limits.protocol import Turn
from cc_async.resources.contacts.editing import checked, merged


async def test_a_deleted_contact_is_not_patched_but_can_be_revived_as_it_was(world: World) -> None:
    before = world.contact()
    world.store.delete(world.id)
    gone = world.contact()
    for write in (world.cc.contacts.patch(world.id, first_name="x"), world.cc.contacts.unsubscribe(world.id)):
        with pytest.raises(InvalidRequestError, match="revive") as caught:
            await write
        assert not caught.value.maybe_applied
    assert world.contact() == gone
    assert not world.requests("PUT")
    revived = await world.cc.contacts.revive(world.id)
    assert revived.deleted_at is None
    after = world.contact()
    assert not differing(before, after)
    assert after["update_source"] == "Account"
    sent = len(world.box.requests)
    assert (await world.cc.contacts.revive(world.id)).contact_id == world.id
    assert len(world.box.requests) == sent + 1


async def test_a_change_since_an_earlier_read_stops_the_patch() -> None:
    clock = Clock()
    async with opened(clock=clock) as world:
        read = await world.cc.contacts.get(world.id)
        clock.now += 1
        await world.cc.contacts.patch(world.id, first_name="x", unless_changed_since=read.updated_at)
        clock.now += 1
        with pytest.raises(ContactChangedError) as caught:
            await world.cc.contacts.patch(world.id, first_name="y", unless_changed_since=read.updated_at)
        assert caught.value.contact_id == world.id
        assert world.contact()["first_name"] == "x"


async def test_a_contact_that_tells_no_time_counts_as_changed() -> None:
    async with talking(reply(200, {"contact_id": "c1", "updated_at": "once"})) as (cc, server):
        with pytest.raises(ContactChangedError):
            await cc.contacts.patch("c1", first_name="x", unless_changed_since=datetime.now(UTC))
        assert len(server.requests) == 1


async def test_a_hundred_patches_of_one_contact_at_once_lose_nothing(world: World) -> None:
    lists, tags = world.store.lists, world.store.tags
    await asyncio.gather(
        *(world.cc.contacts.patch(world.id, add_lists=[lists[number % 12]]) for number in range(50)),
        *(world.cc.contacts.patch(world.id, add_tags=[tags[number % 8]]) for number in range(48)),
        world.cc.contacts.patch(world.id, job_title="Countess"),
        world.cc.contacts.unsubscribe(world.id),
    )
    after = world.contact()
    assert (set(after["list_memberships"]), set(after["taggings"])) == (set(lists), set(tags))
    assert (after["job_title"], after["email_address"]["permission_to_send"]) == ("Countess", "unsubscribed")
    assert world.requests() == ["GET", "PUT"] * 100


async def test_patches_of_different_contacts_do_not_wait_for_each_other(world: World) -> None:
    other = world.add("other@example.com")
    world.box.fault("hang", method="PUT", path=f"/contacts/{world.id}")
    stuck = asyncio.create_task(world.cc.contacts.patch(world.id, first_name="x"))
    await until(lambda: world.requests("PUT") != [])
    await world.cc.contacts.patch(other, first_name="y")
    assert world.contact(other)["first_name"] == "y"
    stuck.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stuck


async def test_a_patch_cancelled_while_it_waits_neither_writes_nor_holds_up_the_next(world: World) -> None:
    world.box.fault("latency", method="PUT", seconds=0.05)
    first = asyncio.create_task(world.cc.contacts.patch(world.id, first_name="one"))
    await until(lambda: world.requests("GET") != [])
    waiting = asyncio.create_task(world.cc.contacts.patch(world.id, last_name="two"))
    third = asyncio.create_task(world.cc.contacts.patch(world.id, job_title="three"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(first, third)
    assert waiting.cancelled()
    after = world.contact()
    assert (after["first_name"], after["last_name"], after["job_title"]) == ("one", "Lovelace", "three")


async def test_the_locks_of_contacts_and_of_clients_do_not_pile_up(world: World) -> None:
    ids = [world.add(f"n{number}@example.com") for number in range(20)]
    async with hasty(world.box.base_url, world.box.access_token) as cc:
        await asyncio.gather(*(cc.contacts.patch(contact_id, first_name="x") for contact_id in ids))
        gc.collect()
        assert len(cc.contacts._locks._locks) == 0
    client = weakref.ref(cc._session)
    del cc
    gc.collect()
    assert client() is None


async def test_a_patch_in_the_background_gives_way_to_callers() -> None:
    turns: list[bool] = []

    class Noting(OpenLimiter):
        async def acquire(self, turn: Turn) -> None:
            turns.append(turn.stream)

    async with opened({"rate_limiter": Noting()}) as world:
        await world.cc.contacts.patch(world.id, first_name="x")
        async for _ in world.cc.contacts.patch_many([(world.id, {"first_name": "y"})], background=True):
            pass
        assert turns == [False, False, True, True]


async def test_a_contact_that_is_not_there_cannot_be_patched(world: World) -> None:
    with pytest.raises(NotFoundError):
        await world.cc.contacts.patch("5c0ffee5-1234-4abc-8def-0123456789ab", first_name="x")


def test_edits_given_as_iterators_can_be_applied_more_than_once() -> None:
    changes = checked({"add_lists": iter(["b"]), "remove_tags": "t"})
    read = {"list_memberships": ["a"], "taggings": ["t"]}
    first, second = (merged(read, changes, "Account") for _ in range(2))
    assert first == second == {"update_source": "Account", "list_memberships": ["a", "b"], "taggings": []}
