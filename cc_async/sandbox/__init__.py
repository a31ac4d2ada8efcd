"""A local server that behaves like the Constant Contact V3 API, for tests and demonstrations."""

from .api.contacts.store import Store
from .faults import Fault
from .responses import Refused
from .server import Record, Sandbox, serve
from .settings import Settings

__all__ = ["Fault", "Record", "Refused", "Sandbox", "Settings", "Store", "serve"]
