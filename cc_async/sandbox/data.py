"""The data of one account: the small collections by id, the contacts in a table, and the clock."""

from .chance import identifier
from .requests import Document
from .settings import Settings
from .table import Table


class Data:
    """The data that all services read and write, without their rules."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lists: dict[str, Document] = {}  # for e-mail, not deleted
        self.sms_lists: dict[str, Document] = {}
        self.deleted_lists: dict[str, Document] = {}
        self.tags: dict[str, Document] = {}
        self.custom_fields: dict[str, Document] = {}
        self.segments: dict[str, Document] = {}
        self.deleted_segments: dict[str, Document] = {}
        self.contacts = Table(settings, self.lists, self.tags, self.custom_fields)
        self._made = 0

    def now(self) -> int:
        """Return the time in milliseconds."""
        return int(self.settings.clock() * 1000)

    def new_id(self) -> str:
        """Return an id that was not used before."""
        self._made += 1
        return identifier(self.settings.seed, 106, self._made)

    def seeded_ids(self, kind: int, count: int) -> list[str]:
        """Return the ids of a collection that exists from the start, in ascending order."""
        return sorted(identifier(self.settings.seed, kind, place) for place in range(count))
