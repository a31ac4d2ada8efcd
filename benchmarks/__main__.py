"""Runs all benchmarks: `python -m benchmarks`.

A full run also writes `benchmarks/results.json`, the charts, and the block of the README; with `--quick` or `--only`
nothing is written.
"""

import argparse
import importlib
import inspect
import json
import os
import platform
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

from . import clients
from .readme import HERE, RESULTS, main as write_readme
from .rounds import Figures, table

BENCHMARKS = (
    "stream_cpu",
    "decode",
    "calls",
    "imports",
    "latency",
    "ceiling",
    "memory",
    "many",
    "limiter",
    "redis_limiter",
    "trust",
    "changes",
    "bulk",
    "mirror",
)
_SHORT: dict[str, Any] = {"ceiling": [["--scale", "10", "--short"]], "memory": [[2_000, 20_000]]}
"""The arguments of those that have no `quick`."""


def _ours(found: Figures) -> Figures:
    ours: Figures = found["stream_cpu"]["clean"]["ours"]
    return ours


def _over_floor(found: Figures) -> float:
    floor: float = found["stream_cpu"]["clean"][clients.FLOOR]["peak_mib"]
    return float(_ours(found)["peak_mib"] - floor)


def _ceiling(found: Figures, pages: str) -> float:
    return float(found["ceiling"][f"{pages}, read_ahead=12"]["of the ceiling"])


def _on_redis(found: Figures, kinds: str, milliseconds: int, what: str) -> float:
    return float(found["redis_limiter"][f"{kinds}, {milliseconds} ms to Redis"][what])


TARGETS: tuple[tuple[str, Callable[[Figures], float], float, str, bool], ...] = (
    ("processor time of a stream", lambda found: _ours(found)["times_floor"], 1.6, "x floor", True),
    ("peak memory of a stream over the floor", _over_floor, 40, "MiB", True),
    (
        "the provider's client beside ours",
        lambda found: found["stream_cpu"]["clean"]["provider"]["times_ours"],
        -4,
        "x",
        True,
    ),
    ("longest stall of the event loop", lambda found: found["decode"]["stall"]["share"], 0.5, "x msgspec", True),
    ("contacts.get", lambda found: found["calls"]["times_raw"], 1.5, "x raw", True),
    ("import, over aiohttp", lambda found: found["imports"]["over_aiohttp_ms"], 60, "ms", True),
    ("48 pages at 1 s", lambda found: _ceiling(found, "48 pages at 1.0 s"), 1.2, "x ceiling", False),
    ("the first stream, 48 pages at 1 s", lambda found: found["trust"]["first"], 1.1, "x ideal", True),
    ("the second stream, 48 pages at 1 s", lambda found: found["trust"]["second"], 1.06, "x ideal", True),
    (
        "a sync of 200,000 deleted contacts",
        lambda found: found["changes"]["moves updated_at"]["same week"],
        6,
        "",
        True,
    ),
    ("400 pages at 2.5 s", lambda found: _ceiling(found, "400 pages at 2.5 s"), 1.12, "x ceiling", False),
    ("upserting many at 300 ms", lambda found: found["many"]["share_300_ms"], -0.95, "x ceiling", False),
    (
        "8 processes on one key",
        lambda found: _on_redis(found, "8 streams", 0, "of the ceiling"),
        -0.95,
        "x ceiling",
        True,
    ),
    (
        "the same, 50 ms to Redis",
        lambda found: _on_redis(found, "8 streams", 50, "of the ceiling"),
        -0.9,
        "x ceiling",
        True,
    ),
    (
        "requests of them refused, 5 ms to Redis",
        lambda found: _on_redis(found, "8 streams", 5, "refused"),
        0,
        "",
        True,
    ),
    (
        "commands per request of theirs",
        lambda found: _on_redis(found, "7 streams, 1 caller", 0, "commands"),
        3,
        "",
        True,
    ),
    (
        "a caller's wait beside 7 streams",
        lambda found: _on_redis(found, "7 streams, 1 caller", 0, "wait"),
        0.6,
        "s",
        True,
    ),
    ("memory of importing 100,000 rows", lambda found: found["bulk"]["mappings"]["over_idle_mib"], 40, "MiB", True),
    ("requests of importing 100,000 rows", lambda found: found["bulk"]["mappings"]["requests"], 150, "", True),
    ("processor time of a row", lambda found: found["bulk"]["mappings"]["times_msgspec"], 3, "x msgspec", True),
    ("memory of saving 100 MB", lambda found: found["bulk"]["export"]["over_idle_mib"], 20, "MiB", True),
    (
        "copying 25,000 contacts at the limit",
        lambda found: found["mirror"]["at the limit"]["share of a processor"],
        0.25,
        "processor",
        False,
    ),
    (
        "memory of ten times the contacts",
        lambda found: found["memory"]["200000"] / found["memory"]["20000"],
        1.15,
        "x",
        False,
    ),
)
"""What is promised: a name, where the figure stands, the most that it may be (negative: the least), its unit, and
whether a short run can tell."""
_LIBRARIES = ("aiohttp", "attrs", "cattrs", "msgspec", "orjson", "pydantic", "constant-contact-api-client", "urllib3")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs, for a look or for CI; writes nothing")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, help="run these; writes nothing")
    given = parser.parse_args()
    figures = {name: _run(name, quick=given.quick) for name in given.only or BENCHMARKS}
    table("Targets", ["", "figure", "target", ""], _targets(figures, quick=given.quick))
    if not (given.quick or given.only):
        results = _rounded(_circumstances() | figures)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        importlib.import_module(".chart", __package__).draw(results, HERE)
        write_readme()
        print(f"\nWritten: {RESULTS.name}, the charts, and the block of the README.")


def _run(name: str, *, quick: bool) -> Figures:
    run = importlib.import_module(f".{name}", __package__).main
    if "quick" in inspect.signature(run).parameters:
        found: Figures | None = run(quick=quick)
    else:
        print()
        found = run(*(_SHORT.get(name, ()) if quick else ()))
    return {str(key): value for key, value in (found or {}).items()}


def _circumstances() -> Figures:
    """What the figures depend on, without a word about whose machine it was."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "system": platform.system(),
        "cpus": os.cpu_count(),
        "versions": {name: metadata.version(name) for name in _LIBRARIES if _installed(name)},
    }


def _installed(name: str) -> bool:
    return any(True for _ in metadata.distributions(name=name))


def _rounded(value: Any) -> Any:
    """Four digits, because the others are noise."""
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _targets(figures: Figures, *, quick: bool) -> Iterator[list[str]]:
    """What was promised beside what was measured; of some targets a short run tells nothing."""
    for what, find, bound, unit, any_run in TARGETS:
        try:
            figure = find(figures)
        except KeyError:  # not run, or a library is not installed
            continue
        if any_run or not quick:
            met = figure <= bound if bound >= 0 else figure >= -bound
            sign = "<=" if bound >= 0 else ">="
            yield [what, f"{figure:.2f} {unit}", f"{sign} {abs(bound):g} {unit}", "met" if met else "MISSED"]


if __name__ == "__main__":
    main()
