"""`export` and `import`: files that are complete or not there, and no row without its outcome."""

import asyncio
import csv
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.sandbox_contract import until

from cc_async import ConstantContact
from cc_async.__main__ import main
from cc_async.cli.exits import FAILED, INTERRUPTED, OK, PARTLY, USAGE
from cc_async.sandbox import Sandbox


@pytest.fixture
async def box(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Sandbox]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    async with Sandbox(contacts=1_100, rate=None, job_seconds=0) as box:
        monkeypatch.setenv("CC_ACCESS_TOKEN", box.access_token)
        yield box


async def run(box: Sandbox, *arguments: str) -> int:
    """Run the command in a thread, because the sandbox needs this one's event loop."""
    return await asyncio.to_thread(main, [*arguments, "--base-url", box.base_url])


async def started(box: Sandbox, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cc_async", *arguments, "--base-url", box.base_url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def files() -> set[str]:
    return {path.name for path in Path().iterdir() if path.is_file()}


def write_text(name: str, text: str, encoding: str = "utf-8") -> None:
    Path(name).write_text(text, encoding=encoding)


def read_text(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def write(name: str, rows: list[dict[str, str]], delimiter: str = ",") -> None:
    with Path(name).open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def read(name: str) -> list[dict[str, str]]:
    with Path(name).open(encoding="utf-8-sig", newline="") as file:
        return [*csv.DictReader(file)]


async def members(box: Sandbox, name: str) -> set[str]:
    async with ConstantContact(box.access_token, base_url=box.base_url) as cc:
        found = await cc.lists.find(name)
        assert found is not None
        contacts = await cc.contacts.list(lists=[found], status="all").collect()
    return {each.email_address.address or "" for each in contacts if each.email_address}


async def test_an_export_has_every_contact_once(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("csv", "jsonl"):
        assert await run(box, "export", f"all.{kind}", "--status", "all") == OK
        assert capsys.readouterr().out.startswith(f"all.{kind}: 1,100 contacts, ")
    assert files() == {"all.csv", "all.jsonl"}
    documents = [json.loads(line) for line in read_text("all.jsonl").splitlines()]
    rows = read("all.csv")
    assert [row["contact_id"] for row in rows] == [document["contact_id"] for document in documents]
    assert {row["contact_id"] for row in rows} == set(box.store.ids())


async def test_the_provider_can_write_the_file(box: Sandbox) -> None:
    assert await run(box, "export", "list.csv", "--list", "List 1", "--job") == OK
    assert files() == {"list.csv"}
    assert {row["Email address"] for row in read("list.csv")} <= {"", *await members(box, "List 1")}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["all.xml"], "must end in .csv or .jsonl"),
        (["all.jsonl", "--job"], "The provider writes CSV only"),
        (["all.csv", "--job", "--email", "ada@example.com"], "does not know --email"),
    ],
)
async def test_an_export_that_cannot_be_is_refused(
    box: Sandbox, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert await run(box, "export", *arguments) == USAGE
    assert complaint in capsys.readouterr().err
    assert files() == set()


async def test_an_export_that_fails_leaves_the_old_file(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    write_text("all.csv", "old")
    box.fault("status", path="/contacts$", status=400, after=1, times=None)
    assert await run(box, "export", "all.csv") == FAILED
    assert capsys.readouterr().err.count("\n") == 1
    assert read_text("all.csv") == "old"
    assert files() == {"all.csv"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
async def test_ctrl_c_leaves_no_half_export(box: Sandbox) -> None:
    box.latency = 0.3
    process = await started(box, "export", "all.csv")
    await until(lambda: sum(request.path == "/v3/contacts" for request in box.requests) > 0)
    process.send_signal(signal.SIGINT)
    _, complaints = await process.communicate()
    assert complaints == b"cc-async: stopped. No file was written: run the same command again\n"
    assert process.returncode == INTERRUPTED
    assert files() == set()


ROWS = [
    {"Email Address": f"fan{n}@example.com", "First Name": "Zoë", "Favorite": "red", "Account note": f"n {n}"}
    for n in range(5_000)
]


async def test_five_thousand_rows_with_twenty_bad_ones(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = ("", "no address", "fan@example{n}")  # the last is refused by the server alone
    bad = {n: kinds[n % 3].format(n=n) for n in range(125, 5_000, 250)}
    write("fans.csv", [row | ({"Email Address": bad[n]} if n in bad else {}) for n, row in enumerate(ROWS)])
    assert len(bad) == 20
    assert await run(box, "import", "fans.csv", "--list", "Fans") == PARTLY
    assert files() == {"fans.csv", "fans.failed.csv"}
    printed = capsys.readouterr()
    assert "4,980" in printed.out
    assert "20: see fans.failed.csv" in printed.out
    assert printed.err == ""
    failed = read("fans.failed.csv")
    assert [row["Account note"] for row in failed] == [f"n {n}" for n in bad]
    assert all(row["not imported because"] for row in failed)
    assert await members(box, "Fans") == {row["Email Address"] for n, row in enumerate(ROWS) if n not in bad}

    write("fans.failed.csv", [row | {"Email Address": f"mended{n}@example.com"} for n, row in enumerate(failed)])
    assert await run(box, "import", "fans.failed.csv", "--list", "Fans") == OK
    assert len(await members(box, "Fans")) == 5_000
    assert files() == {"fans.csv", "fans.failed.csv"}


async def test_rows_that_the_provider_refuses_without_naming_them_are_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    async with Sandbox(contacts=10, rate=None, job_seconds=0, job_error_lines=False) as box:
        monkeypatch.setenv("CC_ACCESS_TOKEN", box.access_token)
        write("fans.csv", [*ROWS[:3], ROWS[3] | {"Email Address": "fan@example"}])
        assert await run(box, "import", "fans.csv", "--list", "Fans") == PARTLY
        printed = capsys.readouterr().out
        assert "│ imported │ 3" in printed
        assert "│ refused  │ 1, the provider does not say which" in printed
        assert await members(box, "Fans") == {row["Email Address"] for row in ROWS[:3]}


async def test_who_has_unsubscribed_is_counted_and_stays_off_the_list(
    box: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    async with ConstantContact(box.access_token, base_url=box.base_url) as cc:
        (contact, *_) = await cc.contacts.list(status="unsubscribed", limit=1).collect()
    assert contact.email_address is not None
    write("fans.csv", [ROWS[0], ROWS[1] | {"Email Address": str(contact.email_address.address)}])
    assert await run(box, "import", "fans.csv", "--list", "Fans") == OK
    assert "│ not put on the lists │ 1, who have unsubscribed" in capsys.readouterr().out
    assert await members(box, "Fans") == {ROWS[0]["Email Address"]}


async def test_a_dry_run_shows_the_columns_and_sends_nothing(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    write("fans.csv", [*ROWS[:30], ROWS[0], ROWS[1] | {"Email Address": ""}], delimiter=";")
    assert await run(box, "import", "fans.csv", "--list", "List 1", "--list", "Fans", "--dry-run") == PARTLY
    printed = capsys.readouterr().out
    for shown in (
        "Email Address  email",
        "Favorite       not sent",
        "Account note   cf:",
        "Fans, which would be created",
        "row 32: A row needs an email or an sms_number.",
        "1, because the same address comes again later",
    ):
        assert shown in printed
    assert {request.method for request in box.requests} == {"GET"}
    assert files() == {"fans.csv"}


async def test_json_lines_are_imported_like_csv(box: Sandbox) -> None:
    lines = [json.dumps({"email": f"fan{n}@example.com", "cf:Account note": n}) for n in range(20)]
    write_text("fans.jsonl", "\n".join([*lines, "[1]", ""]))
    assert await run(box, "import", "fans.jsonl", "--list", "Fans") == PARTLY
    assert len(await members(box, "Fans")) == 20
    (failed,) = read_text("fans.failed.jsonl").splitlines()
    assert json.loads(failed) == {"not imported because": "it is not a JSON object"}


async def test_what_was_exported_can_be_imported(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(box, "export", "all.csv", "--list", "List 3") == OK
    capsys.readouterr()
    assert await run(box, "import", "all.csv", "--list", "List 3", "--dry-run") == OK
    assert "contact_id" in capsys.readouterr().out


async def test_the_columns_of_the_providers_export_are_recognized(
    box: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(box, "export", "all.csv", "--job") == OK
    capsys.readouterr()
    assert (
        await run(box, "import", "all.csv", "--list", "List 3", "--dry-run") == PARTLY
    )  # it has contacts without an address
    sent_as = dict(re.findall(r"^(\S.*?) {2,}(\S+)", capsys.readouterr().out, re.MULTILINE))
    assert sent_as["Email address"] == "email"
    assert sent_as["Phone - mobile"] == "mobile_phone"
    assert sent_as["Street address line 1 - Home"] == "home_street"
    assert sent_as["State/Province - Work"] == "work_state"
    assert sent_as["Zip/Postal Code - Other"] == "other_zip"


async def test_contacts_of_the_api_are_told_from_rows(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(box, "export", "all.jsonl", "--list", "List 3") == OK
    assert await run(box, "import", "all.jsonl", "--list", "List 3") == FAILED
    assert "all.jsonl holds contacts of the API: export them to a .csv file" in capsys.readouterr().err
    assert not box.applied("POST")


async def test_columns_without_a_name_are_left_out(box: Sandbox) -> None:
    write_text("fans.csv", "email,,first_name, \na@example.com,,Ada,\n")
    assert await run(box, "import", "fans.csv", "--list", "F") == OK
    assert await members(box, "F") == {"a@example.com"}


async def test_no_list_is_created_for_an_unknown_id(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    write("fans.csv", ROWS[:1])
    unknown = "11111111-2222-3333-4444-555555555555"
    for options in ((), ("--dry-run",)):
        assert await run(box, "import", "fans.csv", "--list", unknown, *options) == FAILED
        assert f"There is no list '{unknown}'." in capsys.readouterr().err
    assert not box.applied("POST")


@pytest.mark.parametrize("options", [(), ("--job",)])
async def test_a_folder_that_does_not_exist_is_named(
    box: Sandbox, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    assert await run(box, "export", "nowhere/all.csv", *options) == FAILED
    assert re.search(
        r"^cc-async: nowhere(/all\.csv)?: No such file or directory$", capsys.readouterr().err, re.MULTILINE
    )
    assert not box.applied("POST")


async def test_the_provider_exports_one_kind_of_group_at_a_time(
    box: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(box, "export", "all.csv", "--job", "--list", "List 3", "--tag", "Tag 1") == USAGE
    assert "only one kind of --list, --tag and --segment" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("header", "options", "complaint"),
    [
        ("Name,Town", (), "No column is an e-mail address"),
        ("email,E-Mail", (), "are both email"),
        ("email,email", (), "several columns 'email'"),
        ("email,x", ("--map", "y=first_name"), "there is no column 'y'"),
        ("email,x", ("--map", "x=colour"), "'colour' is neither a field"),
        ("email,x", ("--encoding", "klingon"), "There is no encoding"),
    ],
)
async def test_columns_that_make_no_sense_are_named(
    box: Sandbox, capsys: pytest.CaptureFixture[str], header: str, options: tuple[str, ...], complaint: str
) -> None:
    write_text("fans.csv", f"{header}\na@example.com,b\n")
    assert await run(box, "import", "fans.csv", "--list", "Fans", *options) in {USAGE, FAILED}
    assert complaint in capsys.readouterr().err
    assert not box.applied("POST")


async def test_a_column_can_be_named_and_left_out(box: Sandbox) -> None:
    write_text("fans.csv", "contact,email\na@example.com,x\n")
    assert await run(box, "import", "fans.csv", "--list", "F", "--map", "contact=email", "--map", "email=") == OK
    assert await members(box, "F") == {"a@example.com"}


async def test_a_file_in_another_encoding_is_named(box: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    write_text("fans.csv", "email,first_name\na@example.com,Zoë\n", "cp1252")
    assert await run(box, "import", "fans.csv", "--list", "F") == FAILED
    assert "is not UTF-8: save it as UTF-8, or say --encoding cp1252." in capsys.readouterr().err
    assert await run(box, "import", "fans.csv", "--list", "F", "--encoding", "cp1252") == OK


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
async def test_an_import_that_was_interrupted_goes_on_without_sending_anything_twice(box: Sandbox) -> None:
    box.job_seconds = 60
    write("fans.csv", ROWS)
    process = await started(box, "import", "fans.csv", "--list", "Fans")
    await until(lambda: box.applied("POST", "/activities") == 1)
    await until(lambda: b"activity_id" in Path("fans.csv.journal").read_bytes())
    process.send_signal(signal.SIGINT)
    _, complaints = await process.communicate()
    assert process.returncode == INTERRUPTED
    assert complaints.decode().startswith("cc-async: stopped. Jobs that were started go on, and fans.csv.journal names")
    assert "fans.failed.csv" not in files()
    box.finish_jobs()
    assert await run(box, "import", "fans.csv", "--list", "Fans") == OK
    assert box.applied("POST", "/activities") == 1
    assert len(await members(box, "Fans")) == 5_000
    assert files() == {"fans.csv"}
