"""Writes the figures of `benchmarks/results.json` into the README: `python benchmarks/readme.py`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clients

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
    """What now stands between the markers of a README."""
    found = _BLOCK.search(text)
    if found is None:
        raise ValueError("The README needs the lines <!-- benchmarks:begin --> and <!-- benchmarks:end -->.")
    return found.group()


def block(results: dict[str, Any]) -> str:
    """The text that belongs between the markers."""
    return "\n".join(["", *_lines(results), ""])


def _lines(results: dict[str, Any]) -> Iterator[str]:
    stream = results["stream_cpu"]
    yield f"Streaming {stream['contacts']:,} full contacts (3 KB, every sub-resource), each client in its own process:"
    yield ""
    yield "| | processor time a contact | beside the floor | peak memory |"
    yield "|---|---:|---:|---:|"
    for name, found in stream["clean"].items():
        if "failed" in found:
            yield f"| {_title(name)} | {found['failed']} | | |"
        else:
            yield (
                f"| {_title(name)} | {found['cpu_us']:.0f} µs | {found['times_floor']:.2f} x | "
                f"{found['peak_mib']:.0f} MiB |"
            )
    yield ""
    yield from _sentences(results)
    yield ""
    for chart, section in CHARTS.items():
        if section in results:
            yield f"![{_ALT[section]}](benchmarks/{chart})"
            yield ""
    versions = ", ".join(f"{name} {results['versions'][name]}" for name in _SHOWN if name in results["versions"])
    yield (
        f"Measured on {results['date']} with Python {results['python']} on {results['cpus']} processors: {versions}. "
        "`nox -s bench` measures again, and writes these lines."
    )


def _sentences(results: dict[str, Any]) -> Iterator[str]:
    stream, stall = results["stream_cpu"], results["decode"]["stall"]
    calls = results["calls"]
    if "failed" not in (theirs := stream["clean"]["provider"]):
        yield f"- The provider's own client costs {theirs['times_ours']:.1f} times as much processor time."
    refusing = [
        clients.NAMES[name]
        for name, found in stream["odd"].items()
        if "failed" in found and "failed" not in stream["clean"][name]
    ]
    yield (
        f"- With an odd value in one contact of twenty: {stream['odd']['ours']['cpu_us']:.0f} µs a contact, and every "
        f"other value comes through{_refused(refusing)}."
    )
    yield (
        f"- While a page of 500 is streamed, the event loop is held up for {stall['longest_ms']:.1f} ms at most (a "
        f"median over pages), which is {stall['share']:.0%} of decoding it in one go."
    )
    yield (
        f"- `contacts.get` costs {calls['times_raw']:.2f} times the processor time of the same request by hand; "
        f"`import cc_async` takes {results['imports']['over_aiohttp_ms']:.0f} ms more than `import aiohttp`."
    )
    yield _ceiling_sentence(results["ceiling"])
    yield _memory_sentence(results["memory"])


def _ceiling_sentence(ceiling: dict[str, Any]) -> str:
    by_name = {name.rpartition(", ")[2]: row for name, row in ceiling.items() if name.startswith("48 pages")}
    ahead, single = by_name["read_ahead=12"], by_name["read_ahead=0"]
    return (
        f"- 48 pages at 1 s of latency and 4 requests a second take {ahead['seconds']:.1f} s, "
        f"{ahead['of the ceiling']:.2f} times the least that the limit allows; one page at a time takes "
        f"{single['seconds']:.1f} s."
    )


def _memory_sentence(memory: dict[str, float]) -> str:
    peaks = "; ".join(f"{int(size):,} contacts {megabytes:.0f} MB" for size, megabytes in memory.items())
    return f"- Peak memory by the size of the collection, against the sandbox: {peaks}."


def _refused(names: list[str]) -> str:
    return f" (refuse the whole page: {', '.join(names)})" if names else ""


def _title(name: str) -> str:
    title = clients.NAMES[name]
    return f"**{title}**" if name == "ours" else f"{title} (the floor)" if name == clients.FLOOR else title


_ALT = {
    "latency": "Contacts a second by latency: one page at a time, read ahead, and the ceiling of the limit",
    "stream_cpu": "Processor time for one contact by client",
}


if __name__ == "__main__":
    main()
