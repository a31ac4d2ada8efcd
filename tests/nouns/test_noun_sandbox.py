"""The neighbours of contacts over a socket, against the sandbox and its habits."""

import ast
import asyncio
import inspect
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cc_async import (
    Activity,
    ActivityTimeoutError,
    BadRequestError,
    BulkQueueFullError,
    ConflictError,
    ConstantContact,
    CustomFieldInput,
    CustomFieldMetadata,
    NotFoundError,
    RateLimiter,
    RetryPolicy,
    UpdateContactRequest,
)
from cc_async.resources import activities
from cc_async.sandbox import Sandbox
from cc_async.sandbox.faults import Kind

FAST = RetryPolicy(first_pause=0.001, longest_pause=0.002)


@asynccontextmanager
async def account(**settings: Any) -> AsyncIterator[tuple[ConstantContact, Sandbox]]:
    """A client of a small account without a limit."""
    limiter = RateLimiter(rate=100_000)
    async with (
        Sandbox(contacts=30, rate=None, daily=None, **settings) as box,
        ConstantContact(box.access_token, base_url=box.base_url, rate_limiter=limiter, retry=FAST) as cc,
    ):
        yield cc, box


async def test_the_life_of_a_list() -> None:
    async with account() as (cc, _):
        made = await cc.lists.create("Größe", favorite=True, description="All sizes")
        assert made.list_id is not None
        same = await cc.lists.patch(made, name="Sizes")
        assert (same.name, same.favorite, same.description) == ("Sizes", True, "All sizes")
        bare = await cc.lists.update(made, "Sizes")
        assert (bare.favorite, bare.description) == (False, None)
        counted = await cc.lists.get(made, include_membership_count="all")
        assert counted.membership_count == 0
        assert made.list_id in {found.list_id async for found in cc.lists.list(limit=5)}
        with pytest.raises(ConflictError):
            await cc.lists.create("Sizes")
        job = await cc.lists.delete(made)
        assert job.activity_id
        assert not job.already_deleted


async def test_lists_of_every_channel() -> None:
    async with account() as (cc, _):
        emails = await cc.lists.list().collect()
        every = {found.list_id async for found in cc.lists.list_every_channel()}
        assert len(every) == len(emails) + 1
        sms = await cc.lists.find("text messages")
        assert sms is not None
        assert sms.list_id in every


async def test_a_list_that_is_unknown() -> None:
    async with account() as (cc, _):
        with pytest.raises(NotFoundError):
            await cc.lists.get("04fe9a-a579-43c5-bb1a-58ed29bf0a6a")
        with pytest.raises(BadRequestError, match="list_id not found"):
            await cc.lists.delete("04fe9a-a579-43c5-bb1a-58ed29bf0a6a")


async def test_the_life_of_a_tag() -> None:
    async with account() as (cc, _):
        made = await cc.tags.get_or_create("Gold")
        assert (await cc.tags.get_or_create("Gold")).tag_id == made.tag_id
        assert (await cc.tags.update(made, "Silver")).name == "Silver"
        assert (await cc.tags.get(made, include_count=True)).contacts_count == 0
        names = [tag.name async for tag in cc.tags.list(limit=2)]
        assert "Silver" in names
        assert len(names) == len(set(names))
        assert (await cc.tags.delete(made)).activity_id
        with pytest.raises(BadRequestError, match="name must not contain"):
            await cc.tags.create("<b>")


@pytest.mark.parametrize("noun", ["lists", "tags"])
async def test_many_tasks_that_create_at_once_send_one_request_for_it(noun: str) -> None:
    async with account() as (cc, box):
        made = await asyncio.gather(*(getattr(cc, noun).get_or_create("Autumn") for _ in range(20)))
        assert len({getattr(one, f"{noun[:-1]}_id") for one in made}) == 1
        assert [record.status for record in box.requests if record.method == "POST"] == [201]


@pytest.mark.parametrize("noun", ["lists", "tags"])
@pytest.mark.parametrize("kind", ["cut", "status", "cut_body"])
async def test_a_create_whose_response_is_lost_leaves_one(noun: str, kind: Kind) -> None:
    async with account() as (cc, box):
        box.fault(kind, method="POST", when="after")
        made = await getattr(cc, noun).get_or_create("Autumn")
        assert made.name == "Autumn"
        assert box.applied("POST", f"/contact_{noun}") == 1


@pytest.mark.parametrize("noun", ["lists", "tags"])
@pytest.mark.parametrize("kind", ["cut", "status", "cut_body"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_deletion_whose_response_is_lost_has_succeeded(noun: str, kind: Kind, at_once: bool) -> None:
    async with account(job_seconds=0 if at_once else 0.2, job_rows_per_second=1e9) as (cc, box):
        made = await getattr(cc, noun).create("Autumn")
        box.fault(kind, method="DELETE", when="after")
        job = await getattr(cc, noun).delete(made)
        assert job.already_deleted == at_once  # else the first job has not begun, and there is a second one
        await asyncio.sleep(0 if at_once else 0.5)
        assert await getattr(cc, noun).find("Autumn") is None


async def test_the_life_of_a_custom_field_and_its_values() -> None:
    async with account() as (cc, _):
        fruit = await cc.custom_fields.create(
            "Best Fruit",
            "single_select",
            choices=["Apple", "Pear"],
            metadata=CustomFieldMetadata(display_type="radio"),
        )
        assert fruit.custom_field_id is not None
        assert fruit.name == "best_fruit"
        assert fruit.choices is not None
        apple, pear = fruit.choices
        renamed = await cc.custom_fields.patch(fruit, label="Fruit", choices=["Pear", "Plum"])
        assert renamed.choices is not None
        assert (renamed.name, [choice.choice_label for choice in renamed.choices]) == ("fruit", ["Pear", "Plum"])
        assert renamed.choices[0].choice_id == pear.choice_id
        assert apple.choice_id not in {choice.choice_id for choice in renamed.choices}

        contact = await cc.contacts.list(limit=1).first()
        assert contact is not None
        assert contact.contact_id is not None
        assert pear.choice_id is not None
        value = CustomFieldInput(custom_field_id=fruit.custom_field_id, choice_ids=[pear.choice_id])
        request = UpdateContactRequest.from_contact(contact, custom_fields=[value])
        await cc.contacts.update(contact.contact_id, request)
        catalog = await cc.custom_fields.catalog()
        read = await cc.contacts.get(contact.contact_id, include="custom_fields")
        assert catalog.values(read)["Fruit"] == "Pear"

        await cc.custom_fields.delete(fruit)
        assert await cc.custom_fields.find("Fruit") is None
        with pytest.raises(NotFoundError):
            await cc.custom_fields.get(fruit)


async def test_the_life_of_a_segment() -> None:
    async with account() as (cc, _):
        criteria = {"version": "1.0.0", "criteria": {"type": "and", "group": []}}
        made = await cc.segments.create("Active", criteria)
        assert made.segment_id is not None
        assert (await cc.segments.rename(made, "Busy")).name == "Busy"
        patched = await cc.segments.patch(made, segment_criteria="{}")
        assert (patched.name, patched.segment_criteria) == ("Busy", "{}")
        found = await cc.segments.find("busy")
        assert found is not None
        assert (found.segment_id, found.segment_criteria) == (made.segment_id, None)
        with pytest.raises(ConflictError):
            await cc.segments.create("Busy", criteria)
        await cc.segments.delete(made)
        assert await cc.segments.find("Busy") is None
        assert (await cc.segments.get(made)).name == "Busy"


async def test_the_account() -> None:
    async with account() as (cc, _):
        summary = await cc.account.summary(extra_fields=["physical_address", "company_logo"])
        assert summary.encoded_account_id
        assert summary.physical_address is not None
        assert await cc.account.emails(confirm_status="CONFIRMED")
        names = {privilege.privilege_name for privilege in await cc.account.privileges()}
        assert {"contacts:read", "contacts:write"} <= names


@pytest.fixture(autouse=True)
def _without_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activities, "_PAUSES", (0.02,))


QUICK: dict[str, Any] = {"job_seconds": 0.0, "job_rows_per_second": 1e9}


async def test_every_bulk_job_runs_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email,first_name\nfile@example.com,Fila\n", encoding="utf-8")
    async with account(**QUICK) as (cc, _):
        jobs = cc.activities
        source, target = await cc.lists.create("Source"), await cc.lists.create("Target")
        tag, other = await cc.tags.create("Gold"), await cc.tags.create("Silver")
        field = await cc.custom_fields.create("Age", "string")
        rows = [{"email": f"row{number}@example.com", "cf:age": "36"} for number in range(3)]

        async def members(**filters: Any) -> int:
            return len(await cc.contacts.list(**filters).collect())

        async def run(started: Coroutine[Any, Any, Activity]) -> Activity:
            job = await jobs.wait(await started, timeout=10)
            assert job.state == "completed"
            return job

        imported = await run(jobs.import_contacts(rows, source))
        assert imported.status is not None
        assert imported.status.person_count == 3
        named = await run(jobs.import_file(file, source))
        assert named.source_file_name
        assert await members(lists=source.list_id) == 4
        await run(jobs.add_to_lists(target, in_lists=source))
        assert await members(lists=target.list_id) == 4
        await run(jobs.add_tags([tag, other], in_lists=target))
        assert await members(tags=tag.tag_id) == 4
        one = await cc.contacts.list(tags=[tag.tag_id or ""]).first()
        assert one is not None
        await run(jobs.remove_tags(tag, contact_ids=one))
        assert await members(tags=tag.tag_id) == 3
        await run(jobs.remove_from_lists(target, with_tags=tag))
        assert await members(lists=target.list_id) == 1
        exported = await run(jobs.export_contacts(in_lists=source, fields=["email_address"]))
        assert exported.file_export_id
        await run(jobs.delete_contacts(in_lists=source))
        assert await members(lists=source.list_id) == 0
        await run(jobs.delete_tags([tag, other]))
        await run(jobs.delete_lists([source, target]))
        await run(jobs.delete_custom_fields(field))
        assert await cc.lists.find("Source") is None
        assert await cc.tags.find("Gold") is None
        assert await cc.custom_fields.find("Age") is None
        assert len(await jobs.list().collect()) == 11
        assert len(await jobs.list("completed", limit=2).collect()) == 11
        assert await jobs.list("failed").collect() == []


async def test_a_job_that_fails_is_returned_as_it_is() -> None:
    async with account(**QUICK, job_state="failed", job_counters=False) as (cc, _):
        tag = await cc.tags.create("Gold")
        job = await cc.activities.wait(await cc.tags.delete(tag))
        assert (job.state, job.finished) == ("failed", True)


async def test_a_queue_that_is_full() -> None:
    async with account(job_queue=2, job_seconds=100.0) as (cc, box):
        tags = [await cc.tags.create(name) for name in ("a", "b", "c")]
        await cc.activities.delete_tags(tags[0])
        await cc.activities.delete_tags(tags[1])
        with pytest.raises(BulkQueueFullError, match="1,000 bulk jobs"):
            await cc.activities.delete_tags(tags[2])
        assert len([record for record in box.requests if record.path.endswith("contacts_tags_delete")]) == 3


async def test_a_deadline_does_not_end_the_job() -> None:
    async with account(job_seconds=0.3) as (cc, _):
        started = await cc.activities.delete_tags(await cc.tags.create("Gold"))
        with pytest.raises(ActivityTimeoutError) as caught:
            await cc.activities.wait(started, timeout=0.01)
        assert (await cc.activities.wait(caught.value.activity)).state == "completed"


ROWS = re.findall(
    r"^\| [^|]+ \| `((?:await )?cc\..+)` \|$",
    (Path(__file__).parents[2] / "README.md").read_text("utf-8"),
    re.MULTILINE,
)


async def test_every_expression_in_the_tables_of_the_readme_is_one_that_runs() -> None:
    assert len(ROWS) >= 9
    async with account(**QUICK) as (cc, _):
        made, tag = await cc.lists.create("Newsletter"), await cc.tags.create("Gold")
        kind = CustomFieldMetadata(display_type="radio")
        field = await cc.custom_fields.create("Fruit", "single_select", choices=["Apple"], metadata=kind)
        names = {"cc": cc, "list_id": made.list_id, "tag_id": tag.tag_id, "field_id": field.custom_field_id}
        for row in ROWS:
            result = eval(compile(row, "README.md", "eval", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)  # noqa: S307  # ours
            if inspect.iscoroutine(result):
                await result
