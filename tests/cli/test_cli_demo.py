"""`demo`: the figures it shows are those of the sandbox, the file holds what was streamed, on any terminal."""

import json
import re
import tempfile
from collections import Counter
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import attrs
import pytest
from rich.console import Console

from cc_async.__main__ import main
from cc_async.cli import demo, show
from cc_async.sandbox import Sandbox

FAST = ["demo", "--latency", "0", "--rate", "1000", "--imports", "0"]
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settle what the surroundings say about the terminal: it is none, of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No terminal, and temporary files where they are found again."""
    no_terminal(monkeypatch)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@attrs.frozen
class Outcome:
    """What a demo printed and wrote, and the sandbox that it left."""

    text: str
    rows: dict[str, str]
    size: int
    export: list[dict[str, Any]]
    box: Sandbox


def run_demo(file: Path, contacts: int) -> Outcome:
    boxes: list[Sandbox] = []

    def make(**settings: Any) -> Sandbox:
        boxes.append(Sandbox(**settings))
        return boxes[-1]

    with pytest.MonkeyPatch.context() as monkeypatch, redirect_stdout(StringIO()) as out:
        monkeypatch.setattr(demo, "Sandbox", make)
        assert main([*FAST, "--contacts", str(contacts), "--seed", "5", "--export", str(file)]) == 0
    text, written = out.getvalue(), file.read_bytes()
    assert str(file) in text.splitlines()
    cells = (re.fullmatch(r"[│|] (.+?) +[│|] (.+?) +[│|]", line) for line in text.splitlines())
    rows = {match[1]: match[2] for match in cells if match}
    return Outcome(text, rows, len(written), [json.loads(line) for line in written.splitlines()], boxes[0])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One demo that several tests look at."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        no_terminal(monkeypatch)
        return run_demo(tmp_path_factory.mktemp("demo") / "contacts.jsonl", 1_500)


def test_its_summary_is_what_the_sandbox_counted(told: Outcome) -> None:
    box = told.box
    assert len(box.store) == 1_501
    assert told.rows["contacts streamed"] == "1,501 of 1,501"
    assert told.rows["requests used"] == f"{box.spent_today:,} of 10,000 a day"
    assert f"{box.spent_today} of 10,000 requests" in told.text
    assert told.rows["token refreshes"] == f"{box.refreshes}" == "1"
    assert told.rows["refused requests"] == f"{box.throttled}" == "0"
    assert told.rows["file size"] == f"{told.size / 1e3:,.1f} kB"
    assert float(told.rows["time"].removesuffix(" s")) < 10
    assert re.fullmatch(r"\d+% of 500,000/s", told.rows["share of the API's ceiling"])


def test_its_chart_is_what_the_sandbox_holds(told: Outcome) -> None:
    shown = re.findall(r"^  (\w+) +([\d,]+) +(\d+)%  (█*) *$", told.text, re.MULTILINE)
    figures = {name: int(figure.replace(",", "")) for name, figure, _, _ in shown}
    counts = told.box.store.counts()
    other = counts.pop("total") - sum(counts.values())
    assert figures == {**counts, "other": other}
    lengths = {name: len(bar) for name, _, _, bar in shown}
    assert lengths["implicit"] == 36 > lengths["explicit"] > lengths["pending"] > 0


def test_the_export_holds_every_contact_of_the_sandbox_once(told: Outcome) -> None:
    box = told.box
    assert Counter(line["contact_id"] for line in told.export) == Counter(box.store.ids())
    for line in told.export:
        document = box.store.get(line["contact_id"])
        email = document.get("email_address", {})
        assert line.get("email_address", {}).get("address") == email.get("address")
        assert (line.get("first_name"), line.get("last_name")) == (document["first_name"], document["last_name"])
        assert line["created_at"][:19] == document["created_at"][:19]
        assert line.get("deleted_at") == document.get("deleted_at", "")[:10] or "deleted_at" not in document
        assert None not in line.values()


def test_each_step_of_the_one_contact_reached_the_sandbox(told: Outcome) -> None:
    box = told.box
    step = re.compile(r"^  (\S+) +(GET|PUT|POST|DELETE) (\d{3}) +(.+?) +[\d,]+ ms$", re.MULTILINE)
    steps = {name: (method, int(status), text) for name, method, status, text in step.findall(told.text)}
    (ada_id,) = set(box.store.ids()) - set(Sandbox(contacts=1_500, seed=5).store.ids())
    ada = box.store.get(ada_id)
    sent = [(record.method, record.status) for record in box.requests if record.endpoint == "api"]
    assert [step[:2] for step in steps.values()] == sent[: len(steps)]
    assert list(steps) == [
        "request",
        "create",
        "create_or_update",
        "get",
        "update",
        "delete",
        "list(status=all)",
        "counts",
    ]
    assert ada_id[:8] in steps["create"][2]
    assert steps["create_or_update"][2] == "her sign-up updated the same contact"
    assert steps["get"][2] == "Ada Demo, explicit consent, 1 list"
    assert ada["job_title"] in steps["update"][2]
    assert ada["deleted_at"][:10] in steps["list(status=all)"][2]
    assert ada["list_memberships"] == [box.store.lists[0]]


def test_no_secret_is_shown(told: Outcome) -> None:
    box = told.box
    for secret in (box.access_token, box.refresh_token, box.client_secret, "eyJ"):
        assert secret not in told.text


def test_without_a_terminal_it_is_plain_text_with_a_line_for_every_tenth(tmp_path: Path) -> None:
    told = run_demo(tmp_path / "contacts.jsonl", 5_499)
    assert all(char.isprintable() or char == "\n" for char in told.text)
    assert max(len(line) for line in told.text.splitlines() if str(tmp_path) not in line) <= 80
    done = [int(figure.replace(",", "")) for figure in re.findall(r"^ +([\d,]+) of 5,500 ", told.text, re.MULTILINE)]
    assert done == [1_000, 1_500, 2_000, 2_500, 3_000, 3_500, 4_000, 4_500, 5_000, 5_500]


@pytest.mark.parametrize("columns", ["80", "120"])
def test_on_a_terminal_a_live_bar_ends_at_the_total(
    columns: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)
    told = run_demo(tmp_path / "contacts.jsonl", 600)
    assert "\x1b[1m" in told.text
    frames = [frame for frame in re.split(r"[\r\n]", ANSI.sub("", told.text)) if frame.startswith("━")]
    assert re.fullmatch(r"━+ 601 of 601 +[\d,]+/s +\d+ of 10,000 requests", frames[-1].strip())
    assert len(frames[-1]) == int(columns)


def test_no_color_is_kept_on_a_terminal_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    told = run_demo(tmp_path / "contacts.jsonl", 3)
    assert re.findall(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", told.text) == []


def test_without_a_name_the_export_is_a_new_file_that_it_names(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*FAST, "--contacts", "3"]) == 0
    (file,) = tmp_path.iterdir()
    assert str(file) in capsys.readouterr().out.splitlines()
    assert len(file.read_bytes().splitlines()) == 4


def test_a_spent_quota_ends_it_in_one_line_without_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([*FAST, "--contacts", "3", "--daily", "5"]) == 1
    printed = capsys.readouterr()
    assert "quota" in printed.err
    assert printed.err.count("\n") == 1
    assert "Summary" not in printed.out
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_ends_it_before_it_begins(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*FAST, "--export", str(tmp_path / "missing" / "file")]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"cc-async: {tmp_path}/missing/file: No such file or directory\n"


def test_an_empty_account_draws_empty_bars_and_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(width=80)
    show.bars(console, [("explicit", 0), ("implicit", 0)])
    assert re.findall(r"(\w+) +0 +0% *$", capsys.readouterr().out, re.MULTILINE) == ["explicit", "implicit"]
    with show.progress(console) as advance:
        advance(0, 0, "nothing")
    assert capsys.readouterr().out == ""


def test_a_terminal_without_unicode_gets_bars_of_ascii(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Console, "encoding", "ascii")
    show.bars(Console(width=80), [("explicit", 1), ("implicit", 2)])
    assert capsysbinary.readouterr().out.splitlines()[1].split() == [b"implicit", b"2", b"67%", b"#" * 36]


def test_it_imports_contacts_into_a_new_list_and_counts_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["demo", "--latency", "0", "--rate", "1000", "--contacts", "20", "--imports", "300"]
    assert main([*command, "--export", str(tmp_path / "contacts.jsonl")]) == 0
    text = capsys.readouterr().out
    assert "300 contacts imported into a new list, as bulk jobs" in text
    assert "300 read  300 handed over  300 finished" in text
    assert re.search(r"contacts imported +[│|] 300 of 300 ", text)
    assert re.search(r"import +[│|] 1 job, [0-9]+ requests, ", text)
