"""Looking at an account, and its lists and tags, from the command line."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator

import pytest

from cc_async.__main__ import main
from cc_async.cli.exits import FAILED, OK, USAGE
from cc_async.sandbox import Sandbox


@pytest.fixture
async def box(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    async with Sandbox(contacts=60, rate=None, job_seconds=0) as box:
        monkeypatch.setenv("CC_ACCESS_TOKEN", box.access_token)
        yield box


async def run(box: Sandbox, *arguments: str) -> int:
    """Run the command in a thread, because the sandbox needs this one's event loop."""
    return await asyncio.to_thread(main, [*arguments, "--base-url", box.base_url])


@pytest.mark.parametrize(
    ("command", "key", "number"),
    [("lists", "list_id", 12), ("tags", "tag_id", 8), ("fields", "custom_field_id", 6), ("segments", "segment_id", 10)],
)
async def test_in_a_pipe_everything_comes_as_json_lines(
    box: Sandbox, capsys: pytest.CaptureFixture[str], command: str, key: str, number: int
) -> None:
    assert await run(box, command) == OK
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len({document[key] for document in documents}) == len(documents) == number


@pytest.mark.parametrize(
    ("command", "total"),
    [("lists", "12 lists"), ("tags", "8 tags"), ("fields", "6 custom fields"), ("segments", "10 segments")],
)
async def test_a_table_ends_with_their_number(
    box: Sandbox, capsys: pytest.CaptureFixture[str], command: str, total: str
) -> None:
    assert await run(box, command, "--format", "table") == OK
    heading, *rows, _, last = capsys.readouterr().out.splitlines()
    assert heading.startswith("id ")
    assert len(rows) == int(total.split(maxsplit=1)[0])
    assert last == total


async def test_csv_has_names_in_place_of_ids(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(box, "contacts", "--format", "csv", "--include", "all", "--max", "50") == OK
    rows = [*csv.DictReader(io.StringIO(capsys.readouterr().out))]
    assert len(rows) == 50
    for row in rows:
        document = box.store.get(row["contact_id"])
        assert row["email"] == document["email_address"]["address"]
        assert len(list(filter(None, row["lists"].split(";")))) == len(document.get("list_memberships", ()))
        assert all(name.startswith("List ") for name in filter(None, row["lists"].split(";")))
    assert "cf:Branch" in rows[0]


async def test_contacts_are_filtered_by_the_names_of_lists_and_tags(
    box: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        await run(box, "contacts", "--list", "list 1", "--tag", "Tag 2", "--include", "taggings", "--max", "99") == OK
    )
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found
    (tag,) = [key for key, name in box.store.tag_names.items() if name == "Tag 2"]
    assert all(tag in contact["taggings"] for contact in found)


async def test_counts_are_one_line(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(box, "counts") == OK
    assert json.loads(capsys.readouterr().out)["total"] == box.store.counts()["total"]


@pytest.mark.parametrize("command", ["lists", "tags"])
async def test_one_is_created_and_deleted_by_its_name(
    box: Sandbox, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert await run(box, command, "create", "Spring") == OK
    assert json.loads(capsys.readouterr().out)["name"] == "Spring"
    assert await run(box, command, "delete", "spring") == USAGE
    assert "Add --yes to confirm." in capsys.readouterr().err
    assert await run(box, command, "delete", "spring", "--yes") == OK
    assert capsys.readouterr().out == "'spring' was deleted.\n"
    assert await run(box, command, "delete", "spring", "--yes") == FAILED
    assert f"`cc-async {command}` shows those that there are" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["lists", "tags"])
async def test_what_to_create_needs_a_name(box: Sandbox, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert await run(box, command, "create") == USAGE
    assert capsys.readouterr().err == f"cc-async: `{command} create` needs a name.\n"
    assert not box.requests
