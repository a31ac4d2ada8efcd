"""What stands before the API: tokens, limits and routes; what is recorded; how it starts and stops."""

import asyncio
import gc
import weakref
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from support.sandbox_contract import SOME_ID, Caller, Clock, calling, until

from cc_async.sandbox import Sandbox, serve

THROTTLED = {"error_key": "throttled", "error_message": "Too Many Requests"}
QUOTA = {"error_key": "quota_exceeded", "error_message": "Limit Exceeded"}
UNAUTHORIZED = {"error_key": "unauthorized", "error_message": "Unauthorized"}


async def statuses(call: Caller, clock: Clock, times: list[float]) -> list[int]:
    start, found = clock.now, []
    for time in times:
        clock.now = start + time
        found.append((await call("GET", "/contacts/counts")).status)
    return found


@pytest.mark.parametrize(
    ("enforcement", "times", "refused"),
    [
        ("sliding", [0, 0, 0, 0, 0, 0.99, 1.0, 1.0, 1.0, 1.0, 1.0], [4, 5, 10]),
        ("sliding", [0, 0.25, 0.5, 0.75, 1.0, 1.2, 1.25], [5]),
        ("fixed", [0.9, 0.9, 0.9, 0.9, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0], [4, 9]),
        ("bucket", [0, 0, 0, 0, 0, 0.25, 0.3, 0.5, 9, 9, 9, 9, 9], [4, 6, 12]),
    ],
)
async def test_the_rate_is_enforced_in_one_of_three_ways(
    enforcement: str, times: list[float], refused: list[int]
) -> None:
    clock = Clock(1_000_000.0)
    async with calling(rate=4, enforcement=enforcement, monotonic=clock) as call:
        found = await statuses(call, clock, times)
        assert [place for place, status in enumerate(found) if status == 429] == refused
        assert call.box.throttled == len(refused)


async def test_a_throttled_write_is_not_applied() -> None:
    async with calling(rate=1, monotonic=Clock()) as call:
        for expected in (201, 429):
            reply = await call("POST", "/contacts", {"create_source": "Account", "first_name": "Ada"})
            assert reply.status == expected
        assert reply.json == THROTTLED
        assert call.box.applied("POST", "/contacts") == len(call.box.store) == 1


async def test_the_days_quota_ends_at_midnight_utc_and_refused_requests_do_not_count() -> None:
    clock = Clock(20_000 * 86_400.0 - 10)
    async with calling(rate=None, daily=5, clock=clock) as call:
        call.box.spend_quota(3)
        found = [(await call("GET", "/contacts/counts")).status for _ in range(4)]
        assert found == [200, 200, 429, 429]
        assert (await call("GET", "/contacts")).json == QUOTA
        assert call.box.spent_today == 5
        clock.now += 10
        assert call.box.spent_today == 0
        assert (await call("GET", "/contacts")).status == 200


async def test_a_request_needs_a_token_that_is_known_and_not_over() -> None:
    clock = Clock()
    async with calling(clock=clock) as call:
        good = call.token
        for bad in ("", "unknown"):
            call.token = bad
            reply = await call("GET", "/contacts")
            assert (reply.status, reply.json) == (401, UNAUTHORIZED)
        call.token = good
        clock.now += 86_399
        assert (await call("GET", "/contacts")).status == 200
        clock.now += 1
        assert (await call("GET", "/contacts")).status == 401
        call.token = call.box.access_token
        assert (await call("GET", "/contacts")).status == 200


async def test_tokens_can_be_ended_before_their_time() -> None:
    async with calling() as call:
        call.box.revoke(call.token)
        assert (await call("GET", "/contacts")).status == 401
        call.token = call.box.access_token
        assert (await call("GET", "/contacts")).status == 200
        call.box.expire_access_tokens()
        assert (await call("GET", "/contacts")).status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("PATCH", f"/contacts/{SOME_ID}"),
        ("GET", "/contacts/"),
        ("DELETE", "/contacts"),
        ("GET", "/contacts/sign_up_form/more"),
    ],
)
async def test_an_unknown_path_or_method_is_denied(method: str, path: str) -> None:
    async with calling() as call:
        reply = await call(method, path)
        assert (reply.status, reply.error_key) == (403, "access_denied")


async def test_a_token_without_the_scope_is_denied() -> None:
    async with calling() as call:
        call.token = str(call.box.oauth.grant("account_read")["access_token"])  # quicker than a flow
        assert (await call("GET", "/contacts")).status == 403
        assert (await call("GET", call.box.base_url.removesuffix("v3"))).status == 403


async def test_every_response_carries_ids_of_its_own() -> None:
    async with calling() as call:
        replies = [await call("GET", path) for path in ("/contacts", "/nowhere", "/contacts/x")]
        for name in ("x-amzn-RequestId", "x-eig-tracking-id"):
            assert len({reply.headers[name] for reply in replies}) == 3


async def test_requests_are_recorded_without_credentials() -> None:
    clock = Clock(50.0)
    async with calling(monotonic=clock) as call:
        await call("GET", "/contacts?limit=1", headers={"X-Test": "yes"})
        await call.refresh(call.box.refresh_token)
        await call("POST", "/contacts", {"create_source": "Account", "first_name": "Ada"})
        await call("POST", "/contacts", {})
        await call("GET", f"{call.box.authorize_url}?client_id=x")
        records = call.box.requests
        assert [(one.endpoint, one.method, one.status, one.applied) for one in records] == [
            ("api", "GET", 200, False),
            ("token", "POST", 200, True),
            ("api", "POST", 201, True),
            ("api", "POST", 400, False),
            ("authorize", "GET", 400, False),
        ]
        assert (records[0].path, records[0].query, records[0].arrived) == ("/v3/contacts", "limit=1", 50.0)
        assert records[0].headers["x-test"] == "yes"
        secrets = (call.token, call.box.refresh_token, call.box.client_secret)
        assert not [secret for secret in secrets if secret in repr(records) + repr(call.box)]
        assert not [one for one in records if "authorization" in one.headers]


async def test_the_box_knows_the_most_that_arrived_in_any_window() -> None:
    clock = Clock(0.0)
    async with calling(monotonic=clock) as call:
        await statuses(call, clock, [0, 0.5, 0.9, 1.0, 1.1, 5.0])
        assert call.box.max_in_window() == 4
        assert call.box.max_in_window(0.25) == 3
        assert call.box.max_in_window(60) == 6


async def test_responses_are_compressed_only_for_those_who_take_it() -> None:
    async with calling(contacts=50) as call:
        plain = {"Accept-Encoding": "identity"}
        packed = await call("GET", "/contacts")
        assert packed.headers["Content-Encoding"] == "gzip"
        assert int(packed.headers["Content-Length"]) < len(packed.body)
        assert "Content-Encoding" not in (await call("GET", "/contacts", headers=plain)).headers
        assert "Content-Encoding" not in (await call("GET", "/contacts/counts")).headers
        call.box.compress = False
        assert "Content-Encoding" not in (await call("GET", "/contacts")).headers


async def test_latency_and_jitter_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)
        await asyncio.sleep(0)

    async with calling(latency=1.0, jitter=0.5, arrival_jitter=0.25) as call:
        monkeypatch.setattr("cc_async.sandbox.server.asyncio", SimpleNamespace(sleep=note))
        for _ in range(20):
            await call("GET", "/contacts/counts")
    arrivals, responses = waits[0::3], waits[2::3]
    assert all(0 <= wait <= 0.5 for wait in arrivals)
    assert all(0.5 <= wait <= 1.5 for wait in responses)
    assert len(set(arrivals)) == len(set(responses)) == 20


async def test_start_and_close_can_be_repeated() -> None:
    box = Sandbox()
    await box.close()
    await box.start()
    url = box.base_url
    await box.start()
    assert box.base_url == url
    await box.close()
    await box.close()
    async with box, aiohttp.ClientSession() as session, session.get(box.base_url) as response:
        assert response.status == 401


async def test_a_port_can_be_chosen_and_a_taken_one_leaves_nothing_behind() -> None:
    async with Sandbox() as box:
        port = int(box.base_url.split(":")[2].split("/")[0])
        with pytest.raises(OSError, match="address already in use"):
            await Sandbox(port=port).start()
    async with Sandbox(port=port) as box:
        assert f":{port}/" in box.token_url


async def test_closing_cuts_requests_under_way_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with calling(latency=60) as call:
        waiting = [asyncio.create_task(call("GET", "/contacts")) for _ in range(3)]
        await until(lambda: len(call.box.requests) == 3)
        async with asyncio.timeout(5):
            await call.box.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, aiohttp.ClientError) for result in results)
    assert asyncio.all_tasks() == before
    gc.collect()


async def test_a_sandbox_that_nobody_holds_is_freed() -> None:
    box = Sandbox(contacts=5)
    async with box, aiohttp.ClientSession(headers={"Authorization": f"Bearer {box.access_token}"}) as session:
        for path in ("/contacts?segment_id=1", "/contact_lists", "/activities"):
            async with session.get(box.base_url + path) as response:
                assert response.status == 200
    table = weakref.ref(box.store.table)
    del box
    gc.collect()
    assert table() is None


async def test_serve_runs_until_it_is_cancelled() -> None:
    box = Sandbox()
    task = asyncio.create_task(serve(box))
    await until(lambda: bool(box._origin))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert box._runner is None


@pytest.mark.parametrize("wrong", [{"enforcement": "loose"}, {"order": "any"}, {"cursor": "x"}, {"end_style": "x"}])
def test_a_setting_that_does_not_exist_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="must be in"):
        Sandbox(**wrong)
