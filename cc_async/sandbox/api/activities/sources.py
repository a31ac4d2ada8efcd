"""Bulk changes to the contacts of a source: memberships, taggings and deletion."""

from collections.abc import Iterable, Iterator
from typing import Literal

from cc_async.sandbox.api.contacts.search import Pages
from cc_async.sandbox.api.contacts.store import Store
from cc_async.sandbox.data import Data
from cc_async.sandbox.jobs import Job, Work
from cc_async.sandbox.requests import Document
from cc_async.sandbox.stamps import DAY
from cc_async.sandbox.table import between_commas, has_any

_ACTIVE = "status IN ('explicit', 'implicit')"
_EXPORTED = ("contact_ids", "list_ids", "tag_ids", "segment_id", "new_subscriber")
_LEVELS = ("unqualified", "low", "medium", "high")
_SLICE = 2_000  # contacts, which take some 50 ms


class Sources:
    """Finds the contacts that bulk operations are for, and changes them."""

    def __init__(self, data: Data, store: Store, pages: Pages) -> None:
        self._data, self._store, self._pages = data, store, pages

    def rows(self, source: Document, excluded: Iterable[str] = ()) -> list[int]:
        """Return the rows of a source; ids that are unknown are left out."""
        table = self._data.contacts
        if "contact_ids" in source:
            wanted = (table.find("contact_id", one.lower()) for one in source["contact_ids"])
            found = [row for row in dict.fromkeys(wanted) if row is not None]
            return [row for row in found if table.entry(row).status != "deleted"]
        left_out = {table.find("contact_id", one.lower()) for one in excluded}
        return [row for row in table.search(*self._condition(source)) if row not in left_out]

    def exported(self, body: Document) -> list[int]:
        """Return the rows of an export; without any filter, all contacts that are not deleted."""
        excluded, status = body.get("exclude", {}).get("contact_ids", ()), body.get("status")
        source = {name: body[name] for name in _EXPORTED if body.get(name)}
        if len(source) == 2:  # new members of some lists
            members = set(self.rows({"list_ids": source.pop("list_ids")}))
            rows = [row for row in self.rows(source, excluded) if row in members]
        elif status == "removed" and not source:
            return self._data.contacts.search("status = 'deleted'")
        else:
            rows = self.rows(source or {"everyone": True}, excluded)
        if status is None:
            return list(rows)
        wanted = ("explicit", "implicit") if status == "active" else (status,)
        return [row for row in rows if self._data.contacts.entry(row).status in wanted]

    def _condition(self, source: Document) -> tuple[str, list[str]]:
        for column, name in (("lists", "list_ids"), ("tags", "tag_ids")):
            if name in source:
                ids = source[name]
                return f"status != 'deleted' AND {has_any(column, ids)}", [between_commas(one) for one in ids]
        if "segment_id" in source:
            return self._pages.in_segment(str(source["segment_id"]))
        if "engagement_level" in source:
            return f'{_ACTIVE} AND "row" % 4 = {_LEVELS.index(source["engagement_level"])}', []
        if "new_subscriber" in source:
            return f"{_ACTIVE} AND created > {self._data.now() - 30 * DAY}", []
        return "status != 'deleted'" if "everyone" in source else _ACTIVE, []

    def change(
        self,
        column: Literal["lists", "tags"],
        ids: Iterable[str],
        source: Document,
        excluded: Iterable[str],
        *,
        add: bool,
    ) -> Work:
        """Return the work of adding contacts to lists or tags, or of taking them out."""

        def work(job: Job) -> Iterator[None]:
            table, rows = self._data.contacts, self.rows(source, excluded)
            known = self._data.lists if column == "lists" else self._data.tags
            job.total = len(rows)
            for start in range(0, len(rows), _SLICE):
                some = rows[start : start + _SLICE]
                for one in (one for one in ids if one in known):  # others were deleted since
                    (table.join if add else table.leave)(column, one, some)
                if self._data.settings.touch_on_membership_edits:
                    table.touch(some, self._data.now())
                yield

        return work

    def delete(self, source: Document) -> Work:
        """Return the work of deleting contacts."""

        def work(job: Job) -> Iterator[None]:
            rows = self.rows(source)
            job.total = len(rows)
            for start in range(0, len(rows), _SLICE):
                for row in rows[start : start + _SLICE]:
                    self._store.delete_row(row)
                yield

        return work
