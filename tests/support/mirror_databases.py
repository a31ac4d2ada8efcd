"""The databases that a mirror can be in."""

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from support.postgres_server import PostgresServer, running

_NUMBERS = count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    yield from running()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: the path of a SQLite file, or the URL of one in PostgreSQL."""
    if request.param == "sqlite":
        return str(tmp_path / "contacts.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"mirror{next(_NUMBERS)}"

    async def create() -> None:
        url = server.url().replace("postgresql:", "postgresql+asyncpg:")
        engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {name}"))
        await engine.dispose()

    asyncio.run(create())
    return server.url(name)
