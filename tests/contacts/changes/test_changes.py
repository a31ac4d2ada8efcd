"""What changed since a moment: all of it, once each, and a watermark to go on from."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from multidict import CIMultiDict
from support.changing_account import MINUTE, ORDERS, World, opened, small_pages
from support.raw_server import reply, talking

from cc_async import InvalidRequestError
from cc_async.http.call import RawResponse

# --- what comes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("touch_on_delete", [True, False])
@small_pages
async def test_all_that_happened_comes_once_each_and_nothing_else(order: str, *, touch_on_delete: bool) -> None:
    async with opened(order=order, touch_on_delete=touch_on_delete) as world:
        old = [world.add() for _ in range(8)]
        world.clock.now += 3 * 86_400
        since = world.now
        world.touch(old[0])
        world.opt_out(old[1])
        world.delete(old[2])
        world.opt_out(old[3])
        world.touch(old[3])
        world.delete(old[3])
        new = world.add()
        seen, _ = await world.sync(since)
        assert set(seen) == {*old[:4], new}
        truth = world.truth()
        assert world.copy == {contact_id: truth[contact_id] for contact_id in seen}


@pytest.mark.parametrize(("touch_on_delete", "found"), [(True, True), (False, False)])
async def test_without_the_sweep_a_deletion_shows_only_where_it_moves_the_date_of_the_update(
    *, touch_on_delete: bool, found: bool
) -> None:
    async with opened(touch_on_delete=touch_on_delete) as world:
        contact_id = world.add()
        world.clock.now += 3 * 86_400
        since = world.now
        world.delete(contact_id)
        assert (await world.sync(since, sweep_deleted=False))[0] == [contact_id] * found
        assert world.pages() == 2
        assert (await world.sync(since))[0] == [contact_id]
        assert world.pages() == 5


@pytest.mark.parametrize(("touched", "found"), [(True, True), (False, False)])
async def test_edits_of_lists_show_only_where_the_api_lets_them_move_the_date_of_the_update(
    *, touched: bool, found: bool
) -> None:
    """Where it does not, no question to the API tells of them but reading everything: the docstring says so."""
    async with opened(touch_on_membership_edits=touched) as world:
        contact_id = str(world.store.create({"create_source": "Account", "first_name": "Ada"})["contact_id"])
        world.clock.now += 3 * 86_400
        since = world.now
        await world.cc.contacts.patch(contact_id, add_lists=[world.store.lists[0]])
        assert (await world.sync(since))[0] == [contact_id] * found


async def test_sub_resources_come_where_they_are_asked_for(world: World) -> None:
    since = world.now
    world.opt_in(world.add())
    changes = world.cc.contacts.changes(since, include=iter(["list_memberships"]))
    assert [contact.list_memberships async for contact in changes] == [[world.store.lists[0]]]


async def test_a_contact_without_an_id_is_left_out_because_nobody_could_tell_it_from_others() -> None:
    page = {"contacts": [{"first_name": "Nobody"}, {"contact_id": "c1"}]}
    async with talking(*[reply(200, page)] * 3) as (cc, _):
        assert [contact.contact_id async for contact in cc.contacts.changes(datetime.now(UTC))] == ["c1"]


async def test_a_call_reaches_back_behind_its_beginning(world: World) -> None:
    contact_id = world.add()
    world.clock.now += 4 * MINUTE
    assert (await world.sync(world.now))[0] == [contact_id]
    world.clock.now += 2 * MINUTE
    assert (await world.sync(world.now))[0] == []


async def test_deletions_of_the_day_before_come_again_and_older_ones_do_not() -> None:
    async with opened(touch_on_delete=False) as world:
        contact_id = world.add()
        world.delete(contact_id)
        day = world.now.replace(hour=12, minute=0)
        assert (await world.sync(day + timedelta(days=1)))[0] == [contact_id]
        assert (await world.sync(day + timedelta(days=2)))[0] == []
        far_east = (day + timedelta(days=1)).astimezone(timezone_of(14))
        assert (await world.sync(far_east))[0] == [contact_id]


def timezone_of(hours: int) -> Any:
    return datetime.fromisoformat(f"2024-01-01T00:00:00+{hours:02}:00").tzinfo


# --- bounds and watermarks ---------------------------------------------------------------------------------------


async def test_the_watermark_is_the_servers_clock_when_the_walk_began(world: World) -> None:
    world.add()
    began = world.now
    _, watermark = await world.sync(began - timedelta(hours=1))
    assert watermark == began


async def test_the_watermark_stays_the_old_one_until_the_loop_has_ended_by_itself(world: World) -> None:
    since = world.now
    for _ in range(3):
        world.add()
    changes = world.cc.contacts.changes(since.isoformat())
    assert changes.watermark == since
    async for _ in changes:
        assert changes.watermark == since
        break
    assert changes.watermark == since
    assert len([contact async for contact in changes]) == 2
    assert changes.watermark > since
    assert [contact async for contact in changes] == []


async def test_what_changes_after_until_is_left_to_the_next_call(world: World) -> None:
    since = world.now
    first = world.add()
    world.clock.now += 60 * MINUTE
    until = world.now
    second = world.add()
    seen, watermark = await world.sync(since, until=until)
    assert (seen, watermark) == ([first], until)
    seen, watermark = await world.sync(watermark)
    assert seen == [second]
    assert watermark > until


async def test_an_until_in_the_future_does_not_move_the_watermark_past_now(world: World) -> None:
    world.add()
    now = world.now
    _, watermark = await world.sync(now - timedelta(hours=1), until=now + timedelta(days=1))
    assert watermark == now


@small_pages
async def test_what_changes_while_the_walk_runs_is_delivered_by_the_next_call(world: World) -> None:
    since = world.now
    ids = [world.add() for _ in range(6)]
    world.steps = [lambda: world.touch(ids[5]), lambda: None, world.add]
    _, watermark = await world.sync(since)
    assert set(world.copy) == set(ids[:5])
    world.clock.now += 60 * MINUTE
    await world.sync(watermark)
    assert world.copy == world.truth()


@pytest.mark.parametrize("date", ["", "yesterday", None])
async def test_without_the_servers_clock_ours_is_the_watermark(
    world: World, date: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact_id = world.add()
    world.box.clear_faults()
    if date is not None:
        world.box.fault("mutate", times=None, change=lambda page: page, headers={"Date": date})
    else:
        monkeypatch.setattr("cc_async.http.session.RawResponse", _without_date)
    changes = world.cc.contacts.changes(world.now - timedelta(hours=1))
    before = datetime.now(UTC)
    assert [contact.contact_id async for contact in changes] == [contact_id]
    assert before <= changes.watermark <= datetime.now(UTC)


def _without_date(status: int, headers: Mapping[str, str], body: bytes) -> RawResponse:
    return RawResponse(status, CIMultiDict((name, value) for name, value in headers.items() if name != "Date"), body)


async def test_a_date_without_a_zone_is_read_as_utc(world: World) -> None:
    world.box.clear_faults()
    world.box.fault("mutate", times=None, change=lambda page: page, headers={"Date": "Sun, 15 Jun 2025 15:06:40 -0000"})
    _, watermark = await world.sync("2025-06-15T00:00:00Z")
    assert watermark == datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    "arguments",
    [
        {"since": datetime(2024, 1, 1)},  # noqa: DTZ001  # naive on purpose
        {"since": "2024-01-01"},
        {"since": "yesterday"},
        {"since": 7},
        {"since": datetime.min.replace(tzinfo=UTC)},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"since": "2024-01-01T00:00:00Z", "until": "2024-01-01T00:00:00"},
        {"since": "2024-01-02T00:00:00Z", "until": "2024-01-01T00:00:00Z"},
    ],
    ids=str,
)
async def test_moments_that_are_none_are_refused(world: World, arguments: Any) -> None:
    with pytest.raises(InvalidRequestError):
        world.cc.contacts.changes(**arguments)
