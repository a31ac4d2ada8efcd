"""Any history of several writers, lost responses and spent quotas: what was promised about it holds at every step."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import attrs
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.raw_server import hasty
from support.sandbox_contract import Clock

from cc_async import (
    ConstantContact,
    ConstantContactError,
    Contact,
    CreateContactRequest,
    EmailAddressInput,
    InvalidRequestError,
    Outcome,
    QuotaExceededError,
)
from cc_async.codec.decode import decode
from cc_async.sandbox import Refused, Sandbox

NAMES = ("first_name", "last_name", "job_title")
MOVED = {"updated_at", "update_source", "deleted_at"}
_value = st.sampled_from(["a", "b", "c"])
_index = st.integers(0, 7)
_fault = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["cut", "cut", "status", "truncated", "throttled", "html"]),
        "method": st.sampled_from(["PUT", "PUT", "POST", "GET", "DELETE"]),
        "when": st.sampled_from(["before", "after"]),
        "after": st.integers(0, 6),
        "times": st.integers(1, 3),
        "status": st.sampled_from([500, 503]),
    }
)
_patch = st.fixed_dictionaries(
    {},
    optional={
        "first_name": st.none() | _value,
        "last_name": st.none() | _value,
        "taggings": st.lists(st.integers(0, 7), max_size=2, unique=True),
        "add_lists": st.lists(st.integers(0, 11), max_size=2),
        "remove_lists": st.lists(st.integers(12, 14), max_size=1),
        "notes": st.just([]),
    },
)
_write = st.tuples(st.sampled_from(["rename", "join", "opt_out", "opt_in", "delete", "revive", "add"]), _index, _value)


@attrs.define
class Job:
    """A patch, known on the server by the company it names, and what was read for it last."""

    named: set[str]
    read: dict[str, Any] = attrs.field(factory=dict)


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """A contact without the dates of its e-mail address, which every write moves."""
    email = document.get("email_address") or {}
    return {
        **document,
        "email_address": {"address": email.get("address"), "permission": email.get("permission_to_send")},
    }


class Writers(RuleBasedStateMachine):
    """Two clients that patch, one program that writes as it likes, and a copy of the contacts that is kept in step."""

    @initialize(
        order=st.sampled_from(["created", "updated", "id", "shuffled"]),
        touch_on_membership_edits=st.booleans(),
        touch_on_delete=st.booleans(),
        count_every_page=st.booleans(),
        script=st.lists(_write, max_size=6),
    )
    def begin(self, order: Any, script: Any, **flags: Any) -> None:
        self.clock = Clock()
        self.runner = asyncio.Runner(debug=False)  # which would take most of the time
        self.box = Sandbox(order=order, rate=None, daily=None, clock=self.clock, token_lifetime=1e9, **flags)
        self.store = self.box.store
        self.jobs: dict[str, Job] = {}
        self.reads: dict[tuple[str, str], dict[str, Any]] = {}
        self.wrong: list[str] = []
        self.script: list[tuple[str, int, str]] = []
        self.copy: dict[str, Contact] = {}
        self.watermark = datetime.now(UTC)
        self.made = 0
        self.runner.run(self._open())
        for _ in range(5):
            self.write("add", 0, "a")
        # Pages that are sorted by the update lose a contact that moves from page to page; `changes` starts from rest.
        self.script = [] if order == "updated" else script
        self.runner.run(self._read_everything())

    async def _open(self) -> None:
        await self.box.start()
        self.sessions = [aiohttp.ClientSession(headers={"X-Writer": name}) for name in "AB"]
        self.clients = [self._client(session) for session in self.sessions]
        self.response = self.box._api.respond
        self.box._api.respond = self._watched  # type: ignore[method-assign]  # to see every write as it happens

    def _client(self, session: aiohttp.ClientSession) -> ConstantContact:
        return hasty(self.box.base_url, self.box.access_token, client_session=session)

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        with self.runner:
            try:
                self.box.clear_faults()
                self.script = []
                self.clock.now += 3_600
                self.runner.run(self._changes())
                self.is_in_step()
                self.clock.now += 3_600
                for index, what in enumerate(("rename", "opt_out", "delete", "opt_in")):
                    self.write(what, index, "d")
                self.clock.now += 2  # what is of this very second is for the next call
                self.runner.run(self._changes())
                self.is_in_step()
            finally:
                self.runner.run(self._close())

    async def _close(self) -> None:
        everything: list[Any] = [*self.clients, *self.sessions, self.box]
        for one in everything:
            await one.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    # --- the server's eyes ---------------------------------------------------------------------------------------

    def _watched(self, call: Any) -> Any:
        """Respond, look at what an update changes, and let the other program write after every read."""
        writer, contact_id = call.headers["X-Writer"], call.path.rpartition("/")[2]
        one = call.path.startswith("/contacts/") and contact_id in self.store.ids()
        before = plain(self.store.get(contact_id)) if one else {}
        response = self.response(call)
        if one and call.method == "GET":
            self.reads[writer, contact_id] = before
        if one and call.method == "PUT" and response.status == 200:
            read = self.reads.pop((writer, contact_id), None)
            self._look(call.body.decode(), before, plain(self.store.get(contact_id)), read)
        if call.method == "GET":
            self.clock.now += 0.25
            if self.script:
                self.write(*self.script.pop(0))
        return response

    def _look(self, body: str, before: dict[str, Any], after: dict[str, Any], read: Any) -> None:
        if read is None:
            self.wrong.append("an update was sent again without another look at the contact")
            return
        job = next(job for name, job in self.jobs.items() if f'"{name}"' in body)
        for name in before.keys() | after.keys():
            kept = before.get(name) == after.get(name)
            seen = before.get(name) == read.get(name)
            if not kept and seen and name not in job.named | MOVED:
                self.wrong.append(f"{name} was {before.get(name)} and is {after.get(name)}")
        if read.get("deleted_at"):
            self.wrong.append("a contact that was read as deleted was revived")

    # --- the other program ---------------------------------------------------------------------------------------

    @rule(script=st.lists(_write, min_size=1, max_size=4), pause=st.sampled_from([0, 1, 400, 90_000]))
    def others_write(self, script: list[tuple[str, int, str]], pause: int) -> None:
        for step in script:
            self.write(*step)
        self.clock.now += pause

    def write(self, what: str, index: int, value: str) -> None:
        """Do one thing as another program would; what the API refuses does not happen."""
        self.clock.now += 1
        ids = self.store.ids()
        contact_id = ids[index % len(ids)] if ids else ""
        document = self.store.get(contact_id) if ids else {}
        address = (document.get("email_address") or {}).get("address")
        email = {"address": address, **({"permission_to_send": "explicit"} if what == "opt_in" else {})}
        core = {name: document.get(name) for name in (*NAMES, "company_name")}
        body = {"update_source": "Account", "email_address": email, **core}
        self.made += what == "add"
        new = {"create_source": "Account", "email_address": {"address": f"n{self.made}@example.com"}}
        deeds: dict[str, Callable[[], object]] = {
            "rename": lambda: document.get("deleted_at") or self.store.put(contact_id, body | {"job_title": value}),
            "join": lambda: self.store.sign_up(
                {"email_address": address, "list_memberships": [self.store.lists[index]]}
            ),
            "opt_out": lambda: self.store.unsubscribe(contact_id),
            "opt_in": lambda: self.store.put(contact_id, body),
            "delete": lambda: self.store.delete(contact_id),
            "revive": lambda: self.store.put(contact_id, body),
            "add": lambda: len(ids) < 12 and self.store.create(new),
        }
        with contextlib.suppress(Refused):
            deeds[what]()

    # --- patches -------------------------------------------------------------------------------------------------

    @rule(
        patches=st.lists(st.tuples(st.integers(0, 1), _index, _patch), min_size=1, max_size=6),
        faults=st.lists(_fault, max_size=3),
        script=st.lists(_write, max_size=4),
    )
    def patch(self, patches: Any, faults: list[dict[str, Any]], script: Any) -> None:
        self._order(faults)
        self.script = list(script)
        self.runner.run(self._patch(patches))

    async def _patch(self, patches: Any) -> None:
        results = await asyncio.gather(*(self._one_patch(*patch) for patch in patches), return_exceptions=True)
        for result in results:
            assert result is None or isinstance(result, ConstantContactError), result

    async def _one_patch(self, writer: int, index: int, drawn: dict[str, Any]) -> None:
        ids, lists = self.store.ids(), [*self.store.lists, "x", "y", "z"]
        job = f"job {len(self.jobs)}"
        changes: dict[str, Any] = drawn | {"company_name": job}
        for name in changes.keys() & {"add_lists", "remove_lists"}:
            changes[name] = iter([lists[number] for number in changes[name]])
        if "taggings" in changes:
            changes["taggings"] = [self.store.tags[number] for number in changes["taggings"]]
        edits = {"list_memberships"} if changes.keys() & {"add_lists", "remove_lists"} else set()
        self.jobs[job] = Job({*changes, *edits})
        try:
            result = await self.clients[writer].contacts.patch(ids[index % len(ids)], **changes)
        except InvalidRequestError as refused:
            assert "deleted" in str(refused)  # noqa: PT017  # most patches do not raise
        else:
            assert result.company_name == job
            assert all(getattr(result, name) == value for name, value in drawn.items() if name in NAMES)

    # --- many at once --------------------------------------------------------------------------------------------

    @rule(
        count=st.integers(1, 12),
        concurrency=st.integers(1, 5),
        faults=st.lists(_fault, max_size=3),
        quota=st.none() | st.integers(0, 8),
        leave=st.none() | st.integers(0, 8),
        as_completed=st.booleans(),
    )
    def create_many(self, count: int, faults: Any, quota: int | None, leave: int | None, **options: Any) -> None:
        self._order(
            [
                *faults,
                *([{"kind": "quota", "method": "POST", "after": quota, "times": None}] if quota is not None else []),
            ]
        )
        self.script = []
        addresses = [f"m{self.made}-{number}@example.com" for number in range(count)]
        self.made += 1
        self.runner.run(self._create_many(addresses, leave, options))
        self.clock.now += 1

    async def _create_many(self, addresses: list[str], leave: int | None, options: Any) -> None:
        waiting = iter(addresses)
        before = self.box.applied("POST", "/contacts")
        outcomes: list[Outcome[CreateContactRequest, Contact]] = []
        error: BaseException | None = None
        async with self.clients[0].contacts.create_many(map(request, waiting), **options) as many:
            try:
                async for outcome in many:
                    outcomes.append(outcome)
                    if len(outcomes) == leave:
                        break
            except QuotaExceededError as quota:
                error = quota
        outcomes += many.left_over
        await asyncio.sleep(0.005)  # what was cut short may still be on its way
        states = {address_of(outcome.item): outcome.state for outcome in outcomes}
        assert len(states) == len(outcomes)
        untaken = list(waiting)
        assert [*states, *untaken] == addresses or {*states, *untaken} == {*addresses}
        there = {address for address in self._addresses() if address in addresses}
        assert {address for address, state in states.items() if state == "done"} <= there
        assert there <= {address for address, state in states.items() if state != "not_done"}
        assert self.box.applied("POST", "/contacts") - before <= len(there)
        if error is None and leave is None:
            assert not untaken

    def _addresses(self) -> list[str]:
        found = [self.store.get(contact_id).get("email_address") for contact_id in self.store.ids()]
        return [email["address"] for email in found if email]

    def _order(self, faults: list[dict[str, Any]]) -> None:
        self.box.clear_faults()
        for fault in faults:
            self.box.fault(**fault)

    # --- the copy ------------------------------------------------------------------------------------------------

    @rule(
        faults=st.lists(_fault, max_size=2), script=st.lists(_write, max_size=12), leave=st.none() | st.integers(0, 5)
    )
    def sync(self, faults: Any, script: Any, leave: int | None) -> None:
        self._order([fault for fault in faults if fault["method"] == "GET"])
        self.script = list(script)
        self.runner.run(self._changes(leave))
        self.clock.now += 1

    async def _changes(self, leave: int | None = None) -> None:
        changes = self.clients[0].contacts.changes(self.watermark)
        taken = 0
        async for contact in changes:
            taken += 1
            assert contact.contact_id is not None
            self.copy[contact.contact_id] = contact
            if taken == leave:
                assert changes.watermark == self.watermark
                break
        self.watermark = changes.watermark

    async def _read_everything(self) -> None:
        began = ""
        async for page in self.clients[0].contacts.list(status="all", read_ahead=0).pages():
            began = began or page.headers["Date"]
            self.copy |= {str(contact.contact_id): contact for contact in page.items}
        self.watermark = parsedate_to_datetime(began)

    @invariant()
    def nothing_else_was_touched(self) -> None:
        assert not getattr(self, "wrong", [])

    def is_in_step(self) -> None:
        """Nothing differs but what the API was told not to show: edits of lists that leave all dates as they were."""
        for contact_id in self.store.ids():
            row = self.store.row(contact_id)
            truth = decode(self.store.table.json(row, ()), Contact).value
            ours = self.copy.get(contact_id)
            if ours != truth:
                assert ours is not None
                assert not self.box.touch_on_membership_edits
                assert attrs.evolve(ours, update_source=truth.update_source) == truth


def request(address: str) -> CreateContactRequest:
    return CreateContactRequest(create_source="Account", email_address=EmailAddressInput(address=address))


def address_of(item: CreateContactRequest) -> str:
    assert item.email_address is not None
    return item.email_address.address


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cc_async.resources.contacts.filters.LIMIT_AT_MOST", 3)


TestWriters = Writers.TestCase
TestWriters.settings = settings(
    max_examples=20, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
)
