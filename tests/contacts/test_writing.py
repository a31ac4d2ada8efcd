"""Writing to one contact: what is named changes, and nothing else does."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st
from support.raw_server import OpenLimiter, hasty, reply, talking
from support.sandbox_contract import Clock, until

from cc_async import (
    BadRequestError,
    ClientClosedError,
    ConflictError,
    ConstantContact,
    ContactChangedError,
    CreateContactRequest,
    DecodeError,
    EmailAddressInput,
    EmailAddressUpdate,
    InvalidRequestError,
    NoteInput,
    NotFoundError,
    PhoneNumberInput,
    QuotaExceededError,
    RetryPolicy,
    ServerError,
    SmsChannelConsentInput,
    SmsChannelInput,
    StreetAddressInput,
    TransportError,
)
from cc_async.limits.protocol import Turn
from cc_async.resources.contacts.editing import checked, merged
from cc_async.resources.contacts.many import email_key
from cc_async.sandbox import Sandbox
from cc_async.wire.addresses import normalized_address, spellings

SUB = ("custom_fields", "phone_numbers", "street_addresses", "list_memberships", "taggings", "notes", "sms_channel")
CHANNEL = SmsChannelInput(
    full_sms_address="+12025550123",
    sms_channel_consents=[
        SmsChannelConsentInput(sms_consent_permission="explicit", consent_type="promotional_consent")
    ],
)


class World:
    """A sandbox with one contact that has everything, and a client."""

    def __init__(self, box: Sandbox, cc: ConstantContact) -> None:
        self.box, self.cc, self.store = box, cc, box.store
        self.id = self.add("Ada@Example.com", **full(box))

    def add(self, address: str | None = None, **fields: Any) -> str:
        """Add a contact as another program would; return its id."""
        email = {} if address is None else {"email_address": {"address": address, "permission_to_send": "explicit"}}
        made = self.store.create({"create_source": "Account", "first_name": "Ada", **email, **fields})
        return str(made["contact_id"])

    def write(self, contact_id: str | None = None, **fields: Any) -> None:
        """Change some properties as another program would."""
        row = self.store.row(contact_id or self.id)
        document = self.store.table.document(row) | fields
        self.store.table.save(document, row)

    def contact(self, contact_id: str | None = None) -> dict[str, Any]:
        return self.store.get(contact_id or self.id)

    def requests(self, method: str | None = None) -> list[str]:
        return [record.method for record in self.box.requests if method in (None, record.method)]


def full(box: Sandbox) -> dict[str, Any]:
    store = box.store
    return {
        "last_name": "Lovelace",
        "job_title": "Analyst",
        "company_name": "Engines",
        "birthday_month": 12,
        "birthday_day": 10,
        "anniversary": "2001-02-03",
        "custom_fields": [{"custom_field_id": store.custom_fields[0], "value": "blue"}],
        "phone_numbers": [{"phone_number": "+1 555 0100", "kind": "home"}],
        "street_addresses": [{"kind": "home", "city": "London"}],
        "list_memberships": [store.lists[0], store.lists[1]],
        "taggings": [store.tags[0]],
        "notes": [{"content": "Called."}],
        "sms_channel": {
            "full_sms_address": "+12025550100",
            "sms_channel_consents": [{"sms_consent_permission": "explicit", "consent_type": "promotional_consent"}],
        },
    }


@asynccontextmanager
async def opened(client: dict[str, Any] | None = None, **settings: Any) -> AsyncIterator[World]:
    settings = {"rate": None, "daily": None} | settings
    async with Sandbox(**settings) as box, hasty(box.base_url, box.access_token, **(client or {})) as cc:
        yield World(box, cc)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with opened() as world:
        yield world


def differing(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """What differs, but for what every write moves."""

    def settled(document: dict[str, Any]) -> dict[str, Any]:
        email = {**(document.get("email_address") or {}), "updated_at": None}
        return {**document, "email_address": email, "updated_at": None, "update_source": None}

    first, second = settled(before), settled(after)
    return {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)}


# --- patch: what changes and what stays --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"first_name": "Augusta"}, {"first_name"}),
        ({"last_name": None}, {"last_name"}),
        (
            {"birthday_month": None, "birthday_day": None, "anniversary": None},
            {"birthday_month", "birthday_day", "anniversary"},
        ),
        ({"custom_fields": []}, {"custom_fields"}),
        ({"custom_fields": None}, {"custom_fields"}),
        ({"phone_numbers": [PhoneNumberInput(phone_number="1", kind="work")]}, {"phone_numbers"}),
        ({"street_addresses": (StreetAddressInput(kind="work", city="Paris"),)}, {"street_addresses"}),
        ({"notes": [NoteInput(content="Wrote.")], "company_name": "Difference"}, {"notes", "company_name"}),
        ({"sms_channel": CHANNEL}, {"sms_channel"}),
        ({"taggings": None, "list_memberships": None}, {"taggings", "list_memberships"}),
        ({"update_source": "Contact", "job_title": "Countess"}, {"job_title"}),
    ],
    ids=str,
)
async def test_a_patch_changes_what_it_names_and_nothing_else(
    world: World, changes: dict[str, Any], changed: set[str]
) -> None:
    before = world.contact()
    result = await world.cc.contacts.patch(world.id, **changes)
    after = world.contact()
    assert differing(before, after) == changed
    assert result.contact_id == world.id
    assert world.requests() == ["GET", "PUT"]


async def test_none_clears_an_empty_list_empties_and_a_list_replaces(world: World) -> None:
    await world.cc.contacts.patch(
        world.id, first_name=None, taggings=None, notes=[], list_memberships=[world.store.lists[5]]
    )
    after = world.contact()
    assert after.get("first_name") is None
    assert (after["taggings"], after["notes"], after["list_memberships"]) == ([], [], [world.store.lists[5]])


async def test_a_patch_that_names_nothing_writes_nothing(world: World) -> None:
    before = world.contact()
    assert (await world.cc.contacts.patch(world.id)).first_name == "Ada"
    assert world.contact() == before
    assert world.requests() == ["GET"]


async def test_lists_and_tags_are_edited_in_their_order_and_without_doubles(world: World) -> None:
    lists, tags = world.store.lists, world.store.tags
    before = world.contact()
    await world.cc.contacts.patch(
        world.id,
        add_lists=[lists[3], lists[1], lists[3]],
        remove_lists=[lists[0], lists[9]],
        add_tags=tags[2],
        remove_tags=(),
    )
    after = world.contact()
    assert after["list_memberships"] == [lists[1], lists[3]]
    assert after["taggings"] == [tags[0], tags[2]]
    assert differing(before, after) == {"list_memberships", "taggings"}


async def test_lists_can_be_added_to_a_contact_that_is_on_none(world: World) -> None:
    bare = world.add("bare@example.com")
    await world.cc.contacts.patch(bare, add_lists=[world.store.lists[0]], remove_tags=[world.store.tags[0]])
    assert world.contact(bare)["list_memberships"] == [world.store.lists[0]]


async def test_one_edit_leaves_the_other_collection_out_of_the_update() -> None:
    read = {"contact_id": "c1", "list_memberships": ["a"], "taggings": ["t"]}
    async with talking(reply(200, read), reply(200, {"contact_id": "c1"})) as (cc, server):
        await cc.contacts.patch("c1", add_tags=iter(["u"]))
        assert server.requests[1].body == b'{"update_source":"Account","taggings":["t","u"]}'


async def test_the_core_goes_back_as_it_was_read_with_properties_of_tomorrow() -> None:
    read = {
        "contact_id": "c1",
        "first_name": "Ada",
        "job_title": None,
        "nickname": {"short": "A", "ranks": [1, 2.5, None, True]},
        "last_seen": "2044-01-01",
        "email_address": {
            "address": "ada@example.com",
            "permission_to_send": "a_new_kind",
            "created_at": "2024-01-01T00:00:00Z",
            "opt_in_date": "2024-01-01T00:00:00Z",
            "confirm_status": "off",
            "tomorrow": [1],
        },
        "create_source": "Contact",
        "update_source": "Contact",
        "created_at": "2024-01-01T00:00:00Z",
        "updated_at": "2024-01-01T00:00:00Z",
        "deleted_at": None,
        "_links": {"self": "x"},
    }
    async with talking(reply(200, read), reply(200, {"contact_id": "c1"})) as (cc, server):
        await cc.contacts.patch("c1", last_name="L")
    assert json.loads(server.requests[1].body) == {
        "first_name": "Ada",
        "last_name": "L",
        "nickname": read["nickname"],
        "last_seen": "2044-01-01",
        "email_address": {"address": "ada@example.com", "permission_to_send": "a_new_kind", "tomorrow": [1]},
        "update_source": "Account",
    }


@pytest.mark.parametrize("permission", ["explicit", "implicit", "not_set", "pending_confirmation", "temp_hold"])
async def test_the_permission_to_send_goes_back_as_it_was_read(world: World, permission: str) -> None:
    contact_id = world.add(f"{permission}@example.com")
    email = world.contact(contact_id)["email_address"]
    world.write(contact_id, email_address=email | {"permission_to_send": permission})
    for changes in ({"last_name": "x"}, {"email_address": f"new-{permission}@example.com"}):
        await world.cc.contacts.patch(contact_id, **changes)  # type: ignore[arg-type]  # mypy: of either kind
        assert world.contact(contact_id)["email_address"]["permission_to_send"] == permission
    await world.cc.contacts.patch(contact_id, email_address=EmailAddressInput(address="z@example.com"))
    assert world.contact(contact_id)["email_address"]["permission_to_send"] == permission


async def test_who_unsubscribed_stays_so_with_date_and_reason(world: World) -> None:
    world.store.unsubscribe(world.id, "too much mail")
    before = world.contact()
    await world.cc.contacts.patch(world.id, last_name="x")
    assert differing(before, world.contact()) == {"last_name"}


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({}, {"address": "a@b.c", "permission_to_send": "unsubscribed", "opt_out_reason": "mail", "tomorrow": 1}),
        (
            {"email_address": "d@e.f"},
            {"address": "d@e.f", "permission_to_send": "unsubscribed", "opt_out_reason": "mail", "tomorrow": 1},
        ),
        (
            {"email_address": EmailAddressInput(address="a@b.c", permission_to_send="implicit")},
            {"address": "a@b.c", "permission_to_send": "implicit", "tomorrow": 1},
        ),
        (
            {"email_address": EmailAddressUpdate(address="a@b.c", opt_out_reason="calls")},
            {"address": "a@b.c", "permission_to_send": "unsubscribed", "opt_out_reason": "calls", "tomorrow": 1},
        ),
        ({"email_address": None}, None),
    ],
    ids=str,
)
def test_of_an_email_address_only_what_is_named_is_written_anew(changes: Any, sent: Any) -> None:
    read = {"address": "a@b.c", "permission_to_send": "unsubscribed", "opt_out_reason": "mail", "tomorrow": 1}
    assert merged({"email_address": read}, changes, "Account").get("email_address") == sent


@pytest.mark.parametrize("email", [None, {}, {"confirm_status": "off"}], ids=str)
def test_a_contact_without_an_address_is_written_without_one(email: Any) -> None:
    assert merged({"email_address": email, "first_name": "A"}, {"last_name": "B"}, "Account") == {
        "first_name": "A",
        "last_name": "B",
        "update_source": "Account",
    }


@pytest.mark.parametrize(
    ("read", "changes", "path"),
    [
        ({"email_address": "ada@example.com"}, {"first_name": "x"}, "$.email_address"),
        ({"email_address": {"permission_to_send": "explicit"}}, {"first_name": "x"}, "$.email_address"),
        ({"email_address": ["?"]}, {"email_address": EmailAddressInput(address="a@b.c")}, "$.email_address"),
        ({}, {"add_lists": ["a"]}, "$.list_memberships"),
        ({"list_memberships": {"a": 1}}, {"add_lists": ["a"]}, "$.list_memberships"),
        ({"list_memberships": ["a", 7], "taggings": []}, {"remove_lists": ["a"]}, "$.list_memberships"),
        ({"taggings": [None]}, {"add_tags": ["a"]}, "$.taggings"),
    ],
    ids=str,
)
async def test_what_cannot_be_read_is_not_written_over(read: dict[str, Any], changes: Any, path: str) -> None:
    async with talking(reply(200, {"contact_id": "c1", **read})) as (cc, server):
        with pytest.raises(DecodeError, match="lose it") as caught:
            await cc.contacts.patch("c1", **changes)
        assert caught.value.path == path
        assert [request.method for request in server.requests] == ["GET"]


@pytest.mark.parametrize("body", [b"[]", b'{"first_name": NaN}', b'{"first_name": "\xff"}', b"7"])
async def test_a_response_that_could_not_be_sent_back_as_it_is_stops_the_patch(body: bytes) -> None:
    async with talking(*[reply(200, body)] * 9) as (cc, server):
        with pytest.raises(DecodeError):
            await cc.contacts.patch("c1", first_name="x")
        assert {request.method for request in server.requests} == {"GET"}


@pytest.mark.parametrize(
    "changes",
    [
        {"add_lists": ["a"], "list_memberships": ["b"]},
        {"remove_lists": ["a"], "list_memberships": None},
        {"remove_tags": ["a"], "taggings": []},
        {"add_lists": ["a"], "remove_lists": ["a"]},
        {"add_tags": "a", "remove_tags": ("b", "a")},
        {"list_memberships": "a"},
        {"unless_changed_since": datetime(2024, 1, 1)},  # noqa: DTZ001  # naive on purpose
    ],
    ids=str,
)
async def test_contradictions_are_refused_before_anything_is_sent(world: World, changes: Any) -> None:
    with pytest.raises(InvalidRequestError):
        await world.cc.contacts.patch(world.id, **changes)
    assert not world.box.requests


async def test_a_misspelt_name_is_a_type_error(world: World) -> None:
    with pytest.raises(TypeError, match="frist_name"):
        await world.cc.contacts.patch(world.id, frist_name="x")  # type: ignore[call-arg]  # misspelt on purpose
    assert not world.box.requests


CORE = ("first_name", "last_name", "job_title", "company_name", "anniversary")
_text = st.text(min_size=1, max_size=8)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)


@given(
    core=st.dictionaries(st.sampled_from(CORE), _text),
    tomorrow=st.dictionaries(_text.map("x{}".format), _json, max_size=4),
    email=st.none() | st.fixed_dictionaries({"address": _text}, optional={"permission_to_send": _text, "x": _json}),
    changes=st.dictionaries(st.sampled_from(CORE), st.none() | _text, max_size=3),
)
def test_the_body_holds_what_was_read_but_for_what_is_named(
    core: dict[str, Any], tomorrow: dict[str, Any], email: Any, changes: Any
) -> None:
    body = merged({**core, **tomorrow, "email_address": email, "notes": [1], "contact_id": "c"}, changes, "Account")
    expected = {**core, **tomorrow, **changes, "update_source": "Account"}
    if email is not None:
        expected["email_address"] = {name: value for name, value in email.items() if value is not None}
    assert body == {name: value for name, value in expected.items() if value is not None}


# --- patch: who may be written to --------------------------------------------------------------------------------


async def test_a_deleted_contact_is_not_patched_but_can_be_revived_as_it_was(world: World) -> None:
    before = world.contact()
    world.store.delete(world.id)
    gone = world.contact()
    for write in (world.cc.contacts.patch(world.id, first_name="x"), world.cc.contacts.unsubscribe(world.id)):
        with pytest.raises(InvalidRequestError, match="revive") as caught:
            await write
        assert not caught.value.maybe_applied
    assert world.contact() == gone
    assert not world.requests("PUT")
    revived = await world.cc.contacts.revive(world.id)
    assert revived.deleted_at is None
    after = world.contact()
    assert not differing(before, after)
    assert after["update_source"] == "Account"
    sent = len(world.box.requests)
    assert (await world.cc.contacts.revive(world.id)).contact_id == world.id
    assert len(world.box.requests) == sent + 1


async def test_a_change_since_an_earlier_read_stops_the_patch() -> None:
    clock = Clock()
    async with opened(clock=clock) as world:
        read = await world.cc.contacts.get(world.id)
        clock.now += 1
        await world.cc.contacts.patch(world.id, first_name="x", unless_changed_since=read.updated_at)
        clock.now += 1
        with pytest.raises(ContactChangedError) as caught:
            await world.cc.contacts.patch(world.id, first_name="y", unless_changed_since=read.updated_at)
        assert caught.value.contact_id == world.id
        assert world.contact()["first_name"] == "x"


async def test_a_contact_that_tells_no_time_counts_as_changed() -> None:
    async with talking(reply(200, {"contact_id": "c1", "updated_at": "once"})) as (cc, server):
        with pytest.raises(ContactChangedError):
            await cc.contacts.patch("c1", first_name="x", unless_changed_since=datetime.now(UTC))
        assert len(server.requests) == 1


async def test_a_hundred_patches_of_one_contact_at_once_lose_nothing(world: World) -> None:
    lists, tags = world.store.lists, world.store.tags
    await asyncio.gather(
        *(world.cc.contacts.patch(world.id, add_lists=[lists[number % 12]]) for number in range(50)),
        *(world.cc.contacts.patch(world.id, add_tags=[tags[number % 8]]) for number in range(48)),
        world.cc.contacts.patch(world.id, job_title="Countess"),
        world.cc.contacts.unsubscribe(world.id),
    )
    after = world.contact()
    assert (set(after["list_memberships"]), set(after["taggings"])) == (set(lists), set(tags))
    assert (after["job_title"], after["email_address"]["permission_to_send"]) == ("Countess", "unsubscribed")
    assert world.requests() == ["GET", "PUT"] * 100


async def test_patches_of_different_contacts_do_not_wait_for_each_other(world: World) -> None:
    other = world.add("other@example.com")
    world.box.fault("hang", method="PUT", path=f"/contacts/{world.id}")
    stuck = asyncio.create_task(world.cc.contacts.patch(world.id, first_name="x"))
    await until(lambda: world.requests("PUT") != [])
    await world.cc.contacts.patch(other, first_name="y")
    assert world.contact(other)["first_name"] == "y"
    stuck.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stuck


async def test_a_patch_cancelled_while_it_waits_neither_writes_nor_holds_up_the_next(world: World) -> None:
    world.box.fault("latency", method="PUT", seconds=0.05)
    first = asyncio.create_task(world.cc.contacts.patch(world.id, first_name="one"))
    await until(lambda: world.requests("GET") != [])
    waiting = asyncio.create_task(world.cc.contacts.patch(world.id, last_name="two"))
    third = asyncio.create_task(world.cc.contacts.patch(world.id, job_title="three"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(first, third)
    assert waiting.cancelled()
    after = world.contact()
    assert (after["first_name"], after["last_name"], after["job_title"]) == ("one", "Lovelace", "three")


async def test_the_locks_of_contacts_and_of_clients_do_not_pile_up(world: World) -> None:
    ids = [world.add(f"n{number}@example.com") for number in range(20)]
    async with hasty(world.box.base_url, world.box.access_token) as cc:
        await asyncio.gather(*(cc.contacts.patch(contact_id, first_name="x") for contact_id in ids))
        gc.collect()
        assert len(cc.contacts._locks._locks) == 0
    client = weakref.ref(cc._session)
    del cc
    gc.collect()
    assert client() is None


async def test_a_patch_in_the_background_gives_way_to_callers() -> None:
    turns: list[bool] = []

    class Noting(OpenLimiter):
        async def acquire(self, turn: Turn) -> None:
            turns.append(turn.stream)

    async with opened({"rate_limiter": Noting()}) as world:
        await world.cc.contacts.patch(world.id, first_name="x")
        async for _ in world.cc.contacts.patch_many([(world.id, {"first_name": "y"})], background=True):
            pass
        assert turns == [False, False, True, True]


# --- patch: lost responses -----------------------------------------------------------------------------------------

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


# --- unsubscribe -------------------------------------------------------------------------------------------------


async def test_unsubscribing_keeps_all_else_and_names_the_reason(world: World) -> None:
    before = world.contact()
    result = await world.cc.contacts.unsubscribe(world.id, reason="asked by phone")
    assert result.email_address is not None
    assert result.email_address.permission_to_send == "unsubscribed"
    after = world.contact()
    assert differing(before, after) == {"email_address"}
    assert (after["email_address"]["address"], after["email_address"]["opt_out_reason"]) == (
        "Ada@Example.com",
        "asked by phone",
    )
    await world.cc.contacts.unsubscribe(world.id, reason="again")
    assert world.contact() == after
    assert world.requests() == ["GET", "PUT", "GET"]


async def test_a_lost_response_to_an_unsubscribe_does_not_write_twice(world: World) -> None:
    world.box.fault("cut", method="PUT", when="after")
    await world.cc.contacts.unsubscribe(world.id)
    assert world.requests() == ["GET", "PUT", "GET"]


async def test_who_has_no_email_address_cannot_be_unsubscribed(world: World) -> None:
    contact_id = world.add(last_name="Texts")
    with pytest.raises(InvalidRequestError, match="no e-mail address"):
        await world.cc.contacts.unsubscribe(contact_id)
    assert world.requests() == ["GET"]


# --- find --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["Ada@Example.com", "ada@example.com", "ADA@EXAMPLE.COM"])
async def test_a_contact_is_found_whatever_the_case_of_its_address(world: World, asked: str) -> None:
    found = await world.cc.contacts.find(asked, include=["list_memberships"])
    assert found is not None
    assert found.contact_id == world.id
    assert found.list_memberships == list(world.store.lists[:2])
    assert len(world.box.requests) == 1


async def test_an_address_with_capitals_is_asked_for_in_small_letters_too() -> None:
    stored = {"contacts": [{"contact_id": "c1", "email_address": {"address": "ada@example.com"}}]}
    async with talking(reply(200, {"contacts": []}), reply(200, stored)) as (cc, server):
        found = await cc.contacts.find("Ada@Example.com")
        assert found is not None
        assert found.contact_id == "c1"
        assert [request.target.partition("email=")[2].partition("&")[0] for request in server.requests] == [
            "Ada%40Example.com",
            "ada%40example.com",
        ]


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        (" ada@example.com\n", "ada@example.com"),
        ("ada@xn--bcher-kva.example", "Ada@B\u00fccher.example"),
        ("ada@b\u00fccher.example", "ada@XN--BCHER-KVA.example"),
        ("jose\u0301@example.com", "jos\u00e9@example.com"),
        ("jos\u00e9@example.com", "jose\u0301@example.com"),
    ],
    ids=ascii,
)
async def test_two_spellings_of_one_address_find_the_same_contact(asked: str, stored: str) -> None:
    page = {"contacts": [{"contact_id": "c1", "email_address": {"address": stored}}]}
    async with talking(reply(200, page)) as (cc, _):
        found = await cc.contacts.find(asked)
        assert found is not None
        assert found.contact_id == "c1"


async def test_an_international_domain_is_asked_for_in_both_spellings() -> None:
    stored = {"contacts": [{"contact_id": "c1", "email_address": {"address": "ada@b\u00fccher.example"}}]}
    async with talking(reply(200, {"contacts": []}), reply(200, stored)) as (cc, server):
        assert await cc.contacts.find("ada@xn--bcher-kva.example") is not None
        assert len(server.requests) == 2


@pytest.mark.parametrize("asked", [None, 5, b"ada@example.com", "", "  "])
async def test_an_address_that_cannot_be_one_is_refused_before_sending(world: World, asked: Any) -> None:
    with pytest.raises(InvalidRequestError, match="email must be a string"):
        await world.cc.contacts.find(asked)
    assert world.requests() == []


@given(st.text())
def test_any_text_has_a_normalized_form_that_is_stable_for_its_spellings(text: str) -> None:
    normalized = normalized_address(text)
    assert normalized_address(f" {text} ") == normalized
    assert spellings(text)[0] == text.strip()


async def test_only_the_very_address_is_found_on_whatever_page_it_is() -> None:
    others = [{"contact_id": "c1", "email_address": {"address": "grace.ada@example.com"}}, {"contact_id": "c2"}]
    pages = [
        {"contacts": others, "_links": {"next": {"href": "/v3/contacts?cursor=abc"}}},
        {"contacts": [{"contact_id": "c3", "email_address": {"address": "ADA@example.com"}}]},
    ]
    async with talking(*(reply(200, page) for page in pages)) as (cc, server):
        found = await cc.contacts.find("ada@example.com")
        assert found is not None
        assert found.contact_id == "c3"
        assert len(server.requests) == 2


async def test_a_deleted_contact_is_found_only_on_request(world: World) -> None:
    world.store.delete(world.id)
    assert await world.cc.contacts.find("ada@example.com") is None
    found = await world.cc.contacts.find("ada@example.com", deleted=True)
    assert found is not None
    assert found.deleted_at is not None
    assert await world.cc.contacts.find("nobody@example.com", deleted=True) is None


# --- create_or_get -----------------------------------------------------------------------------------------------


def request(address: str | None = "ADA@example.com", **fields: Any) -> CreateContactRequest:
    email = None if address is None else EmailAddressInput(address=address, permission_to_send="implicit")
    return CreateContactRequest(create_source="Account", first_name="New", email_address=email, **fields)


async def test_a_contact_is_created_where_there_is_none(world: World) -> None:
    made = await world.cc.contacts.create_or_get(request("new@example.com"))
    assert world.contact(made.contact_id)["first_name"] == "New"
    assert world.requests() == ["POST"]


@pytest.mark.parametrize("deleted", [False, True])
async def test_the_one_that_is_there_is_given_untouched(world: World, *, deleted: bool) -> None:
    if deleted:
        world.store.delete(world.id)
    before = world.contact()
    found = await world.cc.contacts.create_or_get(request())
    assert found.contact_id == world.id
    assert (found.deleted_at is not None) is deleted
    assert world.contact() == before
    assert world.requests() == ["POST", "GET"]


@pytest.mark.parametrize(
    ("message", "requests"),
    [
        ("Email already exists.", ["POST", "GET"]),
        ("Email already exists for contact 5c0ffee5-1234-4abc-8def-0123456789ab", ["POST", "GET", "GET"]),
    ],
)
async def test_a_conflict_without_an_id_that_can_be_read_is_resolved_by_the_address(
    world: World, message: str, requests: list[str]
) -> None:
    world.store.delete(world.id)
    world.box.fault("status", method="POST", status=409, key="contacts.api.conflict", message=message)
    found = await world.cc.contacts.create_or_get(request("ada@example.com"))
    assert found.contact_id == world.id
    assert world.requests() == requests


async def test_a_conflict_over_an_sms_number_never_gives_a_contact_with_another_address(world: World) -> None:
    message = f"SMS number already exists for contact {world.id}"
    world.box.fault("status", method="POST", status=409, key="contacts.api.conflict", message=message)
    with pytest.raises(ConflictError):
        await world.cc.contacts.create_or_get(request("someone.else@example.com"))
    assert world.requests() == ["POST", "GET"]


@pytest.mark.parametrize("address", ["nobody@example.com", None])
async def test_a_conflict_with_nobody_stays_a_conflict(world: World, address: str | None) -> None:
    world.box.fault("status", method="POST", status=409, key="contacts.api.conflict")
    with pytest.raises(ConflictError) as caught:
        await world.cc.contacts.create_or_get(request(address))
    assert not caught.value.maybe_applied


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "cut", "when": "after"},
        {"kind": "status", "status": 500, "when": "after"},
        {"kind": "status", "status": 408, "when": "after"},
        {"kind": "truncated"},
        {"kind": "html"},
        {"kind": "redirect", "when": "after"},
    ],
    ids=str,
)
async def test_after_a_lost_response_the_contact_is_looked_up_rather_than_created_again(
    world: World, fault: dict[str, Any]
) -> None:
    world.box.fault(**fault, method="POST")
    if fault["kind"] == "html":
        world.add("new@example.com")
    made = await world.cc.contacts.create_or_get(request("new@example.com"))
    assert made.email_address is not None
    assert made.email_address.address == "new@example.com"
    assert world.requests() == ["POST", "GET"]


@pytest.mark.parametrize("address", ["new@example.com", None])
async def test_a_lost_create_that_nothing_shows_raises_that_it_may_have_been_applied(
    world: World, address: str | None
) -> None:
    world.box.fault("cut", method="POST", when="before")
    with pytest.raises(TransportError) as caught:
        await world.cc.contacts.create_or_get(request(address))
    assert caught.value.maybe_applied


async def test_a_look_up_that_fails_after_a_lost_create_says_so_too(world: World) -> None:
    world.box.fault("cut", method="POST", when="after")
    world.box.fault("quota", method="GET")
    with pytest.raises(QuotaExceededError) as caught:
        await world.cc.contacts.create_or_get(request("new@example.com"))
    assert caught.value.maybe_applied


async def test_a_look_up_that_fails_after_a_conflict_wrote_nothing(world: World) -> None:
    world.box.fault("quota", method="GET")
    with pytest.raises(QuotaExceededError) as caught:
        await world.cc.contacts.create_or_get(request())
    assert not caught.value.maybe_applied


async def test_what_is_refused_is_not_looked_up(world: World) -> None:
    world.box.fault("status", method="POST", status=400)
    with pytest.raises(BadRequestError):
        await world.cc.contacts.create_or_get(request())
    assert world.requests() == ["POST"]


async def test_a_contact_that_is_not_there_cannot_be_patched(world: World) -> None:
    with pytest.raises(NotFoundError):
        await world.cc.contacts.patch("5c0ffee5-1234-4abc-8def-0123456789ab", first_name="x")


def test_edits_given_as_iterators_can_be_applied_more_than_once() -> None:
    changes = checked({"add_lists": iter(["b"]), "remove_tags": "t"})
    read = {"list_memberships": ["a"], "taggings": ["t"]}
    first, second = (merged(read, changes, "Account") for _ in range(2))
    assert first == second == {"update_source": "Account", "list_memberships": ["a", "b"], "taggings": []}


# --- arguments of the wrong type ---------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{"first_name": "Ada"}, None, "Ada"])
@pytest.mark.parametrize(
    ("operation", "arguments", "wanted"),
    [
        ("create", (), "CreateContactRequest"),
        ("create_or_update", (), "CreateOrUpdateContactRequest"),
        ("create_or_get", (), "CreateContactRequest"),
        ("update", ("c1",), "UpdateContactRequest"),
    ],
)
async def test_a_request_of_another_type_is_refused_with_the_class_that_is_wanted(
    world: World, operation: str, arguments: tuple[str, ...], wanted: str, given: Any
) -> None:
    with pytest.raises(InvalidRequestError, match=f"must be a {wanted}"):
        await getattr(world.cc.contacts, operation)(*arguments, given)
    assert world.requests() == []


@pytest.mark.parametrize("concurrency", ["3", 1.5, True, None, 0])
async def test_a_concurrency_that_is_not_a_whole_number_is_refused(world: World, concurrency: Any) -> None:
    with pytest.raises(InvalidRequestError, match="concurrency must be a whole number"):
        world.cc.contacts.delete_many([], concurrency=concurrency)


def test_rows_with_two_spellings_of_one_address_have_the_same_key() -> None:
    keys = {email_key(request(spelling)) for spelling in ("b\u00fc@example.com", " BU\u0308@example.com ")}
    assert len(keys) == 1
    assert email_key(request(None)) is None
