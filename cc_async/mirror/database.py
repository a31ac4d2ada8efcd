"""The database of a mirror: its address, its lock, and the statements on its tables."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
from filelock import FileLock, Timeout
from sqlalchemy import Connection, Table, delete, event, func, insert, inspect, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from cc_async._tasks import complete
from cc_async.codec.decode import RawItem
from cc_async.codec.problems import Problem
from cc_async.errors import InvalidRequestError, MirrorError
from cc_async.mirror import tables
from cc_async.mirror.rows import Row, rows_of_contacts, text
from cc_async.models.contacts import Contact

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
_LOCK_ID: Final = 0x63635F6173796E63
"""The number of the advisory lock in PostgreSQL."""
_NO_FILE: Final = (None, "", ":memory:")
_FAILED: Final = "The database of the mirror {}: {}."
BUSY: Final = "Another synchronization of this database is running."
_SLICE: Final = 20
"""Contacts that are decoded before the event loop runs again: about a millisecond."""
_BUSY_SECONDS: Final = 30
"""How long SQLite waits while another program writes."""


def database_url(given: str | Path) -> URL:
    """Return the URL of a database, given as such or as the path of a SQLite file.

    Raises:
        InvalidRequestError: It is neither SQLite nor PostgreSQL.

    """
    if not isinstance(given, str) or "://" not in given:
        if not str(given).strip():
            raise InvalidRequestError("A mirror needs the path of a SQLite file, or the URL of a database.")
        return URL.create("sqlite+aiosqlite", database=str(given))
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        raise InvalidRequestError("The URL of the database cannot be read.") from None  # it may hold a password
    url = url.set(drivername=_DRIVERS.get(url.drivername, url.drivername))
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise InvalidRequestError("A mirror needs SQLite or PostgreSQL.")
    if url.drivername == "postgresql+asyncpg" and "sslmode" in url.query:
        # The name that libpq and most providers of databases use, which asyncpg calls `ssl`.
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": url.query["sslmode"]})
    return url


def create_engine(url: URL) -> AsyncEngine:
    """Create the engine for a URL from `database_url`; it keeps no connection open between synchronizations.

    Raises:
        InvalidRequestError: SQLAlchemy does not know the driver, or it cannot be used with asyncio.
        ModuleNotFoundError: The driver is not installed.

    """
    is_file = url.get_backend_name() == "sqlite" and url.database not in _NO_FILE
    pool = NullPool if is_file or url.get_backend_name() == "postgresql" else None
    try:
        engine = create_async_engine(url, hide_parameters=True, poolclass=pool)
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InvalidRequestError(f"The database cannot be used: {reason}.") from None
    except ModuleNotFoundError as missing:
        message = f"This database needs {missing.name}: pip install 'cc-async[mirror]'."
        raise ModuleNotFoundError(message, name=missing.name) from None
    if is_file:
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA page_size = 16384")  # of a new file: only one contact fits on the usual page of 4 KiB
    cursor.execute("PRAGMA journal_mode = WAL")  # others can read while a page is written
    cursor.execute("PRAGMA cache_size = -16000")  # KiB
    cursor.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the last pages, together with their checkpoint
    cursor.close()


@contextmanager
def failures_translated(what: str = "failed") -> Iterator[None]:
    """Turn errors of the database into a MirrorError that shows no values, and no password."""
    try:
        yield
    except MirrorError:
        raise
    except Exception as error:  # noqa: BLE001  # each driver has exceptions of its own; only database calls are inside
        raise MirrorError(_FAILED.format(what, _reason(error))) from None


def _reason(error: Exception) -> str:
    origin = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(error, DBAPIError) and type(error) not in {OperationalError, ProgrammingError, DatabaseError}:
        return type(origin).__name__  # the message may quote values
    lines = str(origin).splitlines()
    # SQLAlchemy puts the class of the driver's exception before its message.
    return re.sub(r"^<class '[\w.]+'>: ", "", lines[0]).rstrip(".") if lines else type(origin).__name__


@asynccontextmanager
async def locked_connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Yield a connection to which alone a mirror writes, while no other process does.

    Raises:
        MirrorError: Another process synchronizes this database, or it cannot be opened.

    """
    is_postgresql, path = engine.url.get_backend_name() == "postgresql", engine.url.database
    with _file_lock(None if is_postgresql else path):
        connection = engine.connect()
        try:
            with failures_translated("cannot be opened"):
                # When cancelled, aiosqlite leaves open what its thread was opening, and asyncpg does not.
                await (connection.start() if is_postgresql else complete(connection.start()))
            if is_postgresql:
                await _lock(connection)
            yield connection
        finally:
            # The lock of PostgreSQL belongs to the connection, and ends with it, however that comes about.
            if connection.sync_connection is not None:
                await (connection.close() if is_postgresql else complete(connection.close()))


@contextmanager
def _file_lock(database: str | None) -> Iterator[None]:
    if database in _NO_FILE:
        yield
        return
    if not Path(str(database)).absolute().parent.is_dir():
        raise MirrorError(_FAILED.format("cannot be opened", "its folder does not exist"))
    lock = FileLock(f"{database}.lock", timeout=0, thread_local=False)
    with failures_translated("cannot be opened"):
        try:
            lock.acquire()
        except Timeout:
            raise MirrorError(BUSY) from None
    try:
        yield
    finally:
        lock.release()


async def _lock(connection: AsyncConnection) -> None:
    with failures_translated():
        locked = (await connection.execute(select(func.pg_try_advisory_lock(_LOCK_ID)))).scalar_one()
        await connection.commit()
    if not locked:
        raise MirrorError(BUSY)


def _create_tables(connection: Connection) -> None:
    names = set(inspect(connection).get_table_names())
    if tables.state.name not in names and (taken := sorted(names & tables.metadata.tables.keys())):
        raise MirrorError(
            f"The database has a table {taken[0]} of another program. Use a database that is the mirror's alone."
        )
    tables.state.create(connection, checkfirst=True)  # first, so that tables of an interrupted start are known as ours
    tables.metadata.create_all(connection)


class _Identified(msgspec.Struct):
    contact_id: str | None = None


_identify: Final = msgspec.json.Decoder(_Identified).decode


def contact_id_of(item: RawItem[Contact]) -> str | None:
    """Return the id of a contact without decoding all of it."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _identify(item.json).contact_id
    return item.decode().value.contact_id


@attrs.define(eq=False)
class Database:
    """The statements on the tables, on one connection, each to be used within `transaction`."""

    connection: AsyncConnection
    next_number: int | None = None
    """The next free `contacts.id`, once it is known: nobody else gives numbers meanwhile."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit what is done inside, or roll it back if it fails or is cancelled; only for calls of the database.

        Raises:
            MirrorError: The database failed.

        """
        with failures_translated():
            async with self.connection.begin():
                yield

    async def prepare(self) -> None:
        """Create the tables that do not exist.

        Raises:
            MirrorError: Another version of the library has created them, or another program tables of the same names.

        """
        async with self.transaction():
            await self.connection.run_sync(_create_tables)
            version = (await self.state()).get("schema")
            if version is None:
                await self.save_state(schema=tables.SCHEMA_VERSION)
            elif version != tables.SCHEMA_VERSION:
                message = f"The mirror has version {version} of the tables, which this version of cc_async cannot use."
                raise MirrorError(f"{message} Sync into a new database.")

    async def state(self) -> dict[str, str | None]:
        """Return everything that `save_state` has stored."""
        rows = await self.connection.execute(select(tables.state.c.name, tables.state.c.value))
        return {row.name: row.value for row in rows}

    async def save_state(self, **values: str | int | None) -> None:
        """Store values by name."""
        rows: list[Row] = [(name, None if value is None else str(value)) for name, value in values.items()]
        await self.upsert(tables.state, rows)

    async def upsert(self, table: Table, rows: list[Row]) -> None:
        """Insert rows, in place of those with the same primary key."""
        insertion = postgresql.insert(table) if self.connection.dialect.name == "postgresql" else sqlite.insert(table)
        keys = [column.name for column in table.primary_key]
        replaced = {column.name: insertion.excluded[column.name] for column in table.c if column.name not in keys}
        await self._execute_many(table, insertion.on_conflict_do_update(index_elements=keys, set_=replaced), rows)

    async def replace_all(self, table: Table, rows: Iterable[Row]) -> int:
        """Make these the only rows of a table and return their number; those without a key are left out."""
        kept = {row[0]: row for row in rows if row[0] is not None}
        await self.connection.execute(delete(table))
        await self._execute_many(table, insert(table), [*kept.values()])
        return len(kept)

    async def write_contacts(self, items: Iterable[RawItem[Contact]], generation: int) -> tuple[int, list[Problem]]:
        """Insert or replace contacts with all that belongs to them.

        Return how many had no id and were left out, and the problems found in all of them.
        """
        given = [(contact_id_of(item), item) for item in items]
        by_id = {text(contact_id): item for contact_id, item in given if contact_id is not None}
        known = await self._numbers_of([*by_id])
        numbered = await self._number(by_id, known)
        rows: dict[Table, list[Row]] = defaultdict(list)
        problems: list[Problem] = []
        # A few at a time: the event loop runs in between, and hardly any model lives until the garbage collector comes.
        while part := [*islice(numbered, _SLICE)]:
            decoded = [(number, item.decode(), item.json.decode("utf-8", "replace")) for number, item in part]
            problems += (problem for _, contact, _ in decoded for problem in contact.problems)
            contacts = ((number, contact.value, document) for number, contact, document in decoded)
            for table, of_the_part in rows_of_contacts(contacts, generation):
                rows[table] += of_the_part
            del decoded
            await asyncio.sleep(0)
        await self.upsert(tables.contacts, rows.pop(tables.contacts, []))
        for table in tables.OF_A_CONTACT:
            if known:
                await self.connection.execute(delete(table).where(table.c.contact.in_(known.values())))
            await self._execute_many(table, insert(table), rows[table])
        return sum(contact_id is None for contact_id, _ in given), problems

    async def _number(
        self, by_id: Mapping[str, RawItem[Contact]], known: Mapping[str, int]
    ) -> Iterator[tuple[int, RawItem[Contact]]]:
        """Give each contact the number that it has, or the next one."""
        if self.next_number is None:
            last = (await self.connection.execute(select(func.max(tables.contacts.c.id)))).scalar_one()
            self.next_number = int(last or 0) + 1
        new = count(self.next_number)
        self.next_number += len(by_id) - len(known)
        return ((known[key] if key in known else next(new), item) for key, item in by_id.items())

    async def _execute_many(self, table: Table, statement: Any, rows: list[Row]) -> None:
        """Execute an insertion for many rows, whose values are in the order of the columns.

        SQLAlchemy would process each row as a mapping, which takes longer than SQLite takes to insert it.
        """
        if not rows:
            return
        dialect = self.connection.dialect
        converters = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.c]
        if any(converters):
            values = zip(*rows, strict=True)
            rows = [
                *zip(*(map(to, each) if to else each for to, each in zip(converters, values, strict=True)), strict=True)
            ]
        compiled = statement.compile(dialect=dialect, column_keys=[column.name for column in table.c])
        await self.connection.exec_driver_sql(str(compiled), rows)

    async def _numbers_of(self, contact_ids: list[str]) -> dict[str, int]:
        table = tables.contacts
        query = select(table.c.contact_id, table.c.id).where(table.c.contact_id.in_(contact_ids))
        return {row.contact_id: row.id for row in await self.connection.execute(query)}

    async def unseen(self, generation: int, at_most: int) -> list[str]:
        """Return the ids of contacts that the full read of this number has not met."""
        query = select(tables.contacts.c.contact_id).where(tables.contacts.c.generation != generation).limit(at_most)
        return [*(await self.connection.execute(query)).scalars()]

    async def number_seen(self, generation: int) -> int:
        """Return how many contacts the full read of this number has met."""
        query = select(func.count()).select_from(tables.contacts).where(tables.contacts.c.generation == generation)
        return int((await self.connection.execute(query)).scalar_one())

    async def remove(self, contact_id: str) -> None:
        """Delete a contact with all that belongs to it."""
        numbers = [*(await self._numbers_of([contact_id])).values()]
        for table in tables.OF_A_CONTACT:
            await self.connection.execute(delete(table).where(table.c.contact.in_(numbers)))
        await self.connection.execute(delete(tables.contacts).where(tables.contacts.c.id.in_(numbers)))
