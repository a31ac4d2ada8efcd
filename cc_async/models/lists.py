"""Contact lists. Every field of a response may be absent, as for contacts."""

import attrs

from cc_async.models._types import Timestamp


@attrs.frozen(kw_only=True)
class ContactList:
    """A list that contacts can be on; each contact is on at most 50. See `lists.find`, `lists.get` and `lists.list`."""

    list_id: str | None = None
    name: str | None = None
    """Unique within the account."""
    description: str | None = None
    """Absent where it is empty."""
    favorite: bool | None = None
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    deleted_at: Timestamp | None = None
    """Set on deleted lists, which only `status="all"` and `status="deleted"` show."""
    membership_count: int | None = None
    """None unless `include_membership_count` asked for it."""


@attrs.frozen(kw_only=True)
class ListXref:
    """The two ids of one list: `sequence_id` in the V2 API, `list_id` in V3. See `lists.id_xrefs`."""

    sequence_id: str | None = None
    list_id: str | None = None
