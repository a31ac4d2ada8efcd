"""What it costs to make contacts of the bytes of a page, and how long that holds up the event loop.

Each way is measured in a process of its own, in turns; the time is the processor's.
"""

import argparse
import asyncio
import importlib
import json
import statistics
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from . import clients, data
from .rounds import Figures, child, interleaved, median, ratio, table
from .server import serving

PAGES = 6
REPEATS = 4
ROUNDS = 7
STREAMED = 40

WAYS = {
    "raw": "orjson, dicts",
    "bare_msgspec": "msgspec, the whole page at once",
    "ours": "cc_async, in slices",
    "tolerant": "cc_async, the tolerant way alone",
    "pydantic_v2": "pydantic v2",
    "cattrs_defaults": "cattrs as it comes",
    "provider": "constant-contact-api-client's models",
}
_FLOOR = "bare_msgspec"


def main(*, quick: bool = False) -> Figures:
    rounds, pages = (3, 8) if quick else (ROUNDS, STREAMED)
    first = {way: child("-m", __spec__.name, "--way", way) for way in WAYS}
    able = [way for way in WAYS if "failed" not in first[way]]
    found = interleaved(able, rounds, lambda way: child("-m", __spec__.name, "--way", way))
    ways: Figures = {way: first[way] for way in WAYS if way not in able}
    for way in able:
        page_ms = median(found[way], "page_ms")
        ways[way] = {
            "page_ms": page_ms,
            "contact_us": page_ms / data.PAGE_SIZE * 1e3,
            "times_msgspec": ratio(found[way], found[_FLOOR], "page_ms"),
        }
    with serving(pages) as origin:
        stalls = [child("-m", __spec__.name, "--stall", f"{origin}/clean/v3") for _ in range(rounds)]
    stall = {key: median(stalls, key) for key in ("longest_ms", "bare_ms", "share")}
    _print(ways, stall)
    return {"page_size": data.PAGE_SIZE, "rounds": rounds, "ways": ways, "stall": stall}


def _measure(way: str) -> Figures:
    """The median over several pages, decoded several times, in this process."""
    try:
        decode = _tolerant() if way == "tolerant" else importlib.import_module(f".clients.{way}", __package__).decode
    except ModuleNotFoundError as missing:
        return {"failed": f"{missing.name} is not installed"}
    bodies = [data.page(data.SEED, number, pages=PAGES, path="/v3/contacts") for number in range(1, PAGES + 1)]
    decode(bodies[0])
    times = []
    for body in bodies * REPEATS:
        before = time.process_time()
        made = decode(body)
        times.append(time.process_time() - before)
        assert len(made) == data.PAGE_SIZE  # noqa: S101  # a way that loses contacts is no way
    return {"page_ms": statistics.median(times) * 1e3}


def _tolerant() -> Callable[[bytes], list[Any]]:
    from cc_async import Contact  # noqa: PLC0415  # not in the processes of the other ways
    from cc_async.codec.decode import decode, loads  # noqa: PLC0415  # not in the processes of the other ways

    return lambda body: [decode(plain, Contact).value for plain in loads(body)["contacts"]]


class _Ticker:
    """A task that runs whenever the event loop lets it, and knows how long it once had to wait."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = time.perf_counter()

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            self.longest, self._last = max(self.longest, now - self._last), now

    def begin(self) -> None:
        self.longest, self._last = 0.0, time.perf_counter()


async def _stall(base_url: str) -> Figures:
    """The longest stall while our stream makes a page, beside the time that msgspec takes for it in one go."""
    body = data.page(data.SEED, 1, pages=2, path="/v3/contacts")
    ticker = _Ticker()
    ticking = asyncio.create_task(ticker.tick())
    longest, bare = [], []
    async for _ in _pages(base_url):
        longest.append(ticker.longest)
        before = time.perf_counter()
        made = _bare(body)
        bare.append(time.perf_counter() - before)
        del made
        ticker.begin()
    ticking.cancel()
    shares = [one / other for one, other in zip(longest, bare, strict=True)]
    return {
        "longest_ms": statistics.median(longest) * 1e3,
        "bare_ms": statistics.median(bare) * 1e3,
        "share": statistics.median(shares),
    }


async def _pages(base_url: str) -> AsyncIterator[Any]:
    ours = importlib.import_module(".clients.ours", __package__)
    async with ours.client(base_url) as cc:
        async for page in cc.contacts.list(include=clients.INCLUDE).pages():
            yield page


def _bare(body: bytes) -> Any:
    return importlib.import_module(".clients.bare_msgspec", __package__).decode(body)


def _print(ways: Figures, stall: Figures) -> None:
    rows = [
        [WAYS[way], f"({found['failed']})", "", ""]
        if "failed" in found
        else [WAYS[way], f"{found['page_ms']:.1f}", f"{found['contact_us']:.1f}", f"{found['times_msgspec']:.2f}"]
        for way, found in ways.items()
    ]
    table(f"Decoding {data.PAGE_SIZE} full contacts", ["", "ms a page", "µs a contact", "x msgspec"], rows)
    print(
        f"The longest stall of the event loop while a page is streamed: {stall['longest_ms']:.1f} ms, "
        f"{stall['share']:.0%} of decoding the page in one go ({stall['bare_ms']:.1f} ms)."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pages and rounds")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--stall", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(_measure(given.way)))
    elif given.stall:
        print(json.dumps(asyncio.run(_stall(given.stall))))
    else:
        main(quick=given.quick)
