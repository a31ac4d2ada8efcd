"""Tags. Every field of a response may be absent, as for contacts."""

import attrs

from cc_async.models._types import Timestamp


@attrs.frozen(kw_only=True)
class Tag:
    """A tag that contacts can carry; an account has at most 500. See `tags.find`, `tags.get` and `tags.list`."""

    tag_id: str | None = None
    name: str | None = None
    """Unique within the account."""
    tag_source: str | None = None
    """The application that created the tag, if it said so."""
    contacts_count: int | None = None
    """None unless `include_count` asked for it."""
    created_at: Timestamp | None = None
    updated_at: Timestamp | None = None
