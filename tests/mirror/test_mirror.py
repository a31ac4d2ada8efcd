"""A copy of an account in a database: complete, current, and resumed wherever it was interrupted."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, inspect, select, text
from support.mirror_contents import assert_equal_to, documents, of_contacts, rows

from cc_async import (
    ConstantContact,
    InvalidRequestError,
    MirrorError,
    PermissionDeniedError,
    RateLimiter,
    RetryPolicy,
    ServerError,
)
from cc_async.mirror import Mirror, SyncProgress, SyncReport, tables
from cc_async.mirror.database import database_url
from cc_async.sandbox import Sandbox

pytest_plugins = ["support.mirror_databases"]

FAST = RetryPolicy(attempts=1)


def client(box: Sandbox) -> ConstantContact:
    limiter = RateLimiter(10_000, daily=None)
    return ConstantContact(box.access_token, base_url=box.base_url, rate_limiter=limiter, retry=FAST)


def sandbox(contacts: int, **settings: Any) -> Sandbox:
    return Sandbox(contacts=contacts, rate=None, daily=None, **settings)


async def sync(box: Sandbox, database: str, **options: Any) -> SyncReport:
    async with client(box) as cc, Mirror(database) as mirror:
        return await mirror.sync(cc, **options)


def pages(box: Sandbox) -> int:
    """The number of requests for contacts so far."""
    return sum(request.path == "/v3/contacts" for request in box.requests)


async def test_the_first_time_everything_is_copied(database: str) -> None:
    async with sandbox(1_200) as box:
        report = await sync(box, database)
        assert (report.full, report.resumed, report.contacts, report.removed, report.skipped) == (
            True,
            False,
            1_200,
            0,
            0,
        )
        await assert_equal_to(box, database)
        assert {row["list_id"] for row in await rows(database, tables.lists)} >= set(box.store.lists)
        assert {row["tag_id"] for row in await rows(database, tables.tags)} == set(box.store.tags)
        fields = {row["custom_field_id"] for row in await rows(database, tables.custom_fields)}
        assert fields == set(box.store.custom_fields)
        assert (report.lists, report.tags, report.custom_fields) == (
            len(await rows(database, tables.lists)),
            len(box.store.tags),
            len(box.store.custom_fields),
        )


async def test_columns_have_the_types_that_queries_need(database: str) -> None:
    async with sandbox(30, seed=5) as box:
        await sync(box, database)
        for row in await rows(database, tables.contacts):
            document = box.store.get(row["contact_id"])
            assert row["email"] == document["email_address"]["address"]
            assert row["updated_at"] == datetime.fromisoformat(document["updated_at"])
            assert row["updated_at"].utcoffset() == datetime.now(UTC).utcoffset()
            assert row["birthday_day"] == document.get("birthday_day")
        async with Mirror(database) as mirror, mirror.engine.connect() as connection:
            middle = datetime(2021, 1, 1, tzinfo=UTC)
            query = select(func.count()).select_from(tables.contacts).where(tables.contacts.c.created_at < middle)
            found = (await connection.execute(query)).scalar_one()
        assert found == sum(
            datetime.fromisoformat(box.store.get(key)["created_at"]) < middle for key in box.store.ids()
        )


async def test_later_only_what_changed_is_read(database: str) -> None:
    async with sandbox(1_200) as box:
        first = await sync(box, database)
        changed, deleted, unsubscribed = box.store.ids()[10:13]
        box.advance(600)
        new = box.store.create({"create_source": "Account", "first_name": "New"})["contact_id"]
        async with client(box) as cc:
            await cc.contacts.patch(changed, first_name="Changed", phone_numbers=[], taggings=[])
        box.store.delete(deleted)
        box.store.unsubscribe(unsubscribed)
        box.advance(5)  # what changed in the second of a sync belongs to the next one
        before = pages(box)
        report = await sync(box, database)
        assert (report.full, report.contacts) == (False, 0)
        assert report.changed >= 4
        assert report.watermark > first.watermark
        assert pages(box) - before <= 6
        await assert_equal_to(box, database)
        assert new in await documents(database)
        assert not {row for row in await of_contacts(database, tables.phones, "phone_number") if row[0] == changed}


async def test_a_sync_without_changes_costs_eight_requests(database: str) -> None:
    async with sandbox(1_200) as box:
        await sync(box, database)
        box.advance(3_600)
        async with client(box) as cc, Mirror(database) as mirror:
            before = len(box.requests)
            await mirror.sync(cc)
            assert len(box.requests) - before == 8
            await mirror.sync(cc)  # the account is known by now
            assert len(box.requests) - before == 8 + 7


async def test_lists_tags_and_fields_that_are_gone_disappear(database: str) -> None:
    async with sandbox(10) as box:
        await sync(box, database)
        async with client(box) as cc:
            tag = (await cc.tags.list().collect())[0]
            await cc.activities.wait(await cc.tags.delete(tag))
            field = (await cc.custom_fields.list().collect())[0]
            await cc.custom_fields.delete(field)
            made = await cc.lists.create("A new list")
        await sync(box, database)
        assert tag.tag_id not in {row["tag_id"] for row in await rows(database, tables.tags)}
        assert field.custom_field_id not in {
            row["custom_field_id"] for row in await rows(database, tables.custom_fields)
        }
        assert ("A new list", made.list_id) in {
            (row["name"], row["list_id"]) for row in await rows(database, tables.lists)
        }


async def test_an_interrupted_full_read_is_resumed_at_its_page(database: str) -> None:
    async with sandbox(2_600) as box:
        box.fault("status", path="/contacts$", status=500, after=3, times=None)
        with pytest.raises(ServerError):
            await sync(box, database)
        box.clear_faults()
        stored = len(await documents(database))
        assert stored >= 500
        before = pages(box)
        report = await sync(box, database)
        assert (report.full, report.resumed, report.contacts) == (True, True, 2_600 - stored)
        assert not any("status=all" in request.query and "cursor" not in request.query for request in box.requests[-1:])
        assert pages(box) > before
        await assert_equal_to(box, database)
        assert not (await sync(box, database)).full


async def test_a_link_that_is_no_longer_valid_starts_the_full_read_anew(database: str) -> None:
    async with sandbox(1_600) as box:
        box.fault("status", path="/contacts$", status=500, after=2, times=None)
        with pytest.raises(ServerError):
            await sync(box, database)
        box.clear_faults()
        box.fault("status", path="/contacts$", status=400, times=1)
        report = await sync(box, database)
        assert (report.resumed, report.contacts) == (True, 1_600)
        await assert_equal_to(box, database)


async def test_a_full_read_removes_what_the_api_no_longer_knows(database: str) -> None:
    async with sandbox(700) as box:
        await sync(box, database)
        gone, hidden = box.store.ids()[3:5]

        def without(page: Any) -> None:
            page["contacts"] = [each for each in page["contacts"] if each["contact_id"] not in {gone, hidden}]

        box.fault("mutate", path="/contacts$", times=None, change=without)
        box.fault("status", path=f"/contacts/{gone}$", status=404, times=None)
        report = await sync(box, database, full=True)
        assert (report.full, report.removed) == (True, 1)
        assert (await documents(database)).keys() == {*box.store.ids()} - {gone}
        assert gone not in {key for key, _ in await of_contacts(database, tables.memberships, "list_id")}


async def test_a_full_read_that_met_too_few_contacts_reads_again(database: str) -> None:
    async with sandbox(700) as box:
        missed = box.store.ids()[3]

        def without(page: Any) -> None:
            page["contacts"] = [each for each in page["contacts"] if each["contact_id"] != missed]

        box.fault("mutate", path="/contacts$", times=2, change=without)
        await sync(box, database)
        await assert_equal_to(box, database)


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.2, 0.4])
async def test_a_cancelled_sync_can_be_repeated(database: str, seconds: float) -> None:
    async with sandbox(2_000, latency=0.02) as box, client(box) as cc, Mirror(database) as mirror:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds):
                await mirror.sync(cc)
        await mirror.sync(cc)
        await assert_equal_to(box, database)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the list of open files in /proc")
async def test_a_sync_cancelled_while_it_opens_the_database_leaves_no_file_open(tmp_path: Path) -> None:
    path = tmp_path / "contacts.db"
    async with sandbox(1) as box, client(box) as cc, Mirror(path) as mirror:
        for steps in range(1, 60):
            task = asyncio.create_task(mirror.sync(cc))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert [file for file in open_files() if file.startswith(str(path))] == []


def open_files() -> list[str]:
    links = Path("/proc/self/fd").iterdir()
    return [str(link.readlink()) for link in links if link.is_symlink()]


async def test_two_mirrors_of_one_database_do_not_write_at_once(database: str) -> None:
    async with sandbox(1_000, latency=0.1) as box, client(box) as cc, Mirror(database) as one, Mirror(database) as two:
        started = asyncio.Event()
        under_way = asyncio.ensure_future(one.sync(cc, on_progress=lambda _: started.set()))
        await started.wait()
        for mirror in (one, two):
            with pytest.raises(MirrorError, match=r"^Another synchronization of this database is running\.$"):
                await mirror.sync(cc)
        assert (await under_way).contacts == 1_000
        assert (await two.sync(cc)).contacts == 0


async def test_others_can_read_during_a_sync(database: str) -> None:
    counted: list[int] = []

    async def count() -> None:
        async with Mirror(database) as mirror, mirror.engine.connect() as connection:
            counted.append((await connection.execute(select(func.count()).select_from(tables.contacts))).scalar_one())

    reads: list[asyncio.Future[None]] = []
    async with sandbox(1_500) as box:
        await sync(box, database, on_progress=lambda _: reads.append(asyncio.ensure_future(count())))
        await asyncio.gather(*reads)
    assert len(counted) >= 3
    assert all(number % 500 == 0 for number in counted)


async def test_a_copy_of_another_account_is_refused(database: str) -> None:
    async with sandbox(5) as box:
        await sync(box, database)
        box.fault("mutate", path="/account/summary$", change=lambda account: account | {"encoded_account_id": "other"})
        with pytest.raises(MirrorError, match="copy of another account"):
            await sync(box, database)


async def test_a_login_that_may_not_see_the_account_can_still_sync(database: str) -> None:
    async with sandbox(5) as box:
        box.fault("status", path="/account/summary$", status=403, times=None)
        assert (await sync(box, database)).contacts == 5


async def test_an_error_of_the_api_keeps_its_class(database: str) -> None:
    async with sandbox(5) as box:
        box.fault("status", path="/contact_tags$", status=403, times=None)
        with pytest.raises(PermissionDeniedError):
            await sync(box, database)


async def test_tables_of_another_version_are_left_alone(database: str) -> None:
    async with sandbox(5) as box, client(box) as cc, Mirror(database) as mirror:
        await mirror.sync(cc)
        async with mirror.engine.begin() as connection:
            await connection.execute(text("UPDATE mirror_state SET value = '999' WHERE name = 'schema'"))
        with pytest.raises(MirrorError, match="version 999"):
            await mirror.sync(cc)


async def test_a_database_with_tables_of_another_program_is_left_alone(database: str) -> None:
    async with sandbox(5) as box, client(box) as cc, Mirror(database) as mirror:
        async with mirror.engine.begin() as connection:
            await connection.execute(text("CREATE TABLE contacts (name TEXT)"))
        with pytest.raises(MirrorError, match="has a table contacts of another program"):
            await mirror.sync(cc)
        async with mirror.engine.connect() as connection:
            assert await connection.run_sync(lambda it: inspect(it).get_table_names()) == ["contacts"]


async def test_tables_whose_creation_was_interrupted_are_completed(database: str) -> None:
    async with sandbox(5) as box, client(box) as cc, Mirror(database) as mirror:
        async with mirror.engine.begin() as connection:
            await connection.run_sync(tables.metadata.create_all, tables=[tables.state, tables.contacts])
        assert (await mirror.sync(cc)).contacts == 5
        await assert_equal_to(box, database)


async def test_progress_counts_towards_the_total(database: str) -> None:
    seen: list[SyncProgress] = []
    async with sandbox(1_200) as box:
        await sync(box, database, on_progress=seen.append)
    full = [progress for progress in seen if progress.full]
    assert [progress.contacts for progress in full] == [500, 1_000, 1_200]
    assert {progress.total for progress in full} == {1_200}


NASTY = {
    "first_name": "A\0B",
    "last_name": "half \ud83d of a pair",
    "job_title": "Ünïcode 🎉",
    "birthday_month": 2**40,
    "custom_fields": [
        {"custom_field_id": "f", "value": "first"},
        {"custom_field_id": "f", "value": "second", "choice_ids": [1, "two"]},
        {"value": "without an id"},
    ],
    "list_memberships": ["l", "l", "m"],
    "taggings": None,
    "unknown": {"kept": True},
}


async def test_odd_contacts_are_stored_as_far_as_the_database_can(database: str) -> None:
    async with sandbox(4) as box:
        odd = box.store.ids()[0]
        contacts: list[Any] = [box.store.get(key) | (NASTY if key == odd else {}) for key in box.store.ids()]
        contacts += [{"first_name": "no id"}, "no object", {"contact_id": None}]
        page = json.dumps({"contacts": contacts, "contacts_count": 4}).encode()
        box.fault("body", path="/contacts$", status=200, body=page)
        report = await sync(box, database)
        assert report.skipped == 2
        assert len(await rows(database, tables.contacts)) == 4
        (row,) = [row for row in await rows(database, tables.contacts) if row["contact_id"] == odd]
        assert row["first_name"] == "A\N{REPLACEMENT CHARACTER}B"
        assert row["job_title"] == "Ünïcode 🎉"
        assert row["birthday_month"] is None
        assert row["document"]["unknown"] == {"kept": True}
        values = await of_contacts(database, tables.custom_field_values, "custom_field_id", "value")
        assert {value for value in values if value[0] == odd} == {(odd, "f", "second")}
        lists = await of_contacts(database, tables.memberships, "list_id")
        assert {each for key, each in lists if key == odd} == {"l", "m"}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("contacts.db", "sqlite+aiosqlite:///contacts.db"),
        (Path("/var/lib/contacts.db"), "sqlite+aiosqlite:////var/lib/contacts.db"),
        ("sqlite:///contacts.db", "sqlite+aiosqlite:///contacts.db"),
        ("postgres://host/name", "postgresql+asyncpg://host/name"),
        ("postgresql://user@host/name?sslmode=require", "postgresql+asyncpg://user@host/name?ssl=require"),
        ("postgresql+psycopg://host/name", "postgresql+psycopg://host/name"),
    ],
)
def test_databases_are_named_as_people_name_them(given: str | Path, wanted: str) -> None:
    assert database_url(given).render_as_string() == wanted


@pytest.mark.parametrize("wrong", ["", "mysql://host/name", "://", "sqlite+pysqlite:///contacts.db"])
def test_other_databases_are_refused_without_their_password(wrong: str) -> None:
    with pytest.raises(InvalidRequestError):
        Mirror(wrong)


async def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear reader, this is no database, but a letter.\n" * 100)
    async with sandbox(1) as box:
        with pytest.raises(MirrorError, match="file is not a database"):
            await sync(box, str(tmp_path / "letter.txt"))
        with pytest.raises(MirrorError, match="its folder does not exist"):
            await sync(box, str(tmp_path / "nowhere" / "contacts.db"))


async def test_a_server_that_is_away_is_reported_without_the_password() -> None:
    async with sandbox(1) as box:
        with pytest.raises(MirrorError, match="cannot be opened") as caught:
            await sync(box, "postgresql://user:hunter2@127.0.0.1:9/name")
        assert "hunter2" not in repr(caught.value) + str(caught.value.__cause__) + str(caught.value.__context__)


async def test_a_full_disk_ends_in_an_error_that_shows_no_contact(tmp_path: Path) -> None:
    database = str(tmp_path / "contacts.db")
    async with sandbox(1_000) as box:
        async with client(box) as cc, Mirror(database) as mirror:
            await mirror.sync(cc)
            # The largest size of the database belongs to the connection, so each one gets it.
            event.listen(mirror.engine.sync_engine, "connect", lambda raw, _: raw.execute("PRAGMA max_page_count = 1"))
            with pytest.raises(MirrorError, match="database or disk is full") as caught:
                await mirror.sync(cc, full=True)
            assert caught.value.__context__ is None
            assert "@example.com" not in str(caught.value)
        await sync(box, database)
        await assert_equal_to(box, database)
