"""Deleting lists, tags and custom fields, alone or in bulk: the contacts stay, their memberships vanish."""

from collections.abc import Iterable, Iterator

from cc_async.sandbox.data import Data
from cc_async.sandbox.jobs import Job
from cc_async.sandbox.stamps import stamp
from cc_async.sandbox.table import between_commas, has_any

_SLICE = 20_000  # contacts, which take some 50 ms


def delete_lists(data: Data, list_ids: Iterable[str], job: Job) -> Iterator[None]:
    """Delete lists in slices."""
    for list_id in list_ids:
        found = data.lists.pop(list_id, None)
        if found is None:
            job.errors.append(f"List {list_id} was not found.")
            continue
        data.deleted_lists[list_id] = found | {"deleted_at": stamp(data.now())}
        yield from leave(data, "lists", list_id)


def delete_tags(data: Data, tag_ids: Iterable[str], job: Job) -> Iterator[None]:
    """Delete tags in slices."""
    for tag_id in tag_ids:
        if data.tags.pop(tag_id, None) is None:
            job.errors.append(f"Tag {tag_id} was not found.")
            continue
        yield from leave(data, "tags", tag_id)


def delete_custom_fields(data: Data, field_ids: Iterable[str], job: Job) -> Iterator[None]:
    """Delete custom fields; contacts show only values of fields that exist."""
    for field_id in field_ids:
        if data.custom_fields.pop(field_id, None) is None:
            job.errors.append(f"Custom field {field_id} was not found.")
    yield


def leave(data: Data, column: str, one: str) -> Iterator[None]:
    """Take all contacts out of a list or tag, in slices."""
    rows = list(data.contacts.search(has_any(column, [one]), [between_commas(one)]))
    for start in range(0, len(rows), _SLICE):
        data.contacts.leave(column, one, rows[start : start + _SLICE])
        yield
