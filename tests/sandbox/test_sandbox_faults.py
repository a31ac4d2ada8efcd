"""Faults to order."""

import asyncio
import json
import re
from typing import Any

import aiohttp
import pytest
from support.sandbox_contract import Reply, calling, until

ADA = {"create_source": "Account", "first_name": "Ada"}


@pytest.mark.parametrize(
    ("kind", "key"),
    [("throttled", "throttled"), ("quota", "quota_exceeded"), ("bulk", "activities.api.limit_exceeded")],
)
async def test_the_gateway_refuses_before_anything_is_applied_or_counted(kind: Any, key: str) -> None:
    async with calling() as call:
        call.box.fault(kind, headers={"Retry-After": "3"})
        reply = await call("POST", "/contacts", ADA)
        assert (reply.status, reply.json["error_key"], reply.headers["Retry-After"]) == (429, key, "3")
        assert call.box.spent_today == len(call.box.store) == 0
        assert (await call("POST", "/contacts", ADA)).status == 201


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("array", [{"error_key": "k", "error_message": "m"}]),
        ("object", {"error_key": "k", "error_message": "m"}),
        ("message", {"message": "m"}),
        ("oauth", {"error": "k", "error_description": "m"}),
        ("idp", {"errorCode": "k", "errorSummary": "m", "errorLink": "k", "errorCauses": []}),
        ("html", None),
        ("empty", None),
    ],
)
async def test_a_status_comes_in_any_shape(shape: Any, body: Any) -> None:
    async with calling() as call:
        call.box.fault("status", status=503, shape=shape, key="k", message="m")
        reply = await call("GET", "/contacts")
        assert reply.status == 503
        if body is not None:
            assert reply.json == body
        else:
            assert (b"<html>" in reply.body) is (shape == "html") is bool(reply.body)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_write_is_spared_or_applied_before_its_response_is_lost(when: Any) -> None:
    async with calling() as call:
        call.box.fault("status", when=when)
        assert (await call("POST", "/contacts", ADA)).status == 500
        assert len(call.box.store) == call.box.applied("POST") == (1 if when == "after" else 0)
        call.box.fault("cut", when=when)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await call("POST", "/contacts", ADA)
        assert len(call.box.store) == call.box.applied("POST") == (2 if when == "after" else 0)
        assert call.box.requests[-1].status == 0


async def test_a_connection_can_be_reset_instead_of_closed() -> None:
    async with calling(contacts=50) as call:
        call.box.fault("cut", reset=True)
        with pytest.raises(aiohttp.ClientOSError):
            await call("POST", "/contacts", ADA)
        call.box.fault("cut_body", reset=True)
        with pytest.raises(aiohttp.ClientPayloadError):
            await call("GET", "/contacts")


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_a_body_is_cut_truncated_or_broken(encoding: str) -> None:
    async with calling(contacts=50) as call:
        headers = {"Accept-Encoding": encoding}
        call.box.fault("cut_body")
        with pytest.raises(aiohttp.ClientPayloadError):
            await call("GET", "/contacts", headers=headers)
        for kind in ("truncated", "broken"):
            call.box.fault(kind)
            reply = await call("GET", "/contacts", headers=headers)
            assert reply.status == 200
            with pytest.raises(ValueError, match="line 1"):
                json.loads(reply.body)


async def test_a_spoiler_of_responses_leaves_the_write_and_an_empty_response_alone() -> None:
    async with calling() as call:
        contact_id = call.box.store.create(ADA)["contact_id"]
        call.box.fault("truncated")
        assert (await call("DELETE", f"/contacts/{contact_id}")).status == 204
        assert call.box.applied("DELETE", f"/contacts/{contact_id}") == 1


@pytest.mark.parametrize("kind", ["html", "redirect", "body"])
async def test_something_else_can_come_instead(kind: Any) -> None:
    async with calling() as call:
        call.box.fault(kind, status=200, body=b"\xff", content_type="text/plain", location="https://evil.example.com/")
        reply = await call("GET", "/contacts")
        expected = {
            "html": (200, "text/html; charset=utf-8"),
            "redirect": (302, None),
            "body": (200, "text/plain; charset=utf-8"),
        }
        assert (reply.status, reply.headers.get("Content-Type")) == expected[kind]
        assert reply.headers.get("Location") == ("https://evil.example.com/" if kind == "redirect" else None)


async def test_a_segment_can_take_its_time() -> None:
    async with calling(contacts=20) as call:
        call.box.fault("segment_processing", times=2)
        assert (await call("GET", "/contacts")).status == 200
        replies = [await call("GET", "/contacts?segment_id=1") for _ in range(3)]
        assert [reply.status for reply in replies] == [202, 202, 200]
        assert replies[0].json["status"] == "processing"


async def test_a_response_can_be_changed_in_place_or_replaced() -> None:
    async with calling(contacts=3) as call:

        def odd(page: Any) -> None:
            page["contacts"][0]["created_at"] = "soon"

        call.box.fault("mutate", change=odd)
        call.box.fault("mutate", change=lambda _: [1])
        assert (await call("GET", "/contacts")).json["contacts"][0]["created_at"] == "soon"
        assert (await call("GET", "/contacts")).json == [1]


async def test_a_link_can_lead_anywhere() -> None:
    async with calling(contacts=3) as call:
        call.box.fault("link", href="https://evil.example.com/v3/contacts", times=2)
        page = (await call("GET", "/contacts")).json
        assert page["_links"] == {"next": {"href": "https://evil.example.com/v3/contacts"}}
        assert (await call("GET", "/contacts/x")).status == 404


async def test_a_hanging_response_ends_when_the_client_leaves_or_the_box_closes() -> None:
    async with calling() as call:
        call.box.fault("hang", times=2, when="after")
        with pytest.raises(TimeoutError):
            await call("POST", "/contacts", ADA, timeout=aiohttp.ClientTimeout(total=0.05))
        assert len(call.box.store) == 1
        hanging = asyncio.create_task(call("POST", "/contacts", ADA))
        await until(lambda: len(call.box.requests) == 2)
        await call.box.close()
        with pytest.raises(aiohttp.ClientError):
            await hanging


async def test_latency_before_or_after_the_write() -> None:
    async with calling() as call:
        call.box.fault("latency", seconds=60)
        call.box.fault("latency", seconds=60, when="after", after=1)
        for written in (0, 1):
            with pytest.raises(TimeoutError):
                await call("POST", "/contacts", ADA, timeout=aiohttp.ClientTimeout(total=0.05))
            assert len(call.box.store) == written
        assert (await call("POST", "/contacts", ADA)).status == 201


async def test_a_client_that_leaves_during_a_delay_is_recorded_as_unanswered() -> None:
    async with calling() as call:
        call.box.fault("latency", seconds=60)
        with pytest.raises(TimeoutError):
            await call("POST", "/contacts", ADA, timeout=aiohttp.ClientTimeout(total=0.05))
        await until(lambda: bool(call.box.requests))
        assert (call.box.requests[0].status, call.box.requests[0].applied) == (0, False)


async def test_faults_choose_their_requests_and_come_one_at_a_time() -> None:
    async with calling(contacts=3) as call:
        one, two, _ = call.box.store.ids()
        call.box.fault("status", status=501, path=f"/contacts/{one}", times=1, after=1)
        call.box.fault("status", status=502, method="PUT", times=None)
        call.box.fault("status", status=503, path=re.compile(r"/v3/contacts/c\w+$"), times=1)
        call.box.fault("status", status=504, path="/contacts/counts")

        async def get(path: str) -> int:
            return (await call("GET", path)).status

        assert [await get(f"/contacts/{one}") for _ in range(3)] == [200, 501, 200]
        assert [await get("/contacts/counts") for _ in range(3)] == [503, 504, 200]
        assert [(await call("PUT", f"/contacts/{two}", {})).status for _ in range(2)] == [502, 502]
        call.box.clear_faults()
        assert (await call("PUT", f"/contacts/{two}", {})).status == 400


async def test_a_request_that_the_gateway_refuses_spends_no_fault() -> None:
    async with calling(rate=1, monotonic=lambda: 0.0) as call:
        call.box.fault("status", after=1)
        assert [(await call("GET", "/contacts")).status for _ in range(3)] == [200, 429, 429]
        call.box.rate = None
        assert (await call("GET", "/contacts")).status == 500


async def test_the_token_endpoint_has_faults_of_its_own() -> None:
    async with calling() as call:
        call.box.fault("status", status=418)
        spent = call.box.refresh_token
        assert (await call.refresh(spent)).status == 200
        call.box.fault("throttled", path="token")
        assert (await call.refresh(call.box.refresh_token)).status == 429
        spent = call.box.refresh_token
        call.box.fault("cut", path="token", when="after")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await call.refresh(spent)
        assert call.box.refresh_token != spent
        reply: Reply = await call.refresh(spent)
        assert reply.json["error"] == "invalid_grant"
        call.box.fault("html", path="token", when="before")
        assert b"<html>" in (await call.refresh(call.box.refresh_token)).body
        assert (await call("GET", "/contacts")).status == 418


@pytest.mark.parametrize("wrong", [{"kind": "plague"}, {"kind": "cut", "when": "never"}])
async def test_a_fault_that_does_not_exist_is_refused(wrong: Any) -> None:
    async with calling() as call:
        with pytest.raises(ValueError, match="must be in"):
            call.box.fault(**wrong)
