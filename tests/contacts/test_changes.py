"""What changed since a moment: all of it, once each, and a watermark to go on from."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from multidict import CIMultiDict
from support.raw_server import hasty, reply, talking
from support.sandbox_contract import Clock, until

from cc_async import (
    Changes,
    ConstantContact,
    Contact,
    InvalidRequestError,
    QuotaExceededError,
    RetryPolicy,
    ServerError,
)
from cc_async.codec.decode import decode
from cc_async.http.call import RawResponse
from cc_async.resources.contacts.deletions import deletions_move_updated_at
from cc_async.sandbox import Sandbox

ORDERS = ("created", "updated", "id", "shuffled")
MINUTE = 60.0


class World:
    """A sandbox whose clock is driven, a client, and a copy of the contacts that `sync` keeps."""

    def __init__(self, box: Sandbox, cc: ConstantContact, clock: Clock) -> None:
        self.box, self.cc, self.clock, self.store = box, cc, clock, box.store
        self.copy: dict[str, Contact] = {}
        self.made = 0
        self.steps: list[Callable[[], object]] = []
        self.left_out = ""
        box.fault("mutate", method="GET", path="/contacts$", times=None, change=self._after_page)

    def leave_out(self, name: str) -> None:
        """RawResponse without a property from now on."""
        self.left_out = name

    def _after_page(self, page: Any) -> None:
        """Let the next step of another writer happen once a page has been answered."""
        page.pop(self.left_out, None)
        self.clock.now += 0.25
        if self.steps:
            self.steps.pop(0)()

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now, UTC)

    def add(self) -> str:
        self.made += 1
        self.clock.now += 1
        email = {"address": f"n{self.made}@example.com", "permission_to_send": "explicit"}
        made = self.store.create({"create_source": "Account", "first_name": "0", "email_address": email})
        return str(made["contact_id"])

    def touch(self, contact_id: str) -> None:
        self.clock.now += 1
        read = self.store.get(contact_id)
        name = str(int(read.get("first_name") or 0) + 1)
        self.store.put(contact_id, {"update_source": "Account", "first_name": name})

    def delete(self, contact_id: str) -> None:
        self.clock.now += 1
        self.store.delete(contact_id)

    def opt_out(self, contact_id: str) -> None:
        self.clock.now += 1
        self.store.unsubscribe(contact_id)

    def opt_in(self, contact_id: str) -> None:
        self.clock.now += 1
        address = self.store.get(contact_id)["email_address"]["address"]
        self.store.sign_up({"email_address": address, "list_memberships": [self.store.lists[0]]})

    def delete_many(self, number: int, *, days: float = 3.0) -> list[str]:
        """Create contacts, let them grow old, and delete them."""
        ids = [self.add() for _ in range(number)]
        self.clock.now += days * 86_400
        for contact_id in ids:
            self.delete(contact_id)
        return ids

    async def sync(self, since: datetime | str, **options: Any) -> tuple[list[str], datetime]:
        """Apply what changed to the copy; return the ids, and where to go on."""
        changes = self.cc.contacts.changes(since, **options)
        seen = []
        async for contact in changes:
            assert contact.contact_id is not None
            seen.append(contact.contact_id)
            self.copy[contact.contact_id] = contact
        assert len(seen) == len(set(seen))
        return seen, changes.watermark

    def truth(self) -> dict[str, Contact]:
        return {
            contact_id: decode(self.store.table.json(self.store.row(contact_id), ()), Contact).value
            for contact_id in self.store.ids()
        }

    def pages(self) -> int:
        return len(self.box.requests)


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[World]:
    clock = Clock()
    settings = {"rate": None, "daily": None, "clock": clock, "token_lifetime": 1e9} | settings
    async with Sandbox(**settings) as box, hasty(box.base_url, box.access_token) as cc:
        yield World(box, cc, clock)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


@pytest.fixture
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cc_async.resources.contacts.filters.LIMIT_AT_MOST", 2)


small_pages = pytest.mark.usefixtures("_small_pages")


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


# --- while others write ------------------------------------------------------------------------------------------


async def test_one_page_of_each_costs_three_requests_and_one_pass(world: World) -> None:
    since = world.now
    world.add()
    await world.sync(since)
    assert world.pages() == 3


@small_pages
async def test_several_pages_are_read_until_a_pass_adds_nothing(world: World) -> None:
    since = world.now
    ids = [world.add() for _ in range(5)]
    world.clock.now += 2
    assert set((await world.sync(since))[0]) == set(ids)
    assert world.pages() == 2 * (3 + 1 + 1)


@small_pages
@pytest.mark.parametrize("total", [True, False])
async def test_a_contact_that_shifts_past_two_passes_in_turn_is_found_by_the_third(*, total: bool) -> None:
    async with opened(order="updated") as world:
        if not total:
            world.leave_out("contacts_count")
        since = world.now
        ids = [world.add() for _ in range(6)]
        nothing: Callable[[], object] = int
        # The first pass reads A B, C D, and is moved on; so is the second after its first page.
        a, b, c = (functools.partial(world.touch, ids[number]) for number in range(3))
        world.clock.now += 2
        world.steps = [nothing, a, nothing, nothing, b, c]
        seen, watermark = await world.sync(since)
        assert set(seen) == set(ids)
        world.clock.now += 60 * MINUTE
        await world.sync(watermark)
        assert world.copy == world.truth()


@pytest.mark.parametrize("sign", ["totals", "how many were met", "dates"])
@small_pages
async def test_a_contact_that_shifts_past_two_passes_because_others_opt_in_again_is_found(sign: str) -> None:
    """Each sign that contacts moved is enough: a total that changes, one that is not met, or one who just came."""
    async with opened(count_every_page=sign != "how many were met") as world:
        a, b, c, d, x, f, g, h = ids = [world.add() for _ in range(8)]
        world.clock.now += 3 * 86_400
        since = world.now
        for contact_id in ids[:-1]:
            world.opt_out(contact_id)
        world.clock.now += 2

        def between_the_passes() -> None:
            world.opt_in(b)
            world.clock.now += 2

        def in_the_second_pass() -> None:
            world.opt_in(c)
            if sign == "dates":
                world.opt_out(h)

        first_pass: list[Callable[[], object]] = [int, int, lambda: world.opt_in(a), int, between_the_passes]
        world.steps = [*first_pass, int, in_the_second_pass]
        seen, watermark = await world.sync(since)
        assert set(seen) == {a, b, c, d, x, f, g}
        world.clock.now += 60 * MINUTE
        await world.sync(watermark)
        truth = world.truth()
        assert world.copy == {contact_id: truth[contact_id] for contact_id in world.copy}


_KINDS = ("touch", "touch", "opt_in", "opt_out", "delete", "delete", "add", "switch")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    order=st.sampled_from(ORDERS),
    touch_on_delete=st.booleans(),
    count_every_page=st.booleans(),
    before=st.lists(st.tuples(st.sampled_from(_KINDS), st.integers(0, 11)), max_size=12),
    script=st.lists(st.tuples(st.sampled_from(_KINDS), st.integers(0, 11)), max_size=40),
)
def test_whatever_is_written_during_a_walk_the_next_one_ends_with_the_truth(
    before: list[tuple[str, int]], script: list[tuple[str, int]], **flags: Any
) -> None:
    async def run() -> None:
        async with opened(**flags) as world:
            ids = [world.add() for _ in range(12)]
            await world.sync(world.now - timedelta(hours=1))

            def step(kind: str, index: int) -> None:
                if kind == "switch":
                    world.box.touch_on_delete = not world.box.touch_on_delete
                elif kind == "add":
                    world.add()
                elif kind == "touch" or not world.store.get(ids[index]).get("deleted_at"):
                    getattr(world, kind)(ids[index])

            world.clock.now += 60 * MINUTE
            since = world.now
            for kind, index in before:
                step(kind, index)
            world.steps = [functools.partial(step, kind, index) for kind, index in script]
            _, watermark = await world.sync(since)
            world.steps = []
            world.clock.now += 60 * MINUTE
            await world.sync(watermark)
            assert world.copy == world.truth()

    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(debug=False) as runner:
        patch.setattr("cc_async.resources.contacts.filters.LIMIT_AT_MOST", 2)
        runner.run(run())


@pytest.fixture
def _ready_to_believe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pages, and one contact on them that was updated on the day of its deletion is enough."""
    monkeypatch.setattr("cc_async.resources.contacts.filters.LIMIT_AT_MOST", 2)
    monkeypatch.setattr("cc_async.resources.contacts.deletions._WITNESSES", 1)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    order=st.sampled_from(ORDERS),
    touch_on_delete=st.booleans(),
    calls=st.lists(
        st.tuples(
            st.integers(1, 4 * 86_400),
            st.lists(st.tuples(st.sampled_from(_KINDS), st.integers(0, 11)), max_size=6),
            st.lists(st.tuples(st.sampled_from(_KINDS), st.integers(0, 11)), max_size=10),
        ),
        max_size=5,
    ),
)
def test_even_where_the_evidence_deceives_the_first_call_of_the_next_week_ends_with_the_truth(
    calls: list[tuple[int, list[tuple[str, int]], list[tuple[str, int]]]], **flags: Any
) -> None:
    async def run() -> None:
        async with opened(**flags) as world:
            ids = [world.add() for _ in range(12)]
            world.clock.now += 3 * 86_400
            _, watermark = await world.sync(world.now - timedelta(days=4))

            def step(kind: str, index: int) -> None:
                if kind == "switch":
                    world.box.touch_on_delete = not world.box.touch_on_delete
                elif kind == "add":
                    world.add()
                elif kind == "touch" or not world.store.get(ids[index]).get("deleted_at"):
                    getattr(world, kind)(ids[index])

            for pause, before, during in calls:
                world.clock.now += pause
                for kind, index in before:
                    step(kind, index)
                world.steps = [functools.partial(step, kind, index) for kind, index in during]
                _, watermark = await world.sync(watermark)
                world.steps = []
            world.clock.now += 7 * 86_400
            await world.sync(watermark)
            assert world.copy == world.truth()

    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(debug=False) as runner:
        patch.setattr("cc_async.resources.contacts.filters.LIMIT_AT_MOST", 2)
        patch.setattr("cc_async.resources.contacts.deletions._WITNESSES", 1)
        runner.run(run())


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("write", ["touch", "delete", "add", "opt_out"])
async def test_a_walk_ends_though_others_never_stop_writing(
    order: str, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cc_async.resources.contacts.filters.LIMIT_AT_MOST", 20)
    async with opened(order=order, touch_on_delete=False) as world:
        since = world.now
        ids = [world.add() for _ in range(50)]

        def step() -> None:
            world.steps.append(step)
            if write == "touch":
                world.touch(ids[world.pages() % 50])
            else:
                contact_id = world.add()
                if write != "add":
                    getattr(world, write)(contact_id)

        world.steps = [step]
        seen, watermark = await world.sync(since)
        assert set(seen) >= set(ids) or write == "touch"
        assert watermark > since
        assert world.pages() < 60


# --- what deletions cost -----------------------------------------------------------------------------------------


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


# --- going on ----------------------------------------------------------------------------------------------------


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
