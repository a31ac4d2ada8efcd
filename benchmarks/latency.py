"""How fast a stream is at each latency, read ahead and one page at a time, under 4 requests a second.

All times are divided by five, the limit's window with them, so that this takes a minute instead of five.
"""

import argparse

from .ceiling import RATE, measure, stream
from .rounds import Figures, table

PAGES = 48
SCALE = 5.0
LATENCIES = (0.1, 0.25, 0.5, 1.0, 1.5, 2.5)
PAGE_SIZE = 500
"""Contacts a page that the figures speak of; those measured are smaller, because only their number counts."""


def main(*, quick: bool = False) -> Figures:
    pages, latencies = (12, (0.25, 1.0)) if quick else (PAGES, LATENCIES)
    rows = [_at(latency, pages) for latency in latencies]
    table(
        f"{pages} pages of {PAGE_SIZE} contacts by latency: contacts a second",
        ["latency, s", "one at a time", "read ahead", "ceiling"],
        [[f"{row['latency']}", *(f"{row[name]:,.0f}" for name in list(row)[1:])] for row in rows],
    )
    return {"pages": pages, "scale": SCALE, "by_latency": rows}


def _at(latency: float, pages: int) -> Figures:
    strategies = {"one_at_a_time": stream(0, SCALE), "read_ahead": stream(12, SCALE)}
    found = measure(pages, latency, SCALE, strategies)
    seconds = dict(zip(strategies, (row["seconds"] for row in found.values()), strict=True))
    seconds["ceiling"] = pages / RATE + latency
    return {"latency": latency} | {name: pages * PAGE_SIZE / used for name, used in seconds.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pages and latencies")
    main(quick=parser.parse_args().quick)
