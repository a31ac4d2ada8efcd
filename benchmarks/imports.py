"""How long `import cc_async` takes, beside `import aiohttp` and the provider's client, in fresh processes."""

import argparse
import statistics

from .rounds import Figures, child, interleaved, median, table

ROUNDS = 15
_PACKAGES = ("aiohttp", "cc_async", "constant_contact_api_client")
_PROGRAM = """
from time import perf_counter
before = perf_counter()
try:
    import {name}
except ModuleNotFoundError:
    print('{{"failed": "not installed"}}')
else:
    print('{{"ms":', (perf_counter() - before) * 1e3, '}}')
"""


def main(*, quick: bool = False) -> Figures:
    rounds = 5 if quick else ROUNDS
    first = {name: _measure(name) for name in _PACKAGES}  # which also compiles the modules
    able = [name for name in _PACKAGES if "failed" not in first[name]]
    found = interleaved(able, rounds, _measure)
    figures: Figures = {f"{name}_ms": median(found[name], "ms") for name in able}
    pairs = zip(found["cc_async"], found["aiohttp"], strict=True)
    figures["over_aiohttp_ms"] = statistics.median(ours["ms"] - theirs["ms"] for ours, theirs in pairs)
    rows = [[f"import {name}", f"{figures[f'{name}_ms']:.0f}"] for name in able]
    table("Importing, in a fresh process", ["", "ms"], [*rows, ["over aiohttp", f"{figures['over_aiohttp_ms']:+.0f}"]])
    return {"rounds": rounds, **figures}


def _measure(name: str) -> Figures:
    return child("-c", _PROGRAM.format(name=name))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    main(quick=parser.parse_args().quick)
