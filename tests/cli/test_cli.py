"""The command line as a whole: what it says, how it ends, and what it leaves alone."""

import asyncio
import io
import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import cc_async
from cc_async.__main__ import main
from cc_async.cli import data, demo
from cc_async.cli.text import complain, printable


def run_python(code: str) -> str:
    """What a fresh interpreter prints for the code."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - code of these tests


def test_without_arguments_it_prints_its_help_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: ")
    for command in ("demo", "sandbox", "contacts"):
        assert f"\n    {command} " in printed


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"cc-async {cc_async.__version__}\n"


@pytest.mark.parametrize(("started_as", "name"), [("__main__.py", "python -m cc_async"), ("cc-async", "cc-async")])
def test_its_help_names_it_as_it_was_called(
    started_as: str, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [f"/somewhere/{started_as}"])
    main([])
    assert capsys.readouterr().out.startswith(f"usage: {name} [-h]")


@pytest.mark.parametrize("command", ["demo", "sandbox", "contacts"])
def test_every_command_explains_itself_within_80_columns(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["demo", "--contacts", "-1"], "'-1' is not a whole number of 0 or more"),
        (["demo", "--contacts", "many"], "'many' is not a whole number of 0 or more"),
        (["demo", "--rate", "0"], "'0' is not a whole number of 1 or more"),
        (["demo", "--latency", "-0.1"], "'-0.1' is not a number of seconds"),
        (["demo", "--latency", "nan"], "'nan' is not a number of seconds"),
        (["demo", "--latency", "inf"], "'inf' is not a number of seconds"),
        (["sandbox", "--port", "65536"], "'65536' is not a port"),
        (["sandbox", "--cursor", "random"], "invalid choice: 'random'"),
        (["contacts", "--max", "0"], "'0' is not a whole number of 1 or more"),
        (["upload"], "invalid choice: 'upload'"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "contacts --format table", "export x.csv", "import x.csv --list x"])
def test_a_missing_rich_is_one_line_that_says_how_to_install_it(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich" or name.startswith("cc_async.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setenv("CC_ACCESS_TOKEN", "token")
    assert main(command.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith('python -m pip install "cc-async[cli]"\n')
    assert printed.err.count("\n") == 1


def test_another_missing_module_is_not_mistaken_for_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cc_async.cli.demo")
    monkeypatch.setitem(sys.modules, "cc_async.limits.local", None)
    with pytest.raises(ModuleNotFoundError, match="limits"):
        main(["demo"])


def test_importing_the_library_imports_neither_command_line_nor_sandbox_nor_rich() -> None:
    code = "import sys, cc_async; print(*sys.modules)"
    loaded = run_python(code).split()
    assert "cc_async.http.session" in loaded
    unwanted = re.compile(r"(cc_async\.(__main__|cli|sandbox)|rich|argparse)\b")
    assert [name for name in loaded if unwanted.match(name)] == []


def test_the_sandbox_command_needs_no_rich() -> None:
    code = "import sys, cc_async.__main__, cc_async.cli.sandbox; print(*sys.modules)"
    loaded = run_python(code).split()
    assert "cc_async.cli.sandbox" in loaded
    assert "rich" not in loaded


def test_ctrl_c_ends_a_command_with_130_and_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    monkeypatch.setattr(data, "_run", interrupted)
    monkeypatch.setenv("CC_ACCESS_TOKEN", "token")
    assert main(["contacts"]) == 130
    assert capsys.readouterr() == ("", "cc-async: stopped\n")


def test_a_reader_that_has_enough_ends_a_command_quietly(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def enough(_: object) -> int:
        raise BrokenPipeError

    with (tmp_path / "pipe").open("w") as pipe:
        monkeypatch.setattr(demo, "run", enough)
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(["demo"]) == 1
        assert os.path.samestat(os.fstat(pipe.fileno()), Path(os.devnull).stat())
    assert capsys.readouterr().err == ""


def test_the_module_ends_with_the_exit_code_of_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC_ACCESS_TOKEN", raising=False)
    monkeypatch.setattr(sys, "argv", ["__main__.py", "contacts"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(f"{Path(cc_async.__file__).parent}/__main__.py", run_name="__main__")
    assert end.value.code == 3
    assert "CC_ACCESS_TOKEN" in capsys.readouterr().err


def test_a_replaced_standard_output_is_written_to_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC_ACCESS_TOKEN", raising=False)
    replaced = io.StringIO()
    monkeypatch.setattr(sys, "stderr", replaced)
    assert main(["contacts"]) == 3
    assert "CC_ACCESS_TOKEN" in replaced.getvalue()


def test_an_error_is_one_line_however_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    complain("first\n  second \x1b[31mred\x07")
    assert capsys.readouterr().err == "cc-async: first second �[31mred�\n"


def test_what_could_steer_the_terminal_is_replaced_and_everything_else_kept() -> None:
    assert printable("Łucja 李 \x1b]0;title\x07\u202e") == "Łucja 李 �]0;title��"
