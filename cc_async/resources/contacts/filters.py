"""The filters of GET /contacts and their rules."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypedDict

from cc_async.errors import InvalidRequestError
from cc_async.models.segments import Segment
from cc_async.resources._checks import StrOrIterable, id_of, segment_id_of
from cc_async.resources.activities.calls import ListIds, SegmentId, TagIds
from cc_async.wire.urls import csv, timestamp

DatetimeOrStr: TypeAlias = datetime | str
Moment = DatetimeOrStr
Several = StrOrIterable
LIMIT_AT_MOST = 500
"""The largest page size that the API accepts, which is also the default."""


class ContactFilters(TypedDict, total=False):
    """The parameters of `contacts.list`, for code that builds them up: `cc.contacts.list(**filters)`.

    For example:

        filters: ContactFilters = {"status": "active", "lists": [list_id]}
        contacts = await cc.contacts.list(**filters).collect(max_items=10)
    """

    status: StrOrIterable
    """all, active, deleted, not_set, pending_confirmation, temp_hold, unsubscribed; by default all but the deleted."""
    email: str
    lists: ListIds
    """At most 25."""
    segment_id: SegmentId
    """Combines with `limit` only."""
    tags: TagIds
    """At most 50."""
    updated_after: DatetimeOrStr
    """Does not match contacts that only unsubscribed: see `optout_after`."""
    updated_before: DatetimeOrStr
    created_after: DatetimeOrStr
    created_before: DatetimeOrStr
    optout_after: DatetimeOrStr
    optout_before: DatetimeOrStr
    include: StrOrIterable
    """custom_fields, list_memberships, taggings, notes, phone_numbers, street_addresses, sms_channel."""
    sms_status: StrOrIterable
    """all, explicit, unsubscribed, pending_confirmation, not_set."""
    include_count: bool
    """Whether to request the total; the default, because it saves requests for pages that do not exist."""
    limit: int
    """Page size, 1 to 500; 500 by default, because requests are limited."""
    start: str
    """The `next_url` of a page to continue after; excludes all filters, because it contains them."""
    read_ahead: int
    """How many pages may be fetched ahead of the consumer; 0 fetches strictly one at a time."""
    segment_timeout: float
    """How long the API may take to compute a segment, in seconds."""


def include_param(include: StrOrIterable) -> str | None:
    """Return the value of `include`, or None where it names nothing, which is allowed here, unlike in filters."""
    names = include if isinstance(include, str) else list(include)
    return csv("include", names) if names != [] else None


def _ids(attribute: str, at_most: int) -> Callable[[str, Any], str]:
    def param(name: str, value: Any) -> str:
        values = [value] if hasattr(value, attribute) else value
        if not isinstance(values, str) and isinstance(values, Iterable):
            values = [each if isinstance(each, str) else id_of(each, attribute) for each in values]
        elif not isinstance(values, str):
            raise InvalidRequestError(f"{name} must be one or several ids, not {type(value).__name__}.")
        return csv(name, values, at_most=at_most)

    return param


def _segment(name: str, value: Any) -> str:
    return csv(name, str(segment_id_of(value) if isinstance(value, Segment) else value), at_most=1)


def _email(name: str, value: Any) -> str:
    if not (isinstance(value, str) and value):
        raise InvalidRequestError(f"{name} must be a string that is not empty.")
    return value


def _after(_: str, value: Any) -> str:
    return timestamp(value)


def _before(_: str, value: Any) -> str:
    return timestamp(value, rounded_up=True)


def _limit(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LIMIT_AT_MOST:
        raise InvalidRequestError(f"{name} must be a whole number from 1 to {LIMIT_AT_MOST}.")
    return value


_PARAMS: dict[str, Callable[[str, Any], Any]] = {
    "status": csv,
    "email": _email,
    "lists": _ids("list_id", 25),
    "segment_id": _segment,
    "tags": _ids("tag_id", 50),
    "updated_after": _after,
    "updated_before": _before,
    "created_after": _after,
    "created_before": _before,
    "optout_after": _after,
    "optout_before": _before,
    "include": csv,
    "sms_status": csv,
    "include_count": lambda _, value: value,
    "limit": _limit,
}
"""The parameters of the API, and how each is formatted."""


def list_params(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the query of the first page.

    Raises:
        InvalidRequestError: The API would certainly refuse it; the message names the rule.

    """
    given = {name: value for name, value in filters.items() if value is not None and name in _PARAMS}
    if "include" in given:
        given["include"] = include_param(given["include"])
        if given["include"] is None:
            del given["include"]
    if filters.get("start") is not None:
        if not filters["start"]:
            raise InvalidRequestError(
                "start is empty: the last page had no link, so there is nothing to continue with."
            )
        if given:
            raise InvalidRequestError(f"start carries all filters: leave out {', '.join(sorted(given))}.")
        return {}
    given.setdefault("limit", LIMIT_AT_MOST)
    if "segment_id" not in given:
        given.setdefault("include_count", True)
    elif others := given.keys() - {"segment_id", "limit"}:
        raise InvalidRequestError(f"segment_id combines with limit only, not with {', '.join(sorted(others))}.")
    return {name: _PARAMS[name](name, value) for name, value in given.items() if value is not False}
