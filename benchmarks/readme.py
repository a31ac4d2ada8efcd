"""Writes the figures of `benchmarks/results.json` into the README: `python -m benchmarks.readme`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import clients

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
README = HERE.parent / "README.md"
CHARTS = {"latency.svg": "latency", "cpu.svg": "stream_cpu"}
"""The charts, and the results that each of them shows."""

_BLOCK = re.compile(r"(?<=<!-- benchmarks:begin -->\n).*?(?=<!-- benchmarks:end -->)", re.DOTALL)
_SHOWN = ("aiohttp", "attrs", "cattrs", "msgspec", "orjson", "pydantic", "constant-contact-api-client")


def main() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = README.read_text(encoding="utf-8")
    README.write_text(_BLOCK.sub(lambda _: block(results), text), encoding="utf-8")


def current(text: str) -> str:
    """Return the text between the markers of a README."""
    found = _BLOCK.search(text)
    if found is None:
        raise ValueError("The README needs the lines <!-- benchmarks:begin --> and <!-- benchmarks:end -->.")
    return found.group()


def block(results: dict[str, Any]) -> str:
    """Return the text that belongs between the markers."""
    return "\n".join(["", *_lines(results), ""])


def _lines(results: dict[str, Any]) -> Iterator[str]:
    yield "| | CPU time per contact | relative to the floor | peak memory |"
    yield "|---|---:|---:|---:|"
    for name, found in results["stream_cpu"]["clean"].items():
        if "failed" in found:
            yield f"| {_title(name)} | {found['failed']} | | |"
        else:
            time, memory = f"{found['cpu_us']:.0f} µs", f"{found['peak_mib']:.0f} MiB"
            yield f"| {_title(name)} | {time} | {found['times_floor']:.2f} x | {memory} |"
    yield ""
    yield "| | measured |"
    yield "|---|---:|"
    yield from (f"| {what} | {figure} |" for what, figure in _figures(results))
    yield ""
    versions = ", ".join(f"{name} {results['versions'][name]}" for name in _SHOWN if name in results["versions"])
    yield f"{results['date']}, Python {results['python']}, {results['cpus']} processors, {versions}."


def _figures(results: dict[str, Any]) -> Iterator[tuple[str, str]]:
    stream, stall, ceiling = results["stream_cpu"], results["decode"]["stall"], results["ceiling"]
    refusing = [name for name, found in stream["odd"].items() if "failed" in found]
    yield "CPU time per contact, with a malformed value in every twentieth", f"{stream['odd']['ours']['cpu_us']:.0f} µs"
    yield "clients that refuse such a page", f"{len(refusing)} of {len(stream['odd'])}"
    yield "longest stall of the event loop while a page of 500 is decoded", f"{stall['longest_ms']:.1f} ms"
    yield "that stall, relative to decoding the page at once", f"{stall['share']:.0%}"
    yield "`contacts.get`, relative to the same request written by hand", f"{results['calls']['times_raw']:.2f} x"
    yield "`import cc_async`, in addition to `import aiohttp`", f"{results['imports']['over_aiohttp_ms']:.0f} ms"
    for read_ahead, what in ((12, "pages fetched ahead"), (0, "one page at a time")):
        row = ceiling[f"48 pages at 1.0 s, read_ahead={read_ahead}"]
        yield f"48 pages at 1 s of latency, {what}", f"{row['seconds']:.1f} s"
    if shared := results.get("redis_limiter"):  # which needs a server
        for milliseconds in (0, 50):
            run = shared[f"8 streams, {milliseconds} ms to Redis"]
            what = (
                f"8 processes on one key through Redis, {milliseconds} ms away: share of the ceiling, requests refused"
            )
            yield what, f"{run['of the ceiling']:.0%}, {run['refused']}"
    for size, mebibytes in results["memory"].items():
        yield f"peak memory of streaming {int(size):,} contacts", f"{mebibytes:.0f} MiB"


def _title(name: str) -> str:
    title = clients.NAMES[name]
    return f"**{title}**" if name == "ours" else f"{title} (the floor)" if name == clients.FLOOR else title


if __name__ == "__main__":
    main()
