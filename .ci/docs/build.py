"""Builds the documentation: `python .ci/docs/build.py TARGET`, with each warning an error.

The pages are README, guide and changelog as they stand, and a reference in which every public name has its place.
"""

import importlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from sphinx.cmd.build import main as sphinx
from sphinx.util.inventory import InventoryFile

import cc_async

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
PAGES: Final = {
    "client": ("The client", ["client", "http", "codec", "_version"]),
    "results": ("Streams and results", ["streams", "resources"]),
    "models": ("Models", ["models"]),
    "tokens": ("Tokens", ["oauth"]),
    "limits": ("Rate limits", ["limits"]),
    "observers": ("Observers", ["observer"]),
    "errors": ("Errors", ["errors"]),
}
"""The pages of the names of `cc_async`: a heading, and the modules that define what belongs there."""
OPERATIONS: Final = ("contacts", "lists", "tags", "custom_fields", "segments", "activities", "account")
EXTRAS: Final = sorted(metadata.metadata("cc-async").get_all("Provides-Extra", ()))
MODULES: Final = (
    *(f"cc_async.{extra}" for extra in EXTRAS if find_spec(f"cc_async.{extra}") and extra != "cli"),
    "cc_async.testing.limiter",
    "cc_async.testing.token_store",
    "cc_async.sandbox",
)
"""The other modules with public names, each of which has a page of its own."""


def main(target: Path) -> int:
    """Build, check that no public name is missing, and return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        write_source(Path(folder))
        shutil.rmtree(target, ignore_errors=True)
        failed = sphinx(
            ["-q", "-W", "--keep-going", "-E", "-c", str(HERE), "-d", f"{folder}/.cache", folder, str(target)]
        )
    if failed:
        return failed
    missing = sorted(set(public_names()) - documented(target))
    print(*[f"{name} is public, but not documented." for name in missing], sep="\n", end="\n" if missing else "")
    print(f"The documentation is in {target}.")
    return bool(missing)


def write_source(folder: Path) -> None:
    """Write all pages into a folder; those of the repository keep their places, so that their links lead there."""
    pictures = [str(path.relative_to(ROOT)) for path in (ROOT / "benchmarks").glob("*.svg")]
    for path in ("CHANGELOG.md", "cc_async/guide.md", *pictures):
        (folder / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    guide = folder / "cc_async" / "guide.md"
    guide.write_text(guide.read_text(encoding="utf-8").replace("../README.md", "../index.md"), encoding="utf-8")
    reference = folder / "reference"
    reference.mkdir()
    for name, (heading, defined_in) in PAGES.items():
        names = [public for public in cc_async.__all__ if home(public) in defined_in]
        bases = ["   :show-inheritance:"] if name == "errors" else []
        write_page(reference / name, heading, "cc_async", names, *bases)
    for name in OPERATIONS:
        write_page(reference / name, f"cc.{name}", f"cc_async.resources.{name}", operations(name))
    for name in MODULES:
        write_page(reference / name, name, name, names_of(name))
    home_page = (ROOT / "README.md").read_text(encoding="utf-8")
    for caption, pages in (
        ("Guide", ["cc_async/guide"]),
        ("Operations", [f"reference/{name}" for name in OPERATIONS]),
        ("Reference", [f"reference/{name}" for name in (*PAGES, *MODULES)]),
        ("Changes", ["CHANGELOG"]),
    ):
        home_page += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", *pages, "```", ""])
    (folder / "index.md").write_text(home_page, encoding="utf-8")


def write_page(path: Path, heading: str, module: str, names: Iterable[str], *options: str) -> None:
    """Write a page that documents some names of a module, below a docstring of a module."""
    lines = [heading, "=" * len(heading), ""]
    introduction = f"cc_async.{path.name}" if path.name == "errors" else module
    if introduction != "cc_async":
        lines += [f".. automodule:: {introduction}", "   :no-members:", ""]
    lines += [f".. currentmodule:: {module}", ""]
    for name in names:
        value = getattr(importlib.import_module(module), name)
        kind = "class" if isinstance(value, type) else "function" if callable(value) else "data"
        inherited = ["   :inherited-members:"] if kind == "class" and has_private_base(value) else []
        lines += [f".. auto{kind}:: {name}", *options, *inherited, ""]
    path.with_name(f"{path.name}.rst").write_text("\n".join(lines), encoding="utf-8")


def has_private_base(value: type) -> bool:
    """Whether a class has members that the page of no other class has."""
    ours = [base.__name__ for base in value.__mro__[1:] if base.__module__.startswith("cc_async.")]
    return not set(ours) <= set(cc_async.__all__)


def home(name: str) -> str:
    """Return the module or package within `cc_async` that defines a public name."""
    return "_version" if name == "__version__" else str(getattr(cc_async, name).__module__).split(".")[1]


def names_of(module: str) -> list[str]:
    """Return the public names of a module: `__all__`, or what it defines without an underscore."""
    found = importlib.import_module(module)
    own = [name for name, value in vars(found).items() if getattr(value, "__module__", "") == module]
    return getattr(found, "__all__", None) or [name for name in own if not name.startswith("_")]


def operations(noun: str) -> tuple[str, str]:
    """Return the names of the two classes behind an attribute of the client."""
    name = noun.title().replace("_", "")
    return name, f"{name}WithHttpInfo"


def public_names() -> Iterator[str]:
    """Yield every name that the documentation must have."""
    for module in ("cc_async", *MODULES):
        yield from (f"{module}.{name}" for name in names_of(module))


def documented(target: Path) -> set[str]:
    """Return every name that a built documentation has."""
    inventory = InventoryFile.loads((target / "objects.inv").read_bytes(), uri="")
    return {name for kind, objects in inventory.data.items() if kind.startswith("py:") for name in objects}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
