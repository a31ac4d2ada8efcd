"""Bulk exports: the file, its header and its life, as neighbours.md describes them."""

import csv
import io
import tracemalloc
from typing import Any

import aiohttp
import pytest
from support.sandbox_contract import SOME_ID, Caller, Clock, calling


async def start(call: Caller, **body: Any) -> tuple[str, str]:
    """Start an export; return the paths of its activity and of its file."""
    reply = await call("POST", "/activities/contact_exports", body)
    assert reply.status == 201, reply.body
    results = reply.json["_links"]["results"]["href"]
    assert results.startswith("/v3/contact_exports/")
    return f"/activities/{reply.json['activity_id']}", results


async def exported(call: Caller, **body: Any) -> list[dict[str, str]]:
    """Export contacts; return the rows."""
    _, results = await start(call, **body)
    call.box.finish_jobs()
    reply = await call("GET", results, headers={"Accept": "text/csv"})
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    return list(csv.DictReader(io.StringIO(reply.body.decode(), newline="")))


async def test_the_file_comes_when_the_job_is_done_and_goes_when_it_expires() -> None:
    clock = Clock()
    async with calling(contacts=5, clock=clock, job_seconds=10, export_delay=2, export_lifetime=60) as call:
        activity, results = await start(call)

        async def after(seconds: float) -> tuple[str, int]:
            clock.now += seconds
            state = (await call("GET", activity)).json["state"]
            return state, (await call("GET", results)).status

        assert await after(5) == ("processing", 404)
        assert await after(6) == ("completed", 404)
        assert await after(2) == ("completed", 200)
        assert await after(60) == ("completed", 404)
        assert (await call("GET", f"/contact_exports/{SOME_ID}")).status == 404


async def test_the_header_is_written_for_people_and_custom_fields_go_by_their_label() -> None:
    async with calling(contacts=3) as call:
        rows = await exported(call)
        header = list(rows[0])
        assert header[:5] == ["Email address", "First name", "Last name", "Company", "Job title"]
        assert {
            "Email status",
            "Phone - mobile",
            "Street address line 1 - Home",
            "State/Province - Work",
            "Account note",
            "Tags",
            "Email Lists",
            "Source Name",
            "Updated At",
        } <= set(header)
        assert not [name for name in header if name.lower().endswith("id")]


async def test_rows_say_what_the_contacts_are_with_the_names_of_lists_and_tags() -> None:
    async with calling(contacts=40) as call:
        store = call.box.store
        rows = await exported(call)
        contacts = [store.get(one) for one in await call.ids("limit=500")]
        assert len(rows) == len(contacts)
        names = {one["list_id"]: one["name"] for one in (await call("GET", "/contact_lists")).json["lists"]}
        for row, contact in zip(rows, contacts, strict=True):
            assert row["Email address"] == contact.get("email_address", {}).get("address", "")
            assert row["First name"] == contact["first_name"]
            assert row["Email Lists"] == ", ".join(names[one] for one in contact["list_memberships"])
            assert row["Updated At"][:10] == contact["updated_at"][:10]


async def test_fields_choose_the_columns() -> None:
    async with calling(contacts=3) as call:
        rows = await exported(call, fields=["email_address", "first_name", "email_optout_reason"])
        assert list(rows[0]) == [
            "Email address",
            "First name",
            "Email status",
            "Email permission status",
            "Confirmed Opt-Out Reason",
        ]


async def test_every_filter_finds_its_contacts() -> None:
    clock = Clock(1_577_836_800 + 40 * 86_400)  # forty days after the first contacts were made
    async with calling(contacts=6_000, clock=clock) as call:
        store = call.box.store
        one, two = (await call.ids("limit=500&status=active"))[:2]
        for body, query in (
            ({"list_ids": [store.lists[0]]}, f"lists={store.lists[0]}"),
            ({"list_ids": [store.lists[0]], "status": "active"}, f"lists={store.lists[0]}&status=active"),
            ({"tag_ids": [store.tags[0]]}, f"tags={store.tags[0]}"),
            ({"segment_id": 4}, "segment_id=4"),
            ({"status": "unsubscribed"}, "status=unsubscribed"),
            ({"status": "removed"}, "status=deleted"),
        ):
            rows = await exported(call, fields=["email_address"], **body)
            assert len(rows) == len(await call.ids(f"limit=500&{query}")) > 0
        assert len(await exported(call, contact_ids=[one, two])) == 2
        everyone = len(await exported(call))
        assert len(await exported(call, exclude={"contact_ids": [one]})) == everyone - 1
        fresh = len(await exported(call, new_subscriber=True))
        some = len(await exported(call, new_subscriber=True, list_ids=[store.lists[0]]))
        assert 0 < some < fresh < everyone


async def test_a_byte_order_mark_comes_on_request() -> None:
    async with calling(contacts=1, export_bom=True) as call:
        _, results = await start(call)
        call.box.finish_jobs()
        assert (await call("GET", results)).body.startswith(b"\xef\xbb\xbfEmail address,")


@pytest.mark.parametrize("reset", [True, False])
async def test_a_file_can_be_cut_in_the_middle_truncated_or_refused(reset: bool) -> None:
    async with calling(contacts=3_000) as call:
        _, results = await start(call)
        call.box.finish_jobs()
        whole = (await call("GET", results)).body
        call.box.fault("cut_body", path="/contact_exports/", reset=reset)
        with pytest.raises(aiohttp.ClientPayloadError):
            await call("GET", results)
        call.box.fault("truncated", path="/contact_exports/")
        assert (await call("GET", results)).body == whole[: len(whole) // 2]
        call.box.fault("cut", path="/contact_exports/", times=2)  # aiohttp itself sends a GET twice
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await call("GET", results)
        call.box.fault("status", status=503, path="/contact_exports/")
        assert [(await call("GET", results)).status for _ in range(2)] == [503, 200]


async def test_a_file_is_written_while_it_is_read_and_never_held_as_a_whole() -> None:
    async with calling(contacts=8_000, compress=False) as call:
        _, results = await start(call)
        call.box.finish_jobs()
        headers = {"Authorization": f"Bearer {call.token}"}
        url = call.box.base_url.removesuffix("/v3") + results
        tracemalloc.start()
        try:
            size = 0
            async with call.session.get(url, headers=headers) as response:
                async for chunk in response.content.iter_any():
                    size += len(chunk)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert size > 2_500_000
        assert peak < 0.7 * size
