"""Segments. Every field of a response may be absent, as for contacts."""

import attrs

from cc_async.models._types import Timestamp


@attrs.frozen(kw_only=True)
class Segment:
    """A saved search for contacts. See `segments.find`; `contacts.list` returns the contacts in one."""

    segment_id: int | None = None
    """The only id of the API that is a number."""
    name: str | None = None
    """Unique within the account."""
    segment_criteria: str | None = None
    """The criteria as a string that holds JSON; None in `segments.list`, which leaves them out."""
    created_at: Timestamp | None = None
    edited_at: Timestamp | None = None
