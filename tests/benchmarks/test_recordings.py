"""The pictures of commands show what a terminal shows, and load nothing from elsewhere."""

import importlib
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from cc_async.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # behind what is installed: the tests are of the installed package

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals on Windows", allow_module_level=True)

recordings: Any = importlib.import_module("benchmarks.recordings")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("one\r\ntwo\r\n", "one\ntwo"),
        ("\x1b[?25l10 %\r\x1b[2K50 %\r\x1b[2K100 %\n\x1b[?25h", "100 %"),
        ("a\nb\x1b[2K\x1b[1A\r\x1b[2Kc\nd", "c\nd"),
        ("\x1b[1mbold\x1b[0m", "\x1b[1mbold\x1b[0m"),
    ],
)
def test_the_screen_is_what_is_left_of_all_that_was_written(written: str, shown: str) -> None:
    assert recordings.screen(written) == shown


async def test_a_command_is_recorded_as_on_a_terminal(tmp_path: Path) -> None:
    async with Sandbox() as box:
        written = await recordings.run(["--help"], tmp_path, box)
        with pytest.raises(SystemExit, match="failed with 2"):
            await recordings.run(["no-such-command"], tmp_path, box)
    lines = recordings.screen(written).splitlines()
    assert "usage:" in lines[0]
    assert max(map(len, lines)) <= recordings.WIDTH


@pytest.mark.parametrize("name", recordings.RECORDINGS)
def test_each_picture_is_in_the_readme_and_loads_nothing(name: str) -> None:
    assert f"](benchmarks/{name}.svg)" in (ROOT / "README.md").read_text(encoding="utf-8")
    picture = (ROOT / "benchmarks" / f"{name}.svg").read_text(encoding="utf-8")
    assert ET.fromstring(picture).tag.endswith("svg")  # noqa: S314  # our own
    assert not re.search(r"url\((?!#)|href=", picture)
