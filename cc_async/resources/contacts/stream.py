"""GET /contacts as a stream."""

from collections.abc import Mapping
from typing import Any, TypeVar

from cc_async.http.session import Session
from cc_async.models.contacts import Contact
from cc_async.resources import _collection as collections
from cc_async.resources._checks import StrOrIterable
from cc_async.resources.activities.calls import ListIds, SegmentId, TagIds
from cc_async.resources.contacts.filters import DatetimeOrStr, list_params
from cc_async.streams.collection import Collection
from cc_async.streams.pager import Pager

T = TypeVar("T")

CONTACTS = Collection(
    operation="contacts.list",
    path="/contacts",
    items="contacts",
    model=Contact,
    key=lambda contact: contact.contact_id,
    total="contacts_count",
    sent_again=("include",),
    computed=True,
)


def contact_stream(session: Session, filters: Mapping[str, Any]) -> Pager[Contact]:
    """Stream the contacts that match the given `ContactFilters`; nothing is sent yet."""
    return contact_stream_as(CONTACTS, session, filters)


def contact_stream_as(collection: Collection[T], session: Session, filters: Mapping[str, Any]) -> Pager[T]:
    """Stream the contacts that match, read as the given variation of `CONTACTS` says."""
    params = list_params(filters)
    start = filters.get("start")
    if start is not None:
        # A segment combines with `limit` only, and an opaque cursor may continue one: neither gets `include_count`.
        cursor = collections.cursor_of(start)
        countable = cursor and not any(name.startswith("segment_id") for name in cursor)
        params = {"include_count": "true"} if countable else {}
    return collections.stream(
        session,
        collection,
        params,
        start=start,
        read_ahead=filters.get("read_ahead", collections.READ_AHEAD),
        pending_timeout=filters.get("segment_timeout", collections.PENDING_TIMEOUT),
    )


class ContactStreams:
    """The stream of contacts, common to the resource and its view with status and headers."""

    _session: Session

    def list(
        self,
        *,
        status: StrOrIterable | None = None,
        email: str | None = None,
        lists: ListIds | None = None,
        segment_id: SegmentId | None = None,
        tags: TagIds | None = None,
        updated_after: DatetimeOrStr | None = None,
        updated_before: DatetimeOrStr | None = None,
        created_after: DatetimeOrStr | None = None,
        created_before: DatetimeOrStr | None = None,
        optout_after: DatetimeOrStr | None = None,
        optout_before: DatetimeOrStr | None = None,
        include: StrOrIterable | None = None,
        sms_status: StrOrIterable | None = None,
        include_count: bool | None = None,
        limit: int | None = None,
        start: str | None = None,
        read_ahead: int = collections.READ_AHEAD,
        segment_timeout: float = collections.PENDING_TIMEOUT,
    ) -> Pager[Contact]:
        """Stream the contacts that match (GET /contacts): one request a page, sent as the stream is iterated.

        Deleted contacts are included only if `status` (all, active, deleted, not_set, pending_confirmation, temp_hold,
        unsubscribed) asks for them. At most 25 `lists` and 50 `tags`; a `segment_id` combines with `limit` only. Dates
        are aware datetimes of any zone, or strings; `updated_after` does not match contacts that only unsubscribed:
        see `optout_after`. `include` names sub-resources: custom_fields, list_memberships, taggings, notes,
        phone_numbers, street_addresses, sms_channel. `sms_status` is all, explicit, unsubscribed, pending_confirmation
        or not_set.

        `include_count=False` does not ask for the total, which saves requests for pages that do not exist. `limit` is
        the page size, 1 to 500; by default the largest, because requests are limited. `start` is the `next_url` of a
        page to continue after; it excludes all filters, because it contains them. `read_ahead` is how many pages may be
        fetched ahead of the consumer; 0 fetches strictly one at a time. `segment_timeout` is how long the API may take
        to compute a segment, in seconds.

        Raises:
            InvalidRequestError: A filter breaks a rule of the API; the message names it.

        """
        filters = {
            "status": status,
            "email": email,
            "lists": lists,
            "segment_id": segment_id,
            "tags": tags,
            "updated_after": updated_after,
            "updated_before": updated_before,
            "created_after": created_after,
            "created_before": created_before,
            "optout_after": optout_after,
            "optout_before": optout_before,
            "include": include,
            "sms_status": sms_status,
            "include_count": include_count,
            "limit": limit,
            "start": start,
            "read_ahead": read_ahead,
            "segment_timeout": segment_timeout,
        }
        return contact_stream(self._session, filters)
