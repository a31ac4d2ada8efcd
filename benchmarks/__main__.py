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
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import clients
from readme import HERE, RESULTS, main as write_readme
from rounds import Figures, table

BENCHMARKS = ("stream_cpu", "decode", "calls", "imports", "latency", "ceiling", "memory", "limiter")
_SHORT: dict[str, Any] = {"ceiling": [["--scale", "10", "--short"]], "memory": [[2_000, 20_000]]}
"""The arguments of those that have no `quick`."""
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
        importlib.import_module("chart").draw(results, HERE)
        write_readme()
        print(f"\nWritten: {RESULTS.name}, the charts, and the block of the README.")


def _run(name: str, *, quick: bool) -> Figures:
    run = importlib.import_module(name).main
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


def _targets(figures: Figures, *, quick: bool) -> list[list[str]]:
    """What was promised beside what was measured; of the last three, short runs tell nothing."""
    rows: list[list[str]] = []

    def say(what: str, figure: float, bound: float, unit: str, *, at_least: bool = False) -> None:
        met = figure >= bound if at_least else figure <= bound
        sign = ">=" if at_least else "<="
        rows.append([what, f"{figure:.2f} {unit}", f"{sign} {bound:g} {unit}", "met" if met else "MISSED"])

    if "stream_cpu" in figures:
        clean = figures["stream_cpu"]["clean"]
        floor, ours, theirs = clean[clients.FLOOR], clean["ours"], clean["provider"]
        say("processor time of a stream", ours["times_floor"], 1.6, "x floor")
        say("peak memory of a stream over the floor", ours["peak_mib"] - floor["peak_mib"], 40, "MiB")
        if "failed" not in theirs:
            say("the provider's client beside ours", theirs["times_ours"], 4, "x", at_least=True)
    if "decode" in figures:
        say("longest stall of the event loop", figures["decode"]["stall"]["share"] * 100, 50, "% of msgspec")
    if "calls" in figures:
        say("contacts.get", figures["calls"]["times_raw"], 1.5, "x raw")
    if "imports" in figures:
        say("import, over aiohttp", figures["imports"]["over_aiohttp_ms"], 100, "ms")
    for what, bound in (("48 pages at 1.0 s, read_ahead=12", 1.2), ("400 pages at 2.5 s, read_ahead=12", 1.12)):
        if what in figures.get("ceiling", {}) and not quick:
            say(what, figures["ceiling"][what]["of the ceiling"], bound, "x ceiling")
    if "memory" in figures and not quick:
        say("memory of ten times the contacts", figures["memory"]["200000"] / figures["memory"]["20000"], 1.15, "x")
    return rows


if __name__ == "__main__":
    main()
