"""Bulk jobs: how they queue, run, end and are read, as neighbours.md describes them."""

import base64
from typing import Any
from urllib.parse import parse_qsl, unquote

import aiohttp
import pytest
from support.sandbox_contract import NOT_FOUND, SOME_ID, VALIDATION, Caller, Clock, calling

ROW = {"email": "ada@example.com"}


async def start(call: Caller, path: str = "", body: Any = None) -> Any:
    """Start a job, by default an import of one row; return its activity."""
    body = body or {"import_data": [ROW], "list_ids": [call.box.store.lists[0]]}
    reply = await call("POST", f"/activities/{path or 'contacts_json_import'}", body)
    assert reply.status == 201, reply.body
    return reply.json


async def read(call: Caller, activity: Any) -> Any:
    return (await call("GET", f"/activities/{activity['activity_id']}")).json


async def run(call: Caller, path: str, body: Any) -> Any:
    """Start a job and complete it; return its activity then."""
    activity = await start(call, path, body)
    call.box.finish_jobs()
    return await read(call, activity)


async def states(call: Caller, *activities: Any) -> list[str]:
    return [(await read(call, one))["state"] for one in activities]


async def test_a_job_is_initialized_then_processing_then_completed() -> None:
    clock = Clock()
    async with calling(clock=clock, job_seconds=10, job_rows_per_second=1e9) as call:
        activity = await start(call)
        assert (activity["state"], activity["percent_done"], activity["activity_errors"]) == ("initialized", 1, [])
        assert "started_at" not in activity
        assert activity["_links"] == {"self": {"href": f"/v3/activities/{activity['activity_id']}"}}
        clock.now += 5
        activity = await read(call, activity)
        assert (activity["state"], activity["percent_done"]) == ("processing", 50)
        assert "completed_at" not in activity
        assert len(call.box.store) == 0
        call.box.advance(5)
        activity = await read(call, activity)
        assert (activity["state"], activity["percent_done"]) == ("completed", 100)
        assert activity["created_at"] <= activity["started_at"] <= activity["completed_at"]
        assert len(call.box.store) == 1


async def test_jobs_take_longer_the_more_rows_they_have() -> None:
    clock = Clock()
    async with calling(clock=clock, job_seconds=0, job_rows_per_second=10) as call:
        rows = [{"email": f"{number}@example.com"} for number in range(99)]
        activity = await start(call, body={"import_data": rows, "list_ids": [call.box.store.lists[0]]})
        clock.now += 9.9
        assert await states(call, activity) == ["processing"]
        clock.now += 0.2
        assert await states(call, activity) == ["completed"]


@pytest.mark.parametrize(
    ("settings", "after_one", "after_two"),
    [
        ({"jobs_at_once": 1}, ["completed", "processing", "initialized"], ["completed", "completed", "processing"]),
        ({"jobs_at_once": 2}, ["completed", "completed", "processing"], ["completed"] * 3),
        ({"jobs_at_once": None}, ["completed"] * 3, ["completed"] * 3),
        (
            {"jobs_at_once": 1, "job_order": "newest"},
            ["completed", "initialized", "processing"],
            ["completed", "processing", "completed"],
        ),
    ],
)
async def test_jobs_run_one_after_another_or_side_by_side(
    settings: Any, after_one: list[str], after_two: list[str]
) -> None:
    clock = Clock()
    async with calling(clock=clock, job_seconds=10, job_rows_per_second=1e9, **settings) as call:
        jobs = [await start(call) for _ in range(3)]
        await read(call, jobs[0])
        for expected in (after_one, after_two):
            clock.now += 10
            assert await states(call, *jobs) == expected


async def test_jobs_that_came_due_while_nobody_asked_ended_one_after_another() -> None:
    clock = Clock()
    async with calling(clock=clock, job_seconds=10, job_rows_per_second=1e9) as call:
        jobs = [await start(call) for _ in range(3)]
        clock.now += 3_600
        ends = [(await read(call, job))["completed_at"] for job in jobs]
        assert ends == sorted(set(ends))
        assert ends[-1] < (await start(call))["created_at"]


@pytest.mark.parametrize("state", ["failed", "cancelled", "timed_out", "resting"])
async def test_a_job_can_end_without_being_applied(state: str) -> None:
    async with calling(job_state=state, job_seconds=0) as call:
        activity = await start(call)
        assert await states(call, activity) == [state]
        assert len(call.box.store) == 0


async def test_activities_are_listed_newest_first_and_all_link_to_the_last_of_the_page() -> None:
    clock = Clock()
    async with calling(clock=clock) as call:
        jobs = [(await start(call))["activity_id"] for _ in range(5)]
        page = (await call("GET", "/activities?limit=3")).json
        assert [one["activity_id"] for one in page["activities"]] == jobs[:1:-1]
        links = {one["_links"]["self"]["href"] for one in page["activities"]}
        assert links == {f"/v3/activities/{jobs[2]}"}
        cursor = unquote(page["_links"]["next"]["href"].partition("cursor=")[2])
        assert parse_qsl(base64.b64decode(cursor).decode()) == [("limit", "3"), ("next", jobs[1])]
        rest = (await call("GET", page["_links"]["next"]["href"])).json
        assert [one["activity_id"] for one in rest["activities"]] == jobs[1::-1]
        assert "_links" not in rest


async def test_activities_are_kept_for_ten_days() -> None:
    clock = Clock()
    async with calling(clock=clock, token_lifetime=1e9) as call:
        activity = await start(call)
        clock.now += 10 * 86_400 - 1
        assert len((await call("GET", "/activities")).json["activities"]) == 1
        clock.now += 2
        assert (await call("GET", "/activities")).json == {"activities": []}
        assert (await call("GET", f"/activities/{activity['activity_id']}")).error_key == NOT_FOUND


async def test_activities_are_found_by_any_state_but_initialized() -> None:
    async with calling(job_seconds=0) as call:
        await start(call)
        found = {
            state: len((await call("GET", f"/activities?state={state}")).json["activities"])
            for state in ("completed", "processing", "cancelled", "failed", "timed_out")
        }
        assert found == {"completed": 1, "processing": 0, "cancelled": 0, "failed": 0, "timed_out": 0}
        for query in ("state=initialized", "limit=501", "cursor=x"):
            assert (await call("GET", f"/activities?{query}")).error_key == VALIDATION


async def test_counters_can_be_missing() -> None:
    async with calling(job_counters=False, job_seconds=0) as call:
        activity = await start(call)
        assert "status" not in activity
        assert "status" not in await read(call, activity)


async def test_above_the_queue_limit_comes_the_third_kind_of_429() -> None:
    async with calling(job_queue=2, job_seconds=60) as call:
        await start(call)
        await start(call)
        body = {"import_data": [ROW], "list_ids": [call.box.store.lists[0]]}
        for method, path in (
            ("POST", "/activities/contacts_json_import"),
            ("DELETE", f"/contact_lists/{call.box.store.lists[0]}"),
        ):
            reply = await call(method, path, body)
            assert reply.status == 429
            assert reply.error_key not in {"throttled", "quota_exceeded"}
        call.box.finish_jobs()
        await start(call)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_the_response_to_a_post_can_be_lost_whether_or_not_it_was_applied(when: Any) -> None:
    async with calling(job_seconds=0) as call:
        call.box.fault("cut", method="POST", path="/activities/", when=when)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await start(call)
        found = (await call("GET", "/activities")).json["activities"]
        assert len(found) == len(call.box.store) == (1 if when == "after" else 0)


async def test_memberships_are_added_and_removed_in_bulk() -> None:
    async with calling(contacts=60) as call:
        store = call.box.store
        source, target, tag = (
            store.lists[0],
            (await call("POST", "/contact_lists", {"name": "New"})).json,
            store.tags[0],
        )
        members = await call.ids(f"limit=500&lists={source}")
        body = {"source": {"list_ids": [source]}, "list_ids": [target["list_id"]]}
        activity = await run(call, "add_list_memberships", body)
        assert activity["status"] == {
            "items_total_count": len(members),
            "items_completed_count": len(members),
            "list_count": 1,
        }
        path = f"limit=500&lists={target['list_id']}"
        assert await call.ids(path) == members
        await run(call, "remove_list_memberships", {**body, "source": {"contact_ids": members[:2]}})
        assert await call.ids(path) == members[2:]
        await run(call, "remove_list_memberships", {**body, "exclude": {"contact_ids": members[2:4]}})
        assert await call.ids(path) == members[2:4]
        body = {"source": {"all_active_contacts": True}, "tag_ids": [tag]}
        await run(call, "contacts_taggings_add", body)
        active = await call.ids("limit=500&status=active")
        assert set(active) <= set(await call.ids(f"limit=500&tags={tag}"))
        await run(call, "contacts_taggings_remove", {**body, "source": {"contact_ids": active}})
        assert not set(active) & set(await call.ids(f"limit=500&tags={tag}"))
        assert all(len(set(ids)) == len(ids) for ids in (store.get(one)["taggings"] for one in store.ids()))


async def test_every_kind_of_source_finds_its_contacts() -> None:
    clock = Clock(1_577_836_800 + 40 * 86_400)  # forty days after the first contacts were made
    async with calling(contacts=6_000, clock=clock) as call:
        store = call.box.store
        target = (await call("POST", "/contact_lists", {"name": "Target"})).json["list_id"]
        queries = {
            "tag_ids": ([store.tags[1]], f"tags={store.tags[1]}"),
            "segment_id": (2, "segment_id=2"),
            "all_active_contacts": (True, "status=active"),
        }
        for name, (value, query) in queries.items():
            await run(call, "add_list_memberships", {"source": {name: value}, "list_ids": [target]})
            expected = await call.ids(f"limit=500&{query}")
            assert set(expected) == set(await call.ids(f"limit=500&status=all&lists={target}"))
            everybody = {"list_ids": [target]}
            await run(call, "remove_list_memberships", {"source": everybody, "list_ids": [target]})
        counted = [
            (await run(call, path, body))["status"]["items_total_count"]
            for path, body in (
                ("add_list_memberships", {"source": {"engagement_level": "high"}, "list_ids": [target]}),
                ("contacts_taggings_add", {"source": {"new_subscriber": True}, "tag_ids": [store.tags[0]]}),
            )
        ]
        active = len(await call.ids("limit=500&status=active"))
        assert all(0 < count < active for count in counted)


async def test_contacts_are_deleted_by_id_or_with_all_members_of_a_list() -> None:
    async with calling(contacts=60) as call:
        store = call.box.store
        one, two, *_ = await call.ids("limit=500")
        await run(call, "contact_delete", {"contact_ids": [one, two, SOME_ID]})
        assert {one, two} <= set(await call.ids("status=deleted&limit=500"))
        members = await call.ids(f"limit=500&lists={store.lists[0]}")
        await run(call, "contact_delete", {"list_ids": [store.lists[0]]})
        assert set(members) <= set(await call.ids("status=deleted&limit=500"))
        assert store.lists[0] in [one["list_id"] for one in (await call("GET", "/contact_lists")).json["lists"]]


async def test_lists_tags_and_custom_fields_are_deleted_in_bulk() -> None:
    async with calling(contacts=30) as call:
        store = call.box.store
        lists, tags, fields = store.lists[:2], store.tags[:2], store.custom_fields[:2]
        for path, name, ids in (
            ("list_delete", "list_ids", lists),
            ("contacts_tags_delete", "tag_ids", tags),
            ("custom_fields_delete", "custom_field_ids", fields),
        ):
            assert (await run(call, path, {name: list(ids)}))["state"] == "completed"
        assert not {*lists, *tags, *fields} & {*store.lists, *store.tags, *store.custom_fields}
        for contact in map(store.get, store.ids()):
            assert not {*lists, *tags} & {*contact["list_memberships"], *contact["taggings"]}
        for path, body in (
            ("list_delete", {"list_ids": [store.lists[0]]}),
            ("contacts_tags_delete", {"tag_ids": [store.tags[0]]}),
            ("custom_fields_delete", {"custom_field_ids": [store.custom_fields[0]]}),
        ):
            twice = [await start(call, path, body) for _ in range(2)]
            call.box.finish_jobs()
            assert [len((await read(call, one))["activity_errors"]) for one in twice] == [0, 1]


async def test_nobody_joins_a_list_or_tag_that_was_deleted_while_the_job_waited() -> None:
    async with calling(contacts=20) as call:
        store = call.box.store
        list_id, tag_id = store.lists[0], store.tags[0]
        await call("DELETE", f"/contact_lists/{list_id}")
        await call("DELETE", f"/contact_tags/{tag_id}")
        source = {"source": {"all_active_contacts": True}}
        await start(call)
        await start(call, "add_list_memberships", {**source, "list_ids": [list_id]})
        await start(call, "contacts_taggings_add", {**source, "tag_ids": [tag_id]})
        call.box.finish_jobs()
        assert len(store) == 21
        for contact in map(store.get, store.ids()):
            assert not {list_id, tag_id} & {*contact["list_memberships"], *contact["taggings"]}


SOME = [SOME_ID]
REFUSED: list[tuple[str, Any, int]] = [
    ("contacts_json_import", {"import_data": [ROW]}, 400),
    ("contacts_json_import", {"import_data": [ROW], "list_ids": []}, 400),
    ("contacts_json_import", {"import_data": [ROW], "list_ids": SOME * 51}, 400),
    ("contacts_json_import", {"import_data": [ROW], "list_ids": SOME}, 400),
    ("contacts_json_import", {"import_data": [], "list_ids": SOME}, 400),
    ("contacts_json_import", {"import_data": ["ada"], "list_ids": ["LIST"]}, 400),
    ("contact_exports", {"contact_ids": SOME * 501}, 400),
    ("contact_exports", {"list_ids": SOME, "tag_ids": SOME}, 400),
    ("contact_exports", {"segment_id": 1, "status": "active"}, 400),
    ("contact_exports", {"fields": ["email_optout_date"]}, 400),
    ("contact_exports", {"exclude": {"contact_ids": SOME * 51}}, 400),
    ("contact_exports", {"list_ids": SOME}, 404),
    ("contact_delete", {}, 400),
    ("contact_delete", {"contact_ids": SOME, "list_ids": SOME}, 400),
    ("contact_delete", {"contact_ids": SOME * 501}, 400),
    ("contact_delete", {"list_ids": SOME}, 400),
    ("add_list_memberships", {"source": {"all_active_contacts": True}}, 400),
    ("add_list_memberships", {"source": {}, "list_ids": ["LIST"]}, 400),
    ("add_list_memberships", {"source": {"list_ids": SOME, "tag_ids": SOME}, "list_ids": ["LIST"]}, 400),
    ("add_list_memberships", {"source": {"contact_ids": SOME}, "list_ids": SOME}, 400),
    ("add_list_memberships", {"source": {"new_subscriber": True}, "list_ids": ["LIST"]}, 400),
    (
        "add_list_memberships",
        {"source": {"contact_ids": SOME}, "exclude": {"contact_ids": SOME}, "list_ids": ["LIST"]},
        400,
    ),
    ("remove_list_memberships", {"source": {"segment_id": 1}, "list_ids": ["LIST"]}, 400),
    ("remove_list_memberships", {"source": {"contact_ids": SOME}, "list_ids": SOME}, 404),
    ("contacts_taggings_add", {"source": {"engagement_level": "low"}, "tag_ids": ["TAG"]}, 400),
    ("contacts_taggings_add", {"source": {"contact_ids": SOME}, "tag_ids": SOME}, 404),
    ("contacts_taggings_remove", {"source": {"contact_ids": SOME}, "tag_ids": SOME * 51}, 400),
    ("list_delete", {"list_ids": SOME * 101}, 400),
    ("list_delete", {"list_ids": SOME}, 400),
    ("contacts_tags_delete", {"tag_ids": SOME * 501}, 400),
    ("contacts_tags_delete", {"tag_ids": SOME}, 400),
    ("custom_fields_delete", {"custom_field_ids": SOME * 101}, 400),
    ("custom_fields_delete", {"custom_field_ids": SOME}, 404),
]


@pytest.mark.parametrize(("path", "body", "status"), REFUSED, ids=str)
async def test_a_bulk_body_that_breaks_a_rule_is_refused(path: str, body: Any, status: int) -> None:
    async with calling() as call:
        known = {"LIST": call.box.store.lists[0], "TAG": call.box.store.tags[0]}
        body = {
            name: [known.get(one, one) if isinstance(one, str) else one for one in value]
            if isinstance(value, list)
            else value
            for name, value in body.items()
        }
        assert (await call("POST", f"/activities/{path}", body)).status == status
        assert (await call("GET", "/activities")).json == {"activities": []}
