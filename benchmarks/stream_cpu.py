"""What streaming contacts costs: processor time a contact and peak memory, each client in a process of its own.

Counted is the processor time, user and system, of the whole process, from the moment when all imports are done to the
end of the last page: imports are in nobody's figure, the making and closing of the client are in everybody's.
The peak of memory is that of the process, imports included.
"""

import argparse
import importlib
import json
import logging
import time

from . import clients, data
from .rounds import Figures, child, interleaved, median, peak_memory, ratio, table
from .server import serving

PAGES = 40
ROUNDS = 9


def main(*, quick: bool = False) -> Figures:
    pages, rounds = (8, 3) if quick else (PAGES, ROUNDS)
    contacts = pages * data.PAGE_SIZE
    with serving(pages) as origin:
        clean = _compare(f"{origin}/clean/v3", rounds)
        odd = _compare(f"{origin}/odd/v3", rounds)
    _print(f"Streaming {contacts:,} full contacts: processor time and peak memory (medians of {rounds} rounds)", clean)
    _print("The same where one contact in twenty holds a malformed value", odd)
    return {"contacts": contacts, "rounds": rounds, "clean": clean, "odd": odd}


def _compare(base_url: str, rounds: int) -> Figures:
    """The medians of each client, or the exception it ended with."""
    first = {name: _measure(name, base_url) for name in clients.NAMES}
    able = [name for name in clients.NAMES if "failed" not in first[name]]
    found = interleaved(able, rounds, lambda name: _measure(name, base_url))
    compared: Figures = {name: first[name] for name in clients.NAMES if name not in able}
    for name in able:
        compared[name] = {
            "cpu_us": median(found[name], "cpu_us"),
            "times_floor": ratio(found[name], found[clients.FLOOR], "cpu_us"),
            "times_ours": ratio(found[name], found["ours"], "cpu_us"),
            "peak_mib": median(found[name], "peak_mib"),
            "contacts": found[name][0]["contacts"],
        }
    return {name: compared[name] for name in clients.NAMES}


def _measure(name: str, base_url: str) -> Figures:
    return child("-m", __spec__.name, "--client", name, "--base-url", base_url)


def _stream(name: str, base_url: str) -> Figures:
    """Stream once, in this process."""
    try:
        stream = importlib.import_module(f".clients.{name}", __package__).stream
    except ModuleNotFoundError as missing:
        return {"failed": f"{missing.name} is not installed"}
    logging.getLogger("cc_async").addHandler(logging.NullHandler())  # malformed values are logged, once a page
    before = time.process_time()
    try:
        count = stream(base_url)
    except Exception as refused:  # noqa: BLE001  # each library has its own, and its name is the finding
        return {"failed": type(refused).__name__}
    used = time.process_time() - before
    return {"cpu_us": used / count * 1e6, "peak_mib": peak_memory(), "contacts": count}


def _print(title: str, compared: Figures) -> None:
    rows = []
    floor = compared[clients.FLOOR]["peak_mib"]
    for name, found in compared.items():
        if "failed" in found:
            rows.append([clients.NAMES[name], f"({found['failed']})", "", "", ""])
            continue
        over = found["peak_mib"] - floor
        rows.append(
            [
                clients.NAMES[name],
                f"{found['cpu_us']:.1f}",
                f"{found['times_floor']:.2f}",
                f"{found['peak_mib']:.0f}",
                f"{over:+.0f}",
            ]
        )
    table(title, ["", "µs a contact", "x floor", "peak MiB", "over floor"], rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer contacts and rounds")
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--base-url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.client:
        print(json.dumps(_stream(given.client, given.base_url)))
    else:
        main(quick=given.quick)
