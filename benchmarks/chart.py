"""Draws `benchmarks/results.json` as the two charts of the README: `python -m benchmarks.chart`.

The same results give the same bytes. Paper is transparent and ink is grey, to be read on white as on black.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import clients
from .readme import CHARTS, HERE, RESULTS

_INK = "#7d8590"
_OURS = "#2f81f7"
_OTHERS = "#9aa4af"
_STYLE: Any = {
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "svg.fonttype": "none",  # text stays text, which is small and sharp
    "svg.hashsalt": "cc_async",
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def main() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    draw(results, HERE)


def draw(results: dict[str, Any], folder: Path) -> None:
    """Draw each chart whose figures are there."""
    with mpl.rc_context(_STYLE):
        for name, section in CHARTS.items():
            if section in results:
                figure = Figure(figsize=(7.2, 3.0), layout="constrained")
                _PLOTS[section](figure.subplots(), results[section])
                nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
                figure.savefig(folder / name, format="svg", transparent=True, metadata=nothing)


def _cpu(axes: Axes, stream: dict[str, Any]) -> None:
    able = {name: found for name, found in stream["clean"].items() if "failed" not in found}
    names = list(reversed(able))
    values = [able[name]["cpu_us"] for name in names]
    bars = axes.barh(
        [clients.NAMES[name] for name in names], values, color=[_OURS if name == "ours" else _OTHERS for name in names]
    )
    axes.bar_label(bars, [f"{value:.0f} µs" for value in values], padding=4)
    axes.set_xlim(0, max(values) * 1.12)
    axes.set_xlabel("processor time for one full contact, streamed")
    axes.tick_params(axis="y", length=0)


def _latency(axes: Axes, latency: dict[str, Any]) -> None:
    rows = latency["by_latency"]
    places = [row["latency"] for row in rows]
    axes.plot(places, [row["ceiling"] for row in rows], color=_INK, linestyle="--", label="the limit's ceiling")
    axes.plot(places, [row["read_ahead"] for row in rows], color=_OURS, marker="o", label="cc_async, read ahead")
    axes.plot(places, [row["one_at_a_time"] for row in rows], color=_OTHERS, marker="s", label="one page at a time")
    axes.set_ylim(0, max(row["ceiling"] for row in rows) * 1.15)
    axes.set_xlabel("latency of a response, in seconds")
    axes.set_ylabel("contacts a second, 500 a page")
    axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))


_PLOTS = {"stream_cpu": _cpu, "latency": _latency}


if __name__ == "__main__":
    main()
