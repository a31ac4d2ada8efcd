"""`contacts`, `lists`, `tags`, `fields`, `segments` and `counts`: what is in an account."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from cc_async.cli import output
from cc_async.cli.connect import connected
from cc_async.cli.contact_columns import EVERYTHING, columns, read_names
from cc_async.cli.exits import OK, USAGE, CommandError
from cc_async.cli.lookup import find_lists, find_segment, find_tags
from cc_async.cli.output import Column
from cc_async.client import ConstantContact
from cc_async.codec.plain import to_plain
from cc_async.models.activities import Activity
from cc_async.models.contacts import Contact, ContactCounts
from cc_async.models.custom_fields import CustomFieldDefinition
from cc_async.models.lists import ContactList
from cc_async.models.segments import Segment
from cc_async.models.tags import Tag
from cc_async.resources.contacts.filters import LIMIT_AT_MOST

_T = TypeVar("_T")


def _status(contact: Contact) -> str | None:
    if contact.deleted_at:
        return "deleted"
    return contact.email_address.permission_to_send if contact.email_address else None


_CONTACTS: Sequence[Column[Contact]] = (
    Column("id", attrgetter("contact_id"), style="dim", narrow=9),
    Column("name", lambda one: " ".join(name for name in (one.first_name, one.last_name) if name), most=30),
    Column("e-mail", lambda one: one.email_address and one.email_address.address),
    Column("status", _status, least=12),
    Column("updated", attrgetter("updated_at"), least=10),
)
_LISTS: Sequence[Column[ContactList]] = (
    Column("id", attrgetter("list_id"), style="dim", narrow=9),
    Column("name", attrgetter("name"), style="bold", most=60),
    Column("contacts", attrgetter("membership_count")),
    Column("favorite", lambda one: one.favorite or None),
    Column("updated", attrgetter("updated_at")),
)
_TAGS: Sequence[Column[Tag]] = (
    Column("id", attrgetter("tag_id"), style="dim", narrow=9),
    Column("name", attrgetter("name"), style="bold", most=60),
    Column("contacts", attrgetter("contacts_count")),
    Column("updated", attrgetter("updated_at")),
)
_FIELDS: Sequence[Column[CustomFieldDefinition]] = (
    Column("id", attrgetter("custom_field_id"), style="dim", narrow=9),
    Column("label", attrgetter("label"), style="bold", most=40),
    Column("type", attrgetter("type")),
    Column("options", lambda one: [choice.choice_label or "" for choice in one.choices or ()], most=60),
)
_SEGMENTS: Sequence[Column[Segment]] = (
    Column("id", lambda one: None if one.segment_id is None else str(one.segment_id), style="dim"),
    Column("name", attrgetter("name"), style="bold", most=60),
    Column("created", attrgetter("created_at")),
    Column("edited", attrgetter("edited_at")),
)
_COUNTS: Sequence[Column[ContactCounts]] = tuple(
    Column(name, attrgetter(name)) for name in ("total", "explicit", "implicit", "pending", "unsubscribed")
)


def run(given: argparse.Namespace) -> int:
    """Show what was asked for, or create or delete it."""
    return asyncio.run(_run(given))


async def _run(given: argparse.Namespace) -> int:
    if output.format_of(given.format) == "table":
        import rich  # noqa: F401, PLC0415  # the other formats do without; a missing extra is said before anything else
    action = getattr(given, "action", "show")
    if action != "show" and not given.name:
        raise CommandError(f"`{given.command} {action}` needs a name.", USAGE)
    async with connected(given) as cc:
        if action == "create":
            await _create(cc, given)
        elif action == "delete":
            await _delete(cc, given)
        else:
            await _show(cc, given)
    return OK


async def _show(cc: ConstantContact, given: argparse.Namespace) -> None:
    match given.command:
        case "contacts":
            await _show_contacts(cc, given)
        case "lists":
            await _write(given, cc.lists.list(include_membership_count="active"), _LISTS, "list")
        case "tags":
            await _write(given, cc.tags.list(include_count=True), _TAGS, "tag")
        case "fields":
            await _write(given, cc.custom_fields.list(), _FIELDS, "custom field")
        case "segments":
            await _write(given, cc.segments.list(), _SEGMENTS, "segment")
        case _:
            await output.write([await cc.contacts.counts()], _COUNTS, given.format, document=to_plain)


async def _write(
    given: argparse.Namespace, items: AsyncIterator[_T] | Any, shown: Sequence[Column[_T]], noun: str, more: str = ""
) -> None:
    count = await output.write(items, shown, given.format, document=to_plain)
    if output.format_of(given.format) == "table":
        from cc_async.cli.show import console  # noqa: PLC0415  # other formats do without the extra

        console().print(f"{chr(10) * bool(count)}{count:,} {noun}{'' if count == 1 else 's'}{more}", markup=False)


async def filters_of(cc: ConstantContact, given: argparse.Namespace) -> dict[str, Any]:
    """Return the filters of `contacts.list` that the arguments name; names become ids."""
    names = ("status", "email", "updated_after", "updated_before", "created_after", "created_before")
    filters = {name: getattr(given, name) for name in (*names, "optout_after", "optout_before")}
    filters["lists"] = await find_lists(cc, given.lists) if given.lists else None
    filters["tags"] = await find_tags(cc, given.tags) if given.tags else None
    filters["segment_id"] = await find_segment(cc, given.segment) if given.segment else None
    return {name: value for name, value in filters.items() if value is not None}


async def _show_contacts(cc: ConstantContact, given: argparse.Namespace) -> None:
    filters = await filters_of(cc, given)
    include = EVERYTHING if given.include == "all" else tuple(filter(None, (given.include or "").split(",")))
    if include:
        filters["include"] = include
    shown = _CONTACTS
    if output.format_of(given.format) == "csv":
        shown = columns(await read_names(cc, include), include)
    contacts = await cc.contacts.list(**filters, limit=min(given.max, LIMIT_AT_MOST)).collect(given.max)
    more = "; there may be more, see --max" if len(contacts) == given.max else ""
    await _write(given, contacts, shown, "contact", more)


async def _create(cc: ConstantContact, given: argparse.Namespace) -> None:
    if given.command == "lists":
        await output.write([await cc.lists.create(given.name)], _LISTS, given.format, document=to_plain)
    else:
        await output.write([await cc.tags.create(given.name)], _TAGS, given.format, document=to_plain)


async def _delete(cc: ConstantContact, given: argparse.Namespace) -> None:
    if given.command == "lists":
        (chosen,) = await find_lists(cc, [given.name])
        _confirm(given, f"the list {chosen.name!r}; its contacts stay")
        activity = await cc.lists.delete(chosen)
    else:
        (tag,) = await find_tags(cc, [given.name])
        _confirm(given, f"the tag {tag.name!r}; its contacts stay")
        activity = await cc.tags.delete(tag)
    await _wait(cc, activity)
    print(f"{given.name!r} was deleted.")  # noqa: T201  # it is a command


def _confirm(given: argparse.Namespace, what: str) -> None:
    if given.yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"This would delete {what}. Add --yes to confirm.", USAGE)
    if input(f"Delete {what}? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise CommandError("Nothing was deleted.")


async def _wait(cc: ConstantContact, activity: Activity) -> None:
    if activity.activity_id is not None:
        await cc.activities.wait(activity)
