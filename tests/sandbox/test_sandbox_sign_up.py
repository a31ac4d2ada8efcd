"""Signing up in the sandbox: create or update, consent, and confirmed opt-in."""

from typing import Any

import pytest
from support.sandbox_contract import Caller, calling
from support.sandbox_people import create


async def sign_up(call: Caller, **body: Any) -> tuple[int, Any]:
    reply = await call("POST", "/contacts/sign_up_form", {"list_memberships": [call.box.store.lists[0]]} | body)
    return reply.status, reply.json


async def test_a_sign_up_creates_and_then_updates_in_part() -> None:
    async with calling() as call:
        lists, fields = call.box.store.lists, call.box.store.custom_fields
        status, response = await sign_up(
            call,
            email_address="ada@example.com",
            first_name="Ada",
            phone_number="1",
            custom_fields=[{"custom_field_id": fields[0], "value": "blue"}],
            street_address={"kind": "home", "city": "Portland"},
        )
        assert (status, response["action"]) == (201, "created")
        status, again = await sign_up(
            call,
            email_address="ADA@example.com",
            last_name="Lovelace",
            list_memberships=[lists[1]],
            custom_fields=[{"custom_field_id": fields[1], "value": "green"}],
            street_address={"kind": "home", "city": "Duluth"},
        )
        assert (status, again) == (200, {"contact_id": response["contact_id"], "action": "updated"})
        contact = call.box.store.get(response["contact_id"])
        assert (contact["first_name"], contact["last_name"]) == ("Ada", "Lovelace")
        assert contact["list_memberships"] == [lists[0], lists[1]]
        assert [field["value"] for field in contact["custom_fields"]] == ["blue", "green"]
        assert [place["city"] for place in contact["street_addresses"]] == ["Duluth"]
        assert contact["email_address"]["permission_to_send"] == "explicit"
        assert contact["email_address"]["opt_in_source"] == "Contact"


async def test_a_sign_up_raises_consent_and_revives() -> None:
    async with calling() as call:
        contact_id = (await create(call))["contact_id"]
        call.box.store.unsubscribe(contact_id)
        call.box.store.delete(contact_id)
        status, _ = await sign_up(call, email_address="ada@example.com")
        contact = call.box.store.get(contact_id)
        assert status == 200
        assert "deleted_at" not in contact
        assert contact["email_address"]["permission_to_send"] == "explicit"
        assert "opt_out_date" not in contact["email_address"]


async def test_with_confirmed_opt_in_only_new_contacts_have_to_confirm() -> None:
    async with calling(confirmed_opt_in=True) as call:
        contact_id = (await create(call))["contact_id"]
        await sign_up(call, email_address="ada@example.com")
        _, new = await sign_up(call, email_address="bela@example.com")
        read = call.box.store.get
        assert read(contact_id)["email_address"]["permission_to_send"] == "explicit"
        assert read(new["contact_id"])["email_address"]["permission_to_send"] == "pending_confirmation"


async def test_a_sign_up_by_sms_finds_its_contact_again() -> None:
    consent = {
        "sms_consent_permission": "explicit",
        "consent_type": "promotional_sms",
        "consent_medium_type": "LF",
        "consent_medium_url": "https://example.com",
        "consent_medium_details": "landing page",
    }
    channel = {
        "sms_address": "2025550143",
        "dial_code": "1",
        "country_code": "US",
        "sms_channel_consents": [consent],
    }
    async with calling(contacts=5) as call:
        status, response = await sign_up(call, sms_channel=channel)
        assert status == 201
        assert (await sign_up(call, sms_channel=channel))[0] == 200
        assert "email_address" not in call.box.store.get(response["contact_id"])
        del consent["consent_medium_url"]
        assert (await sign_up(call, sms_channel=channel))[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        {"email_address": {"address": "ada@example.com"}},
        {"email_address": "a" * 51},
        {"email_address": "ada@example.com", "list_memberships": []},
        {"email_address": "ada@example.com", "list_memberships": None},
        {},
    ],
    ids=str,
)
async def test_a_sign_up_has_rules_of_its_own(body: Any) -> None:
    async with calling() as call:
        assert (await sign_up(call, **body))[0] == 400
