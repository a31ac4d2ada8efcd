"""The requests of the bulk jobs, built without sending them.

Paths, parameters and limits are those of https://developer.constantcontact.com/api_reference/index.html, Bulk
Activities. The limits that it states wrongly, as 0, are taken from its guide.
"""

import secrets
from codecs import BOM_UTF8
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import attrs

from cc_async.codec.decode import dumps
from cc_async.errors import ApiError, BulkQueueFullError, InvalidRequestError, RateLimitError
from cc_async.http.call import Call
from cc_async.models.activities import Activity
from cc_async.models.contacts import Contact
from cc_async.models.custom_fields import CustomFieldDefinition
from cc_async.models.lists import ContactList
from cc_async.models.segments import Segment
from cc_async.models.tags import Tag
from cc_async.resources._checks import checked_text, id_of, ids_of, segment_id_of
from cc_async.resources._operation import reads
from cc_async.wire.errors import is_throttle
from cc_async.wire.urls import quote_segment

ContactIds: TypeAlias = str | Contact | Iterable[str | Contact]
ListIds: TypeAlias = str | ContactList | Iterable[str | ContactList]
TagIds: TypeAlias = str | Tag | Iterable[str | Tag]
FieldIds: TypeAlias = str | CustomFieldDefinition | Iterable[str | CustomFieldDefinition]
SegmentId: TypeAlias = int | str | Segment
Rows: TypeAlias = Iterable[Mapping[str, Any]]

ROWS_AT_MOST = 39_999
"""Rows of one import: the API counts a header line too, and silently drops what comes after 40,000 lines."""
BYTES_AT_MOST = 4_000_000
"""Bytes of one import: the API silently drops what comes after 4 MB."""
_GROUPS_AT_MOST = 50
"""The most lists or tags that one job takes as its source, and as its target."""


def get(activity_id: str | Activity) -> Call[Activity]:
    """GET /activities/{activity_id}."""
    path = f"/activities/{quote_segment(id_of(activity_id, 'activity_id'))}"
    return Call(operation="activities.get", method="GET", path=path, parse=reads(Activity))


def _queue_full(error: ApiError) -> ApiError:
    """Distinguish a full queue of jobs from other errors with status 429, which have documented keys."""
    if type(error) is not RateLimitError or is_throttle(error.errors):
        return error
    said = error.error_message or "no reason given"
    message = f"The account has more than 1,000 bulk jobs waiting ({said}). Wait for some of them, then try again."
    return BulkQueueFullError(message, **vars(error))


def _job(name: str, kind: str, body: bytes) -> Call[Activity]:
    return Call(
        operation=f"activities.{name}",
        method="POST",
        path=f"/activities/{kind}",
        body=body,
        parse=reads(Activity),
        refine=_queue_full,
    )


def import_contacts(rows: Rows, list_ids: ListIds, *, sms_permission_to_send: str | None = None) -> Call[Activity]:
    """POST /activities/contacts_json_import."""
    data = [without_blanks(row) for row in rows]
    if not 1 <= len(data) <= ROWS_AT_MOST:
        raise InvalidRequestError(f"An import takes 1 to {ROWS_AT_MOST:,} rows, not {len(data):,}.")
    body: dict[str, Any] = {"import_data": data, "list_ids": _lists(list_ids)}
    if sms_permission_to_send is not None:
        body["sms_permission_to_send"] = sms_permission_to_send
    return import_encoded(dumps(body))


def import_encoded(body: bytes) -> Call[Activity]:
    """POST /activities/contacts_json_import with an encoded body."""
    _check_size(len(body))
    return _job("import_contacts", "contacts_json_import", body)


def import_file(
    content: bytes, list_ids: ListIds, *, filename: str = "contacts.csv", sms_permission_to_send: str | None = None
) -> Call[Activity]:
    """POST /activities/contacts_file_import."""
    if not filename.lower().endswith(".csv"):
        raise InvalidRequestError("The name of a file to import must end with .csv: the API takes no other kind.")
    _check_size(len(content))
    lines = len(content.splitlines())
    if lines > ROWS_AT_MOST + 1:
        raise InvalidRequestError(f"An import takes at most {ROWS_AT_MOST + 1:,} lines with the header, not {lines:,}.")
    fields = {"list_ids": ",".join(_lists(list_ids)), "sms_permission_to_send": sms_permission_to_send}
    boundary = secrets.token_hex(16)
    return attrs.evolve(
        _job(
            "import_file",
            "contacts_file_import",
            _multipart(boundary, content.removeprefix(BOM_UTF8), filename, fields),
        ),
        content_type=f"multipart/form-data; boundary={boundary}",
    )


def _multipart(boundary: str, content: bytes, filename: str, fields: Mapping[str, str | None]) -> bytes:
    name = filename.translate({ord('"'): "%22", ord("\r"): "%0D", ord("\n"): "%0A"})
    head = f'name="file"; filename="{name}"\r\nContent-Type: text/csv'
    parts = [(head, content)]
    parts += [(f'name="{field}"', value.encode()) for field, value in fields.items() if value is not None]
    lines = [
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary.encode(), head.encode(), value)
        for head, value in parts
    ]
    return b"".join([*lines, b"--%s--\r\n" % boundary.encode()])


def _check_size(size: int) -> None:
    if size > BYTES_AT_MOST:
        raise InvalidRequestError(
            f"An import takes at most {BYTES_AT_MOST:,} bytes, not {size:,}: the API would silently drop the rest."
        )


def without_blanks(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without its blank values (None or an empty string), whose effect in an import is undocumented."""
    return {name: value for name, value in row.items() if value is not None and value != ""}


def export_contacts(
    *,
    contact_ids: ContactIds | None = None,
    in_lists: ListIds | None = None,
    with_tags: TagIds | None = None,
    in_segment: SegmentId | None = None,
    new_subscriber: bool = False,
    status: str | None = None,
    fields: Iterable[str] | None = None,
    exclude_contact_ids: ContactIds | None = None,
) -> Call[Activity]:
    """POST /activities/contact_exports."""
    body = _source(contact_ids=contact_ids, list_ids=in_lists, tag_ids=with_tags, segment_id=in_segment, at_least=0)
    if new_subscriber:
        body["new_subscriber"] = True
    if status is not None:
        body["status"] = checked_text("status", status)
    if fields is not None:
        body["fields"] = [fields] if isinstance(fields, str) else list(fields)
    return _job("export_contacts", "contact_exports", dumps(body | _exclude(exclude_contact_ids, at_most=50)))


def delete_contacts(contact_ids: ContactIds | None = None, *, in_lists: ListIds | None = None) -> Call[Activity]:
    """POST /activities/contact_delete."""
    return _job("delete_contacts", "contact_delete", dumps(_source(contact_ids=contact_ids, list_ids=in_lists)))


def add_to_lists(
    list_ids: ListIds,
    *,
    contact_ids: ContactIds | None = None,
    in_lists: ListIds | None = None,
    with_tags: TagIds | None = None,
    in_segment: SegmentId | None = None,
    engagement_level: str | None = None,
    all_active_contacts: bool = False,
    exclude_contact_ids: ContactIds | None = None,
) -> Call[Activity]:
    """POST /activities/add_list_memberships."""
    source = _source(
        contact_ids=contact_ids,
        list_ids=in_lists,
        tag_ids=with_tags,
        segment_id=in_segment,
        engagement_level=engagement_level,
        all_active_contacts=all_active_contacts,
    )
    body = {"source": source, **_exclude(exclude_contact_ids), "list_ids": _lists(list_ids)}
    return _job("add_to_lists", "add_list_memberships", dumps(body))


def remove_from_lists(
    list_ids: ListIds,
    *,
    contact_ids: ContactIds | None = None,
    in_lists: ListIds | None = None,
    with_tags: TagIds | None = None,
    engagement_level: str | None = None,
    all_active_contacts: bool = False,
    exclude_contact_ids: ContactIds | None = None,
) -> Call[Activity]:
    """POST /activities/remove_list_memberships."""
    source = _source(
        contact_ids=contact_ids,
        list_ids=in_lists,
        tag_ids=with_tags,
        engagement_level=engagement_level,
        all_active_contacts=all_active_contacts,
    )
    body = {"source": source, **_exclude(exclude_contact_ids), "list_ids": _lists(list_ids)}
    return _job("remove_from_lists", "remove_list_memberships", dumps(body))


def add_tags(
    tag_ids: TagIds,
    *,
    contact_ids: ContactIds | None = None,
    in_lists: ListIds | None = None,
    with_tags: TagIds | None = None,
    new_subscriber: bool = False,
    all_active_contacts: bool = False,
    exclude_contact_ids: ContactIds | None = None,
) -> Call[Activity]:
    """POST /activities/contacts_taggings_add."""
    source = _source(
        contact_ids=contact_ids,
        list_ids=in_lists,
        tag_ids=with_tags,
        new_subscriber=new_subscriber,
        all_active_contacts=all_active_contacts,
    )
    body = {"source": source, **_exclude(exclude_contact_ids), "tag_ids": _tags(tag_ids)}
    return _job("add_tags", "contacts_taggings_add", dumps(body))


def remove_tags(
    tag_ids: TagIds,
    *,
    contact_ids: ContactIds | None = None,
    in_lists: ListIds | None = None,
    with_tags: TagIds | None = None,
    new_subscriber: bool = False,
    all_active_contacts: bool = False,
    exclude_contact_ids: ContactIds | None = None,
) -> Call[Activity]:
    """POST /activities/contacts_taggings_remove."""
    source = _source(
        contact_ids=contact_ids,
        list_ids=in_lists,
        tag_ids=with_tags,
        new_subscriber=new_subscriber,
        all_active_contacts=all_active_contacts,
    )
    body = {"source": source, **_exclude(exclude_contact_ids), "tag_ids": _tags(tag_ids)}
    return _job("remove_tags", "contacts_taggings_remove", dumps(body))


def delete_lists(list_ids: ListIds) -> Call[Activity]:
    """POST /activities/list_delete."""
    return _job(
        "delete_lists", "list_delete", dumps({"list_ids": ids_of("list_ids", list_ids, "list_id", at_most=100)})
    )


def delete_tags(tag_ids: TagIds) -> Call[Activity]:
    """POST /activities/contacts_tags_delete."""
    return _job(
        "delete_tags", "contacts_tags_delete", dumps({"tag_ids": ids_of("tag_ids", tag_ids, "tag_id", at_most=500)})
    )


def delete_custom_fields(custom_field_ids: FieldIds) -> Call[Activity]:
    """POST /activities/custom_fields_delete."""
    ids = ids_of("custom_field_ids", custom_field_ids, "custom_field_id", at_most=100)
    return _job("delete_custom_fields", "custom_fields_delete", dumps({"custom_field_ids": ids}))


def _lists(list_ids: ListIds, name: str = "list_ids") -> list[str]:
    return ids_of(name, list_ids, "list_id", at_most=_GROUPS_AT_MOST)


def _tags(tag_ids: TagIds, name: str = "tag_ids") -> list[str]:
    return ids_of(name, tag_ids, "tag_id", at_most=_GROUPS_AT_MOST)


def _source(*, at_least: int = 1, **given: Any) -> dict[str, Any]:
    """Return the source of the contacts of a job; it may be missing if that means all contacts."""
    source: dict[str, Any] = {name: value for name, value in given.items() if value is not None and value is not False}
    if not at_least <= len(source) <= 1:
        names = ", ".join(_ARGUMENTS.get(name, name) for name in given)
        raise InvalidRequestError(f"Name {'exactly' if at_least else 'at most'} one of {names}.")
    if "contact_ids" in source:
        source["contact_ids"] = ids_of("contact_ids", source["contact_ids"], "contact_id", at_most=500)
    if "list_ids" in source:
        source["list_ids"] = _lists(source["list_ids"], "in_lists")
    if "tag_ids" in source:
        source["tag_ids"] = _tags(source["tag_ids"], "with_tags")
    if "segment_id" in source:
        source["segment_id"] = segment_id_of(source["segment_id"])
    return source


_ARGUMENTS = {"list_ids": "in_lists", "tag_ids": "with_tags", "segment_id": "in_segment"}
"""The names of the arguments, because the API has one name for the source and the target of a job."""


def _exclude(contact_ids: ContactIds | None, *, at_most: int | None = None) -> dict[str, Any]:
    if contact_ids is None:
        return {}
    return {"exclude": {"contact_ids": ids_of("exclude_contact_ids", contact_ids, "contact_id", at_most=at_most)}}
