"""What lists, tags, custom fields, segments, the account and bulk jobs look like on the wire, as facts.

Names, kinds and statuses are the API's own; every sample is invented.
"""

from collections.abc import Mapping
from typing import Any

import attrs

BASE_URL = "https://api.cc.email/v3"
ID = "04fe9a-a579-43c5-bb1a-58ed29bf0a6a"
STAMP = "2024-01-23T13:48:44Z"


@attrs.frozen(kw_only=True)
class Operation:
    """One operation: what is sent and what may come back."""

    method: str
    path: str
    statuses: tuple[int, ...] = (200,)
    errors: tuple[int, ...] = ()
    """Besides 401, 403, 500 and 503."""
    query: Mapping[str, str] = attrs.field(factory=dict)
    body: Mapping[str, Any] | None = None
    """The fields with their kinds: a name, `[name]` for an array, or a mapping; `!` marks what it must not lack."""
    response: Any = None
    """A sample."""


ACTIVITY = {
    "activity_id": ID,
    "state": "initialized",
    "created_at": STAMP,
    "updated_at": STAMP,
    "percent_done": 1,
    "activity_errors": [],
    "_links": {"self": {"href": "/contacts-service/v3/accounts/a0/activities/another"}},
}
LIST = {"list_id": ID, "name": "Düsseldorf", "favorite": True, "created_at": STAMP, "updated_at": STAMP}
TAG = {"tag_id": ID, "name": "Gold", "tag_source": "Shop", "created_at": STAMP, "updated_at": STAMP}
FIELD = {
    "custom_field_id": ID,
    "label": "Favorite fruit",
    "name": "favorite_fruit",
    "type": "single_select",
    "metadata": {"display_type": "radio"},
    "version": 1,
    "choices": [
        {"choice_id": 7, "choice_label": "Apple", "display_order": 1},
        {"choice_id": "9A63BC", "choice_label": "Pear", "display_order": 2},
    ],
    "created_at": STAMP,
    "updated_at": STAMP,
}
CRITERIA = {"version": "1.0.0", "criteria": {"type": "and", "group": [{"source": "tags", "name": "Größe"}]}}
SEGMENT = {"segment_id": 14, "name": "Active", "created_at": STAMP, "edited_at": STAMP}
SUMMARY = {
    "encoded_account_id": "p07e1l8",
    "organization_name": "Cats & Co",
    "contact_email": "owner@example.com",
    "contact_phone": "5550100",
    "country_code": "ke",
    "time_zone_id": "US/Eastern",
    "physical_address": {"address_line1": "1 Main St", "city": "Nairobi", "country_code": "KE"},
    "company_logo": {"url": "https://files.example.com/logo.png"},
}
EMAIL = {
    "email_id": 1,
    "email_address": "owner@example.com",
    "confirm_status": "CONFIRMED",
    "confirm_time": "2024-01-23T13:48:44.521+0000",
    "confirm_source": "192.0.2.1",
    "roles": ["CONTACT", "DEFAULT_FROM"],
    "pending_roles": [],
}
PRIVILEGE = {"privilege_id": 30, "privilege_name": "contacts:read"}
XREFS = {"xrefs": [{"sequence_id": "0016633325", "list_id": ID}]}

_LIST_BODY = {"name!": "string", "favorite": "boolean", "description": "string"}
_CHOICE = {"choice_id": "integer or string", "choice_label": "string", "display_order": "integer"}
_SEGMENT_BODY = {"name!": "string", "segment_criteria!": "string"}
_EXCLUDE = {"contact_ids": "[string]"}
_MEMBERS = {
    "list_ids": "[string]",
    "contact_ids": "[string]",
    "tag_ids": "[string]",
    "all_active_contacts": "boolean",
    "engagement_level": "string",
}
_TAGGING = {
    "source!": {
        "contact_ids": "[string]",
        "list_ids": "[string]",
        "tag_ids": "[string]",
        "all_active_contacts": "boolean",
        "new_subscriber": "boolean",
    },
    "exclude": _EXCLUDE,
    "tag_ids!": "[string]",
}


def _job(kind: str, body: Mapping[str, Any], *errors: int) -> Operation:
    path = f"/activities/{kind}"
    return Operation(
        method="POST", path=path, statuses=(201,), errors=(400, *errors, 429), body=body, response=ACTIVITY
    )


OPERATIONS: dict[str, Operation] = {
    "lists.list": Operation(
        method="GET",
        path="/contact_lists",
        errors=(400,),
        query={
            "limit": "integer",
            "include_count": "boolean",
            "include_membership_count": "string",
            "name": "string",
            "status": "string",
            "channel_type": "string",
            "include_sms_membership_count": "boolean",
        },
    ),
    "lists.create": Operation(
        method="POST", path="/contact_lists", statuses=(201,), errors=(400, 409), body=_LIST_BODY, response=LIST
    ),
    "lists.get": Operation(
        method="GET",
        path="/contact_lists/{id}",
        errors=(404,),
        query={"include_membership_count": "string"},
        response=LIST | {"membership_count": 3},
    ),
    "lists.update": Operation(
        method="PUT", path="/contact_lists/{id}", errors=(400, 404), body=_LIST_BODY, response=LIST
    ),
    "lists.delete": Operation(
        method="DELETE", path="/contact_lists/{id}", statuses=(202,), errors=(400, 404, 415), response=ACTIVITY
    ),
    "lists.id_xrefs": Operation(
        method="GET",
        path="/contact_lists/list_id_xrefs",
        errors=(400, 404),
        query={"sequence_ids": "string"},
        response=XREFS,
    ),
    "tags.list": Operation(
        method="GET", path="/contact_tags", errors=(400, 404), query={"limit": "integer", "include_count": "boolean"}
    ),
    "tags.create": Operation(
        method="POST",
        path="/contact_tags",
        statuses=(201,),
        errors=(400, 404, 409),
        body={"name!": "string", "tag_source": "string"},
        response=TAG,
    ),
    "tags.get": Operation(
        method="GET",
        path="/contact_tags/{id}",
        errors=(400, 404),
        query={"include_count": "boolean"},
        response=TAG | {"contacts_count": 5},
    ),
    "tags.update": Operation(
        method="PUT", path="/contact_tags/{id}", errors=(400, 404, 409), body={"name!": "string"}, response=TAG
    ),
    "tags.delete": Operation(
        method="DELETE",
        path="/contact_tags/{id}",
        statuses=(202,),
        errors=(400, 404, 406),
        response=ACTIVITY | {"status": {}, "activity_errors": [{"message": "It was in use."}]},
    ),
    "custom_fields.list": Operation(
        method="GET", path="/contact_custom_fields", errors=(400,), query={"limit": "integer"}
    ),
    "custom_fields.create": Operation(
        method="POST",
        path="/contact_custom_fields",
        statuses=(201,),
        errors=(400, 409, 415),
        body={
            "label": "string",
            "type": "string",
            "metadata": {
                "display_type": "string",
                "allow_negative": "boolean",
                "decimal_places": "integer",
                "currency_code": "string",
                "integer": "boolean",
                "display_format": "string",
            },
            "choices": [{"choice_label": "string", "display_order": "integer"}],
            "version": "integer",
        },
        response=FIELD,
    ),
    "custom_fields.get": Operation(method="GET", path="/contact_custom_fields/{id}", errors=(400, 404), response=FIELD),
    "custom_fields.update": Operation(
        method="PUT",
        path="/contact_custom_fields/{id}",
        errors=(400, 404),
        body={"label": "string", "choices": [_CHOICE]},
        response=FIELD,
    ),
    "custom_fields.delete": Operation(
        method="DELETE", path="/contact_custom_fields/{id}", statuses=(204,), errors=(404, 415)
    ),
    "segments.list": Operation(
        method="GET", path="/segments", errors=(400, 404, 415, 429), query={"limit": "string", "sort_by": "string"}
    ),
    "segments.create": Operation(
        method="POST",
        path="/segments",
        statuses=(201,),
        errors=(400, 409, 415),
        body=_SEGMENT_BODY,
        response=SEGMENT | {"segment_criteria": "{}"},
    ),
    "segments.get": Operation(
        method="GET", path="/segments/{id}", errors=(400, 404, 415), response=SEGMENT | {"segment_criteria": "{}"}
    ),
    "segments.update": Operation(
        method="PUT",
        path="/segments/{id}",
        errors=(400, 404, 409, 415),
        body=_SEGMENT_BODY,
        response=SEGMENT | {"segment_criteria": "{}"},
    ),
    "segments.rename": Operation(
        method="PATCH",
        path="/segments/{id}/name",
        errors=(400, 404, 409, 415),
        body={"name!": "string"},
        response=SEGMENT | {"segment_criteria": "{}"},
    ),
    "segments.delete": Operation(method="DELETE", path="/segments/{id}", statuses=(204,), errors=(400, 404, 415)),
    "account.summary": Operation(
        method="GET", path="/account/summary", errors=(400,), query={"extra_fields": "string"}, response=SUMMARY
    ),
    "account.emails": Operation(
        method="GET",
        path="/account/emails",
        errors=(400, 415),
        query={"confirm_status": "string", "role_code": "string", "email_address": "string"},
        response=[EMAIL],
    ),
    "account.privileges": Operation(method="GET", path="/account/user/privileges", response=[PRIVILEGE]),
    "activities.list": Operation(
        method="GET", path="/activities", errors=(400, 404), query={"limit": "integer", "state": "string"}
    ),
    "activities.get": Operation(method="GET", path="/activities/{id}", errors=(400, 404), response=ACTIVITY),
    "activities.import_contacts": _job(
        "contacts_json_import",
        {"import_data!": "[row]", "list_ids!": "[string]", "sms_permission_to_send": "string"},
    ),
    "activities.import_file": _job("contacts_file_import", {}, 404, 415),
    "activities.export_contacts": _job(
        "contact_exports",
        {
            "contact_ids": "[string]",
            "list_ids": "[string]",
            "tag_ids": "[string]",
            "new_subscriber": "boolean",
            "segment_id": "integer",
            "fields": "[string]",
            "status": "string",
            "exclude": _EXCLUDE,
        },
        404,
    ),
    "activities.delete_contacts": _job("contact_delete", {"contact_ids": "[string]", "list_ids": "[string]"}),
    "activities.add_to_lists": _job(
        "add_list_memberships",
        {"source!": {**_MEMBERS, "segment_id": "integer"}, "exclude": _EXCLUDE, "list_ids!": "[string]"},
    ),
    "activities.remove_from_lists": _job(
        "remove_list_memberships", {"source!": _MEMBERS, "exclude": _EXCLUDE, "list_ids!": "[string]"}, 404
    ),
    "activities.add_tags": _job("contacts_taggings_add", _TAGGING, 404),
    "activities.remove_tags": _job("contacts_taggings_remove", _TAGGING, 404),
    "activities.delete_lists": _job("list_delete", {"list_ids!": "[string]"}),
    "activities.delete_tags": _job("contacts_tags_delete", {"tag_ids!": "[string]"}),
    "activities.delete_custom_fields": _job("custom_fields_delete", {"custom_field_ids!": "[string]"}, 404),
}
STANDARD_ERRORS = (401, 403, 500, 503)
