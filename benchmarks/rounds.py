"""Fair measurements: fresh processes, interleaved, compared within each round."""

import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_SLOWING = {
    "COVERAGE_PROCESS_START",
    "PYTHONASYNCIODEBUG",
    "PYTHONDEVMODE",
    "PYTHONDONTWRITEBYTECODE",  # imports are of compiled modules, as with an installed package
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONTRACEMALLOC",
}

Figures = dict[str, Any]


def environment() -> dict[str, str]:
    """The environment of a measured process: nothing that slows it, and the package that lies beside this folder."""
    kept = {name: value for name, value in os.environ.items() if name not in _SLOWING}
    return kept | {"PYTHONPATH": str(HERE.parent), "PYTHONHASHSEED": "0"}


def child(*command: str) -> Figures:
    """What a fresh process of this interpreter prints, as JSON, on its last line."""
    done = subprocess.run(  # noqa: S603  # this interpreter, our own scripts
        [sys.executable, *command], stdout=subprocess.PIPE, text=True, check=True, env=environment(), cwd=HERE.parent
    )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def peak_memory() -> float:
    """The most memory that this process has held, in MiB."""
    if sys.platform == "linux":  # ru_maxrss also counts the process that this one was forked from
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def interleaved(names: Sequence[str], rounds: int, measure: Callable[[str], Figures]) -> dict[str, list[Figures]]:
    """Measure each name once a round, beginning with another one each time, so that drift and noise meet all alike."""
    found: dict[str, list[Figures]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            found[name].append(measure(name))
    return found


def median(figures: Iterable[Figures], key: str) -> float:
    return statistics.median(float(entry[key]) for entry in figures)


def ratio(ours: Iterable[Figures], theirs: Iterable[Figures], key: str) -> float:
    """The median of what one costs by what the other costs in the same round."""
    return statistics.median(float(one[key]) / float(other[key]) for one, other in zip(ours, theirs, strict=True))


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below each other, the first column to the left and the others to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    print(f"\n{title}")
    for line in lines:
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join([line[0].ljust(widths[0]), *cells]).rstrip())
