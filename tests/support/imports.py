"""Imports in jobs of a few rows."""

from collections.abc import Iterable
from typing import Any

from cc_async.resources.bulk.imports import Import
from cc_async.resources.contacts import Contacts
from support.bulk_provider import Provider


def importing(provider: Provider, rows: Any, **options: Any) -> Import:
    return Contacts(provider).import_many(rows, list_ids=options.pop("list_ids", "l1"), **options)  # type: ignore[arg-type]  # what it needs of a session


def people(*numbers: int) -> list[dict[str, Any]]:
    return [{"email": f"p{number}@example.com", "first_name": "Ada"} for number in numbers]


async def sent(rows: Iterable[Any], **options: Any) -> list[dict[str, Any]]:
    provider = Provider(duration=0.0)
    async for outcome in importing(provider, rows, **options):
        assert outcome.state == "done", outcome.error
    return [row for job in provider.jobs for row in job.rows]
