"""The requests of the ten contact operations, built without sending them.

Paths, parameters and limits are those of https://developer.constantcontact.com/api_reference/index.html, Contacts.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypedDict, TypeVar

import attrs

from cc_async.codec import Decoded, Envelope, decode, dumps, envelope
from cc_async.errors import InvalidRequestError
from cc_async.models.contact import (
    Contact,
    ContactCounts,
    ContactXref,
    CreateOrUpdateContactResult,
    SmsEngagement,
)
from cc_async.models.requests import CreateContactRequest, CreateOrUpdateContactRequest, UpdateContactRequest
from cc_async.session import Answer, Call
from cc_async.wire import csv, segment, timestamp, with_query

T = TypeVar("T")
Moment = datetime | str
Several = str | Iterable[str]

XREFS_AT_MOST = 500
_SEVERAL = {"status": None, "lists": 25, "tags": 50, "include": None, "sms_status": None}
"""The filters that take several values, and how many at most."""
LIMIT_AT_MOST = 500


@attrs.frozen
class _Xrefs:
    xrefs: list[ContactXref] | None = None


def _reads(cls: type[T]) -> Callable[[Answer], Decoded[T]]:
    return lambda answer: decode(answer.body, cls)


def _nothing(_: Answer) -> Decoded[None]:
    return Decoded(None)


def contact_path(contact_id: str) -> str:
    """The path of one contact."""
    return f"/contacts/{segment(contact_id)}"


def create(request: CreateContactRequest) -> Call[Contact]:
    """POST /contacts."""
    if not (request.first_name or request.last_name or request.email_address or request.sms_channel):
        raise InvalidRequestError("A contact needs a first_name, a last_name, an email_address or an sms_channel.")
    return Call(method="POST", path="/contacts", body=dumps(request), parse=_reads(Contact))


def create_or_update(request: CreateOrUpdateContactRequest) -> Call[CreateOrUpdateContactResult]:
    """POST /contacts/sign_up_form."""
    if not request.list_memberships:
        raise InvalidRequestError("list_memberships must name at least one list.")
    if not (request.email_address or request.sms_channel):
        raise InvalidRequestError("A sign-up needs an email_address or an sms_channel.")
    return Call(
        method="POST",
        path="/contacts/sign_up_form",
        body=dumps(request),
        parse=_reads(CreateOrUpdateContactResult),
    )


def delete(contact_id: str) -> Call[None]:
    """DELETE /contacts/{contact_id}."""
    return Call(method="DELETE", path=contact_path(contact_id), parse=_nothing)


def get(contact_id: str, include: Several = ()) -> Call[Contact]:
    """GET /contacts/{contact_id}."""
    path = with_query(contact_path(contact_id), {"include": _included(include)})
    return Call(method="GET", path=path, parse=_reads(Contact))


def _included(include: Several) -> str | None:
    names = include if isinstance(include, str) else list(include)
    return csv("include", names) if names != [] else None


def counts(*, new_subscribers: bool = False) -> Call[ContactCounts]:
    """GET /contacts/counts."""
    params = {"include": "new_subscriber" if new_subscribers else None}
    return Call(method="GET", path=with_query("/contacts/counts", params), parse=_reads(ContactCounts))


def id_xrefs(sequence_ids: Iterable[str | int]) -> Call[list[ContactXref]]:
    """GET /contacts/contact_id_xrefs."""

    def parse(answer: Answer) -> Decoded[list[ContactXref]]:
        decoded = decode(answer.body, _Xrefs)
        return Decoded(decoded.value.xrefs or [], decoded.problems)

    ids = csv("sequence_ids", [str(sequence_id) for sequence_id in sequence_ids], at_most=XREFS_AT_MOST)
    return Call(method="GET", path=with_query("/contacts/contact_id_xrefs", {"sequence_ids": ids}), parse=parse)


def sms_engagement_history(contact_id: str) -> Call[list[SmsEngagement]]:
    """GET /contacts/sms_engagement_history/{contact_id}."""
    path = f"/contacts/sms_engagement_history/{segment(contact_id)}"
    return Call(method="GET", path=path, parse=_reads(list[SmsEngagement]))


def update(contact_id: str, request: UpdateContactRequest) -> Call[Contact]:
    """PUT /contacts/{contact_id}."""
    return Call(method="PUT", path=contact_path(contact_id), body=dumps(request), parse=_reads(Contact))


def resubscribe(contact_id: str, list_ids: Iterable[str]) -> Call[None]:
    """PUT /contacts/resubscribe/{contact_id}."""
    ids = [list_ids] if isinstance(list_ids, str) else list(list_ids)
    if not ids:
        raise InvalidRequestError("list_ids must name at least one list.")
    path = f"/contacts/resubscribe/{segment(contact_id)}"
    return Call(method="PUT", path=path, body=dumps({"list_ids": ids}), parse=_nothing)


def page(answer: Answer) -> Decoded[Envelope]:
    """Read a page of contacts, leaving the contacts for later."""
    if answer.status == 202:  # the segment is still being computed, and what else the answer says is not documented
        return Decoded(Envelope([], None, None))
    found = envelope(answer.body)
    return Decoded(found, found.problems)


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
