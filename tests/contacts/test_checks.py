"""What is refused before anything is sent about a contact, naming the field, and what stands for an id."""

import json
from typing import Any

import pytest
from support.raw_server import Reply, hasty, reply, talking

from cc_async import (
    ConflictError,
    ContactList,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    CustomFieldDefinition,
    CustomFieldInput,
    EmailAddressInput,
    InvalidRequestError,
    NoteInput,
    RetryPolicy,
    Segment,
    SmsChannelConsentInput,
    SmsChannelInput,
    Tag,
    UpdateContactRequest,
)
from cc_async.sandbox import Sandbox

LIST, TAG = ContactList(list_id="l1"), Tag(tag_id="t1")
FIELD = CustomFieldDefinition(custom_field_id="f1")
CONSENT = SmsChannelConsentInput(sms_consent_permission="explicit", consent_type="promotional_sms")

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"custom_fields": {"id": "v"}}, "custom_fields must be a list of CustomFieldInput, not dict"),
    ({"custom_fields": "x"}, "custom_fields must be a list of CustomFieldInput, not str"),
    (
        {"custom_fields": (field for field in [CustomFieldInput(custom_field_id="f")])},
        "custom_fields must be a list of CustomFieldInput, not generator",
    ),
    ({"custom_fields": [{"custom_field_id": "f"}]}, r"custom_fields\[0\] must be a CustomFieldInput, not dict"),
    (
        {"custom_fields": [CustomFieldInput(custom_field_id="f", value=float("nan"))]},  # type: ignore[arg-type]  # wrong on purpose
        r"custom_fields\[0\]\.value must be a string, not float",
    ),
    ({"first_name": b"Ada"}, "first_name must be a string, not bytes"),
    ({"first_name": 5}, "first_name must be a string, not int"),
    ({"birthday_month": float("nan")}, "birthday_month must be a whole number, not float"),
    ({"birthday_day": True}, "birthday_day must be a whole number, not bool"),
    ({"email_address": 5}, "email_address must be .*an? EmailAddressInput.*, not int"),
    ({"list_memberships": "l1"}, "list_memberships must be a list of strings.*, not str"),
    ({"list_memberships": ["l1", None]}, r"list_memberships\[1\] must be a string.*, not None"),
    ({"list_memberships": ["l1", ""]}, r"list_memberships\[1\] must be a string that is not empty"),
    ({"list_memberships": [ContactList()]}, r"list_memberships\[0\] must be a string.*, not None"),
    ({"taggings": {"t1": True}}, "taggings must be a list of strings.*, not dict"),
    ({"taggings": [7]}, r"taggings\[0\] must be a string.*, not int"),
    ({"notes": [NoteInput(content=b"x")]}, r"notes\[0\]\.content must be a string, not bytes"),  # type: ignore[arg-type]  # wrong on purpose
]


@pytest.mark.parametrize(("fields", "said"), WRONG, ids=[said for _, said in WRONG])
async def test_a_value_of_the_wrong_kind_is_refused_before_sending_with_the_name_of_its_field(
    fields: dict[str, Any], said: str
) -> None:
    async with talking(reply(200, {"contact_id": "c1"})) as (cc, server):
        create = CreateContactRequest(**{"create_source": "Account", "last_name": "L", **fields})
        with pytest.raises(InvalidRequestError, match=said):
            await cc.contacts.create(create)
        with pytest.raises(InvalidRequestError, match=said):
            await cc.contacts.update("c1", UpdateContactRequest(update_source="Account", **fields))
        with pytest.raises(InvalidRequestError, match=said):
            await cc.contacts.patch("c1", **fields)
        assert server.requests == []


@pytest.mark.parametrize("change", [{"add_lists": None}, {"add_tags": ["", "t"]}, {"remove_lists": {"l": 1}}], ids=str)
async def test_edits_of_the_wrong_kind_are_refused_before_sending(change: Any) -> None:
    async with talking() as (cc, server):
        with pytest.raises(InvalidRequestError, match=next(iter(change))):
            await cc.contacts.patch("c1", **change)
        assert server.requests == []


async def test_a_sign_up_of_the_wrong_kind_is_refused_before_sending() -> None:
    async with talking() as (cc, server):
        for fields in ({"email_address": EmailAddressInput(address="a@b.example")}, {"email_address": 5}):
            request = CreateOrUpdateContactRequest(list_memberships=["l1"], **fields)
            with pytest.raises(InvalidRequestError, match="email_address must be a string, not"):
                await cc.contacts.create_or_update(request)
        assert server.requests == []


# --- objects beside ids --------------------------------------------------------------------------------------------


async def test_lists_tags_and_custom_fields_are_accepted_beside_their_ids_in_every_write() -> None:
    async with talking(*[reply(200, {"contact_id": "c1", "list_memberships": [], "taggings": []})] * 6) as (cc, server):
        create = CreateContactRequest(
            create_source="Account",
            last_name="L",
            list_memberships=(each for each in (LIST, "l2")),
            taggings=(TAG,),
            custom_fields=[CustomFieldInput(custom_field_id=FIELD, value="x")],
        )
        await cc.contacts.create(create)
        await cc.contacts.create_or_update(
            CreateOrUpdateContactRequest(list_memberships=[LIST], email_address="a@b.example")
        )
        await cc.contacts.resubscribe("c1", [LIST])
        await cc.contacts.patch("c1", add_lists=LIST, add_tags=[TAG, "t2"])
        bodies = [json.loads(request.body) for request in server.requests if request.body]
    assert bodies[0]["list_memberships"] == ["l1", "l2"]
    assert bodies[0]["taggings"] == ["t1"]
    assert bodies[0]["custom_fields"] == [{"custom_field_id": "f1", "value": "x"}]
    assert bodies[1]["list_memberships"] == ["l1"]
    assert bodies[2] == {"list_ids": ["l1"]}
    assert (bodies[3]["list_memberships"], bodies[3]["taggings"]) == (["l1"], ["t1", "t2"])


async def test_the_filters_accept_lists_tags_and_a_segment() -> None:
    async with talking(*[reply(200, {"contacts": []})] * 3) as (cc, server):
        await cc.contacts.list(lists=[LIST, "l2"], tags=TAG).collect()
        await cc.contacts.list(lists=LIST).collect()
        await cc.contacts.list(segment_id=Segment(segment_id=7)).collect()
        targets = [request.target for request in server.requests]
    assert "lists=l1,l2&tags=t1&" in targets[0]
    assert "lists=l1&" in targets[1]
    assert "segment_id=7&" in targets[2]
    async with talking() as (cc, server):
        with pytest.raises(InvalidRequestError, match="list_id"):
            cc.contacts.list(lists=[ContactList()])
        with pytest.raises(InvalidRequestError, match="lists must be one or several ids"):
            cc.contacts.list(lists=7)  # type: ignore[arg-type]  # wrong on purpose


# --- conflicts -----------------------------------------------------------------------------------------------------

SIGN_UP = CreateOrUpdateContactRequest(list_memberships=["l1"], email_address="a@b.example")


def conflict(message: str) -> Reply:
    return reply(409, [{"error_key": "contacts.api.conflict", "error_message": message}])


async def test_a_sign_up_that_met_a_simultaneous_request_is_repeated_since_nothing_was_done() -> None:
    done = reply(200, {"contact_id": "c1", "action": "updated"})
    async with talking(conflict("Simultaneous requests."), conflict("Conflict."), done) as (cc, server):
        assert (await cc.contacts.create_or_update(SIGN_UP)).contact_id == "c1"
        assert len(server.requests) == 3


async def test_a_sign_up_that_conflicts_with_another_contact_is_not_repeated() -> None:
    async with talking(conflict("SMS number already exists.")) as (cc, server):
        with pytest.raises(ConflictError) as caught:
            await cc.contacts.create_or_update(SIGN_UP)
        assert not caught.value.simultaneous
        assert len(server.requests) == 1


async def test_repeats_after_simultaneous_requests_are_bounded_by_the_policy() -> None:
    async with Sandbox(rate=None, daily=None) as box:
        box.fault("status", method="POST", status=409, times=None)
        policy = RetryPolicy(attempts=3, first_pause=0.001)
        async with hasty(box.base_url, box.access_token, retry=policy) as cc:
            with pytest.raises(ConflictError) as caught:
                await cc.contacts.create_or_update(SIGN_UP)
        assert caught.value.simultaneous
        assert not caught.value.maybe_applied
        assert len(box.requests) == 3


@pytest.mark.parametrize(("stored", "same"), [("2025550123", True), ("2025550199", False), (None, False)])
async def test_a_create_by_sms_number_returns_only_a_contact_with_that_number(
    stored: str | None, *, same: bool
) -> None:
    contact_id = "5c0ffee5-1234-4abc-8def-0123456789ab"
    channel = stored and {"dial_code": "1", "sms_address": stored}
    request = CreateContactRequest(
        create_source="Account",
        sms_channel=SmsChannelInput(full_sms_address="+1 (202) 555-0123", sms_channel_consents=[CONSENT]),
    )
    found = reply(200, {"contact_id": contact_id, "sms_channel": channel})
    async with talking(conflict(f"Already exists for contact {contact_id}"), found) as (cc, server):
        if same:
            assert (await cc.contacts.create_or_get(request)).contact_id == contact_id
        else:
            with pytest.raises(ConflictError):
                await cc.contacts.create_or_get(request)
        assert "include=sms_channel" in server.requests[1].target
