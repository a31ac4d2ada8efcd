"""Detect from a page of deleted contacts whether this server updates `updated_at` on deletion."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from cc_async.models.contacts import Contact

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_ZONE, _LAST_ZONE = timedelta(hours=14), timedelta(hours=12)
"""A day begins first at UTC+14 and ends last at UTC-12; the zone of `deleted_at` is not known."""
_WITNESSES = 100
"""Contacts on a page of 500 that must indicate it: a few may have been edited on the day of their deletion."""


def deletions_move_updated_at(contacts: Iterable[Contact]) -> bool:
    """Whether many of these deleted contacts were updated on the day of their deletion, and none was before it."""
    witnesses = 0
    for contact in contacts:
        deleted, updated, created = contact.deleted_at, contact.updated_at, contact.created_at
        if deleted is None or updated is None:
            continue
        # Relative to the epoch, because a datetime at either end of the calendar leaves no room for the zones.
        midnight = timedelta(days=(deleted - _EPOCH.date()).days)
        if updated - _EPOCH < midnight - _FIRST_ZONE:
            return False
        on_that_day = updated - _EPOCH <= midnight + timedelta(days=1) + _LAST_ZONE
        witnesses += on_that_day and created is not None and updated > created
    return witnesses >= _WITNESSES


def monday_before(when: datetime) -> datetime:
    """Return the beginning of the week, in UTC."""
    midnight = when.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=midnight.weekday())


def first_day_from(when: datetime) -> date:
    """Return the first day that `deleted_at` may give for a deletion at this time or later."""
    return (when - timedelta(days=1)).date()
