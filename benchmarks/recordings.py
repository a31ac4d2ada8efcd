"""Draws real runs of the command line as the pictures of the README: `python -m benchmarks.recordings [NAME...]`.

Each command runs in a terminal of 80 columns, against a sandbox in this process; the picture is the screen at its end.
"""

import asyncio
import os
import pty
import re
import sys
import tempfile
import termios
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from cc_async.cli.exits import OK, PARTLY
from cc_async.sandbox import Sandbox

HERE: Final = Path(__file__).parent
WIDTH: Final = 80
RECORDINGS: Final = {
    "demo": ["demo --export contacts.jsonl"],
    "login": ["login --base-url {base_url}", "whoami"],
    "import": ["import fans.csv --list Fans --dry-run", "import fans.csv --list Fans"],
}
"""The pictures, and the commands that each of them shows; all of them share one folder of logins."""


def main(*names: str) -> None:
    """Record the pictures of these names, or all of them."""
    asyncio.run(_record(names or tuple(RECORDINGS)))


async def _record(names: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as home:
        async with Sandbox(contacts=1_000, public_client=True, device_interval=1.0) as box:
            for name in names:
                shown = []
                if name == "import":
                    _write_fans(Path(home))
                for command in RECORDINGS[name]:
                    line = command.format(base_url=box.base_url)
                    output = await run(line.split(), Path(home), box)
                    shown.append(f"\x1b[1m$ cc-async {line}\x1b[0m\n{screen(output)}")
                text = "\n\n".join(shown).replace(home, "/home/ada")
                (HERE / f"{name}.svg").write_text(picture(name, text), encoding="utf-8")


def _write_fans(folder: Path) -> None:
    """Write 5,000 rows, of which 20 have no address that could be one."""
    rows = (
        f"{'ada@' if n % 500 == 125 else ''},Ada,Lovelace,London"
        if n % 250 == 125
        else f"fan{n}@example.com,Ada,Lovelace,London"
        for n in range(5_000)
    )
    (folder / "fans.csv").write_text("\n".join(["E-mail,First name,Last name,Town", *rows]), encoding="utf-8")


async def run(arguments: list[str], home: Path, box: Sandbox) -> str:
    """Run a command in a terminal, approve the login that it asks for, and return all that it wrote."""
    ours, its = pty.openpty()
    termios.tcsetwinsize(its, (50, WIDTH))
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment |= {"HOME": str(home), "TERM": "xterm-256color", "PYTHONUTF8": "1", "CC_CLIENT_ID": box.client_id}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cc_async", *arguments),
        stdin=its,
        stdout=its,
        stderr=its,
        cwd=home,
        env=environment,
    )
    os.close(its)
    written = b""
    try:
        while piece := await asyncio.to_thread(_read, ours):
            written += piece
            if code := re.search(rb"user_code=([\w-]+)", piece):
                box.approve_device(code[1].decode())
    finally:
        os.close(ours)
    if (code := await process.wait()) not in {OK, PARTLY}:
        raise SystemExit(f"`cc-async {' '.join(arguments)}` failed with {code}: {written.decode()}")
    return written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says in this way that the other end is closed
        return b""


def screen(written: str) -> str:
    """Return the screen that a program has written, going up and clearing lines as live bars do."""
    lines, row = [""], 0
    for part in re.split(r"(\r?\n|\r|\x1b\[\d*A|\x1b\[2K|\x1b\[\?25[lh])", written):
        if part.endswith("\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif up := re.fullmatch(r"\x1b\[(\d*)A", part):
            row = max(row - int(up[1] or 1), 0)
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not re.fullmatch(r"\r|\x1b\[\?25[lh]", part):
            lines[row] += part
    return "\n".join(lines).strip("\n")


def picture(name: str, text: str) -> str:
    """Draw text with colours as SVG, which loads nothing from elsewhere."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123  # no file
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(text), soft_wrap=False, overflow="fold")
    drawn = console.export_svg(title=f"cc-async {name}", unique_id=f"cc-async-{name}")
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)


if __name__ == "__main__":
    main(*sys.argv[1:])
