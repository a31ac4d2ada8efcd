"""`contacts`: a look into an account, which changes nothing."""

import argparse
import asyncio

from rich.table import Table
from rich.text import Text

from cc_async.cli import show
from cc_async.cli.connect import connected
from cc_async.cli.text import printable
from cc_async.models.contacts import Contact
from cc_async.resources.contacts.filters import LIMIT_AT_MOST, ContactFilters

_WIDE = 120
"""Columns from which there is room for whole ids."""


def run(given: argparse.Namespace) -> int:
    """Print the contacts that match."""
    contacts = asyncio.run(_read(given))
    console = show.console(wide_pipe=True)
    if contacts:
        console.print(_table(contacts, whole_ids=console.width >= _WIDE))
        console.print()
    more = "; there may be more, see --max" if len(contacts) == given.max else ""
    console.print(f"{len(contacts):,} contact{'' if len(contacts) == 1 else 's'}{more}")
    return 0


async def _read(given: argparse.Namespace) -> list[Contact]:
    filters: ContactFilters = {"limit": min(given.max, LIMIT_AT_MOST)}
    if given.status is not None:
        filters["status"] = given.status
    if given.email is not None:
        filters["email"] = given.email
    async with connected(given) as cc:
        return await cc.contacts.list(**filters).collect(given.max)


def _table(contacts: list[Contact], *, whole_ids: bool) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("id", no_wrap=True, style="dim", width=None if whole_ids else 9)
    table.add_column("name", no_wrap=True, max_width=30)
    table.add_column("e-mail", no_wrap=True)
    table.add_column("status", no_wrap=True, min_width=12)
    table.add_column("updated", no_wrap=True, width=10)
    for contact in contacts:
        table.add_row(*(Text(printable(cell)) for cell in _cells(contact)))
    return table


def _cells(contact: Contact) -> tuple[str, ...]:
    email = contact.email_address
    status = "deleted" if contact.deleted_at else email and email.permission_to_send
    return (
        contact.contact_id or "-",
        " ".join(name for name in (contact.first_name, contact.last_name) if name) or "-",
        (email and email.address) or "-",
        status or "-",
        f"{contact.updated_at:%Y-%m-%d}" if contact.updated_at else "-",
    )
