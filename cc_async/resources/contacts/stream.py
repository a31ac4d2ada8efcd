"""GET /contacts as a stream."""

from cc_async.http.session import Session
from cc_async.models.contacts import Contact
from cc_async.resources import _collection as collections
from cc_async.resources.contacts.filters import ContactFilters, list_params
from cc_async.streams.collection import Collection
from cc_async.streams.pager import Pager

CONTACTS = Collection(
    path="/contacts",
    items="contacts",
    model=Contact,
    key=lambda contact: contact.contact_id,
    total="contacts_count",
    sent_again=("include",),
    computed=True,
)


def contact_stream(session: Session, filters: ContactFilters) -> Pager[Contact]:
    """A stream over the contacts that match, which sends nothing yet."""
    params = list_params(filters)
    start = filters.get("start")
    if start is not None:
        # A segment combines with `limit` only; and where the cursor does not show its question, it may be one.
        cursor = collections.cursor_of(start)
        countable = cursor and not any(name.startswith("segment_id") for name in cursor)
        params = {"include_count": "true"} if countable else {}
    return collections.stream(
        session,
        CONTACTS,
        params,
        start=start,
        read_ahead=filters.get("read_ahead", collections.READ_AHEAD),
        pending_timeout=filters.get("segment_timeout", collections.PENDING_TIMEOUT),
    )
