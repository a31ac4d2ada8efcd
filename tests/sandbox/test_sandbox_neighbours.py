"""Lists, tags, custom fields, segments and the account, as neighbours.md describes them."""

import base64
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from support.sandbox_contract import CONFLICT, NOT_FOUND, SOME_ID, VALIDATION, Caller, Clock, calling

SINGLE = "single_select"


async def pages(call: Caller, href: str) -> list[Any]:
    """Follow the links of a collection whose links are as they should be."""
    found: list[Any] = []
    following: str | None = href
    while following:
        found.append((await call("GET", following)).json)
        following = ((found[-1].get("_links") or {}).get("next") or {}).get("href")
        assert len(found) < 50
    return found


async def items(call: Caller, href: str) -> list[Any]:
    (name,) = {"lists", "tags", "custom_fields", "segments"} & set((await call("GET", href)).json)
    return [item for page in await pages(call, href) for item in page[name]]


def cursor_of(page: Any) -> list[tuple[str, str]]:
    cursor = unquote(page["_links"]["next"]["href"].partition("cursor=")[2])
    return parse_qsl(base64.b64decode(cursor, validate=True).decode())


@pytest.mark.parametrize(
    ("path", "id_name"),
    [("/contact_lists", "list_id"), ("/contact_tags", "tag_id"), ("/contact_custom_fields", "custom_field_id")],
)
async def test_cursors_hold_the_id_of_the_next_item_and_links_are_absent_on_a_single_page(
    path: str, id_name: str
) -> None:
    async with calling() as call:
        whole = await items(call, path)
        assert "_links" not in (await call("GET", path)).json
        first = (await call("GET", f"{path}?limit=3")).json
        assert cursor_of(first) == [("limit", "3"), ("next", whole[3][id_name])]
        assert await items(call, f"{path}?limit=3") == whole


async def test_filters_ride_in_the_cursor() -> None:
    async with calling() as call:
        first, *rest = await pages(call, "/contact_tags?include_count=true&limit=2")
        assert ("include_count", "true") in cursor_of(first)
        assert first["tags_count"] == 8
        assert all("contacts_count" in tag for page in rest for tag in page["tags"])


async def test_lists_and_tags_ascend_by_id_and_custom_fields_by_label() -> None:
    async with calling() as call:
        for path, name in (
            ("/contact_lists", "list_id"),
            ("/contact_tags", "tag_id"),
            ("/contact_custom_fields", "label"),
        ):
            for body in ({"name": "A new one"}, {"label": "A new one", "type": "string"}):
                await call("POST", path, body)
            found = [item[name] for item in await items(call, f"{path}?limit=4")]
            assert found == sorted(found)


async def test_a_page_goes_on_where_the_next_item_was_deleted_in_the_meantime() -> None:
    async with calling(job_seconds=0) as call:
        tags = await items(call, "/contact_tags")
        first = (await call("GET", "/contact_tags?limit=3")).json
        await call("DELETE", f"/contact_tags/{tags[3]['tag_id']}")
        rest = (await call("GET", first["_links"]["next"]["href"])).json
        assert [tag["tag_id"] for tag in rest["tags"]] == [tag["tag_id"] for tag in tags[4:7]]


async def test_links_can_be_internal_paths_and_tags_nest_theirs() -> None:
    async with calling(internal_links=True) as call:
        link = (await call("GET", "/contact_tags?limit=1")).json["_links"]["next"]
        assert link["href"].startswith("/contacts-service/v3/accounts/")
        assert "/contact_tags?cursor=" in link["href"]
        assert set(link) == {"href", "next"}
        assert (await call("GET", call.box.base_url.removesuffix("/v3") + link["href"])).status == 403


@pytest.mark.parametrize(
    ("path", "most"),
    [("/contact_lists", 1000), ("/contact_tags", 500), ("/contact_custom_fields", 100), ("/segments", 1000)],
)
async def test_a_limit_has_a_maximum_and_cursors_must_be_ones_that_were_made(path: str, most: int) -> None:
    async with calling() as call:
        assert (await call("GET", f"{path}?limit={most}")).status == 200
        for query in (f"limit={most + 1}", "limit=0", "limit=all", "cursor=x", "cursor=bGltaXQ9NQ=="):
            assert (await call("GET", f"{path}?{query}")).error_key == VALIDATION


async def test_a_list_is_made_read_replaced_and_its_name_is_taken() -> None:
    clock = Clock()
    async with calling(clock=clock) as call:
        reply = await call("POST", "/contact_lists", {"name": "News", "favorite": True, "description": "Monthly."})
        assert reply.status == 201
        made = reply.json
        path = f"/contact_lists/{made['list_id']}"
        assert (await call("GET", path)).json == made
        assert (await call("POST", "/contact_lists", {"name": "News"})).error_key == CONFLICT
        assert (await call("PUT", path, {"name": "List 1"})).error_key == CONFLICT
        clock.now += 60
        same = {"name": "News", "favorite": True, "description": "Monthly."}
        assert (await call("PUT", path, same)).json["updated_at"] == made["updated_at"]
        replaced = (await call("PUT", path, {"name": "Letters"})).json
        assert (replaced["name"], replaced["favorite"]) == ("Letters", False)
        assert "description" not in replaced
        assert replaced["created_at"] == made["created_at"] < replaced["updated_at"]


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 256}, {"name": 7}, {"name": None}])
async def test_the_name_of_a_list_or_tag_has_from_1_to_255_characters(body: Any) -> None:
    async with calling() as call:
        for path in ("/contact_lists", "/contact_tags"):
            assert (await call("POST", path, body)).error_key == VALIDATION


async def test_sms_lists_are_hidden_unless_the_channel_is_asked_for() -> None:
    async with calling() as call:
        assert {one["name"] for one in await items(call, "/contact_lists")} == {f"List {n}" for n in range(1, 13)}
        (sms,) = await items(call, "/contact_lists?channel_type=sms&include_sms_membership_count=true")
        assert (await call("GET", f"/contact_lists/{sms['list_id']}")).json == sms
        for query in ("channel_type=fax", "include_sms_membership_count=true", "status=old"):
            assert (await call("GET", f"/contact_lists?{query}")).error_key == VALIDATION


async def test_lists_are_found_by_their_exact_name() -> None:
    async with calling() as call:
        assert [one["name"] for one in await items(call, "/contact_lists?name=List%201")] == ["List 1"]
        assert await items(call, "/contact_lists?name=List") == []


async def test_membership_counts_come_only_when_asked_for_and_are_those_of_the_contacts() -> None:
    async with calling(contacts=300) as call:
        list_id = call.box.store.lists[0]
        assert "membership_count" not in (await call("GET", f"/contact_lists/{list_id}")).json
        for kind, query in (("all", ""), ("active", "&status=active")):
            path = f"/contact_lists/{list_id}?include_membership_count={kind}"
            counted = (await call("GET", path)).json["membership_count"]
            assert counted == len(await call.ids(f"limit=500&lists={list_id}{query}"))
        assert (await call("GET", "/contact_lists?include_membership_count=some")).status == 400
        tag_id = call.box.store.tags[0]
        tag = (await call("GET", f"/contact_tags/{tag_id}?include_count=true")).json
        assert tag["contacts_count"] == len(await call.ids(f"limit=500&tags={tag_id}"))


async def test_deleting_a_list_is_a_job_after_which_nobody_is_in_it() -> None:
    async with calling(contacts=200, job_seconds=0) as call:
        list_id = call.box.store.lists[0]
        members = await call.ids(f"status=all&limit=500&lists={list_id}")
        reply = await call("DELETE", f"/contact_lists/{list_id}")
        assert (reply.status, "status" in reply.json) == (202, False)
        internal = reply.json["_links"]["self"]["href"]
        assert reply.headers["Location"] == internal
        assert internal.startswith("/contacts-service/v4/accounts/")
        activity = (await call("GET", f"/activities/{reply.json['activity_id']}")).json
        assert activity["state"] == "completed"
        assert all(list_id not in call.box.store.get(one)["list_memberships"] for one in members)
        assert len(await call.ids("status=all&limit=500")) == 200
        again = await call("DELETE", f"/contact_lists/{list_id}")
        assert (again.status, again.json[0]["error_message"]) == (400, "list_id not found")
        assert (await call("GET", f"/contact_lists/{list_id}")).status == 404
        deleted = await items(call, "/contact_lists?status=deleted")
        assert [one["list_id"] for one in deleted] == [list_id]
        assert "deleted_at" in deleted[0]
        assert len(await items(call, "/contact_lists?status=all")) == 12


async def test_list_xrefs_leave_out_what_is_not_there() -> None:
    async with calling() as call:
        list_id = call.box.store.lists[2]
        number = str(int(list_id[:8], 16))
        reply = await call("GET", f"/contact_lists/list_id_xrefs?sequence_ids=7,{number}")
        assert reply.json == {"xrefs": [{"sequence_id": number, "list_id": list_id}]}
        assert (await call("GET", "/contact_lists/list_id_xrefs")).status == 400


async def test_a_tag_is_renamed_and_deleted_by_a_job() -> None:
    async with calling(contacts=100, job_seconds=0) as call:
        tag_id = call.box.store.tags[0]
        path = f"/contact_tags/{tag_id}"
        for name in ("Tag 2", "a<b"):
            assert (await call("PUT", path, {"name": name})).status == (409 if name == "Tag 2" else 400)
        assert (await call("PUT", path, {"name": "Gold"})).json["tag_source"] == "Contact"
        tagged = await call.ids(f"status=all&limit=500&tags={tag_id}")
        reply = await call("DELETE", path)
        assert (reply.status, reply.json["status"]) == (202, {})
        assert reply.json["_links"]["self"]["href"].startswith("/contacts-service/v3/accounts/")
        assert (await call("GET", f"/activities/{reply.json['activity_id']}")).json["state"] == "completed"
        assert tagged
        assert all(tag_id not in call.box.store.get(one)["taggings"] for one in tagged)
        assert [(await call(method, path, {"name": "x"})).status for method in ("GET", "PUT", "DELETE")] == [404] * 3


async def test_a_custom_field_is_named_by_its_label_and_again_when_that_changes() -> None:
    async with calling() as call:
        reply = await call("POST", "/contact_custom_fields", {"label": "Some Label X", "type": "string"})
        assert (reply.status, reply.json["name"], reply.json["version"]) == (201, "some_label_x", 1)
        path = f"/contact_custom_fields/{reply.json['custom_field_id']}"
        changed = (await call("PUT", path, {"label": "Other"})).json
        assert (changed["name"], changed["type"]) == ("other", "string")
        for body, status in (
            ({"label": "Other", "type": "string"}, 409),
            ({"label": "Orders", "type": "number"}, 409),
            ({"label": "x" * 51, "type": "string"}, 400),
            ({"label": "Kind", "type": "colour"}, 400),
            ({"label": "Kind", "type": SINGLE}, 400),
        ):
            assert (await call("POST", "/contact_custom_fields", body)).status == status
        assert (await call("PUT", path, {"label": "Orders"})).status == 409


@pytest.mark.parametrize(("path", "most"), [("/contact_tags", 500), ("/contact_custom_fields", 100)])
async def test_an_account_has_only_so_many_tags_and_custom_fields(path: str, most: int) -> None:
    async with calling() as call:
        there = len(await items(call, f"{path}?limit={most}"))
        bodies = [{"name": f"New {number}", "label": f"New {number}", "type": "string"} for number in range(most)]
        found = [(await call("POST", path, body)).status for body in bodies[: most - there + 1]]
        assert found == [201] * (most - there) + [400]


async def test_what_a_put_of_a_custom_field_leaves_out_becomes_null() -> None:
    async with calling() as call:
        body = {
            "label": "Fruit",
            "type": SINGLE,
            "metadata": {"display_type": "radio"},
            "choices": [{"choice_label": "Apple", "display_order": 1}, {"choice_label": "Pear", "display_order": 2}],
        }
        made = (await call("POST", "/contact_custom_fields", body)).json
        path = f"/contact_custom_fields/{made['custom_field_id']}"
        apple = made["choices"][0]
        assert (apple["choice_id"], apple["custom_field_id"]) == (1, made["custom_field_id"])
        kept = {"choice_id": apple["choice_id"], "choice_label": "Green apple"}
        changed = (await call("PUT", path, {"label": "Fruit", "choices": [kept, {"choice_label": "Fig"}]})).json
        assert [(one["choice_id"], one["choice_label"]) for one in changed["choices"]] == [
            (1, "Green apple"),
            (2, "Fig"),
        ]
        assert (await call("PUT", path, {"label": "Fruit"})).json["choices"] is None


async def test_a_deleted_custom_field_takes_its_values_along_without_a_job() -> None:
    async with calling(contacts=5) as call:
        store = call.box.store
        field_id, contact_id = store.custom_fields[0], store.ids()[0]
        assert field_id in [one["custom_field_id"] for one in store.get(contact_id)["custom_fields"]]
        reply = await call("DELETE", f"/contact_custom_fields/{field_id}")
        assert (reply.status, reply.body) == (204, b"")
        assert field_id not in [one["custom_field_id"] for one in store.get(contact_id)["custom_fields"]]
        assert (await call("DELETE", f"/contact_custom_fields/{field_id}")).error_key == NOT_FOUND


async def test_segments_have_number_ids_criteria_in_a_string_and_a_null_link_at_the_end() -> None:
    clock = Clock()
    async with calling(contacts=50, clock=clock) as call:
        criteria = '{"version":"1.0.0","criteria":{"type":"and","group":[]}}'
        reply = await call("POST", "/segments", {"name": "Quiet", "segment_criteria": criteria})
        assert (reply.status, reply.json["segment_id"]) == (201, 11)
        page = (await call("GET", "/segments")).json
        assert page["_links"] == {"next": {"href": None}}
        assert page["segments"][0]["name"] == "Quiet"  # the newest one is first
        assert set(page["segments"][0]) == {"name", "segment_id", "created_at", "edited_at"}
        names = [one["name"] for one in await items(call, "/segments?sort_by=name&limit=4")]
        assert names == sorted(names)
        clock.now += 60
        renamed = (await call("PATCH", "/segments/11/name", {"name": "Silent"})).json
        assert (renamed["name"], renamed["segment_criteria"]) == ("Silent", criteria)
        assert renamed["edited_at"] > renamed["created_at"]
        assert len(await call.ids("segment_id=11&limit=5")) == len(await call.ids("segment_id=1&limit=5"))


async def test_segments_are_refused_with_wrong_criteria_names_or_ids() -> None:
    async with calling() as call:
        for body in (
            {"name": "Quiet"},
            {"name": "Quiet", "segment_criteria": {}},
            {"name": "Quiet", "segment_criteria": "{"},
            {"name": "Quiet", "segment_criteria": f'"{"x" * 20_000}"'},
        ):
            assert (await call("POST", "/segments", body)).status == 400
        assert (await call("POST", "/segments", {"name": "Segment 1", "segment_criteria": "{}"})).status == 409
        assert (await call("PUT", "/segments/2", {"name": "Segment 1", "segment_criteria": "{}"})).status == 409
        assert (await call("PUT", "/segments/2", {"name": "Quiet"})).status == 400
        assert (await call("GET", "/segments/two")).status == 400
        assert (await call("GET", "/segments?sort_by=size")).status == 400


async def test_a_deleted_segment_can_be_read_but_is_not_listed_or_searched() -> None:
    async with calling() as call:
        assert (await call("DELETE", "/segments/3")).status == 204
        assert (await call("GET", "/segments/3")).status == 200
        assert 3 not in [one["segment_id"] for one in await items(call, "/segments")]
        assert (await call("GET", "/contacts?segment_id=3")).status == 404
        assert [(await call("DELETE", f"/segments/{one}")).status for one in (3, 99)] == [404, 404]


async def test_privileges_are_a_bare_array_that_needs_no_scope_and_the_rest_needs_account_read() -> None:
    async with calling() as call:
        for scope, status in (("contact_data", 403), ("account_read", 200)):
            call.token = str(call.box.oauth.grant(scope)["access_token"])
            names = [one["privilege_name"] for one in (await call("GET", "/account/user/privileges")).json]
            assert {"contacts:read", "contacts:write", "contacts:lists:read", "contacts:lists:write"} <= set(names)
            assert (await call("GET", "/account/summary")).status == status
            assert (await call("GET", "/account/emails")).status == status


async def test_the_summary_has_a_stable_key_and_extra_fields_on_request() -> None:
    async with calling() as call, calling() as same, calling(seed=1) as other:
        keys = [(await one("GET", "/account/summary")).json["encoded_account_id"] for one in (call, same, other)]
        assert keys[0] == keys[1] != keys[2]
        summary = (await call("GET", "/account/summary?extra_fields=physical_address,company_logo")).json
        assert summary["country_code"] == "us"
        assert {"physical_address", "company_logo"} <= set(summary)
        assert (await call("GET", "/account/summary?extra_fields=secrets")).status == 400


async def test_account_emails_take_one_filter_at_a_time() -> None:
    async with calling() as call:
        addresses = {
            query: [one["email_id"] for one in (await call("GET", f"/account/emails?{query}")).json]
            for query in ("", "confirm_status=C", "confirm_status=UNCONFIRMED", "role_code=B", "email_address=x")
        }
        assert list(addresses.values()) == [[1, 2], [1], [2], [1], []]
        assert (await call("GET", "/account/emails?role_code=B&confirm_status=C")).status == 400


async def test_contacts_cannot_name_lists_tags_or_fields_that_were_deleted() -> None:
    async with calling(job_seconds=0) as call:
        store = call.box.store
        list_id, tag_id, field_id = store.lists[0], store.tags[0], store.custom_fields[0]
        for path in (f"/contact_lists/{list_id}", f"/contact_tags/{tag_id}", f"/contact_custom_fields/{field_id}"):
            await call("DELETE", path)
        call.box.finish_jobs()
        for part in (
            {"list_memberships": [list_id]},
            {"taggings": [tag_id]},
            {"custom_fields": [{"custom_field_id": field_id, "value": "1"}]},
        ):
            reply = await call("POST", "/contacts", {"create_source": "Account", "first_name": "Ada", **part})
            assert (reply.status, reply.error_key) == (400, VALIDATION)


async def test_the_lists_tags_and_fields_of_generated_contacts_exist() -> None:
    async with calling(contacts=100) as call:
        store = call.box.store
        for contact in map(store.get, store.ids()):
            assert set(contact["list_memberships"]) <= set(store.lists)
            assert set(contact["taggings"]) <= set(store.tags)
            assert {one["custom_field_id"] for one in contact["custom_fields"]} <= set(store.custom_fields)


@pytest.mark.parametrize("path", ["/contact_lists", "/contact_tags", "/contact_custom_fields"])
async def test_unknown_ids_are_not_found(path: str) -> None:
    async with calling() as call:
        for method, body in (("GET", None), ("PUT", {"name": "x", "label": "x"})):
            assert (await call(method, f"{path}/{SOME_ID}", body)).error_key == NOT_FOUND
