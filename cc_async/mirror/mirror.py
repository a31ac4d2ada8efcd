"""Keeps a copy of an account in a database."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from weakref import WeakSet

from sqlalchemy.ext.asyncio import AsyncEngine

from cc_async.client import ConstantContact
from cc_async.errors import MirrorError, NotFoundError, PermissionDeniedError
from cc_async.mirror.database import BUSY, Database, create_engine, database_url, locked_connection
from cc_async.mirror.report import SyncProgress, SyncReport
from cc_async.mirror.synchronization import Synchronization


class Mirror:
    """A copy of an account in a database: contacts with all that belongs to them, lists, tags and custom fields.

        async with ConstantContact(auth) as cc, Mirror("contacts.db") as mirror:
            report = await mirror.sync(cc)

    `database` is the path of a SQLite file, or a URL of SQLite or PostgreSQL (`postgresql://user:password@host/name`).
    The tables are in `cc_async.mirror.tables`, and any program can read them, also during a synchronization. Write to
    tables of your own only: these are overwritten.

    Raises:
        InvalidRequestError: The database is neither SQLite nor PostgreSQL, or the URL cannot be read.
        ModuleNotFoundError: The driver is not installed; the extra `mirror` brings it.

    """

    def __init__(self, database: str | Path) -> None:
        self._engine = create_engine(database_url(database))
        self._running = False
        self._same_account: WeakSet[ConstantContact] = WeakSet()

    @property
    def engine(self) -> AsyncEngine:
        """SQLAlchemy's engine, for queries; closed with the mirror."""
        return self._engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections to the database."""
        await self._engine.dispose()

    async def sync(
        self,
        cc: ConstantContact,
        *,
        full: bool = False,
        on_progress: Callable[[SyncProgress], None] | None = None,
    ) -> SyncReport:
        """Bring the copy up to date.

        The first time, and with `full`, all contacts are read: a request for 500 of them. Each page is stored in one
        transaction with the link to the next one, so an interrupted full read is resumed, even after the process was
        killed. Otherwise only what changed is read, as `contacts.changes` does: usually three requests. Lists, tags and
        custom fields are always read, usually with four requests.

        Whether edits of lists and tags show as changes of their contacts is not documented. Therefore let a full read
        run from time to time, for example every night. Contacts that it does not meet are looked up, up to 1,000 each
        time, and removed if the API no longer knows them.

        Raises:
            MirrorError: The database failed, another synchronization is running, or the copy is of another account.
            ApiError, TransportError, AuthorizationError, DecodeError: As for every request; what was stored before is
                kept, and the next call resumes from there.

        """
        if self._running:
            raise MirrorError(BUSY)
        self._running = True
        try:
            return await self._sync(cc, full, on_progress)
        except MirrorError as error:
            failure = error
        finally:
            self._running = False
        failure.__context__ = None  # the error of the driver, which may quote what should have been stored
        raise failure

    async def _sync(
        self, cc: ConstantContact, full: bool, on_progress: Callable[[SyncProgress], None] | None
    ) -> SyncReport:
        async with locked_connection(self._engine) as connection:
            database = Database(connection)
            await database.prepare()
            await self._check_account(cc, database)
            return await Synchronization(cc, database, on_progress).run(full=full)

    async def _check_account(self, cc: ConstantContact, database: Database) -> None:
        """Refuse to mix two accounts, as far as the login may tell them apart."""
        if cc in self._same_account:
            return
        try:
            account = (await cc.account.summary()).encoded_account_id
        except (PermissionDeniedError, NotFoundError):
            return
        async with database.transaction():
            known = (await database.state()).get("account")
            if known is None and account is not None:
                await database.save_state(account=account)
        if known not in {None, account}:
            raise MirrorError("This database holds the copy of another account. Sync into a new database.")
        self._same_account.add(cc)
