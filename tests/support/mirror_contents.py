"""What a mirror holds, and what it should hold after a sandbox was copied."""

from typing import Any

from sqlalchemy import Table, select

from cc_async.mirror import Mirror, tables
from cc_async.sandbox import Sandbox


async def rows(database: str, table: Table) -> list[dict[str, Any]]:
    async with Mirror(database) as mirror, mirror.engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(select(table))).mappings()]


async def documents(database: str) -> dict[str, Any]:
    return {row["contact_id"]: row["document"] for row in await rows(database, tables.contacts)}


async def of_contacts(database: str, table: Table, *columns: str) -> set[tuple[Any, ...]]:
    """The rows of a table that belong to contacts, by the ids of the API."""
    ids = {row["id"]: row["contact_id"] for row in await rows(database, tables.contacts)}
    found = [(ids[row["contact"]], *(row[column] for column in columns)) for row in await rows(database, table)]
    assert len(found) == len(set(found))
    return set(found)


async def assert_equal_to(box: Sandbox, database: str) -> None:
    """Fail unless the mirror holds what the sandbox does: nothing more, nothing less, nothing old."""
    wanted = {contact_id: box.store.get(contact_id) for contact_id in box.store.ids()}
    found = await documents(database)
    assert found.keys() == wanted.keys()
    for contact_id, document in wanted.items():
        assert {name: value for name, value in found[contact_id].items() if value != []} == {
            name: value for name, value in document.items() if value != []
        }
    for table, array, column in (
        (tables.memberships, "list_memberships", "list_id"),
        (tables.taggings, "taggings", "tag_id"),
    ):
        assert await of_contacts(database, table, column) == {
            (key, each) for key, document in wanted.items() for each in document.get(array, ())
        }
    for table, array, columns in (
        (tables.phones, "phone_numbers", ("phone_number", "kind")),
        (tables.addresses, "street_addresses", ("street", "city", "kind")),
        (tables.custom_field_values, "custom_fields", ("custom_field_id", "value")),
    ):
        assert await of_contacts(database, table, *columns) == {
            (key, *map(each.get, columns)) for key, document in wanted.items() for each in document.get(array, ())
        }
