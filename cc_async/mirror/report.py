"""What a synchronization reports while it runs, and at its end."""

from datetime import datetime, timedelta

import attrs


@attrs.frozen(kw_only=True)
class SyncProgress:
    """How far a synchronization is, as `Mirror.sync` passes it to `on_progress`."""

    full: bool
    """Whether all contacts are being read, rather than those that changed."""
    contacts: int
    """The contacts stored so far, including those of an interrupted full read that is being resumed."""
    total: int | None = None
    """The contacts to read, if known."""


@attrs.frozen(kw_only=True)
class SyncReport:
    """What `Mirror.sync` did."""

    full: bool
    """Whether all contacts were read, rather than those that changed."""
    resumed: bool
    """Whether it resumed an interrupted full read."""
    contacts: int
    """The contacts written by the full read; 0 without one."""
    changed: int
    """The contacts written because they had changed: since the last time, or during the full read.

    Each synchronization reaches back a few minutes, so contacts may be counted again by the next one.
    """
    removed: int
    """The contacts removed because the API no longer knows them; deleted ones stay, with their `deleted_at`."""
    skipped: int
    """The contacts left out because they have no id."""
    lists: int
    tags: int
    custom_fields: int
    watermark: datetime
    """The point in time from which on the next synchronization asks for changes."""
    duration: timedelta
