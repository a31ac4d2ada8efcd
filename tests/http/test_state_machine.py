"""Random calls, faults, cancellations and clock jumps, with what must hold after every one of them."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import Any, Self, TypeAlias

import attrs
from hypothesis import HealthCheck, given, settings, strategies as st
from support.raw_server import FAST, hasty

from cc_async import (
    ConstantContact,
    ConstantContactError,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    OAuth2,
    RateLimiter,
    UpdateContactRequest,
)
from cc_async.limits.protocol import Turn
from cc_async.sandbox import Sandbox

RATE, PER = 4, 0.02
ATTEMPTS = 3
DAY = 86_400.0
Call: TypeAlias = Callable[[ConstantContact, str, str, str], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "get": lambda cc, contact_id, *_: cc.contacts.get(contact_id),
    "list": lambda cc, *_: cc.contacts.list(limit=4, read_ahead=2).collect(9),
    "update": lambda cc, contact_id, name, _: cc.contacts.update(
        contact_id, UpdateContactRequest(update_source="Account", first_name=name)
    ),
    "delete": lambda cc, contact_id, *_: cc.contacts.delete(contact_id),
    "resubscribe": lambda cc, contact_id, _, list_id: cc.contacts.resubscribe(contact_id, [list_id]),
    "create": lambda cc, _, name, __: cc.contacts.create(
        CreateContactRequest(create_source="Account", first_name=name)
    ),
    "sign_up": lambda cc, _, name, list_id: cc.contacts.create_or_update(
        CreateOrUpdateContactRequest(email_address=f"{name}@example.com", list_memberships=[list_id])
    ),
}
# Passed on by the gateway at most once for each call; every other kind as often as the policy has attempts.
ONCE = {"create": ("POST", "/v3/contacts"), "sign_up": ("POST", "/v3/contacts/sign_up_form")}
KINDS = ["throttled", "quota", "bulk", "status", "html", "cut", "cut_body", "truncated", "broken", "hang", "redirect"]

faults = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "when": st.sampled_from(["before", "after"]),
        "times": st.integers(1, ATTEMPTS),
        "after": st.integers(0, 2),
    }
)
names = st.sampled_from(sorted(CALLS))
moments = st.none() | st.integers(0, 60)


class Clock:
    """The wall clock of client, token provider and sandbox."""

    def __init__(self) -> None:
        self.now = 1_900_000_000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class Watched(RateLimiter):
    """The limiter, which notes the moments at which it let requests pass."""

    def __init__(self) -> None:
        super().__init__(RATE, PER, margin=0.0)
        self.moments: list[float] = []

    async def acquire(self, turn: Turn) -> None:
        await super().acquire(turn)
        self.moments.append(asyncio.get_running_loop().time())


class World:
    """A client at work beside a sandbox."""

    def __init__(self, seed: int) -> None:
        self.numbers = itertools.count(1)
        self.clock, self.limiter = Clock(), Watched()
        self.limiter._day.clock = self.clock  # it reads the time of day, which jumps here
        self.called: Counter[str] = Counter()
        self.created: dict[str, bool | None] = {}
        self.cancelled = False
        self.box = Sandbox(contacts=12, seed=seed, rate=None, clock=self.clock)

    async def __aenter__(self) -> Self:
        box = self.box
        await box.start()
        self.ids = box.store.ids()
        for contact_id in self.ids:
            if box.store.get(contact_id).get("email_address"):
                box.store.unsubscribe(contact_id)
        self.auth = OAuth2(
            box.client_id, client_secret=box.client_secret, refresh_token=box.refresh_token, token_url=box.token_url
        )
        self.auth._refresher.clock, self.auth._refresher.sleep = self.clock, self.clock.sleep
        retry = attrs.evolve(FAST, attempts=ATTEMPTS)
        self.cc = hasty(box.base_url, self.auth, rate_limiter=self.limiter, retry=retry, timeout=0.2)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.cc.close()
        await self.box.close()

    async def call(self, calls: list[tuple[str, int, int | None]]) -> None:
        """Make calls at once, of which some are cancelled so many turns of the event loop later."""
        await asyncio.gather(*(self._one(*call) for call in calls))
        await self.auth.close()

    async def _one(self, kind: str, contact: int, moment: int | None) -> None:
        name = f"n{next(self.numbers)}"
        contact_id = self.ids[contact]
        self.called[kind] += 1
        self.called[f"{kind} {contact_id}"] += 1
        if kind == "create":
            self.created[name] = None  # it may be there, or not
        task = asyncio.ensure_future(CALLS[kind](self.cc, contact_id, name, self.box.store.lists[0]))
        if moment is not None:
            self.cancelled = True
            for _ in range(moment):
                await asyncio.sleep(0)
            task.cancel()
        outcome: Any = (await asyncio.gather(task, return_exceptions=True))[0]
        expected = isinstance(outcome, ConstantContactError | asyncio.CancelledError)
        assert expected or not isinstance(outcome, BaseException), outcome
        if kind == "create" and not isinstance(outcome, BaseException):
            self.created[name] = True
        if kind == "create" and isinstance(outcome, ConstantContactError) and not outcome.maybe_applied:
            self.created[name] = False

    async def disturb(self, fault: dict[str, Any]) -> None:
        """Order a fault for whichever requests come next."""
        self.box.fault(**fault)

    async def disturb_the_token_host(self, status: int) -> None:
        """Let the next refresh be answered with an error before the token is spent."""
        self.box.fault("status", path="token", status=status, when="before")

    async def expire_tokens(self, _: None) -> None:
        """Let the API reject the access token that is in use."""
        self.box.expire_access_tokens()

    async def jump(self, seconds: float) -> None:
        """Set the clock."""
        self.clock.now += seconds

    async def recover(self, _: None) -> None:
        """Let the faults be over, and a new day begin."""
        self.box.clear_faults()
        self.clock.now += DAY

    def no_contact_is_created_twice_or_against_what_the_caller_was_told(self) -> None:
        found = Counter(self.box.store.get(contact_id).get("first_name") for contact_id in self.box.store.ids())
        for name, told in self.created.items():
            assert found[name] in ({0, 1} if told is None else {int(told)}), name

    def nothing_is_repeated_that_must_not_be(self) -> None:
        passed = Counter(
            (record.method, record.path) for record in self.box.requests if record.status not in {401, 429}
        )
        for kind, route in ONCE.items():
            assert passed[route] <= self.called[kind], kind
        for contact_id in self.ids:
            path = f"/v3/contacts/{contact_id}"
            again = passed["PUT", f"/v3/contacts/resubscribe/{contact_id}"]
            assert again <= self.called[f"resubscribe {contact_id}"]
            assert passed["PUT", path] <= ATTEMPTS * self.called[f"update {contact_id}"]
            assert passed["DELETE", path] <= ATTEMPTS * self.called[f"delete {contact_id}"]
            assert passed["GET", path] <= ATTEMPTS * self.called[f"get {contact_id}"]

    def no_refresh_token_is_spent_twice(self) -> None:
        assert self.box.spent_token_uses == 0

    def the_limit_is_kept_and_no_request_goes_past_it(self) -> None:
        moments = self.limiter.moments
        assert all(later - earlier >= PER for earlier, later in zip(moments, moments[RATE:], strict=False))
        arrived = sum(record.endpoint == "api" for record in self.box.requests)
        # A grant whose caller was cancelled before it was sent is all that may be missing.
        assert arrived <= len(moments) if self.cancelled else arrived == len(moments)

    def no_task_is_left_over(self) -> None:
        assert not [task for task in asyncio.all_tasks() - {asyncio.current_task()} if _is_ours(task)]


def _is_ours(task: asyncio.Task[Any]) -> bool:
    work = task.get_coro()
    file = work.cr_code.co_filename if isinstance(work, CoroutineType) else ""
    return "/cc_async/" in file and "/sandbox/" not in file


CALL = st.tuples(names, st.integers(0, 11), moments)
STEPS = st.one_of(
    *[st.tuples(st.just("call"), st.lists(CALL, min_size=1, max_size=4))] * 3,
    *[st.tuples(st.just("disturb"), faults)] * 2,
    st.tuples(st.just("disturb_the_token_host"), st.sampled_from([429, 500, 503])),
    st.tuples(st.just("expire_tokens"), st.none()),
    st.tuples(st.just("jump"), st.sampled_from([-3_600.0, 600.0, DAY / 2, DAY, 3 * DAY])),
    st.tuples(st.just("recover"), st.none()),
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 9), steps=st.lists(STEPS, min_size=10, max_size=30))
def test_whatever_happens_nothing_is_done_twice_that_must_not_be(seed: int, steps: list[tuple[str, Any]]) -> None:
    async def main() -> None:
        async with World(seed) as world:
            for name, argument in steps:
                await getattr(world, name)(argument)
                world.no_contact_is_created_twice_or_against_what_the_caller_was_told()
                world.nothing_is_repeated_that_must_not_be()
                world.no_refresh_token_is_spent_twice()
                world.the_limit_is_kept_and_no_request_goes_past_it()
                world.no_task_is_left_over()

    with asyncio.Runner(debug=False) as runner:  # a traceback of every callback would take most of the time
        runner.run(main())
