"""The requests of the contact operations, built without sending them.

Paths, parameters and limits are those of https://developer.constantcontact.com/api_reference/index.html, Contacts.
"""

from collections.abc import Iterable

import attrs

from cc_async.codec.decode import Decoded, decode, dumps
from cc_async.errors import ApiError, ConflictError, InvalidRequestError
from cc_async.http.call import Call, RawResponse
from cc_async.http.retry import Idempotency
from cc_async.models.contact_requests import CreateContactRequest, CreateOrUpdateContactRequest, UpdateContactRequest
from cc_async.models.contacts import Contact, ContactCounts, ContactXref, CreateOrUpdateContactResult, SmsEngagement
from cc_async.resources._checks import StrOrIterable, ids_of
from cc_async.resources._operation import deletion, nothing, reads
from cc_async.resources.activities.calls import ListIds
from cc_async.resources.contacts.checks import check_request
from cc_async.resources.contacts.filters import include_param
from cc_async.wire.urls import csv, quote_segment, with_query

XREFS_AT_MOST = 500


@attrs.frozen
class _Xrefs:
    xrefs: list[ContactXref] | None = None


def contact_path(contact_id: str) -> str:
    """Return the path of one contact."""
    return f"/contacts/{quote_segment(contact_id)}"


def create(request: CreateContactRequest) -> Call[Contact]:
    """POST /contacts."""
    check_request(request, CreateContactRequest)
    if not (request.first_name or request.last_name or request.email_address or request.sms_channel):
        raise InvalidRequestError("A contact needs a first_name, a last_name, an email_address or an sms_channel.")
    return Call(operation="contacts.create", method="POST", path="/contacts", body=dumps(request), parse=reads(Contact))


def create_or_update(request: CreateOrUpdateContactRequest) -> Call[CreateOrUpdateContactResult]:
    """POST /contacts/sign_up_form."""
    check_request(request, CreateOrUpdateContactRequest)
    if not request.list_memberships:
        raise InvalidRequestError("list_memberships must name at least one list.")
    if not (request.email_address or request.sms_channel):
        raise InvalidRequestError("A sign-up needs an email_address or an sms_channel.")
    return Call(
        operation="contacts.create_or_update",
        method="POST",
        path="/contacts/sign_up_form",
        idempotency=Idempotency.OPT_IN,
        body=dumps(request),
        parse=reads(CreateOrUpdateContactResult),
        refine=_note_simultaneous,
    )


def _note_simultaneous(error: ApiError) -> ApiError:
    """Distinguish a conflict with a simultaneous request from one with another contact, which already exists."""
    if isinstance(error, ConflictError) and error.contact_id is None:
        said = " ".join(detail.message or "" for detail in error.errors)
        error.simultaneous = "already exists" not in said.casefold()
    return error


def delete(contact_id: str) -> Call[None]:
    """DELETE /contacts/{contact_id}."""
    return deletion("contacts.delete", contact_path(contact_id))


def get(contact_id: str, *, include: StrOrIterable = ()) -> Call[Contact]:
    """GET /contacts/{contact_id}."""
    path = with_query(contact_path(contact_id), {"include": include_param(include)})
    return Call(operation="contacts.get", method="GET", path=path, parse=reads(Contact))


def counts(*, new_subscribers: bool = False) -> Call[ContactCounts]:
    """GET /contacts/counts."""
    params = {"include": "new_subscriber" if new_subscribers else None}
    return Call(
        operation="contacts.counts",
        method="GET",
        path=with_query("/contacts/counts", params),
        parse=reads(ContactCounts),
    )


def split(sequence_ids: str | Iterable[str | int]) -> list[str]:
    """Return ids of the V2 API as strings, given as such, as numbers, or separated by commas."""
    return [str(one) for one in (sequence_ids.split(",") if isinstance(sequence_ids, str) else sequence_ids)]


def id_xrefs(sequence_ids: str | Iterable[str | int]) -> Call[list[ContactXref]]:
    """GET /contacts/contact_id_xrefs."""

    def parse(response: RawResponse) -> Decoded[list[ContactXref]]:
        decoded = decode(response.body, _Xrefs)
        return Decoded(decoded.value.xrefs or [], decoded.problems)

    ids = csv("sequence_ids", split(sequence_ids), at_most=XREFS_AT_MOST)
    return Call(
        operation="contacts.id_xrefs",
        method="GET",
        path=with_query("/contacts/contact_id_xrefs", {"sequence_ids": ids}),
        parse=parse,
    )


def sms_engagement_history(contact_id: str) -> Call[list[SmsEngagement]]:
    """GET /contacts/sms_engagement_history/{contact_id}."""
    path = f"/contacts/sms_engagement_history/{quote_segment(contact_id)}"
    return Call(operation="contacts.sms_engagement_history", method="GET", path=path, parse=reads(list[SmsEngagement]))


def update(contact_id: str, request: UpdateContactRequest) -> Call[Contact]:
    """PUT /contacts/{contact_id}."""
    check_request(request, UpdateContactRequest)
    return Call(
        operation="contacts.update",
        method="PUT",
        path=contact_path(contact_id),
        idempotency=Idempotency.SAFE,
        body=dumps(request),
        parse=reads(Contact),
    )


def resubscribe(contact_id: str, list_ids: ListIds) -> Call[None]:
    """PUT /contacts/resubscribe/{contact_id}."""
    path = f"/contacts/resubscribe/{quote_segment(contact_id)}"
    return Call(
        operation="contacts.resubscribe",
        method="PUT",
        path=path,
        body=dumps({"list_ids": ids_of("list_ids", list_ids, "list_id")}),
        parse=nothing,
    )
