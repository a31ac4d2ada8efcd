"""What the contacts of the API look like on the wire, as facts, told apart from the code that has to agree with them.

Names, kinds and statuses are the API's own; every sample is invented.
"""

import json
from collections.abc import Mapping

import attrs

BASE_URL = "https://api.cc.email/v3"
SOME_ID = "04fe9a-a579-43c5-bb1a-58ed29bf0a6a"
"""An id as the API's documentation writes one; it is no UUID."""
UUID = "1618ae62-4752-11e9-9c8a-fa163e6b01c1"

READ_ERRORS = (400, 401, 403, 404, 500, 503)


@attrs.frozen(kw_only=True)
class Operation:
    """One of the ten: what is sent and what may come back."""

    name: str
    """The coroutine of `contacts`."""
    method: str
    path: str
    statuses: tuple[int, ...]
    errors: tuple[int, ...] = READ_ERRORS
    query: Mapping[str, str] = attrs.field(factory=dict)
    """The parameters with their kinds."""
    body: str | None = None
    """A name in BODIES."""
    response: str | None = None
    """A name in RESPONSES; `[x]` is an array."""


_INCLUDE = "csv: custom_fields list_memberships taggings notes phone_numbers street_addresses sms_channel"
OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation(
            name="create",
            method="POST",
            path="/contacts",
            statuses=(201,),
            errors=(400, 401, 403, 409, 415, 500, 503),
            body="create",
            response="contact",
        ),
        Operation(
            name="create_or_update",
            method="POST",
            path="/contacts/sign_up_form",
            statuses=(200, 201),
            errors=(*READ_ERRORS, 409),
            body="sign_up",
            response="sign_up_result",
        ),
        Operation(
            name="delete",
            method="DELETE",
            path="/contacts/{contact_id}",
            statuses=(204,),
            errors=(*READ_ERRORS, 415),
        ),
        Operation(
            name="list",
            method="GET",
            path="/contacts",
            statuses=(200, 202),
            query={
                "status": "csv: all active deleted not_set pending_confirmation temp_hold unsubscribed",
                "email": "string",
                "lists": "csv of 25",
                "segment_id": "one",
                "tags": "csv of 50",
                "updated_after": "moment",
                "updated_before": "moment",
                "created_after": "moment",
                "created_before": "moment",
                "optout_after": "moment",
                "optout_before": "moment",
                "include": _INCLUDE,
                "sms_status": "csv: all explicit unsubscribed pending_confirmation not_set",
                "include_count": "boolean",
                "limit": "1 to 500",
            },
            response="page",
        ),
        Operation(
            name="get",
            method="GET",
            path="/contacts/{contact_id}",
            statuses=(200,),
            query={"include": _INCLUDE},
            response="contact",
        ),
        Operation(
            name="counts",
            method="GET",
            path="/contacts/counts",
            statuses=(200,),
            query={"include": "csv: new_subscriber"},
            response="counts",
        ),
        Operation(
            name="id_xrefs",
            method="GET",
            path="/contacts/contact_id_xrefs",
            statuses=(200,),
            query={"sequence_ids": "csv of 500"},
            response="xrefs",
        ),
        Operation(
            name="sms_engagement_history",
            method="GET",
            path="/contacts/sms_engagement_history/{contact_id}",
            statuses=(200,),
            response="[sms_engagement]",
        ),
        Operation(
            name="update",
            method="PUT",
            path="/contacts/{contact_id}",
            statuses=(200,),
            errors=(*READ_ERRORS, 409),
            body="update",
            response="contact",
        ),
        Operation(
            name="resubscribe",
            method="PUT",
            path="/contacts/resubscribe/{contact_id}",
            statuses=(200,),
            errors=(*READ_ERRORS, 409),
            body="resubscribe",
        ),
    )
}


# --- bodies: the fields of each object that is sent; `!` marks what it must not lack ------------------------------

_NAMES = {
    "first_name": "string",
    "last_name": "string",
    "job_title": "string",
    "company_name": "string",
    "birthday_month": "integer",
    "birthday_day": "integer",
    "anniversary": "string",
}
_COLLECTIONS = {
    "custom_fields": "[custom_field]",
    "phone_numbers": "[phone_number]",
    "street_addresses": "[street_address]",
    "list_memberships": "[string]",
    "taggings": "[string]",
    "notes": "[note]",
    "sms_channel": "sms_channel",
}
_STREET = {"street": "string", "city": "string", "state": "string", "postal_code": "string", "country": "string"}
BODIES: dict[str, dict[str, str]] = {
    "create": {"create_source!": "string", "email_address": "email_create", **_NAMES, **_COLLECTIONS},
    "update": {"update_source!": "string", "email_address": "email_update", **_NAMES, **_COLLECTIONS},
    "sign_up": {
        "list_memberships!": "[string]",
        "email_address": "string",
        "phone_number": "string",
        **_NAMES,
        "custom_fields": "[sign_up_custom_field]",
        "street_address": "street_address",
        "sms_channel": "sign_up_sms_channel",
    },
    "resubscribe": {"list_ids!": "[string]"},
    "email_create": {"address!": "string", "permission_to_send": "string"},
    "email_update": {"address!": "string", "permission_to_send": "string", "opt_out_reason": "string"},
    "custom_field": {"custom_field_id!": "string", "value": "string", "choice_ids": "[integer or string]"},
    "sign_up_custom_field": {"custom_field_id!": "string", "value": "string"},
    "phone_number": {"phone_number": "string", "kind": "string"},
    "street_address": {"kind!": "string", **_STREET},
    "note": {"note_id": "string", "created_at": "moment", "content": "string"},
    "sms_channel": {"full_sms_address!": "string", "sms_channel_consents!": "[sms_consent]"},
    "sms_consent": {"sms_consent_permission!": "string", "consent_type!": "string", "consent_medium_details": "string"},
    "sign_up_sms_channel": {
        "sms_address!": "string",
        "dial_code!": "string",
        "country_code!": "string",
        "sms_channel_consents!": "[sign_up_sms_consent]",
    },
    "sign_up_sms_consent": {
        "sms_consent_permission!": "string",
        "consent_type!": "string",
        "consent_medium_type!": "string",
        "consent_medium_url!": "string",
        "consent_medium_details!": "string",
        "advertised_frequency": "integer or string",
        "advertised_interval": "string",
    },
}

# --- responses: the fields of each object that comes back, any of which may be absent or null -----------------------

_STAMPS = {"created_at": "moment", "updated_at": "moment"}
RESPONSES: dict[str, dict[str, str]] = {
    "contact": {
        "contact_id": "string",
        "email_address": "email_address",
        **_NAMES,
        "update_source": "string",
        "create_source": "string",
        **_STAMPS,
        "deleted_at": "day",
        "custom_fields": "[custom_field]",
        "phone_numbers": "[phone_number]",
        "street_addresses": "[street_address]",
        "list_memberships": "[string]",
        "taggings": "[string]",
        "notes": "[note]",
        "sms_channel": "sms_channel",
    },
    "email_address": {
        "address": "string",
        "permission_to_send": "string",
        **_STAMPS,
        "opt_in_source": "string",
        "opt_in_date": "moment",
        "opt_out_source": "string",
        "opt_out_date": "moment",
        "opt_out_reason": "string",
        "confirm_status": "string",
    },
    "custom_field": {"custom_field_id": "string", "value": "string", "choice_ids": "[integer or string]"},
    "phone_number": {
        "phone_number_id": "string",
        "phone_number": "string",
        "kind": "string",
        **_STAMPS,
        "update_source": "string",
        "create_source": "string",
    },
    "street_address": {"street_address_id": "string", "kind": "string", **_STREET, **_STAMPS},
    "note": {"note_id": "string", "created_at": "moment", "content": "string"},
    "sms_channel": {
        "sms_channel_id": "string",
        "sms_address": "string",
        "dial_code": "string",
        "country_code": "string",
        "update_source": "string",
        "create_source": "string",
        "sms_channel_consents": "[sms_consent]",
    },
    "sms_consent": {
        "sms_consent_permission": "string",
        "consent_type": "string",
        "opt_in_date": "moment",
        "opt_out_date": "moment",
        "advertised_frequency": "integer or string",
        "advertised_interval": "string",
        **_STAMPS,
    },
    "sign_up_result": {"contact_id": "string", "action": "string"},
    "counts": dict.fromkeys(("total", "explicit", "implicit", "pending", "unsubscribed", "new_subscriber"), "integer"),
    "xref": {"sequence_id": "string", "contact_id": "string"},
    "sms_engagement": {
        "contact_id": "string",
        "sms_channel_id": "string",
        "sms_channel_history_id": "string",
        "insert_time": "moment",
        "history_details": "sms_engagement_details",
    },
    "sms_engagement_details": {
        "state": "string",
        "source": "string",
        "consent_type": "string",
        "consent_action_time": "moment",
        "consent_action_type": "string",
        "consent_medium_type": "string",
        "source_consent_timestamp": "string",
        "source_sms_number": "string",
        "advertised_frequency": "integer or string",
        "advertised_interval": "string",
    },
}

PERSONAL = {"address", "phone_number", "sms_address", "full_sms_address", "source_sms_number"}
"""Fields that identify a person and so have no place in a log; in a sign-up, `email_address` is one as well."""

# --- errors -----------------------------------------------------------------------------------------------------------


@attrs.frozen
class ErrorAnswer:
    """An error as it was seen, and the key and the sentence in it."""

    status: int
    body: bytes
    key: str | None = None
    message: str | None = None


def _array(status: int, key: str, message: str) -> ErrorAnswer:
    return ErrorAnswer(status, json.dumps([{"error_key": key, "error_message": message}]).encode(), key, message)


def _object(status: int, key: str, message: str) -> ErrorAnswer:
    return ErrorAnswer(status, json.dumps({"error_key": key, "error_message": message}).encode(), key, message)


CONFLICT = f"Validation failed: Email already exists for contact {UUID}"
ERRORS = {
    "validation": _array(400, "contacts.api.validation.error", "create_source is missing"),
    "unauthorized": _object(401, "unauthorized", "Unauthorized"),
    "denied": _object(403, "access_denied", "Access Denied"),
    "not found": _array(404, "contacts.api.not_found", "Nothing has this id."),
    "conflict": _array(409, "contacts.api.conflict", CONFLICT),
    "media type": _object(415, "unsupported_media_type", "Unsupported Media Type"),
    "throttled": _object(429, "throttled", "Too Many Requests"),
    "quota": _object(429, "quota_exceeded", "Limit Exceeded"),
    "bulk": _array(429, "activities.api.limit", "More than 1000 activities are queued."),
    "bare throttled": ErrorAnswer(429, b'{"message": "Too Many Requests"}', None, "Too Many Requests"),
    "bare quota": ErrorAnswer(429, b'{"message": "Limit Exceeded"}', None, "Limit Exceeded"),
    "bare": ErrorAnswer(500, b'{"message": "Internal server error"}', None, "Internal server error"),
    "html": ErrorAnswer(503, b"<html><body>down for maintenance</body></html>"),
    "nothing": ErrorAnswer(502, b""),
}
