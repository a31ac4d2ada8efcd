"""`contacts`, against a sandbox: a table of what is there, without a write and without the token."""

import asyncio
import io
import sys

import pytest

from cc_async.__main__ import main
from cc_async.sandbox import Sandbox

TOKEN = "CC_ACCESS_TOKEN"


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


async def run_against(box: Sandbox, *arguments: str) -> int:
    """Run the command in a thread, because the sandbox needs this one's event loop."""
    return await asyncio.to_thread(main, ["contacts", "--format", "table", "--base-url", box.base_url, *arguments])


async def test_it_lists_whole_rows_in_the_order_of_the_api(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sandbox(contacts=60, seed=3, order="id") as box:
        monkeypatch.setenv(TOKEN, f" {box.access_token}\n")
        assert await run_against(box, "--max", "40", "--status", "all") == 0
        printed = capsys.readouterr().out
        heading, *rows, _, total = printed.splitlines()
        documents = [box.store.get(contact_id) for contact_id in sorted(box.store.ids())[:40]]
        assert heading.split() == ["id", "name", "e-mail", "status", "updated"]
        assert [row.split()[0] for row in rows] == [document["contact_id"] for document in documents]
        for row, document in zip(rows, documents, strict=True):
            email = document.get("email_address", {"address": " - ", "permission_to_send": " - "})
            status = "deleted" if "deleted_at" in document else email["permission_to_send"]
            name = f"{document['first_name']} {document['last_name']}"
            for cell in (name, email["address"], status, document["updated_at"][:10]):
                assert cell in row
        assert total == "40 contacts; there may be more, see --max"
        assert [(record.method, record.path) for record in box.requests] == [("GET", "/v3/contacts")]
        assert "limit=40" in box.requests[0].query
        assert box.access_token not in printed


async def test_it_reads_as_many_pages_as_it_must_and_no_more(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sandbox(contacts=2_000) as box:
        monkeypatch.setenv(TOKEN, box.access_token)
        assert await run_against(box, "--max", "900", "--status", "all") == 0
        assert len(capsys.readouterr().out.splitlines()) == 1 + 900 + 2
        assert len(box.requests) == 2


async def test_it_finds_one_by_its_address(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(contacts=30) as box:
        monkeypatch.setenv(TOKEN, box.access_token)
        assert await run_against(box, "--email", "contact.7@example.com", "--status", "all") == 0
        _, row, _, total = capsys.readouterr().out.splitlines()
        assert "ontact.7@example.com" in row
        assert total == "1 contact"


async def test_none_found_is_no_error_and_no_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sandbox() as box:
        monkeypatch.setenv(TOKEN, box.access_token)
        assert await run_against(box) == 0
        assert capsys.readouterr() == ("0 contacts\n", "")


async def test_a_terminal_of_80_columns_shows_every_column_with_short_ids(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    async with Sandbox(contacts=3) as box:
        monkeypatch.setenv(TOKEN, box.access_token)
        assert await run_against(box, "--status", "all") == 0
        heading, *rows, _, _ = capsys.readouterr().out.splitlines()
        assert "updated" in heading
        assert [row[:9].rstrip("…") for row in rows] == [contact_id[:8] for contact_id in box.store.ids()]
        assert max(map(len, rows)) <= 80


async def test_a_name_can_neither_steer_the_terminal_nor_be_taken_for_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sandbox() as box:
        box.store.create({"create_source": "Account", "first_name": "\x1b[2J", "last_name": "[bold]Eve[/bold]"})
        box.store.create({"create_source": "Account", "email_address": {"address": "nameless@example.com"}})
        monkeypatch.setenv(TOKEN, box.access_token)
        assert await run_against(box) == 0
        printed = capsys.readouterr().out
        assert "�[2J [bold]Eve[/bold]" in printed
        assert "\x1b" not in printed
        assert printed.splitlines()[2].split()[1:3] == ["-", "nameless@example.com"]


async def test_a_terminal_that_lacks_a_letter_shows_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    async with Sandbox() as box:
        box.store.create({"create_source": "Account", "first_name": "Łucja", "last_name": "李"})
        monkeypatch.setenv(TOKEN, box.access_token)
        monkeypatch.setattr(sys, "stdout", output)
        assert await run_against(box) == 0
    output.seek(0)
    assert "?ucja ?" in output.read()


@pytest.mark.parametrize("value", [None, "", "  "])
def test_without_a_token_it_says_where_one_is_expected(
    value: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv(TOKEN, value)
    assert main(["contacts"]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert TOKEN in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"), [((), "401"), (("--status", "asleep"), "400"), (("--status", ""), "status")]
)
async def test_a_refusal_is_one_line_without_the_token(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sandbox(contacts=1) as box:
        token = "not-a-token-of-this-box" if told == "401" else box.access_token
        monkeypatch.setenv(TOKEN, token)
        assert await run_against(box, *arguments) == (3 if told == "401" else 1)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
    assert printed.err.startswith("cc-async: ")
    assert printed.err.count("\n") == 1
    assert token not in printed.err


@pytest.mark.parametrize("url", ["http://api.example.com/v3", "http://127.0.0.1:1/v3"])
def test_an_api_that_cannot_be_asked_is_one_line(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, "a-secret-token")
    monkeypatch.setattr("cc_async.http.retry.RetryPolicy.pause", lambda *_, **__: None)
    assert main(["contacts", "--base-url", url]) == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "a-secret-token" not in printed
