"""Many operations at once: every item has its outcome."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from support.many_items import AsyncSource, Counter, Work, drained, next_outcome, tasks
from support.raw_server import OpenLimiter
from support.sandbox_contract import until

from cc_async import (
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    InvalidRequestError,
    Many,
    Outcome,
    QuotaExceededError,
    ReauthorizationRequiredError,
    ServerError,
    TokenStoreError,
    TransportError,
)

FINAL: list[Callable[[], Exception]] = [
    lambda: QuotaExceededError("spent", resets_at=OpenLimiter.resets_at),
    lambda: AuthenticationError("no", status=401),
    lambda: ReauthorizationRequiredError("no"),
    lambda: TokenStoreError("no"),
    lambda: ClientClosedError("closed"),
]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# --- items and outcomes ------------------------------------------------------------------------------------------


def _async(items: list[int]) -> AsyncIterator[int]:
    async def give() -> AsyncIterator[int]:
        for item in items:
            yield item

    return give()


@pytest.mark.parametrize("make", [list, tuple, iter, lambda items: (item for item in items), _async], ids=str)
@pytest.mark.parametrize("as_completed", [False, True])
@pytest.mark.parametrize("concurrency", [1, 3, 100])
async def test_every_item_of_any_iterable_has_its_outcome(
    opened_work: Work, make: Any, concurrency: int, *, as_completed: bool
) -> None:
    many = Many(make(range(70)), opened_work, concurrency=concurrency, as_completed=as_completed)
    outcomes = [outcome async for outcome in many]
    assert sorted(outcome.item for outcome in outcomes) == list(range(70))
    assert all(outcome.state == "done" and outcome.unwrap() == f"did {outcome.item}" for outcome in outcomes)
    assert opened_work.most <= concurrency
    assert many.left_over == ()
    assert [outcome async for outcome in many] == []
    assert not tasks()


@pytest.mark.parametrize("items", [[], _async([])], ids=["list", "generator"])
async def test_no_items_give_no_outcomes(work: Work, items: Any) -> None:
    assert [outcome async for outcome in Many(items, work)] == []
    assert not tasks()


async def test_outcomes_come_in_the_order_of_the_items_or_as_they_are_ready(work: Work) -> None:
    in_order, as_ready = (
        Many(range(3), work, concurrency=3),
        Many(range(10, 13), work, concurrency=3, as_completed=True),
    )
    first_in_order, first_ready = (
        asyncio.create_task(next_outcome(in_order)),
        asyncio.create_task(next_outcome(as_ready)),
    )
    await settle()
    work.finish(1, 2, 11, 12)
    await settle()
    assert not first_in_order.done()
    assert (await first_ready).item == 11
    work.finish(0, 10)
    assert [(await first_in_order).item, *[outcome.item async for outcome in in_order]] == [0, 1, 2]
    assert {outcome.item async for outcome in as_ready} == {10, 12}


@pytest.mark.parametrize("concurrency", [0, -1])
async def test_a_concurrency_below_one_is_refused(work: Work, concurrency: int) -> None:
    with pytest.raises(InvalidRequestError, match="concurrency"):
        Many([], work, concurrency=concurrency)


async def test_of_an_endless_source_no_more_is_taken_than_is_asked_for_soon(opened_work: Work) -> None:
    source, delivered = Counter(), 0
    async with Many(source, opened_work, concurrency=5) as many:
        async for outcome in many:
            delivered += 1
            assert outcome.item == delivered - 1
            for _ in range(30):
                await asyncio.sleep(0)
            assert source.taken - delivered <= 20
            if delivered == 200:
                break
    assert source.taken - delivered == len(many.left_over) <= 20


async def test_one_slow_call_holds_up_neither_the_others_nor_the_memory(work: Work) -> None:
    source = Counter()
    async with Many(source, work, concurrency=3) as many:
        waiting = asyncio.create_task(next_outcome(many))
        for _ in range(20):
            await settle()
            work.finish(*(item for item, gate in work.gates.items() if item and not gate.done()))
        assert source.taken == 12
        assert not waiting.done()
        work.finish(0)
        assert (await waiting).item == 0
        await settle()
        assert source.taken == 13


async def test_nothing_begins_before_the_first_outcome_is_asked_for() -> None:
    source = Counter()
    async with Many(source, Work()):
        await settle()
    Many(source, Work())
    assert source.taken == 0


async def test_several_consumers_share_the_outcomes(opened_work: Work) -> None:
    many = Many(range(100), opened_work)

    async def consume() -> list[int]:
        return [outcome.item async for outcome in many]

    shares = await asyncio.gather(consume(), consume(), consume())
    assert sorted(item for share in shares for item in share) == list(range(100))


# --- failures ----------------------------------------------------------------------------------------------------


async def test_one_failure_does_not_stop_the_rest(opened_work: Work) -> None:
    lost = TransportError("lost", maybe_applied=True)
    opened_work.fails = {3: BadRequestError("no", status=400), 4: lost, 5: RuntimeError("of somebody else")}
    outcomes = [outcome async for outcome in Many(range(8), opened_work)]
    states = ["done", "done", "done", "not_done", "maybe_done", "maybe_done", "done", "done"]
    assert [outcome.state for outcome in outcomes] == states
    assert outcomes[4].error is lost
    with pytest.raises(BadRequestError):
        outcomes[3].unwrap()


@pytest.mark.parametrize("make", FINAL)
@pytest.mark.parametrize("as_completed", [False, True])
async def test_what_all_would_meet_stops_the_rest_once_every_taken_item_has_its_outcome(
    work: Work, make: Callable[[], Exception], *, as_completed: bool
) -> None:
    error, source = make(), Counter()
    work.fails = {2: error, 3: BadRequestError("no", status=400)}
    many = Many(source, work, concurrency=4, as_completed=as_completed)
    consumer = asyncio.create_task(drained(many))
    await settle()
    work.finish(2)
    await settle()
    work.finish(0, 1, 3)
    outcomes, raised = await consumer
    assert raised is error
    assert {outcome.item: outcome.state for outcome in outcomes} == {0: "done", 1: "done", 2: "not_done", 3: "not_done"}
    assert source.taken == 4
    assert next(source) == 4
    assert [outcome async for outcome in many] == []
    assert not tasks()


async def test_an_error_of_the_items_is_raised_after_the_outcomes_of_those_before(opened_work: Work) -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise LookupError("the file ends here")

    outcomes, raised = await drained(Many(items(), opened_work))
    assert isinstance(raised, LookupError)
    assert [outcome.item for outcome in outcomes] == [0, 1, 2, 3, 4]


async def test_items_that_end_by_cancellation_are_not_taken_for_all_there_were(opened_work: Work) -> None:
    async def items() -> AsyncIterator[int]:
        yield 1
        raise asyncio.CancelledError

    many = Many(items(), opened_work)
    assert (await anext(many)).item == 1
    with pytest.raises(asyncio.CancelledError):
        await anext(many)


@pytest.mark.parametrize("make", FINAL)
async def test_an_asynchronous_generator_can_be_gone_on_with_after_what_all_would_meet(
    opened_work: Work, make: Callable[[], Exception]
) -> None:
    source = AsyncSource(40)
    items = source()
    opened_work.fails = {9: make()}
    outcomes, raised = await drained(Many(items, opened_work, concurrency=4))
    assert isinstance(raised, type(make()))
    states = {outcome.item: outcome.state for outcome in outcomes}
    assert not source.closed
    taken = len(states)
    assert set(states) == set(range(taken))
    assert all(
        state == ("done" if item in opened_work.begun and item != 9 else "not_done") for item, state in states.items()
    )
    assert [item async for item in items] == list(range(taken, 40))


async def test_an_item_that_comes_after_what_all_would_meet_is_not_sent(work: Work) -> None:
    source = AsyncSource(10, slow=2)
    work.fails = {0: QuotaExceededError("spent", resets_at=OpenLimiter.resets_at)}
    items = source()
    many = Many(items, work)
    first = asyncio.create_task(next_outcome(many))
    await until(lambda: len(work.gates) == 2)
    work.finish(0, 1)
    assert (await first).state == "not_done"
    assert (await anext(many)).state == "done"
    last = asyncio.create_task(next_outcome(many))
    await settle()
    assert not last.done()
    source.more.set()
    outcome = await last
    assert (outcome.item, outcome.state, type(outcome.error)) == (2, "not_done", QuotaExceededError)
    with pytest.raises(QuotaExceededError):
        await anext(many)
    assert work.begun == [0, 1]
    assert [item async for item in items] == list(range(3, 10))


async def test_items_with_the_same_key_run_one_after_the_other_in_their_order() -> None:
    work = Work()
    async with Many([1, 2, 11, 21, 3], work, key=lambda item: item % 10) as many:
        outcomes = asyncio.ensure_future(_all(many))
        await until(lambda: len(work.begun) == 3)
        assert work.begun == [1, 2, 3]
        work.fails[1] = ServerError("no", status=500)
        work.finish(1)
        await until(lambda: 11 in work.begun)
        assert 21 not in work.begun
        work.finish(11)
        await until(lambda: 21 in work.begun)
        work.finish(2, 3, 21)
        found = await outcomes
    assert [outcome.item for outcome in found] == [1, 2, 11, 21, 3]
    assert [outcome.state for outcome in found[1:]] == ["done"] * 4
    assert not many._batch.latest


async def test_a_key_that_cannot_be_had_costs_only_its_own_item() -> None:
    work = Work()
    work.open = True
    async with Many([0, 5], work, key=lambda item: 10 // item) as many:
        assert [(await anext(many)).state, (await anext(many)).state] == ["done", "done"]


async def _all(many: Many[int, str]) -> list[Outcome[int, str]]:
    return [outcome async for outcome in many]
