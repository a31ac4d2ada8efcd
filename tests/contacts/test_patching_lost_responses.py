"""A patch whose response was lost: it is neither applied twice nor written over the work of others."""

import asyncio
import gc
import weakref
from typing import Any

import pytest
from support.contact_with_everything import World, opened
from support.sandbox_contract import Clock, until

from cc_async import (
    ClientClosedError,
    ConflictError,
    InvalidRequestError,
    QuotaExceededError,
    RetryPolicy,
    ServerError,
    TransportError,
)

LOST = [
    pytest.param({"kind": "cut", "when": "after"}, id="cut after the write"),
    pytest.param({"kind": "cut", "when": "before"}, id="cut before the write"),
    pytest.param({"kind": "status", "status": 503, "when": "after"}, id="503 after the write"),
    pytest.param({"kind": "truncated"}, id="half a response"),
    pytest.param({"kind": "html"}, id="HTML"),
]


@pytest.mark.parametrize("fault", LOST)
async def test_after_a_lost_response_what_another_wrote_in_between_survives(
    world: World, fault: dict[str, Any]
) -> None:
    world.box.fault(**fault, method="PUT", times=2)
    writes = iter([{"job_title": "Countess"}, {"company_name": "Difference"}])

    def elsewhere(document: Any) -> Any:
        if world.requests("PUT"):
            world.write(**next(writes, {}))
            document |= {name: world.contact()[name] for name in ("job_title", "company_name")}
        return document

    world.box.fault("mutate", method="GET", path="/contacts/", times=None, change=elsewhere)
    result = await world.cc.contacts.patch(world.id, first_name="x", add_lists=iter([world.store.lists[7]]))
    after = world.contact()
    assert (after["first_name"], after["job_title"], after["company_name"]) == ("x", "Countess", "Difference")
    assert after["list_memberships"] == [*world.store.lists[:2], world.store.lists[7]]
    assert result.first_name == "x"
    assert world.requests() == ["GET", "PUT"] * 3


async def test_a_refused_update_is_not_sent_again(world: World) -> None:
    world.add("taken@example.com")
    with pytest.raises(ConflictError) as caught:
        await world.cc.contacts.patch(world.id, email_address="taken@example.com")
    assert not caught.value.maybe_applied
    assert world.requests() == ["GET", "PUT"]


async def test_a_patch_gives_up_with_the_last_failure_when_the_policy_does() -> None:
    async with opened({"retry": RetryPolicy(attempts=3, first_pause=0.001)}) as world:
        world.box.fault("status", method="PUT", status=500, times=None)
        with pytest.raises(ServerError) as caught:
            await world.cc.contacts.patch(world.id, first_name="x")
        assert caught.value.maybe_applied
        assert world.requests() == ["GET", "PUT"] * 3


async def test_the_server_is_given_the_time_it_asks_for_after_a_lost_response(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    world.box.fault("status", method="PUT", status=503, headers={"Retry-After": "7"})
    monkeypatch.setattr("cc_async.resources.contacts.editing.asyncio.sleep", note)
    await world.cc.contacts.patch(world.id, first_name="x")
    assert [seconds for seconds in pauses if seconds >= 7] == pytest.approx([7], abs=0.1)


@pytest.mark.parametrize("times", [1, 2])
async def test_whatever_fails_after_a_lost_response_says_that_the_write_may_have_been_applied(
    world: World, times: int
) -> None:
    world.box.fault("cut", method="PUT", when="after", times=times)
    world.box.fault("quota", method="GET", after=times)
    with pytest.raises(QuotaExceededError) as caught:
        await world.cc.contacts.patch(world.id, first_name="x")
    assert caught.value.maybe_applied
    assert world.contact()["first_name"] == "x"


async def test_a_contact_that_is_deleted_after_a_lost_response_is_not_revived(world: World) -> None:
    world.box.fault("cut", method="PUT", when="after")
    world.box.fault("mutate", method="GET", after=1, change=lambda read: {**read, "deleted_at": "2024-01-01"})
    with pytest.raises(InvalidRequestError, match="deleted") as caught:
        await world.cc.contacts.patch(world.id, first_name="x")
    assert caught.value.maybe_applied
    assert world.requests() == ["GET", "PUT", "GET"]


@pytest.mark.parametrize(("when", "applied"), [("after", True), ("before", False)])
async def test_after_a_lost_response_a_change_that_could_be_another_s_is_left_to_the_caller(
    when: Any, *, applied: bool
) -> None:
    clock = Clock()
    async with opened(clock=clock) as world:
        since = (await world.cc.contacts.get(world.id)).updated_at
        clock.now += 5
        world.box.fault("cut", method="PUT", when=when)
        patch = world.cc.contacts.patch(world.id, first_name="x", unless_changed_since=since)
        if applied:
            with pytest.raises(TransportError) as caught:
                await patch
            assert caught.value.maybe_applied
            assert world.requests() == ["GET", "GET", "PUT", "GET"]
        else:
            await patch
        assert world.contact()["first_name"] == "x"


def transport_errors() -> set[TransportError]:
    """All that are alive, those among the parameters of other tests included."""
    return {found for found in gc.get_objects() if isinstance(found, TransportError)}


async def test_the_error_of_a_lost_write_dies_without_a_garbage_collection() -> None:
    clock = Clock()
    async with opened(clock=clock) as world:
        since = (await world.cc.contacts.get(world.id)).updated_at
        clock.now += 5
        world.box.fault("cut", method="PUT", when="after")
        gc.collect()
        alive = transport_errors()
        gc.disable()
        try:
            try:
                await world.cc.contacts.patch(world.id, first_name="x", unless_changed_since=since)
            except TransportError as error:
                known = weakref.ref(error)
            assert known() is None
            assert transport_errors() == alive
        finally:
            gc.enable()


async def test_closing_the_client_ends_a_patch_and_those_that_wait_for_it(world: World) -> None:
    world.box.fault("hang", method="PUT")
    patches = [asyncio.create_task(world.cc.contacts.patch(world.id, first_name=name)) for name in "ab"]
    await until(lambda: world.requests("PUT") != [])
    await world.cc.close()
    first, second = await asyncio.gather(*patches, return_exceptions=True)
    assert isinstance(first, ClientClosedError)
    assert first.maybe_applied
    assert isinstance(second, ClientClosedError)
    assert not second.maybe_applied
