"""A local server that behaves like the Constant Contact V3 API, for tests and demonstrations."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .answers import Refused
    from .faults import Fault
    from .server import Record, Sandbox, serve
    from .settings import Settings
    from .store import Store

__all__ = ["Fault", "Record", "Refused", "Sandbox", "Settings", "Store", "serve"]
_HOMES = {
    "Fault": "faults",
    "Record": "server",
    "Refused": "answers",
    "Sandbox": "server",
    "Settings": "settings",
    "Store": "store",
    "serve": "server",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for; pytest loads the plugin in this package at every start."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
