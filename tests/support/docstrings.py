"""What the docstrings of the public names show."""

import inspect
import re

import cc_async

NAMES = sorted(set(cc_async.__all__) - {"__version__"})


def docstring(name: str) -> str:
    return inspect.getdoc(getattr(cc_async, name)) or ""


def example(name: str) -> str:
    """Return the indented block that is no section such as `Raises:`, or nothing."""
    found = re.search(r"(?<=\n\n)(?: {4}.*\n|\n)+", f"{docstring(name)}\n")
    return inspect.cleandoc(f"\n{found.group()}") if found else ""
