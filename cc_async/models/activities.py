"""Bulk jobs, which the API calls activities. Every field of a response may be absent, as for contacts."""

import attrs

from cc_async.models._types import MessageText, Timestamp

FINISHED = frozenset({"completed", "cancelled", "failed", "timed_out", "time_out"})
"""The states that no job leaves; the API's documentation spells the last one in both ways."""


@attrs.frozen(kw_only=True)
class ActivityStatus:
    """The counters of a job so far; which counters there are depends on the kind of job, and each may be absent.

    See `Activity.status`.
    """

    items_total_count: int | None = None
    """For an import, the rows with their header."""
    items_completed_count: int | None = None
    person_count: int | None = None
    """The contacts in an import."""
    error_count: int | None = None
    """Rows of an import that could not be read at all."""
    correctable_count: int | None = None
    """Rows of an import with a bad e-mail address or date; only the provider's web page can correct them."""
    cannot_add_to_list_count: int | None = None
    """Contacts of an import that had unsubscribed, and so were not added to its lists."""
    list_count: int | None = None


@attrs.frozen(kw_only=True)
class _Link:
    href: str | None = None


@attrs.frozen(kw_only=True)
class _Links:
    results: _Link | None = None


@attrs.frozen(kw_only=True)
class Activity:
    """A bulk job. The API does not say what kind of job it is, and `completed` does not mean that nothing failed.

    Every bulk call of `cc.activities` returns one; `activities.wait` waits until it has ended.
    """

    activity_id: str | None = None
    """None only for a deletion that had already happened: see `already_deleted`."""
    state: str | None = None
    """initialized, processing, completed, cancelled, failed or timed_out."""
    percent_done: int | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    source_file_name: str | None = None
    activity_errors: list[MessageText] | None = None
    """Sentences of the API; for an import, some name a line of the file."""
    status: ActivityStatus | None = None
    _links: _Links | None = attrs.field(default=None, alias="_links", repr=False)

    @property
    def finished(self) -> bool:
        """Whether the job has ended, in whatever way; a state that is not known counts as unfinished."""
        return self.state in FINISHED

    @property
    def already_deleted(self) -> bool:
        """Whether this stands for a deletion that was carried out although its response was lost.

        `lists.delete` and `tags.delete` repeat a request whose response was lost. If the API then says that there is no
        such list or tag, the first request has succeeded, but the id of its job is unknown: all fields are None.
        """
        return self.activity_id is None and self.state is None

    @property
    def file_export_id(self) -> str | None:
        """The id of the file that an export produces, for GET /contact_exports/{file_export_id}; else None."""
        href = (self._links and self._links.results and self._links.results.href) or ""
        return href.partition("?")[0].rstrip("/").rpartition("/")[2] or None
