"""Bulk imports: rows, counters, error lines and silent cuts, as neighbours.md describes them."""

import io
import json
from time import process_time
from typing import Any

import aiohttp
import pytest
from support.sandbox_contract import Caller, Clock, calling


async def imported(call: Caller, *rows: Any, lists: Any = None) -> Any:
    """Import rows into the first list; return the activity when it is completed."""
    body = {"import_data": rows, "list_ids": lists or [call.box.store.lists[0]]}
    reply = await call("POST", "/activities/contacts_json_import", body)
    assert reply.status == 201, reply.body
    call.box.finish_jobs()
    return (await call("GET", f"/activities/{reply.json['activity_id']}")).json


async def contact(call: Caller, address: str = "ada@example.com") -> Any:
    (contact_id,) = await call.ids(f"status=all&email={address}")
    return call.box.store.get(contact_id)


def form(content: bytes, lists: str, *, name: str = "contacts.csv") -> aiohttp.FormData:
    data = aiohttp.FormData()
    data.add_field("file", content, filename=name, content_type="text/csv")
    data.add_field("list_ids", lists)
    return data


async def test_a_new_address_becomes_an_implicit_contact_of_the_account() -> None:
    async with calling() as call:
        row = {
            "email": "Ada@example.com",
            "first_name": "Ada",
            "birthday_month": 12,
            "birthday_day": "10",
            "anniversary": "7/2/2019",
            "mobile_phone": "1",
            "phone": "2",
            "street": "1 Main St",
            "street2": "Flat 2",
            "work_city": "Duluth",
            "zip": "55802",
            "cf:account_note": "blue",
            "cf:orders": 7,
        }
        activity = await imported(call, row)
        assert activity["source_file_name"] == "upload_from_json.csv"
        made = await contact(call)
        assert made["create_source"] == "Account"
        assert (made["email_address"]["permission_to_send"], made["email_address"]["opt_in_source"]) == (
            "implicit",
            "Account",
        )
        assert (made["birthday_month"], made["birthday_day"], made["anniversary"]) == (12, 10, "2019-07-02")
        assert {phone["kind"]: phone["phone_number"] for phone in made["phone_numbers"]} == {
            "mobile": "1",
            "other": "2",
        }
        home, work = sorted(made["street_addresses"], key=lambda one: str(one["kind"]))
        assert (home["street"], home["postal_code"], work["city"]) == ("1 Main St Flat 2", "55802", "Duluth")
        fields = call.box.store.custom_fields
        values = {one["custom_field_id"]: one["value"] for one in made["custom_fields"]}
        assert values == {fields[0]: "blue", fields[4]: "7"}
        assert made["list_memberships"] == [call.box.store.lists[0]]


async def test_an_existing_contact_keeps_what_the_row_does_not_name_and_its_consent() -> None:
    clock = Clock()
    async with calling(clock=clock) as call:
        lists = call.box.store.lists
        before = call.box.store.create(
            {
                "create_source": "Account",
                "first_name": "Ada",
                "last_name": "Lovelace",
                "email_address": {"address": "ada@example.com", "permission_to_send": "explicit"},
                "list_memberships": [lists[1]],
                "phone_numbers": [{"kind": "home", "phone_number": "1"}],
            }
        )
        clock.now += 60
        await imported(call, {"email": "ADA@example.com", "last_name": "King", "home_phone": "2", "work_phone": "3"})
        after = await contact(call)
        assert (after["contact_id"], after["first_name"], after["last_name"]) == (before["contact_id"], "Ada", "King")
        assert after["email_address"] == before["email_address"]
        assert after["list_memberships"] == [lists[1], lists[0]]
        assert {one["kind"]: one["phone_number"] for one in after["phone_numbers"]} == {"home": "2", "work": "3"}
        assert after["updated_at"] > before["updated_at"]


@pytest.mark.parametrize("erases", [False, True])
async def test_blank_values_erase_only_where_the_sandbox_is_told_so(erases: bool) -> None:
    async with calling(import_blanks_erase=erases) as call:
        await imported(call, {"email": "ada@example.com", "first_name": "Ada", "cf:account_note": "x", "phone": "1"})
        await imported(call, {"email": "ada@example.com", "first_name": "", "cf:account_note": None, "phone": ""})
        after = await contact(call)
        assert (after["first_name"] is None) is erases
        assert (after["custom_fields"] == []) is (after["phone_numbers"] == []) is erases


async def test_the_unsubscribed_are_updated_but_not_added_to_the_list() -> None:
    async with calling() as call:
        await imported(call, {"email": "ada@example.com"})
        ada = await contact(call)
        call.box.store.unsubscribe(ada["contact_id"])
        activity = await imported(
            call, {"email": "ada@example.com", "first_name": "Ada"}, lists=[call.box.store.lists[1]]
        )
        assert activity["status"]["cannot_add_to_list_count"] == 1
        after = await contact(call)
        assert after["first_name"] == "Ada"
        assert after["email_address"]["permission_to_send"] == "unsubscribed"
        assert after["list_memberships"] == [call.box.store.lists[0]]


@pytest.mark.parametrize("revives", [True, False])
async def test_the_deleted_come_back_or_do_not(revives: bool) -> None:
    async with calling(import_revives=revives) as call:
        await imported(call, {"email": "ada@example.com"})
        call.box.store.delete((await contact(call))["contact_id"])
        activity = await imported(call, {"email": "ada@example.com"})
        assert ("deleted_at" in await contact(call)) is not revives
        assert activity["status"]["error_count"] == (0 if revives else 1)


async def test_whoever_was_unsubscribed_and_then_deleted_comes_back_unsubscribed() -> None:
    async with calling() as call:
        await imported(call, {"email": "ada@example.com"})
        contact_id = (await contact(call))["contact_id"]
        call.box.store.unsubscribe(contact_id)
        call.box.store.delete(contact_id)
        activity = await imported(call, {"email": "ada@example.com"}, lists=[call.box.store.lists[1]])
        assert activity["status"]["cannot_add_to_list_count"] == 1
        after = await contact(call)
        assert "deleted_at" not in after
        assert after["list_memberships"] == [call.box.store.lists[0]]


async def test_whoever_left_a_list_is_put_back_on_it() -> None:
    async with calling() as call:
        await imported(call, {"email": "ada@example.com"})
        contact_id = (await contact(call))["contact_id"]
        call.box.store.put(contact_id, {"update_source": "Contact", "list_memberships": []})
        await imported(call, {"email": "ada@example.com"})
        assert (await contact(call))["list_memberships"] == [call.box.store.lists[0]]


async def test_an_address_that_comes_twice_is_one_contact_with_the_last_values() -> None:
    async with calling() as call:
        rows = [
            {"email": "ada@example.com", "first_name": "A", "last_name": "L"},
            {"email": "ADA@EXAMPLE.COM", "first_name": "B"},
        ]
        await imported(call, *rows)
        ada = await contact(call)
        assert (ada["first_name"], ada["last_name"], len(call.box.store)) == ("B", "L", 1)


WRONG_ROWS: list[Any] = [
    {"email": "ada"},
    {"email": {"address": "a@example.com"}},
    {"email": "a@example.com", "birthday_month": 2, "birthday_day": 30},
    {"email": "a@example.com", "birthday_month": 2},
    {"email": "a@example.com", "anniversary": "soon"},
    {"company_name": "Globex"},
    {"email": "a@example.com", "first_name": "x" * 51},
]


@pytest.mark.parametrize("shape", ["strings", "objects"])
async def test_wrong_rows_are_counted_and_named_by_a_line_that_counts_the_header(shape: Any) -> None:
    async with calling(job_errors=shape) as call:
        activity = await imported(call, {"email": "good@example.com"}, *WRONG_ROWS)
        assert activity["state"] == "completed"
        assert activity["status"] == {
            "items_total_count": 9,
            "person_count": 8,
            "error_count": 1,
            "correctable_count": 6,
            "cannot_add_to_list_count": 0,
        }
        errors = activity["activity_errors"]
        texts = [error["message"] for error in errors] if shape == "objects" else errors
        assert texts[0] == "Line 3: Invalid email"
        assert texts[2] == "Line 5: Invalid birthday"
        assert [text.split(":")[0] for text in texts] == [f"Line {number}" for number in range(3, 10)]
        assert len(call.box.store) == 1


async def test_error_lines_can_be_missing() -> None:
    async with calling(job_error_lines=False) as call:
        activity = await imported(call, *WRONG_ROWS)
        assert (activity["activity_errors"], activity["status"]["correctable_count"]) == ([], 6)


async def test_unknown_columns_are_ignored_or_refused() -> None:
    row = {"email": "ada@example.com", "cf:no_such_field": "x", "list_memberships": []}
    async with calling() as call:
        await imported(call, row)
        assert (await contact(call))["custom_fields"] == []
    async with calling(import_unknown_columns="refused") as call:
        for wrong in ("cf:no_such_field", "custom_fields"):
            body = {"import_data": [{"email": "a@example.com", wrong: "x"}], "list_ids": [call.box.store.lists[0]]}
            assert (await call("POST", "/activities/contacts_json_import", body)).status == 400
        await imported(call, {"email": "a@example.com", "home country": "US", "cf:orders": "1"})


async def test_a_field_is_addressed_by_the_name_that_its_label_gives_it_now() -> None:
    async with calling() as call:
        field_id = call.box.store.custom_fields[0]
        await call("PUT", f"/contact_custom_fields/{field_id}", {"label": "Remark"})
        await imported(call, {"email": "ada@example.com", "cf:account_note": "old", "cf:remark": "new"})
        assert (await contact(call))["custom_fields"] == [{"custom_field_id": field_id, "value": "new"}]


async def test_rows_above_the_row_limit_are_cut_off_without_a_word() -> None:
    async with calling(import_rows=3) as call:
        activity = await imported(call, *({"email": f"{number}@example.com"} for number in range(5)))
        assert (activity["status"]["person_count"], activity["activity_errors"]) == (3, [])
        assert len(call.box.store) == 3


async def test_rows_above_the_size_limit_are_cut_off_without_a_word() -> None:
    async with calling(import_bytes=300) as call:
        row = {"email": "0@example.com", "first_name": "x" * 40}
        size = len(json.dumps(row)) + 2  # the separator that json.dumps writes
        await imported(call, *({**row, "email": f"{number}@example.com"} for number in range(9)))
        assert len(call.box.store) == 300 // size


async def test_contacts_that_have_only_a_phone_are_found_again() -> None:
    async with calling(contacts=5) as call:
        before = len(call.box.store)
        row = {"sms_number": "202-555-0143", "sms_consent_date": "2024-07-03"}
        await imported(call, row, {"first_name": "Nameless"})
        await imported(call, {**row, "first_name": "Ada"})
        assert len(call.box.store) == before + 2
        (found,) = [
            one
            for one in map(call.box.store.get, call.box.store.ids())
            if one.get("first_name") == "Ada"
            and "email_address" not in one
            and one["sms_channel"]["sms_address"] == "2025550143"
        ]
        assert found["sms_channel"]["sms_channel_consents"][0]["sms_consent_permission"] == "explicit"


async def test_a_csv_file_is_imported_with_the_columns_that_a_csv_may_have() -> None:
    async with calling() as call:
        lists = call.box.store.lists
        content = (
            '\ufeffemail,first_name,phone,home_phone,cf:account_note\n"ada@example.com","Ad""a",1,2,"a,b"\nbela,,,,\n'
        ).encode()
        path = "/activities/contacts_file_import"
        reply = await call("POST", path, data=form(content, f"{lists[0]},{lists[1]}"))
        assert (reply.status, reply.json["source_file_name"]) == (201, "contacts.csv")
        call.box.finish_jobs()
        activity = (await call("GET", f"/activities/{reply.json['activity_id']}")).json
        assert activity["activity_errors"] == ["Line 3: Invalid email"]
        ada = await contact(call)
        assert (ada["first_name"], ada["custom_fields"][0]["value"]) == ('Ad"a', "a,b")
        assert [phone["kind"] for phone in ada["phone_numbers"]] == ["other"]
        assert ada["list_memberships"] == list(lists[:2])


async def test_a_file_needs_its_name_its_content_type_and_its_lists() -> None:
    async with calling() as call:
        path, list_id = "/activities/contacts_file_import", call.box.store.lists[0]
        replies = [
            await call("POST", path, data=form(b"email\n", list_id, name="contacts.txt")),
            await call("POST", path, data=b"email\n", headers={"Content-Type": "text/csv"}),
            await call("POST", path, data=b"email\n", headers={"Content-Type": "multipart/form-data"}),
            await call("POST", path, data=form(b"email\n", "")),
            await call("POST", path, data=form(b"email\n", "unknown")),
        ]
        assert [reply.status for reply in replies] == [415, 415, 415, 400, 404]
        only = aiohttp.FormData({"list_ids": list_id}, default_to_multipart=True)
        assert (await call("POST", path, data=only)).status == 400


async def test_an_import_must_be_json() -> None:
    async with calling() as call:
        path = "/activities/contacts_json_import"
        for kind, body, status in (("text/plain", b"{}", 415), ("application/json", b"{", 400)):
            assert (await call("POST", path, data=body, headers={"Content-Type": kind})).status == status


async def test_forty_thousand_rows_are_imported_in_seconds() -> None:
    async with calling(contacts=100, job_seconds=0, job_rows_per_second=1e9) as call:
        rows = [
            {"email": f"contact.{number}@example.com", "first_name": "Ada", "cf:orders": str(number)}
            for number in range(39_999)
        ]
        body = json.dumps({"import_data": rows, "list_ids": [call.box.store.lists[0]]}).encode()
        started = process_time()
        reply = await call(
            "POST",
            "/activities/contacts_json_import",
            data=io.BytesIO(body),
            headers={"Content-Type": "application/json"},
        )
        activity = (await call("GET", f"/activities/{reply.json['activity_id']}")).json
        assert activity["status"]["person_count"] == 39_999
        assert len(await call.ids(f"status=all&limit=1&email=contact.{39_998}@example.com")) == 1
        assert len(call.box.store) == 39_999
        assert process_time() - started < 60  # it takes some 3; this only catches a change of order
