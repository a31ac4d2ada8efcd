"""What the docstrings of the public names show."""

import inspect
import re

import cc_async
from cc_async import mirror, redis, sandbox
from cc_async.opentelemetry import OpenTelemetryObserver

PUBLIC = {
    **{name: getattr(cc_async, name) for name in cc_async.__all__ if name != "__version__"},
    **{name: getattr(redis, name) for name in redis.__all__},
    **{name: getattr(mirror, name) for name in mirror.__all__ if name != "tables"},
    **{name: getattr(sandbox, name) for name in sandbox.__all__},
    "OpenTelemetryObserver": OpenTelemetryObserver,
}
NAMES = sorted(PUBLIC)


def docstring(name: str) -> str:
    return inspect.getdoc(PUBLIC[name]) or ""


def example(name: str) -> str:
    """Return the indented block that is no section such as `Raises:`, or nothing."""
    found = re.search(r"(?<=\n\n)(?: {4}.*\n|\n)+", f"{docstring(name)}\n")
    return inspect.cleandoc(f"\n{found.group()}") if found else ""
