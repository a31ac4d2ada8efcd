"""`demo`: shows the client at work with a local server, step by step."""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, TypeVar

import attrs
from rich.console import Console
from rich.filesize import decimal

from cc_async._version import __version__
from cc_async.cli import show
from cc_async.client import ConstantContact
from cc_async.codec.decode import dumps
from cc_async.limits.local import RateLimiter
from cc_async.models.contact_requests import (
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    EmailAddressInput,
    UpdateContactRequest,
)
from cc_async.models.contacts import Contact, ContactCounts
from cc_async.models.imports import ImportRow
from cc_async.oauth.provider import OAuth2
from cc_async.resources.bulk.imports import Import
from cc_async.resources.contacts.filters import LIMIT_AT_MOST
from cc_async.sandbox import Sandbox
from cc_async.streams.pager import Page

_ADDRESS = "ada.demo@example.com"


class _HasStatus(Protocol):
    @property
    def status(self) -> int: ...


R = TypeVar("R", bound=_HasStatus)


@attrs.frozen(kw_only=True)
class _Demo:
    """The state of the demo."""

    console: Console
    box: Sandbox
    auth: OAuth2
    limiter: RateLimiter
    cc: ConstantContact
    rate: int
    daily: int

    async def step(self, name: str, method: str, call: Awaitable[R], tell: Callable[[R], str]) -> R:
        """Await one call of the client, and print a line about its result."""
        began = time.perf_counter()
        response = await call
        self.line(name, f"{method} {response.status}", tell(response), began)
        return response

    def line(self, name: str, http: str, text: str, began: float) -> None:
        """Print a line about one completed step."""
        duration = f"{(time.perf_counter() - began) * 1e3:,.0f} ms"
        show.row(self.console, (name, "cyan", 16), (http, "dim", 10), (text, "", None), (f"{duration:>8}", "green", 8))

    @property
    def used(self) -> int:
        """Requests that the client counts against the daily quota."""
        return self.daily - (self.limiter.remaining_today or 0)


@attrs.frozen
class _Streamed:
    contacts: int
    of: int
    seconds: float
    size: int


@attrs.frozen
class _Imported:
    rows: int
    members: int
    jobs: int
    requests: int
    seconds: float


def run(given: argparse.Namespace) -> int:
    """Run all steps."""
    console = show.console()
    with _export_file(given.export) as file:
        box = Sandbox(
            contacts=given.contacts, seed=given.seed, latency=given.latency, rate=given.rate, daily=given.daily
        )
        asyncio.run(_tell(given, console, box, file))
    console.print("\nThe export, with one contact a line:")
    console.print(file.name, soft_wrap=True, markup=False)
    console.print("\nNext, your own account, read-only:", style="bold")
    console.print("CC_ACCESS_TOKEN=... python -m cc_async contacts --max 20", soft_wrap=True)
    return 0


async def _tell(given: argparse.Namespace, console: Console, box: Sandbox, file: IO[bytes]) -> None:
    limiter = RateLimiter(rate=given.rate, daily=given.daily)
    async with box:
        auth = OAuth2(
            box.client_id, client_secret=box.client_secret, refresh_token=box.refresh_token, token_url=box.token_url
        )
        async with ConstantContact(auth, base_url=box.base_url, rate_limiter=limiter) as cc:
            demo = _Demo(
                console=console, box=box, auth=auth, limiter=limiter, cc=cc, rate=given.rate, daily=given.daily
            )
            _introduce(demo)
            await _one_contact(demo)
            await _counts(demo)
            streamed = await _stream(demo, file)
            imported = await _import(demo, given.imports) if given.imports else None
        _sum_up(demo, streamed, imported)


def _introduce(demo: _Demo) -> None:
    box = demo.box
    show.heading(demo.console, f"cc-async {__version__}: a demonstration on this machine alone")
    as_the_api = " (as the API does)" if (demo.rate, demo.daily) == (4, 10_000) else ""
    demo.console.print(f"A sandbox of the Constant Contact V3 API listens on {box.base_url}")
    demo.console.print(
        f"It holds {len(box.store):,} contacts, takes {box.latency * 1e3:,.0f} ms to respond, and allows"
        f" {demo.rate:,} requests a second and {demo.daily:,} a day{as_the_api}."
    )


async def _one_contact(demo: _Demo) -> None:
    http = demo.cc.contacts.with_http_info
    show.heading(demo.console, "One contact, from beginning to end")
    began = time.perf_counter()
    await demo.auth.token()
    demo.line("token", "POST", "a refresh token gave an access token", began)
    lists = await demo.step(
        "request",
        "GET",
        demo.cc.request("GET", "/contact_lists", params={"limit": 1}),
        lambda response: f"found {response.data['lists'][0]['name']!r} to sign up for",
    )
    created = await demo.step(
        "create",
        "POST",
        http.create(
            CreateContactRequest(
                create_source="Account", first_name="Ada", email_address=EmailAddressInput(address=_ADDRESS)
            )
        ),
        lambda response: f"Ada is contact {(response.data.contact_id or '')[:8]}...",
    )
    await demo.step(
        "create_or_update",
        "POST",
        http.create_or_update(
            CreateOrUpdateContactRequest(
                email_address=_ADDRESS, last_name="Demo", list_memberships=[lists.data["lists"][0]["list_id"]]
            )
        ),
        lambda response: f"her sign-up {response.data.action} the same contact",
    )
    await _and_to_the_end(demo, created.data.contact_id or "")


async def _and_to_the_end(demo: _Demo, contact_id: str) -> None:
    http = demo.cc.contacts.with_http_info
    await demo.step(
        "get",
        "GET",
        http.get(contact_id, include=["list_memberships"]),
        lambda response: (
            f"{response.data.first_name} {response.data.last_name},"
            f" {response.data.email_address and response.data.email_address.permission_to_send} consent,"
            f" {len(response.data.list_memberships or ())} list"
        ),
    )
    await demo.step(
        "update",
        "PUT",
        http.update(
            contact_id,
            UpdateContactRequest(
                update_source="Account",
                first_name="Ada",
                last_name="Demo",
                job_title="Analyst",
                email_address=EmailAddressInput(address=_ADDRESS),
            ),
        ),
        lambda response: f"her job title is {response.data.job_title!r} now",
    )
    await demo.step("delete", "DELETE", http.delete(contact_id), lambda _: "she is hidden from every list")
    await demo.step(
        "list(status=all)",
        "GET",
        http.list(email=_ADDRESS, status="all"),
        lambda page: f"found again, deleted on {page.items[0].deleted_at}" if page.items else "not found again",
    )


async def _counts(demo: _Demo) -> None:
    show.heading(demo.console, "How many contacts there are, by consent")
    response = await demo.step(
        "counts",
        "GET",
        demo.cc.contacts.with_http_info.counts(),
        lambda response: f"{response.data.total or 0:,} without the deleted ones",
    )
    show.bars(demo.console, _figures(response.data))


def _figures(counts: ContactCounts) -> list[tuple[str, int]]:
    named = [(name, getattr(counts, name) or 0) for name in ("explicit", "implicit", "pending", "unsubscribed")]
    return [*named, ("other", (counts.total or 0) - sum(figure for _, figure in named))]


async def _stream(demo: _Demo, file: IO[bytes]) -> _Streamed:
    show.heading(demo.console, "All contacts, deleted ones too, streamed into a file of JSON Lines")
    began, done, size = time.perf_counter(), 0, 0
    with show.progress(demo.console) as advance:
        async with demo.cc.contacts.list(status="all") as contacts:
            async for page in contacts.pages():
                size += file.write(b"".join(dumps(contact) + b"\n" for contact in page.items))
                done += len(page.items)
                advance(done, page.total or done, _standing(demo, page, done, time.perf_counter() - began))
    return _Streamed(done, len(demo.box.store), time.perf_counter() - began, size)


async def _import(demo: _Demo, count: int) -> _Imported:
    show.heading(demo.console, f"{count:,} contacts imported into a new list, as bulk jobs")
    began, used, jobs = time.perf_counter(), demo.used, 0
    newsletter = await demo.cc.lists.create("Demo import")
    rows = (ImportRow(email=f"import.{number}@example.com", first_name="Ada") for number in range(count))
    with show.progress(demo.console) as advance:
        async with demo.cc.contacts.import_many(rows, list_ids=[newsletter]) as run:
            watching = asyncio.create_task(_watch(run, count, advance))
            try:
                async for _ in run:
                    jobs += 1
            finally:
                watching.cancel()
                await asyncio.wait({watching})
            advance(3 * count, 3 * count, _import_standing(run))
    members = (await demo.cc.lists.get(newsletter, include_membership_count="all")).membership_count or 0
    return _Imported(count, members, jobs, demo.used - used, time.perf_counter() - began)


async def _watch(run: Import, count: int, advance: show.Advance) -> None:
    """Show the progress of an import: rows read, sent and finished."""
    while True:
        progress = run.progress
        advance(progress.rows_read + progress.handed_over + progress.finished, 3 * count, _import_standing(run))
        await asyncio.sleep(0.1)


def _import_standing(run: Import) -> str:
    progress = run.progress
    return f"{progress.rows_read:,} read  {progress.handed_over:,} handed over  {progress.finished:,} finished"


def _standing(demo: _Demo, page: Page[Contact], done: int, seconds: float) -> str:
    total = f"{page.total:,}" if page.total is not None else "?"
    return f"{done:>{len(total)},} of {total}  {done / seconds:>5,.0f}/s  {demo.used:>3,} of {demo.daily:,} requests"


def _sum_up(demo: _Demo, streamed: _Streamed, imported: _Imported | None) -> None:
    box, speed = demo.box, streamed.contacts / streamed.seconds
    ceiling = LIMIT_AT_MOST * demo.rate
    refused = sum(record.status == 429 for record in box.requests)
    demo.console.print()
    show.summary(
        demo.console,
        "Summary",
        [
            ("contacts streamed", f"{streamed.contacts:,} of {streamed.of:,}"),
            ("time", f"{streamed.seconds:,.1f} s"),
            ("contacts a second", f"{speed:,.0f}"),
            ("share of the API's ceiling", f"{speed / ceiling:.0%} of {ceiling:,}/s"),
            ("requests used", f"{box.spent_today:,} of {demo.daily:,} a day"),
            ("refused requests", f"{refused:,}"),
            ("token refreshes", f"{box.refreshes:,}"),
            ("file size", decimal(streamed.size)),
            *_import_facts(imported),
        ],
    )


def _import_facts(imported: _Imported | None) -> list[tuple[str, str]]:
    if imported is None:
        return []
    jobs = f"{imported.jobs} job{'s' * (imported.jobs != 1)}, {imported.requests} requests, {imported.seconds:,.1f} s"
    return [("contacts imported", f"{imported.members:,} of {imported.rows:,}"), ("import", jobs)]


@contextmanager
def _export_file(path: str | None) -> Iterator[IO[bytes]]:
    """Yield the requested file, or a new one, which is removed if the demo is interrupted."""
    if path is not None:
        with Path(path).open("wb") as file:
            yield file
        return
    with tempfile.NamedTemporaryFile(prefix="cc-async-demo-", suffix=".jsonl", delete=False) as file:
        try:
            yield file
        except BaseException:
            Path(file.name).unlink()
            raise
