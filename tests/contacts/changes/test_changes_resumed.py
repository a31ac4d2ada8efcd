"""Changes after an error or a cancellation, and with several consumers."""

import asyncio

import pytest
from support.changing_account import World, opened, small_pages
from support.raw_server import hasty
from support.sandbox_contract import until

from cc_async import Changes, QuotaExceededError, RetryPolicy, ServerError


@small_pages
async def test_after_an_error_the_walk_goes_on_and_leaves_nothing_out() -> None:
    async with opened() as world:
        since = world.now
        ids = [world.add() for _ in range(9)]
        for after in (1, 4, 8, 12):
            world.box.fault("quota", after=after)
        changes = world.cc.contacts.changes(since)
        seen, failures = [], 0
        while failures < 20:
            try:
                contact = await anext(changes)
            except QuotaExceededError:
                failures += 1
                assert changes.watermark == since
            except StopAsyncIteration:
                break
            else:
                seen.append(contact.contact_id)
        assert failures == 4
        assert sorted(map(str, seen)) == sorted(ids)


async def test_an_error_of_the_first_page_is_no_end() -> None:
    async with opened() as world:
        since = world.now
        contact_id = world.add()
        world.box.clear_faults()
        world.box.fault("status", status=500, times=2)
        async with hasty(world.box.base_url, world.box.access_token, retry=RetryPolicy(attempts=1)) as cc:
            changes = cc.contacts.changes(since)
            for _ in range(2):
                with pytest.raises(ServerError):
                    await anext(changes)
            assert changes.watermark == since
            assert [contact.contact_id async for contact in changes] == [contact_id]


@small_pages
async def test_several_consumers_share_the_changes(world: World) -> None:
    since = world.now
    ids = [world.add() for _ in range(9)]
    changes = world.cc.contacts.changes(since)

    async def consume() -> list[str | None]:
        return [contact.contact_id async for contact in changes]

    shares = await asyncio.gather(consume(), consume(), consume())
    assert sorted(str(one) for share in shares for one in share) == sorted(ids)


async def test_several_consumers_skip_no_collection_between_them(world: World) -> None:
    contact_id = world.add()
    world.clock.now += 3 * 86_400
    world.opt_out(contact_id)
    changes = world.cc.contacts.changes(world.now)

    async def consume() -> list[str | None]:
        return [contact.contact_id async for contact in changes]

    shares = await asyncio.gather(*(consume() for _ in range(5)))
    assert [one for share in shares for one in share] == [contact_id]


@small_pages
async def test_a_consumer_that_was_cancelled_leaves_nothing_behind_and_can_ask_again(world: World) -> None:
    since = world.now
    ids = [world.add() for _ in range(3)]
    world.box.fault("latency", seconds=0.05, when="after", after=1, times=1)
    changes = world.cc.contacts.changes(since)

    async def consume(changes: Changes) -> list[str | None]:
        return [contact.contact_id async for contact in changes]

    first = [(await anext(changes)).contact_id for _ in range(2)]
    asked = world.pages()
    consumer = asyncio.create_task(consume(changes))
    await until(lambda: world.pages() > asked)
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert [*first, *await consume(changes)] == ids
