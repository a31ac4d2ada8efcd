"""Bulk jobs: waiting for them, a full queue, deletions whose response is lost, files, and what a job says of itself."""

import asyncio
import email
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from support.http_stub import Responses, client
from support.neighbours_table import ACTIVITY, BASE_URL, ID
from support.raw_server import CUT, Reply, error, reply, talking
from support.virtual_time import in_virtual_time

from cc_async import (
    Activity,
    ActivityTimeoutError,
    BadRequestError,
    BulkQueueFullError,
    ConstantContact,
    ConstantContactError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
    ServerError,
)
from cc_async.codec.decode import decode

JOB = f"{BASE_URL}/activities/{ID}"
STARTED = Activity(activity_id=ID, state="initialized")


def plan_states(responses: Responses, *states: str) -> None:
    for state in states:
        responses.plan("GET", JOB, body=json.dumps(ACTIVITY | {"state": state}).encode())


# --- wait ---------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_job_is_polled_with_growing_pauses() -> None:
    async with client() as (cc, responses):
        plan_states(responses, *["processing"] * 7, "completed")
        done = await cc.activities.wait(STARTED)
        assert done.state == "completed"
        assert len(responses.sent) == 8
        assert round(asyncio.get_running_loop().time(), 1) == 1 + 2 + 4 + 8 + 15 + 3 * 30


@in_virtual_time
async def test_with_an_id_alone_the_job_is_read_at_once() -> None:
    async with client() as (cc, responses):
        plan_states(responses, "completed")
        assert (await cc.activities.wait(ID)).finished
        assert round(asyncio.get_running_loop().time(), 1) == 0


@pytest.mark.parametrize("state", ["completed", "cancelled", "failed", "timed_out", "time_out"])
def test_every_final_state_ends_the_wait(state: str) -> None:
    @in_virtual_time
    async def test() -> None:
        async with client() as (cc, responses):
            plan_states(responses, "initialized", "of_tomorrow", state)
            assert (await cc.activities.wait(ID)).state == state

    test()


async def test_a_job_that_has_ended_needs_no_request() -> None:
    async with client() as (cc, responses):
        for ended in (Activity(activity_id=ID, state="failed"), Activity()):
            assert await cc.activities.wait(ended) is ended
        assert responses.sent == []


@in_virtual_time
async def test_the_deadline_raises_an_error_that_carries_the_job_and_the_wait_can_be_resumed() -> None:
    async with client() as (cc, responses):
        plan_states(responses, *["of_tomorrow"] * 4)
        with pytest.raises(ActivityTimeoutError, match="still of_tomorrow after 10 seconds") as caught:
            await cc.activities.wait(STARTED, timeout=10)
        assert round(asyncio.get_running_loop().time(), 1) == 10
        assert isinstance(caught.value, TimeoutError)
        assert (caught.value.activity.activity_id, caught.value.activity.state) == (ID, "of_tomorrow")
        assert pickle.loads(pickle.dumps(caught.value)).activity == caught.value.activity  # noqa: S301  # our own
        plan_states(responses, "processing", "completed")
        assert (await cc.activities.wait(caught.value.activity.activity_id)).finished


@in_virtual_time
async def test_without_any_time_a_job_is_read_once() -> None:
    async with client() as (cc, responses):
        plan_states(responses, "processing")
        with pytest.raises(ActivityTimeoutError):
            await cc.activities.wait(STARTED, timeout=0)
        plan_states(responses, "completed")
        assert (await cc.activities.wait(STARTED, timeout=0)).finished


@in_virtual_time
async def test_an_error_of_a_poll_is_raised_and_the_wait_can_be_resumed() -> None:
    async with client() as (cc, responses):
        responses.plan("GET", JOB, status=404)
        with pytest.raises(NotFoundError):
            await cc.activities.wait(ID)
        plan_states(responses, "completed")
        assert (await cc.activities.wait(ID)).finished


@in_virtual_time
async def test_a_wait_that_is_cancelled_leaves_nothing_behind() -> None:
    async with client() as (cc, responses):
        plan_states(responses, "processing")
        waiting = asyncio.create_task(cc.activities.wait(ID))
        await asyncio.sleep(0.5)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(asyncio.all_tasks()) == 1


@in_virtual_time
async def test_a_hundred_jobs_are_waited_for_at_once() -> None:
    async with client() as (cc, responses):
        for number in range(100):
            body = json.dumps({"activity_id": str(number), "state": "completed"}).encode()
            responses.plan("GET", f"{BASE_URL}/activities/{number}", body=body)
        done = await asyncio.gather(*(cc.activities.wait(str(number)) for number in range(100)))
        assert [job.activity_id for job in done] == [str(number) for number in range(100)]


# --- the queue of jobs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        [{"error_key": "activities.api.limit", "error_message": "More than 1000 activities are queued."}],
        {"error_key": "too_many_activities", "error_message": "Too many"},
    ],
)
async def test_a_full_queue_is_an_error_of_its_own_and_is_not_tried_again(body: Any) -> None:
    async with talking(reply(429, body, {"Retry-After": "0"})) as (cc, server):
        with pytest.raises(BulkQueueFullError, match="1,000 bulk jobs") as caught:
            await cc.activities.delete_tags("a")
        assert isinstance(caught.value, RateLimitError)
        assert (caught.value.status, caught.value.maybe_applied) == (429, False)
        assert len(server.requests) == 1


async def test_a_throttled_start_of_a_job_is_repeated_as_any_request() -> None:
    started = reply(201, ACTIVITY)
    async with talking(error(429, "throttled"), started) as (cc, server):
        assert (await cc.activities.delete_tags("a")).activity_id == ID
        assert len(server.requests) == 2


async def test_the_start_of_a_job_whose_response_was_lost_is_not_repeated() -> None:
    async with talking(CUT) as (cc, server):
        with pytest.raises(ConstantContactError) as caught:
            await cc.activities.add_tags("a", in_lists="b")
        assert caught.value.maybe_applied
        assert len(server.requests) == 1


# --- deletions ----------------------------------------------------------------------------------------------------

NO_LIST = reply(400, [{"error_key": "contacts.api.validation.error", "error_message": "list_id not found"}])
NOT_FOUND = reply(404, [{"error_key": "contacts.api.not_found", "error_message": "Nothing has this id."}])
LOST = [CUT, reply(500), reply(502, b"<html>")]


@pytest.mark.parametrize("noun", ["lists", "tags"])
async def test_a_deletion_is_a_job(noun: str) -> None:
    async with talking(reply(202, ACTIVITY)) as (cc, _):
        job = await getattr(cc, noun).delete("a")
        assert (job.activity_id, job.already_deleted) == (ID, False)


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("gone", [NO_LIST, NOT_FOUND])
async def test_a_deletion_whose_response_was_lost_and_whose_repeat_finds_nothing_has_succeeded(
    lost: Reply, gone: Reply
) -> None:
    async with talking(lost, gone) as (cc, server):
        job, status, _ = await cc.lists.with_http_info.delete("a")
        assert (job.activity_id, job.already_deleted, status) == (None, True, json.loads(_status(gone)))
        assert len(server.requests) == 2


def _status(response: Reply) -> str:
    return response.data.split(b" ")[1].decode()


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("noun", ["tags", "custom_fields", "segments"])
async def test_of_other_nouns_too(lost: Reply, noun: str) -> None:
    async with talking(lost, NOT_FOUND) as (cc, _):
        result = await getattr(cc, noun).delete("14")
        assert result == (Activity() if noun == "tags" else None)


@pytest.mark.parametrize("response", [NO_LIST, NOT_FOUND])
async def test_a_deletion_of_what_never_was_is_an_error(response: Reply) -> None:
    async with talking(response) as (cc, server):
        with pytest.raises((BadRequestError, NotFoundError)) as caught:
            await cc.lists.delete("a")
        assert not caught.value.maybe_applied
        assert len(server.requests) == 1


async def test_a_deletion_that_was_throttled_and_then_finds_nothing_is_an_error() -> None:
    async with talking(error(429, "throttled"), NO_LIST) as (cc, _):
        with pytest.raises(BadRequestError):
            await cc.lists.delete("a")


async def test_another_bad_request_is_no_success_even_after_a_lost_response() -> None:
    in_use = reply(400, [{"error_key": "contacts.api.validation.error", "error_message": "The list is in use."}])
    async with talking(CUT, in_use) as (cc, _):
        with pytest.raises(BadRequestError, match="in use"):
            await cc.lists.delete("a")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("lists.update", ("a", "b")),
        ("tags.update", ("a", "b")),
        ("custom_fields.update", ("a", "b")),
        ("segments.update", (1, "b", "{}")),
        ("segments.rename", (1, "b")),
    ],
)
async def test_a_replacement_whose_response_was_lost_is_repeated(name: str, arguments: tuple[Any, ...]) -> None:
    async with talking(CUT, reply(200, {"name": "b"})) as (cc, server):
        noun, _, method = name.partition(".")
        await getattr(getattr(cc, noun), method)(*arguments)
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("lists.create", ("b",)),
        ("tags.create", ("b",)),
        ("custom_fields.create", ("b", "string")),
        ("segments.create", ("b", "{}")),
    ],
)
async def test_a_create_whose_response_was_lost_is_not(name: str, arguments: tuple[Any, ...]) -> None:
    async with talking(reply(500)) as (cc, server):
        noun, _, method = name.partition(".")
        with pytest.raises(ServerError) as caught:
            await getattr(getattr(cc, noun), method)(*arguments)
        assert caught.value.maybe_applied
        assert len(server.requests) == 1


# --- files --------------------------------------------------------------------------------------------------------


def parts(responses: Responses) -> dict[str, tuple[str | None, str, bytes]]:
    """The parts of a multipart request: filename, type and content by name."""
    (sent,) = responses.sent
    head = f"Content-Type: {sent.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + (sent.body or b""))
    assert isinstance(message.get_payload(), list)
    assert not message.defects
    found = {}
    for part in message.get_payload():
        name = part.get_param("name", header="Content-Disposition")  # type: ignore[union-attr]
        content = part.get_payload(decode=True)  # type: ignore[union-attr]
        found[str(name)] = (part.get_filename(), part.get_content_type(), content)  # type: ignore[union-attr]
    return found  # type: ignore[return-value]


CSV = "email,first_name\nada@example.com,Ädä\n".encode()


async def test_a_file_is_sent_as_a_form(tmp_path: Path) -> None:
    file = tmp_path / "Kunden.csv"
    file.write_bytes(b"\xef\xbb\xbf" + CSV)
    async with client() as (cc, responses):
        responses.plan("POST", f"{BASE_URL}/activities/contacts_file_import", status=201, body=json.dumps(ACTIVITY))
        job = await cc.activities.import_file(file, ["a", "b"], sms_permission_to_send="explicit")
        assert job.activity_id == ID
        assert parts(responses) == {
            "file": ("Kunden.csv", "text/csv", CSV),
            "list_ids": (None, "text/plain", b"a,b"),
            "sms_permission_to_send": (None, "text/plain", b"explicit"),
        }


async def test_content_needs_no_file() -> None:
    async with client() as (cc, responses):
        responses.plan("POST", f"{BASE_URL}/activities/contacts_file_import", status=201, body=json.dumps(ACTIVITY))
        await cc.activities.import_file(CSV, "a", filename='we"ird\r\n.CSV')
        assert parts(responses)["file"] == ("we%22ird%0D%0A.CSV", "text/csv", CSV)
        assert parts(responses)["list_ids"] == (None, "text/plain", b"a")


async def test_a_file_that_is_too_big_is_not_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "big.csv"
    with file.open("wb") as big:
        big.truncate(10**12)
    async with client() as (cc, responses):
        with pytest.raises(InvalidRequestError, match="at most 4,000,000 bytes"):
            await cc.activities.import_file(file, "a")
        with pytest.raises(FileNotFoundError):
            await cc.activities.import_file(str(tmp_path / "none.csv"), "a")
        assert responses.sent == []


async def test_a_file_reaches_a_server_over_a_socket() -> None:
    async with talking(reply(201, ACTIVITY)) as (cc, server):
        await cc.activities.import_file(CSV, "a")
        (request,) = server.requests
        assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert CSV in request.body


async def test_an_import_is_encoded_without_escapes() -> None:
    async with client() as (cc, responses):
        responses.plan("POST", f"{BASE_URL}/activities/contacts_json_import", status=201, body=json.dumps(ACTIVITY))
        await cc.activities.import_contacts(({"email": "a@b.example", "first_name": name} for name in ["名前"]), "a")
        assert "名前".encode() in (responses.sent[0].body or b"")


# --- what a job says of itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("errors", "read", "problems"),
    [
        ([], [], 0),
        (["a", {"message": "b"}], ["a", "b"], 0),
        ([{"message": "b"}, {"other": 1}], ["b"], 1),
        (None, None, 0),
    ],
)
def test_errors_of_a_job_are_strings_whatever_their_shape(errors: Any, read: Any, problems: int) -> None:
    decoded = decode(json.dumps(ACTIVITY | {"activity_errors": errors}).encode(), Activity)
    assert (decoded.value.activity_errors, len(decoded.problems)) == (read, problems)


@pytest.mark.parametrize("status", [None, {}, {"items_total_count": 0}, {"person_count": "7", "of_tomorrow": 1}])
def test_any_counter_may_be_missing(status: Any) -> None:
    job = decode(json.dumps(ACTIVITY | {"status": status}).encode(), Activity).value
    assert (job.status is None) == (status is None)
    assert pickle.loads(pickle.dumps(job)) == job  # noqa: S301  # our own


@pytest.mark.parametrize(
    ("href", "found"),
    [
        ("/v3/contact_exports/abc", "abc"),
        ("/v3/contacts_exports/abc/?x=/y", "abc"),
        ("", None),
        (None, None),
    ],
)
def test_the_id_of_an_exported_file_is_the_end_of_its_link(href: Any, found: str | None) -> None:
    job = decode({"_links": {"results": {"href": href}}}, Activity).value
    assert job.file_export_id == found
    assert Activity().file_export_id is None


async def test_links_of_jobs_are_never_followed() -> None:
    internal = {"self": {"href": "/contacts-service/v3/accounts/a0/activities/x"}}
    async with talking(reply(200, ACTIVITY | {"state": "completed", "_links": internal})) as (cc, server):
        await cc.activities.wait(ID)
        assert [request.target for request in server.requests] == [f"/v3/activities/{ID}"]


def test_the_client_has_one_attribute_a_noun() -> None:
    cc = ConstantContact("t")
    for noun in ("lists", "tags", "custom_fields", "segments", "account", "activities"):
        assert getattr(cc, noun).with_http_info
