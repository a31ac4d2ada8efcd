"""Many operations at once: every item has its outcome, and nothing is sent that nobody knows of."""

import asyncio
import gc
import importlib
import itertools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from support.raw_server import OpenLimiter, hasty
from support.sandbox_contract import Clock, until
from support.virtual_time import in_virtual_time

from cc_async import (
    AuthenticationError,
    BadRequestError,
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
    ReauthorizationRequiredError,
    ServerError,
    TokenStoreError,
    TransportError,
)
from cc_async.limits.protocol import Turn
from cc_async.sandbox import Sandbox

FINAL: list[Callable[[], Exception]] = [
    lambda: QuotaExceededError("spent", resets_at=OpenLimiter.resets_at),
    lambda: AuthenticationError("no", status=401),
    lambda: ReauthorizationRequiredError("no"),
    lambda: TokenStoreError("no"),
    lambda: ClientClosedError("closed"),
]


class Work:
    """What is done for each item: what the test lets happen, when it does."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.under_way: set[int] = set()
        self.most = 0
        self.gates: dict[int, asyncio.Future[str]] = {}
        self.fails: dict[int, Exception] = {}
        self.open = False

    async def __call__(self, item: int) -> str:
        self.begun.append(item)
        self.under_way.add(item)
        self.most = max(self.most, len(self.under_way))
        try:
            if not self.open:
                self.gates[item] = asyncio.get_running_loop().create_future()
                await self.gates[item]
            if item in self.fails:
                raise self.fails[item]
            return f"did {item}"
        finally:
            self.under_way.discard(item)

    def finish(self, *items: int) -> None:
        for item in items:
            self.gates[item].set_result("")


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def opened_work(work: Work) -> Work:
    work.open = True
    return work


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Counter:
    """An endless iterator that counts what was taken of it."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.taken += 1
        return self.taken - 1


class AsyncSource:
    """An asynchronous generator of numbers that tells when it was closed; those from `slow` on are held back."""

    def __init__(self, count: int = 1_000, slow: int = 1_000_000) -> None:
        self.given = 0
        self.closed = False
        self.slow = slow
        self.more = asyncio.Event()
        self.count = count

    async def __call__(self) -> AsyncIterator[int]:
        try:
            for number in range(self.count):
                if number >= self.slow:
                    await self.more.wait()
                await asyncio.sleep(0)
                self.given += 1
                yield number
        finally:
            await asyncio.sleep(0)
            self.closed = True


async def drained(many: Many[Any, Any]) -> tuple[list[Outcome[Any, Any]], BaseException | None]:
    """All outcomes, and what was raised after them."""
    outcomes = []
    try:
        async for outcome in many:
            outcomes.append(outcome)  # noqa: PERF401  # what came before the error counts
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  # whatever it is
        return outcomes, error
    return outcomes, None


def tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


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
    first_in_order, first_ready = asyncio.create_task(_next(in_order)), asyncio.create_task(_next(as_ready))
    await settle()
    work.finish(1, 2, 11, 12)
    await settle()
    assert not first_in_order.done()
    assert (await first_ready).item == 11
    work.finish(0, 10)
    assert [(await first_in_order).item, *[outcome.item async for outcome in in_order]] == [0, 1, 2]
    assert {outcome.item async for outcome in as_ready} == {10, 12}


async def _next(many: Many[Any, Any]) -> Outcome[Any, Any]:
    return await anext(many)


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
        waiting = asyncio.create_task(_next(many))
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
    first = asyncio.create_task(_next(many))
    await until(lambda: len(work.gates) == 2)
    work.finish(0, 1)
    assert (await first).state == "not_done"
    assert (await anext(many)).state == "done"
    last = asyncio.create_task(_next(many))
    await settle()
    assert not last.done()
    source.more.set()
    outcome = await last
    assert (outcome.item, outcome.state, type(outcome.error)) == (2, "not_done", QuotaExceededError)
    with pytest.raises(QuotaExceededError):
        await anext(many)
    assert work.begun == [0, 1]
    assert [item async for item in items] == list(range(3, 10))


# --- leaving early -----------------------------------------------------------------------------------------------


async def test_leaving_the_block_ends_what_is_under_way_and_tells_what_is_left_over(work: Work) -> None:
    source = AsyncSource()
    async with Many(source(), work, concurrency=3, as_completed=True) as many:
        first = asyncio.create_task(_next(many))
        await until(lambda: len(work.gates) == 3)
        work.finish(1, 2)
        assert (await first).item == 1
    assert not tasks()
    assert source.closed
    left = {outcome.item: outcome.state for outcome in many.left_over}
    assert left[2] == "done"
    assert set(left) | {1} == set(range(source.given))
    assert {state for item, state in left.items() if item != 2} == {"maybe_done"}
    assert not work.under_way
    assert [outcome async for outcome in many] == []


@pytest.mark.parametrize("how", ["break", "error", "cancel"])
async def test_dropping_the_iterator_ends_the_calls(work: Work, how: str) -> None:
    source = AsyncSource()

    async def consume() -> None:
        async for outcome in Many(source(), work, concurrency=3):
            assert outcome.item == 0
            if how == "break":
                break
            if how == "error":
                raise LookupError

    consumer = asyncio.create_task(consume())
    await until(lambda: len(work.gates) == 3)
    if how == "cancel":
        consumer.cancel()
    else:
        work.finish(0)
    try:
        await consumer
    except (asyncio.CancelledError, LookupError) as error:
        kept = error  # and with it the frames of its traceback
        assert kept.__traceback__ is not None
    await until(lambda: not tasks())
    assert source.closed
    assert not work.under_way


async def test_a_consumer_that_gives_up_waiting_misses_no_outcome(work: Work) -> None:
    many = Many(range(3), work)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(many), 0.001)
    work.finish(0, 1, 2)
    assert [outcome.item async for outcome in many] == [0, 1, 2]


async def test_closing_wakes_who_waits_for_an_outcome(work: Work) -> None:
    many = Many(range(3), work)
    waiting = asyncio.create_task(_next(many))
    await until(lambda: len(work.gates) == 3)
    await many.aclose()
    with pytest.raises(StopAsyncIteration):
        await waiting
    await many.aclose()
    assert [outcome.state for outcome in many.left_over] == ["maybe_done"] * 3


async def test_an_item_that_comes_in_spite_of_the_closing_is_left_over_as_not_done(work: Work) -> None:
    class Stubborn:
        def __init__(self) -> None:
            self.given = 0

        def __aiter__(self) -> "Stubborn":
            return self

        async def __anext__(self) -> int:
            self.given += 1
            if self.given == 2:
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            return self.given

    source = Stubborn()
    async with Many(source, work) as many:
        waiting = asyncio.create_task(_next(many))
        await until(lambda: source.given == 2)
    waiting.cancel()
    assert [(outcome.item, outcome.state) for outcome in many.left_over] == [(1, "maybe_done"), (2, "not_done")]
    assert isinstance(many.left_over[1].error, ClientClosedError)
    assert source.given == 2


async def test_what_goes_wrong_when_the_generator_is_closed_is_not_swallowed(opened_work: Work) -> None:
    async def items() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            raise LookupError("the file was not closed")

    many = Many(items(), opened_work)
    await anext(many)
    with pytest.raises(LookupError, match="not closed"):
        await many.aclose()


async def test_an_iterator_made_of_the_items_is_closed_with_them(opened_work: Work) -> None:
    source = AsyncSource(30)

    class Collection:
        def __aiter__(self) -> Any:
            return source()

    opened_work.fails = {0: QuotaExceededError("spent", resets_at=OpenLimiter.resets_at)}
    assert isinstance((await drained(Many(Collection(), opened_work)))[1], QuotaExceededError)
    assert source.closed


def test_a_loop_that_ends_in_the_middle_leaves_no_warning() -> None:
    kept: list[Many[int, str]] = []

    async def main() -> None:
        kept.append(Many(AsyncSource()(), Work()))
        waiting = asyncio.create_task(_next(kept[0]))
        await asyncio.sleep(0.001)
        waiting.cancel()

    asyncio.run(main())
    kept.clear()
    gc.collect()


# --- against the API ---------------------------------------------------------------------------------------------


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


async def test_an_item_that_waited_for_its_key_when_the_consumer_left_was_not_sent() -> None:
    work = Work()
    many = Many([1, 11], work, key=lambda item: item % 10)
    first = asyncio.ensure_future(anext(many))
    await until(lambda: work.begun == [1])
    await asyncio.sleep(0)
    first.cancel()
    await many.aclose()
    assert [(outcome.item, outcome.state) for outcome in many.left_over] == [(1, "maybe_done"), (11, "not_done")]


async def test_a_key_that_cannot_be_had_costs_only_its_own_item() -> None:
    work = Work()
    work.open = True
    async with Many([0, 5], work, key=lambda item: 10 // item) as many:
        assert [(await anext(many)).state, (await anext(many)).state] == ["done", "done"]


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


async def _all(many: Many[int, str]) -> list[Outcome[int, str]]:
    return [outcome async for outcome in many]
