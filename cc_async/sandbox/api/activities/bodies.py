"""The bodies of the bulk operations."""

from typing import Annotated, Literal, Required, TypeAlias, TypedDict

from msgspec import Meta, Raw

from cc_async.sandbox.requests import Document
from cc_async.sandbox.responses import invalid

Ids50: TypeAlias = Annotated[list[str], Meta(min_length=1, max_length=50)]
Ids100: TypeAlias = Annotated[list[str], Meta(min_length=1, max_length=100)]
Ids500: TypeAlias = Annotated[list[str], Meta(min_length=1, max_length=500)]
SmsPermission: TypeAlias = Literal["not_set", "explicit"]


class Exclude(TypedDict, total=False):
    """Contacts that are left out."""

    contact_ids: list[str]


class Source(TypedDict, total=False):
    """The contacts a bulk operation is for, in one of several ways."""

    contact_ids: Ids500
    list_ids: Ids50
    tag_ids: Ids50
    all_active_contacts: bool
    engagement_level: Literal["unqualified", "low", "medium", "high"]
    segment_id: int
    new_subscriber: bool


class Memberships(TypedDict, total=False):
    """Contacts are added to lists, or removed from them."""

    source: Required[Source]
    exclude: Exclude
    list_ids: Required[Ids50]


class Taggings(TypedDict, total=False):
    """Contacts are given tags, or lose them."""

    source: Required[Source]
    exclude: Exclude
    tag_ids: Required[Ids50]


class Deletion(TypedDict, total=False):
    """Contacts are deleted."""

    contact_ids: Ids500
    list_ids: Ids50


class DeletedLists(TypedDict):
    """Lists are deleted."""

    list_ids: Ids100


class DeletedTags(TypedDict):
    """Tags are deleted."""

    tag_ids: Ids500


class DeletedFields(TypedDict):
    """Custom fields are deleted."""

    custom_field_ids: Ids100


class JsonImport(TypedDict, total=False):
    """Rows to import, each still encoded."""

    import_data: Required[Annotated[list[Raw], Meta(min_length=1)]]
    list_ids: Required[Ids50]
    sms_permission_to_send: SmsPermission


class Export(TypedDict, total=False):
    """The contacts and fields to export."""

    contact_ids: Ids500
    list_ids: Ids50
    tag_ids: Ids50
    segment_id: int
    new_subscriber: bool
    status: Literal["active", "unsubscribed", "removed"]
    exclude: Exclude
    fields: list[str]


def check_source(source: Source, exclude: Exclude | None, allowed: tuple[str, ...]) -> Document:
    """Return the one way in which contacts are chosen; raises Refused."""
    given: Document = {name: value for name, value in source.items() if value}
    if len(given) != 1 or not given.keys() <= set(allowed):
        raise invalid(f"source must have exactly one of {', '.join(allowed)}")
    if exclude and not given.keys() & {"all_active_contacts", "list_ids"}:
        raise invalid("exclude can only be used with all_active_contacts or list_ids")
    return given


_COMBINATIONS = (
    {"contact_ids", "status"},
    {"list_ids", "status", "exclude", "new_subscriber"},
    {"tag_ids"},
    {"segment_id"},
    {"exclude", "new_subscriber"},
    {"status"},
)
_OPT_FIELDS = ("email_optin_source", "email_optin_date", "email_optout_source", "email_optout_date")


def check_export(body: Export) -> None:
    """Refuse filters that cannot be combined, and fields without the one they need."""
    given = {name for name, value in body.items() if value and name != "fields"}
    if not any(given <= combination for combination in _COMBINATIONS):
        raise invalid(f"{', '.join(sorted(given))} cannot be combined")
    if len(body.get("exclude", {}).get("contact_ids", ())) > 50:
        raise invalid("exclude.contact_ids is longer than 50")
    fields = body.get("fields", [])
    if "email_address" not in fields and {*_OPT_FIELDS, "email_optout_reason"} & set(fields):
        raise invalid("fields must have email_address")
