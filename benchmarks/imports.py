"""How long `import cc_async` takes, beside `import aiohttp` and the provider's client, in fresh processes."""

import argparse
import json
import statistics
import time

from rounds import Figures, child, interleaved, median, table

ROUNDS = 15
_PACKAGES = ("aiohttp", "cc_async", "constant_contact_api_client")


def main(*, quick: bool = False) -> Figures:
    rounds = 5 if quick else ROUNDS
    first = {name: child(__file__, "--package", name) for name in _PACKAGES}  # also writes the byte code
    able = [name for name in _PACKAGES if "failed" not in first[name]]
    found = interleaved(able, rounds, lambda name: child(__file__, "--package", name))
    figures: Figures = {f"{name}_ms": median(found[name], "ms") for name in able}
    pairs = zip(found["cc_async"], found["aiohttp"], strict=True)
    figures["over_aiohttp_ms"] = statistics.median(ours["ms"] - theirs["ms"] for ours, theirs in pairs)
    rows = [[f"import {name}", f"{figures[f'{name}_ms']:.0f}"] for name in able]
    table("Importing, in a fresh process", ["", "ms"], [*rows, ["over aiohttp", f"{figures['over_aiohttp_ms']:+.0f}"]])
    return {"rounds": rounds, **figures}


def _measure(name: str) -> Figures:
    before = time.perf_counter()
    try:
        __import__(name)
    except ModuleNotFoundError:
        return {"failed": f"{name} is not installed"}
    spent = time.perf_counter() - before
    return {"ms": spent * 1e3}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--package", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.package:
        print(json.dumps(_measure(given.package)))
    else:
        main(quick=given.quick)
