"""The order of the rooms: imports point downwards, and what an application never needs is never imported."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import cc_async
from cc_async import errors

ROOT = Path(cc_async.__file__).parent
ROOMS = [
    *("__main__", "cli"),
    *("mirror",),
    *("__init__",),
    *("client",),
    *("resources",),
    *("streams",),
    *("http",),
    *("redis", "testing", "opentelemetry"),
    *("oauth",),
    *("limits",),
    *("codec",),
    *("wire",),
    *("models",),
    *("_tasks", "errors", "_headers", "_secrets", "_version", "observer"),
]
"""From the top down: a folder, or a file that has none, may import what stands below it."""
FILES = sorted(ROOT.rglob("*.py"))


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(file: Path) -> Iterator[str]:
    """The modules of the package that a file imports, wherever in it, by their names within the package."""
    package = ["cc_async", *file.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("cc_async.") for alias in node.names if is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            if is_ours(module):
                for alias in node.names:
                    whole = f"{module}.{alias.name}"
                    path = ROOT.parent.joinpath(*whole.split("."))
                    inner = path.with_suffix(".py").exists() or path.is_dir()
                    yield (whole if inner else module).removeprefix("cc_async").removeprefix(".") or "__init__"


def is_ours(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] == "cc_async"


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_point_downwards(file: Path) -> None:
    here = room(name_of(file))
    for module in imports(file):
        there = room(module)
        if here == "sandbox":
            assert there == "sandbox", f"the sandbox knows {module} of the client"
        elif there == "sandbox":
            assert here in {"cli", "__main__"}, f"{here} imports the sandbox"
        elif here != there:
            assert ROOMS.index(here) < ROOMS.index(there), f"{here} imports {module} from above"


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {name_of(file): set(imports(file)) for file in FILES}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def test_every_folder_has_its_place_in_the_order() -> None:
    assert {room(name_of(file)) for file in FILES} - {"sandbox"} == set(ROOMS)


def test_nothing_is_imported_by_a_name_that_the_checks_cannot_see() -> None:
    hidden = re.compile(r"\bimportlib\b|\b__import__\b")
    assert [name_of(file) for file in FILES if hidden.search(file.read_text(encoding="utf-8"))] == []


def test_the_check_sees_imports_of_every_kind() -> None:
    assert "wire.links" in set(imports(ROOT / "codec" / "decode.py"))
    assert "resources.contacts.calls" in set(imports(ROOT / "resources" / "contacts" / "__init__.py"))
    assert "sandbox.responses" in set(imports(ROOT / "sandbox" / "server.py"))


def test_no_file_is_longer_than_one_can_hold_in_mind() -> None:
    tests = Path(__file__).parent
    files = [*FILES, *tests.rglob("*.py"), *(tests.parent / "benchmarks").rglob("*.py")]
    assert [file.name for file in files if len(file.read_text(encoding="utf-8").splitlines()) > 400] == []


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_no_function_is_longer_than_a_screen(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            begins = node.body[1:2] if ast.get_docstring(node) else node.body[:1]
            length = (node.end_lineno or 0) - begins[0].lineno + 1 if begins else 0
            assert length <= 40, f"{node.name} has {length} lines"


def messages(file: Path) -> Iterator[tuple[int, str]]:
    """The message of every error of ours that a file raises as a literal; an interpolated value reads as `X`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args):
            continue
        raised, message = node.exc.func, node.exc.args[0]
        if isinstance(raised, ast.Name) and raised.id in vars(errors):
            if isinstance(message, ast.Constant):
                yield node.lineno, str(message.value)
            elif isinstance(message, ast.JoinedStr):
                parts = (str(part.value) if isinstance(part, ast.Constant) else "X" for part in message.values)
                yield node.lineno, "".join(parts)


def test_every_message_is_a_sentence() -> None:
    """It starts with a capital letter, or with the parameter it is about; it ends with a period or a question mark."""
    trees = [ast.parse(file.read_text()) for file in FILES]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    parameters = {node.arg for node in nodes if isinstance(node, ast.arg)}
    parameters |= {ast.unparse(node.target) for node in nodes if isinstance(node, ast.AnnAssign)}
    found = [(name_of(file), line, text) for file in FILES for line, text in messages(file)]
    assert len(found) > 50
    assert [
        (name, line, text)
        for name, line, text in found
        if not (text[0].isupper() or re.split(r"\W", text)[0] in parameters) or text[-1] not in ".?"
    ] == []


def test_importing_the_package_imports_neither_the_models_nor_the_sandbox_nor_the_command_line() -> None:
    program = "import sys, cc_async; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)  # noqa: S603  # our own
    modules = run.stdout.split()
    assert "cc_async.client" in modules
    assert not [name for name in modules if name.startswith(("cc_async.models.c", "cc_async.resources.c"))]
    unwanted = {"cc_async.sandbox", "cc_async.cli", "cc_async.__main__", "rich", "pytest", "aiohttp.web"}
    assert unwanted.isdisjoint(modules)
