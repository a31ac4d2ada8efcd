"""The tables of a mirror.

The columns are those that queries need; `document` is the JSON object as the API sent it, with everything else.
Timestamps are in UTC. What belongs to a contact refers to `contacts.id`, a number that only this database knows: ids of
the API are random, and tables sorted by them take three times as long to write. Memberships, taggings and values may
refer to lists, tags and custom fields that were deleted.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import JSON, Column, Date, DateTime, Dialect, ForeignKey, Integer, MetaData, SmallInteger, Table, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

SCHEMA_VERSION: Final = "1"

metadata: Final = MetaData()


class Timestamp(TypeDecorator[datetime]):
    """An aware datetime: `timestamptz` in PostgreSQL; in SQLite, which has none, text in UTC that sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the type of the column."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        """Convert to UTC."""
        return _text_in_utc if dialect.name == "sqlite" else _in_utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read the text of SQLite."""
        return datetime.fromisoformat(value) if isinstance(value, str) else value


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.astimezone(UTC)


def _text_in_utc(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat(" ", "microseconds")


class JsonText(TypeDecorator[Any]):
    """JSON that is text already when it is written."""

    impl = JSON
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> None:
        """Leave the text as it is."""


def _key(name: str, *, index: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=True, index=index)


def _of_a_contact(name: str, *columns: Column[Any]) -> Table:
    contact: Column[int] = Column("contact", ForeignKey("contacts.id"), primary_key=True)
    # In SQLite, small rows that are found by their key are faster without a second, internal key.
    return Table(name, metadata, contact, *columns, sqlite_with_rowid=False)


def _position() -> Column[int]:
    return Column("position", SmallInteger, primary_key=True, autoincrement=False)


contacts: Final = Table(
    "contacts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("contact_id", Text, nullable=False, unique=True),
    Column("email", Text, index=True),
    Column("permission_to_send", Text),
    Column("opt_in_date", Timestamp),
    Column("opt_out_date", Timestamp),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("job_title", Text),
    Column("company_name", Text),
    Column("birthday_month", Integer),
    Column("birthday_day", Integer),
    Column("anniversary", Text),
    Column("sms_number", Text),
    Column("create_source", Text),
    Column("update_source", Text),
    Column("created_at", Timestamp),
    Column("updated_at", Timestamp),
    Column("deleted_at", Date),
    Column("document", JsonText, nullable=False),
    Column("generation", Integer, nullable=False),  # the number of the full read that last saw the contact
)
addresses: Final = _of_a_contact(
    "addresses",
    _position(),
    Column("street_address_id", Text),
    Column("kind", Text),
    Column("street", Text),
    Column("city", Text),
    Column("state", Text),
    Column("postal_code", Text),
    Column("country", Text),
)
phones: Final = _of_a_contact(
    "phones",
    _position(),
    Column("phone_number_id", Text),
    Column("kind", Text),
    Column("phone_number", Text),
)
custom_field_values: Final = _of_a_contact(
    "custom_field_values",
    _key("custom_field_id"),
    Column("value", Text),
    Column("choice_ids", JsonText),
)
memberships: Final = _of_a_contact("memberships", _key("list_id", index=True))
taggings: Final = _of_a_contact("taggings", _key("tag_id", index=True))
lists: Final = Table(
    "lists",
    metadata,
    _key("list_id"),
    Column("name", Text),
    Column("description", Text),
    Column("created_at", Timestamp),
    Column("updated_at", Timestamp),
    Column("deleted_at", Timestamp),
    Column("document", JsonText, nullable=False),
)
tags: Final = Table(
    "tags",
    metadata,
    _key("tag_id"),
    Column("name", Text),
    Column("created_at", Timestamp),
    Column("updated_at", Timestamp),
    Column("document", JsonText, nullable=False),
)
custom_fields: Final = Table(
    "custom_fields",
    metadata,
    _key("custom_field_id"),
    Column("label", Text),
    Column("name", Text),
    Column("type", Text),
    Column("created_at", Timestamp),
    Column("updated_at", Timestamp),
    Column("document", JsonText, nullable=False),
)
state: Final = Table("mirror_state", metadata, Column("name", Text, primary_key=True), Column("value", Text))

OF_A_CONTACT: Final = (addresses, phones, custom_field_values, memberships, taggings)
"""The tables whose rows belong to a contact and are replaced with it."""
