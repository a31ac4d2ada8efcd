"""Changes while others write: whatever shifts between pages is found, and the loop ends."""

import asyncio
import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from support.changing_account import MINUTE, ORDERS, World, opened, small_pages


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
