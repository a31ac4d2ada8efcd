"""A patch of a contact: what is named changes, and nothing else does."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st
from support.contact_with_everything import World, differing
from support.raw_server import reply, talking

from cc_async import (
    DecodeError,
    EmailAddressInput,
    EmailAddressUpdate,
    InvalidRequestError,
    NoteInput,
    PhoneNumberInput,
    SmsChannelConsentInput,
    SmsChannelInput,
    StreetAddressInput,
)
from cc_async.resources.contacts.editing import merged

CHANNEL = SmsChannelInput(
    full_sms_address="+12025550123",
    sms_channel_consents=[
        SmsChannelConsentInput(sms_consent_permission="explicit", consent_type="promotional_consent")
    ],
)


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
