"""One contact at a time in the sandbox: reading, writing, and the rules about both."""

from typing import Any

import pytest
from support.sandbox_contract import (
    CONFLICT,
    EVERYTHING,
    NOT_FOUND,
    REFUSED_CONTACTS,
    SOME_ID,
    SUBRESOURCES,
    VALIDATION,
    Clock,
    calling,
)
from support.sandbox_people import ADA, create

from cc_async.sandbox import Refused


async def test_a_created_contact_can_be_read() -> None:
    async with calling() as call:
        made = await create(call)
        assert made["email_address"]["permission_to_send"] == "implicit"
        assert "update_source" not in made
        reply = await call("GET", f"/contacts/{made['contact_id']}")
        assert reply.status == 200
        assert reply.json == {name: value for name, value in made.items() if name not in SUBRESOURCES}


@pytest.mark.parametrize("body", REFUSED_CONTACTS, ids=str)
async def test_a_contact_that_breaks_a_rule_is_refused(body: Any) -> None:
    async with calling() as call:
        reply = await call("POST", "/contacts", body)
        assert (reply.status, reply.error_key) == (400, VALIDATION)
        assert len(call.box.store) == 0


async def test_the_message_about_a_missing_source_is_the_one_that_was_seen() -> None:
    async with calling() as call:
        reply = await call("POST", "/contacts", {"first_name": "Ada"})
        assert reply.json == [
            {
                "error_key": VALIDATION,
                "error_message": "create_source is missing, create_source does not have a valid value",
            }
        ]


async def test_an_address_belongs_to_one_contact_whatever_its_case_and_even_when_deleted() -> None:
    async with calling() as call:
        made = await create(call)
        await call("DELETE", f"/contacts/{made['contact_id']}")
        reply = await call("POST", "/contacts", ADA | {"email_address": {"address": "ADA@EXAMPLE.COM"}})
        assert (reply.status, reply.error_key) == (409, CONFLICT)
        expected = f"Validation failed: Email already exists for contact {made['contact_id']}"
        assert reply.json[0]["error_message"] == expected


async def test_every_subresource_that_is_sent_is_read_back() -> None:
    async with calling() as call:
        store = call.box.store
        made = await create(
            call,
            list_memberships=[store.lists[0]],
            taggings=[store.tags[0]],
            custom_fields=[{"custom_field_id": store.custom_fields[0], "value": "blue"}],
            phone_numbers=[{"phone_number": "+1-555-555-0100", "kind": "home"}],
            street_addresses=[{"kind": "home", "city": "Portland"}],
            notes=[{"content": "Called."}],
            sms_channel={
                "full_sms_address": "12025550143",
                "sms_channel_consents": [{"sms_consent_permission": "explicit", "consent_type": "promotional_sms"}],
            },
        )
        read = (await call("GET", f"/contacts/{made['contact_id']}?include={EVERYTHING}")).json
        assert read == made
        assert (read["sms_channel"]["dial_code"], read["sms_channel"]["sms_address"]) == ("1", "2025550143")
        assert "full_sms_address" not in read["sms_channel"]
        assert read["notes"][0]["content"] == "Called."
        assert await call.ids("sms_status=explicit") == [made["contact_id"]]


async def test_a_body_must_be_json_and_say_so() -> None:
    async with calling() as call:
        reply = await call("POST", "/contacts", data=b"a=1", headers={"Content-Type": "text/plain"})
        assert (reply.status, reply.json) == (415, {"message": "Unsupported Media Type"})
        for body in (b"{", b"\xff", b""):
            reply = await call("POST", "/contacts", data=body, headers={"Content-Type": "application/json"})
            assert reply.status == 400


@pytest.mark.parametrize("contact_id", [SOME_ID, "04fe9a-a579-43c5-bb1a-58ed29bf0a6a", "nonsense"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/contacts/", None),
        ("PUT", "/contacts/", {"update_source": "Account"}),
        ("DELETE", "/contacts/", None),
        ("GET", "/contacts/sms_engagement_history/", None),
        ("PUT", "/contacts/resubscribe/", {"list_ids": ["any"]}),
    ],
)
async def test_an_id_that_is_unknown_or_malformed_is_not_found(
    method: str, path: str, body: Any, contact_id: str
) -> None:
    async with calling() as call:
        reply = await call(method, path + contact_id, body)
        assert (reply.status, reply.error_key) == (404, NOT_FOUND)
        malformed = "contact_id is in an invalid format."
        assert (reply.json[0]["error_message"] == malformed) is (contact_id == "nonsense")


async def test_put_wipes_the_core_it_is_not_sent_and_keeps_the_arrays() -> None:
    async with calling() as call:
        lists, tags = call.box.store.lists, call.box.store.tags
        made = await create(call, last_name="Lovelace", list_memberships=[lists[0]], taggings=[tags[0]])
        reply = await call(
            "PUT",
            f"/contacts/{made['contact_id']}",
            {"update_source": "Account", "list_memberships": [lists[1]]},
        )
        assert reply.status == 200
        changed = reply.json
        assert changed["first_name"] is None
        assert changed["last_name"] is None
        assert changed["list_memberships"] == [lists[1]]
        assert changed["taggings"] == [tags[0]]
        assert changed["email_address"]["address"] == "Ada@example.com"
        assert changed["update_source"] == "Account"
        assert changed["created_at"] == made["created_at"]


async def test_put_can_be_told_to_lose_the_address_too() -> None:
    async with calling(put_keeps_email=False) as call:
        made = await create(call)
        changed = (await call("PUT", f"/contacts/{made['contact_id']}", {"update_source": "Account"})).json
        assert changed["email_address"] is None
        assert await call.ids("email=ada@example.com") == []
        assert (await call("POST", "/contacts", ADA)).status == 201


async def test_put_needs_a_source_and_an_address_that_is_free() -> None:
    async with calling() as call:
        first = await create(call)
        second = await create(call, email_address={"address": "bela@example.com"})
        path = f"/contacts/{second['contact_id']}"
        assert (await call("PUT", path, {"first_name": "B"})).error_key == VALIDATION
        taken = {"update_source": "Account", "email_address": {"address": "ada@example.com"}}
        reply = await call("PUT", path, taken)
        assert reply.status == 409
        assert first["contact_id"] in reply.json[0]["error_message"]
        own = {"update_source": "Account", "email_address": {"address": "BELA@example.com"}}
        assert (await call("PUT", path, own)).json["email_address"]["address"] == "BELA@example.com"
        fresh = {"update_source": "Contact", "email_address": {"address": "new@example.com"}}
        assert (await call("PUT", path, fresh)).json["email_address"]["opt_in_source"] == "Contact"


async def test_opting_out_and_in_by_put_moves_the_dates_of_the_address() -> None:
    async with calling() as call:
        made = await create(call)
        path = f"/contacts/{made['contact_id']}"
        email = {
            "address": "ada@example.com",
            "permission_to_send": "unsubscribed",
            "opt_out_reason": "moved",
        }
        out = (await call("PUT", path, {"update_source": "Account", "email_address": email})).json["email_address"]
        assert (out["opt_out_source"], out["opt_out_reason"]) == ("Account", "moved")
        again = (await call("PUT", path, {"update_source": "Account", "email_address": email})).json["email_address"]
        assert again["opt_out_date"] == out["opt_out_date"]
        email = {"address": "ada@example.com", "permission_to_send": "explicit"}
        back = (await call("PUT", path, {"update_source": "Account", "email_address": email})).json["email_address"]
        assert not [name for name in back if name.startswith("opt_out")]


async def test_a_deleted_contact_can_be_read_but_is_not_deleted_again() -> None:
    async with calling() as call:
        path = f"/contacts/{(await create(call))['contact_id']}"
        reply = await call("DELETE", path)
        assert (reply.status, reply.body) == (204, b"")
        assert "deleted_at" in (await call("GET", path)).json
        assert (await call("DELETE", path)).error_key == NOT_FOUND
        assert call.box.applied("DELETE", "/contacts") == 1


async def test_only_the_account_can_revive_a_deleted_contact() -> None:
    async with calling() as call:
        path = f"/contacts/{(await create(call))['contact_id']}"
        await call("DELETE", path)
        assert (await call("PUT", path, {"update_source": "Contact"})).error_key == VALIDATION
        assert "deleted_at" not in (await call("PUT", path, {"update_source": "Account"})).json


@pytest.mark.parametrize("touch", [True, False])
async def test_deleting_may_or_may_not_move_updated_at(touch: bool) -> None:
    clock = Clock()
    async with calling(clock=clock, touch_on_delete=touch) as call:
        made = await create(call)
        clock.now += 60
        await call("DELETE", f"/contacts/{made['contact_id']}")
        assert (call.box.store.get(made["contact_id"])["updated_at"] != made["updated_at"]) is touch


@pytest.mark.parametrize("touch", [True, False])
async def test_edits_of_lists_alone_may_or_may_not_move_updated_at(touch: bool) -> None:
    clock = Clock()
    async with calling(clock=clock, touch_on_membership_edits=touch) as call:
        made = await create(call, create_source="Account")
        path, lists = f"/contacts/{made['contact_id']}", call.box.store.lists
        before = (await call("PUT", path, {"update_source": "Account", "first_name": "Ada"})).json["updated_at"]
        clock.now += 60
        edit = {"update_source": "Account", "first_name": "Ada", "list_memberships": [lists[0]]}
        assert ((await call("PUT", path, edit)).json["updated_at"] != before) is touch
        clock.now += 60
        edit["first_name"] = "Adele"
        assert (await call("PUT", path, edit)).json["updated_at"] != before


async def test_counts_are_those_of_the_statuses() -> None:
    clock = Clock()
    async with calling(contacts=300, clock=clock) as call:
        counts = (await call("GET", "/contacts/counts")).json
        assert set(counts) == {"total", "explicit", "implicit", "pending", "unsubscribed"}
        assert counts["total"] == len(await call.ids("limit=500"))
        assert counts["unsubscribed"] == len(await call.ids("limit=500&status=unsubscribed"))
        assert counts["pending"] == len(await call.ids("limit=500&status=pending_confirmation"))
        assert counts["explicit"] + counts["implicit"] == len(await call.ids("limit=500&status=active"))
        await create(call)
        asked = (await call("GET", "/contacts/counts?include=new_subscriber")).json
        assert asked == counts | {
            "total": counts["total"] + 1,
            "implicit": counts["implicit"] + 1,
            "new_subscriber": 1,
        }
        assert (await call("GET", "/contacts/counts?include=new_subscribers")).status == 400


async def test_xrefs_are_sorted_and_leave_out_what_is_not_there() -> None:
    async with calling(contacts=5) as call:
        store = call.box.store
        ids = store.ids()
        numbers = [store.sequence_id(ids[4]), store.sequence_id(ids[1]), "1", "x"]
        reply = await call("GET", f"/contacts/contact_id_xrefs?sequence_ids={','.join(numbers)}")
        assert reply.json == {
            "xrefs": [
                {"sequence_id": numbers[1], "contact_id": ids[1]},
                {"sequence_id": numbers[0], "contact_id": ids[4]},
            ]
        }
        for given in ("", ",".join(map(str, range(501)))):
            assert (await call("GET", f"/contacts/contact_id_xrefs?sequence_ids={given}")).status == 400


async def test_sms_history_is_a_bare_array() -> None:
    async with calling(contacts=40) as call:
        store = call.box.store
        seen = set()
        for contact_id in store.ids():
            channel = store.get(contact_id).get("sms_channel")
            history = (await call("GET", f"/contacts/sms_engagement_history/{contact_id}")).json
            assert len(history) == (1 if channel else 0)
            seen |= {record["history_details"]["consent_action_type"] for record in history}
        assert seen == {"opt_in", "opt_out"}


async def test_only_the_unsubscribed_are_asked_back_and_only_once() -> None:
    async with calling() as call:
        contact_id = (await create(call))["contact_id"]
        path, body = f"/contacts/resubscribe/{contact_id}", {"list_ids": [call.box.store.lists[2]]}
        assert (await call("PUT", path, body)).error_key == CONFLICT
        call.box.store.unsubscribe(contact_id, "too many")
        assert (await call("PUT", path, {"list_ids": []})).status == 400
        reply = await call("PUT", path, body)
        assert (reply.status, reply.body) == (200, b"")
        assert (await call("PUT", path, body)).error_key == CONFLICT
        contact = call.box.store.get(contact_id)
        assert contact["list_memberships"] == body["list_ids"]
        assert contact["email_address"]["permission_to_send"] == "unsubscribed"


async def test_unsubscribing_moves_only_the_dates_of_the_address() -> None:
    clock = Clock()
    async with calling(clock=clock) as call:
        before = await create(call)
        clock.now += 3600
        call.box.store.unsubscribe(before["contact_id"])
        after = call.box.store.get(before["contact_id"])
        assert after["updated_at"] == before["updated_at"]
        assert after["email_address"]["opt_out_date"] == after["email_address"]["updated_at"]
        nobody = call.box.store.create({"create_source": "Account", "first_name": "Nobody"})
        with pytest.raises(Refused, match="without an email address"):
            call.box.store.unsubscribe(nobody["contact_id"])


async def test_the_neighbours_come_in_pages_with_links_of_their_own() -> None:
    async with calling() as call:
        store = call.box.store
        lists = (await call("GET", "/contact_lists?limit=10&include_count=true")).json
        assert lists["lists_count"] == len(store.lists)
        rest = (await call("GET", lists["_links"]["next"]["href"])).json
        assert "_links" not in rest
        assert [item["list_id"] for item in lists["lists"] + rest["lists"]] == list(store.lists)
        assert (await call("GET", "/contact_lists?limit=ten")).status == 400
        fields = (await call("GET", "/contact_custom_fields")).json["custom_fields"]
        assert [field["custom_field_id"] for field in fields] == list(store.custom_fields)


async def test_a_tag_can_be_made_and_used() -> None:
    async with calling() as call:
        reply = await call("POST", "/contact_tags", {"name": "Gold"})
        assert reply.status == 201
        tag_id = reply.json["tag_id"]
        assert tag_id in [tag["tag_id"] for tag in (await call("GET", "/contact_tags")).json["tags"]]
        made = await create(call, taggings=[tag_id])
        assert await call.ids(f"tags={tag_id}") == [made["contact_id"]]
        assert (await call("POST", "/contact_tags", {"name": "Gold"})).status == 409
        assert (await call("POST", "/contact_tags", {})).status == 400
