"""Sphinx configuration of the documentation; `build.py` beside it writes the pages."""

import inspect
import re
from typing import Any, Final, get_type_hints

import attrs
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import GoogleDocstring

import cc_async

project = "cc_async"
version = release = cc_async.__version__
copyright = "the authors of cc_async"  # noqa: A001  # Sphinx calls it so
extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"cc_async {release}"
html_show_sourcelink = html_copy_source = False

default_role = "py:obj"  # docstrings write `Contact` as Markdown does: a link where there is something to link to
add_module_names = False
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "undoc-members": True}

_OPERATIONS: Final = {
    name: inspect.get_annotations(vars(cc_async.ConstantContact)[name].func)["return"]
    for name in ("account", "activities", "contacts", "custom_fields", "lists", "segments", "tags")
}
"""The class behind each attribute of the client, such as `Contacts` for `contacts`."""
_NAME: Final = re.compile(r"[A-Za-z_][\w.]*(\(\))?")


def setup(app: Sphinx) -> None:
    """Connect what this file adds to Sphinx."""
    app.connect("autodoc-process-signature", _hide_constructor)
    app.connect("autodoc-process-docstring", _to_restructured_text)
    app.connect("missing-reference", _resolve)


def _show_plain_types() -> None:
    """Show a `Timestamp`, which is annotated for the decoder, as the datetime that it is."""
    for name in cc_async.__all__:
        value = getattr(cc_async, name)
        for holder in (value, value.__init__) if attrs.has(value) else ():
            hints = get_type_hints(holder)
            holder.__annotations__ = {own: hints[own] for own in holder.__annotations__}


_show_plain_types()


def _hide_constructor(
    _app: Sphinx, what: str, _name: str, _value: Any, _options: Any, signature: str | None, _returned: str | None
) -> tuple[str, None] | None:
    """Hide how an object is made that only the client makes."""
    return ("", None) if what == "class" and re.match(r"\(session: .*\bSession\b", signature or "") else None


def _to_restructured_text(_app: Sphinx, _what: str, _name: str, _value: Any, _options: Any, lines: list[str]) -> None:
    """Mark sections such as `Raises:`, and code, which is indented or between backticks as in Markdown."""
    marked: list[str] = []
    for line in lines:
        text_above = next((above for above in reversed(marked) if above.strip()), "")
        begins = re.match(r" {4}\S", line) and marked and not marked[-1].strip()
        if begins and not re.match(r" {4}|\s*[-*] |.*::$", text_above):
            marked += [".. code-block:: python", ""]
        marked.append(line if line.startswith("    ") else re.sub("(?<!`)`([^`]+)`(?!`)", _quoted, line))
    # Not as an extension: it would take the words before a colon in an attribute's docstring for a type.
    lines[:] = GoogleDocstring(marked).lines()


def _quoted(match: re.Match[str]) -> str:
    """Keep a name, which becomes a link, and mark anything else as code: a reference `.lock` would lose its dot."""
    return match[0] if _NAME.fullmatch(match[1]) else f"``{match[1]}``"


def _resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Element | None:
    """Find what is documented under its public name: `Contact`, `contacts.get`, or a class where it is defined."""
    target = node["reftarget"]
    first, _, rest = target.partition(".")
    candidates = [f"cc_async.{target}", f"cc_async.{target.rpartition('.')[2]}"]
    if first in _OPERATIONS:
        candidates.insert(0, f"cc_async.resources.{first}.{_OPERATIONS[first]}.{rest}")
    python = env.get_domain("py")
    for name in candidates if node.get("refdomain") == "py" else ():
        found = python.resolve_xref(env, node["refdoc"], app.builder, "obj", name, node, content)
        if found is not None:
            return found
    return None
