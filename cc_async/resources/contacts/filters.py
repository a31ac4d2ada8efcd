"""The filters of GET /contacts and their rules."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypedDict

from cc_async.errors import InvalidRequestError
from cc_async.wire.urls import csv, timestamp

Moment = datetime | str
Several = str | Iterable[str]
_SEVERAL = {"status": None, "lists": 25, "tags": 50, "include": None, "sms_status": None}
"""The filters that take several values, and how many at most."""
LIMIT_AT_MOST = 500


def _included(include: Several) -> str | None:
    names = include if isinstance(include, str) else list(include)
    return csv("include", names) if names != [] else None


class ContactFilters(TypedDict, total=False):
    """What the stream of contacts can be asked for: the filters of GET /contacts, and how to walk."""

    status: Several
    """all, active, deleted, not_set, pending_confirmation, temp_hold, unsubscribed; without it all but the deleted."""
    email: str
    lists: Several
    """At most 25."""
    segment_id: str | int
    """Combines with `limit` only."""
    tags: Several
    """At most 50."""
    updated_after: Moment
    """Does not see unsubscribes: for these ask for `optout_after`."""
    updated_before: Moment
    created_after: Moment
    created_before: Moment
    optout_after: Moment
    optout_before: Moment
    include: Several
    """custom_fields, list_memberships, taggings, notes, phone_numbers, street_addresses, sms_channel."""
    sms_status: Several
    """all, explicit, unsubscribed, pending_confirmation, not_set."""
    include_count: bool
    """Whether to ask for the total; done unless False, since it spares requests for pages that do not exist."""
    limit: int
    """Contacts a page, 1 to 500; 500 by default, because requests are what is scarce."""
    start: str
    """The `next_url` of a page, to go on after it; excludes all filters, which are in it."""
    read_ahead: int
    """Pages fetched before they are asked for, at most; 0 is strictly one at a time."""
    segment_timeout: float
    """Seconds that the API may take to compute a segment."""


_WALKING = {"start", "read_ahead", "segment_timeout"}
"""The entries of ContactFilters that are no parameters of the API."""


def list_params(filters: Mapping[str, Any]) -> dict[str, Any]:
    """The query of the first page, once it is known to break no rule.

    Raises:
        InvalidRequestError: the API would certainly refuse it; the message names the rule.

    """
    unknown = filters.keys() - ContactFilters.__annotations__.keys()
    if unknown:
        raise TypeError(f"list() got an unexpected keyword argument {min(unknown)!r}")
    given = {name: value for name, value in filters.items() if value is not None and name not in _WALKING}
    if "include" in given and (include := _included(given.pop("include"))) is not None:
        given["include"] = include
    if filters.get("start") is not None:
        if not filters["start"]:
            raise InvalidRequestError("start is empty: the last page had no link, so there is nothing to go on with.")
        if given:
            raise InvalidRequestError(f"start carries all filters: leave out {', '.join(sorted(given))}.")
        return {"include_count": True}
    limit = given.setdefault("limit", LIMIT_AT_MOST)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LIMIT_AT_MOST:
        raise InvalidRequestError(f"limit must be a whole number from 1 to {LIMIT_AT_MOST}.")
    if "segment_id" in given and (others := given.keys() - {"segment_id", "limit"}):
        raise InvalidRequestError(f"segment_id combines with limit only, not with {', '.join(sorted(others))}.")
    if "segment_id" not in given:
        given.setdefault("include_count", True)
    return {name: _param(name, value) for name, value in given.items() if value is not False}


def _param(name: str, value: Any) -> Any:
    if name in _SEVERAL:
        return csv(name, value, at_most=_SEVERAL[name])
    if name == "segment_id":
        return csv(name, str(value), at_most=1)
    if name.endswith(("_after", "_before")):
        return timestamp(value, rounded_up=name.endswith("_before"))
    if name == "email" and not (isinstance(value, str) and value):
        raise InvalidRequestError("email must be a string that is not empty.")
    return value
