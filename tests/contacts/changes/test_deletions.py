"""What it costs to learn of deletions, and on which evidence a sweep is left out."""

from datetime import date, datetime

import pytest
from support.changing_account import World, opened

from cc_async import Contact
from cc_async.resources.contacts.deletions import deletions_move_updated_at


@pytest.fixture
def _ready_to_believe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pages, and one contact on them that was updated on the day of its deletion is enough."""
    monkeypatch.setattr("cc_async.resources.contacts.filters.LIMIT_AT_MOST", 2)
    monkeypatch.setattr("cc_async.resources.contacts.deletions._WITNESSES", 1)


async def test_where_deletions_move_the_date_of_the_update_one_page_of_them_is_enough(world: World) -> None:
    world.delete_many(1_001)
    world.clock.now += 3_600
    assert (await world.sync(world.now))[0] == []
    assert world.pages() == 3


async def test_where_deletions_do_not_move_the_date_of_the_update_all_of_them_are_read() -> None:
    async with opened(touch_on_delete=False) as world:
        last = world.delete_many(1_001)[-1]
        world.clock.now += 3_600
        assert last in (await world.sync(world.now))[0]
        assert world.pages() >= 2 + 3


@pytest.mark.parametrize(
    ("days", "witnesses"), [(0.0, 1), (3.0, 3)], ids=["created on the same day", "fewer than needed"]
)
@pytest.mark.usefixtures("_ready_to_believe")
async def test_without_clear_evidence_all_of_them_are_read(
    days: float, witnesses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cc_async.resources.contacts.deletions._WITNESSES", witnesses)
    async with opened(touch_on_delete=days > 0) as world:
        world.delete_many(6, days=days)
        world.clock.now += 4 * 86_400
        await world.sync(world.now, include=())
        assert world.pages() == 2 + 3


@pytest.mark.usefixtures("_ready_to_believe")
async def test_a_single_contact_of_the_page_that_contradicts_keeps_the_sweep(world: World) -> None:
    hidden = world.add()
    world.clock.now += 2 * 86_400
    world.box.touch_on_delete = False
    world.delete(hidden)
    world.box.touch_on_delete = True
    world.delete_many(6, days=1)
    world.clock.now += 2 * 86_400
    await world.sync(world.now)
    assert world.pages() == 2 + 4


@pytest.mark.usefixtures("_ready_to_believe")
async def test_a_deletion_that_the_evidence_hid_comes_with_the_first_call_of_the_next_week(world: World) -> None:
    world.delete_many(6)  # on a Wednesday
    hidden = world.add()
    world.clock.now += 2 * 3_600
    since = world.now
    world.box.touch_on_delete = False
    world.clock.now += 3_600
    world.store.delete(hidden)
    seen, watermark = await world.sync(since)
    assert seen == []
    world.clock.now += 86_400
    seen, watermark = await world.sync(watermark)  # on Thursday
    assert seen == []
    asked = world.pages()
    world.clock.now += 5 * 86_400
    seen, watermark = await world.sync(watermark)
    assert hidden in seen
    assert world.pages() >= asked + 2 + 4
    asked = world.pages()
    assert (await world.sync(watermark))[0] == []
    assert world.pages() == asked + 3


async def test_a_new_week_returns_its_predecessors_deletions_where_one_page_holds_them_all_too(world: World) -> None:
    contact_id = world.add()
    world.clock.now += 86_400  # a Monday
    world.delete(contact_id)
    world.clock.now += 4 * 86_400
    assert (await world.sync(world.now))[0] == []
    since = world.now
    world.clock.now += 3 * 86_400
    assert (await world.sync(since))[0] == [contact_id]
    assert (await world.sync(since, sweep_deleted=True))[0] == []


DAY = date(2024, 5, 17)


def deleted_contact(updated: str | None, created: str = "2024-01-01T00:00:00Z", day: date | None = DAY) -> Contact:
    stamps = (None if stamp is None else datetime.fromisoformat(stamp) for stamp in (updated, created))
    updated_at, created_at = stamps
    return Contact(contact_id="c", updated_at=updated_at, created_at=created_at, deleted_at=day)


@pytest.mark.parametrize(
    ("updated", "speaks_for_it"),
    [
        ("2024-05-16T10:00:00Z", True),  # already the 17th at UTC+14
        ("2024-05-18T12:00:00Z", True),  # still the 17th at UTC-12
        ("2024-05-16T09:59:59Z", None),
        ("2024-05-18T12:00:01Z", False),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59Z", False),
        (None, False),
    ],
)
def test_the_day_of_a_deletion_is_compared_in_every_zone(updated: str | None, *, speaks_for_it: bool | None) -> None:
    """True speaks for it, None contradicts, False says nothing."""
    clear = [deleted_contact("2024-05-17T12:00:00Z")] * 99
    assert not deletions_move_updated_at(clear)
    assert deletions_move_updated_at([*clear, deleted_contact(updated)]) is (speaks_for_it is True)
    assert deletions_move_updated_at([*clear, *clear, deleted_contact(updated)]) is (speaks_for_it is not None)


def test_a_contact_that_was_never_updated_after_its_creation_says_nothing() -> None:
    stamp = "2024-05-17T12:00:00Z"
    assert not deletions_move_updated_at([deleted_contact(stamp, stamp)] * 500)
    assert not deletions_move_updated_at([deleted_contact(stamp, day=None)] * 500)
    assert not deletions_move_updated_at([deleted_contact(stamp, day=date.min), deleted_contact(stamp, day=date.max)])
