"""What imports and exports cost: processor time and memory a row, requests, and the memory of saving a large export.

`python -m benchmarks.bulk`; about a minute. The server runs in a process of its own and only counts what it is sent.
"""

import argparse
import asyncio
import contextlib
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from cc_async import ConstantContact, ImportRow, RateLimiter
from cc_async.resources.bulk import jobs as bulk_jobs

from .rounds import Figures, child, environment, median, peak_memory, table

ROWS, EXPORT_BYTES = 100_000, 100_000_000
ROUNDS = 3
_FIELDS = [
    {"custom_field_id": f"f{number}", "label": label, "name": label.lower().replace(" ", "_"), "type": "string"}
    for number, label in enumerate(("Favourite colour", "Shoe size", "Member since"))
]
_LINE = b"ada.lovelace.%09d@example.com,Ada,Lovelace,Analytical Engines,+1 555 0100,London\r\n"


def rows(count: int) -> Iterator[dict[str, str]]:
    """Rows with names, phone, address and three custom fields, as a CSV reader gives them."""
    for number in range(count):
        yield {
            "email": f"ada.lovelace.{number}@example.com",
            "first_name": "Ada",
            "last_name": "Lovelace",
            "phone": "+1 555 0100",
            "street": "12 Saint James's Square",
            "city": "London",
            "state": "Greater London",
            "zip": "SW1Y 4JH",
            "country": "United Kingdom",
            "cf:favourite_colour": "ultramarine",
            "cf:shoe_size": "38",
            "cf:member_since": "1842-10-18",
        }


def _models(count: int) -> Iterator[ImportRow]:
    for row in rows(count):
        custom = {name: row.pop(name) for name in list(row) if name.startswith("cf:")}
        yield ImportRow(**row, custom_fields=custom)


# --- the server --------------------------------------------------------------------------------------------------


async def _imported(request: web.Request) -> web.Response:
    body = await request.read()
    count = body.count(b'"email":')
    jobs: dict[str, int] = request.app["jobs"]
    jobs[f"a{len(jobs)}"] = count
    return web.json_response({"activity_id": f"a{len(jobs) - 1}", "state": "initialized"}, status=201)


def _activity(activity_id: str, count: int) -> dict[str, Any]:
    links = {"results": {"href": "/v3/contact_exports/f1"}}
    return {"activity_id": activity_id, "state": "completed", "status": {"person_count": count}, "_links": links}


async def _one(request: web.Request) -> web.Response:
    name = request.match_info["id"]
    return web.json_response(_activity(name, request.app["jobs"].get(name, 0)))


async def _all(request: web.Request) -> web.Response:
    found = [_activity(name, count) for name, count in request.app["jobs"].items()]
    return web.json_response({"activities": found[::-1][:500]})


async def _fields(_: web.Request) -> web.Response:
    return web.json_response({"custom_fields": _FIELDS})


async def _exporting(_: web.Request) -> web.Response:
    return web.json_response(_activity("e1", 0) | {"state": "initialized"}, status=201)


async def _file(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/csv"})
    await response.prepare(request)
    await response.write(b"Email address,First name,Last name,Company,Phone - home,City - Home\r\n")
    block = b"".join(_LINE % number for number in range(10_000))
    for _ in range(EXPORT_BYTES // len(block)):
        await response.write(block)
    return response


async def serve() -> None:
    """Print the port and respond until standard input ends."""
    app = web.Application(client_max_size=10_000_000)
    app["jobs"] = {}
    app.add_routes(
        [
            web.post("/v3/activities/contacts_json_import", _imported),
            web.post("/v3/activities/contact_exports", _exporting),
            web.get("/v3/activities", _all),
            web.get("/v3/activities/{id}", _one),
            web.get("/v3/contact_custom_fields", _fields),
            web.get("/v3/contact_exports/f1", _file),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """The base URL of a server that runs as long as the block."""
    with subprocess.Popen(  # noqa: S603  # this interpreter, this file
        [sys.executable, "-m", __spec__.name, "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdin is not None  # noqa: S101  # said above, for the type checker
        assert process.stdout is not None  # noqa: S101  # said above, for the type checker
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v3"
        finally:
            process.stdin.close()


# --- one measured process ----------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _client(base_url: str, sent: list[str]) -> AsyncIterator[ConstantContact]:
    bulk_jobs._PAUSES = (0.001,)  # noqa: SLF001  # the server needs no time, and the pauses are not what is measured
    async with ConstantContact("token", base_url=base_url, rate_limiter=RateLimiter(10_000, daily=None)) as cc:
        request = cc._session.request  # noqa: SLF001  # counts the requests where all of them pass

        async def counted(call: Any) -> Any:
            sent.append(call.path)
            return await request(call)

        cc._session.request = counted  # type: ignore[method-assign]  # noqa: SLF001
        await cc.custom_fields.list().collect()  # idle is a client that has spoken
        yield cc


async def _import(base_url: str, count: int, *, models: bool) -> Figures:
    sent: list[str] = []
    async with _client(base_url, sent) as cc:
        gc.collect()
        idle = peak_memory()
        for _ in _models(20_000) if models else rows(20_000):
            pass
        began = time.process_time()
        for _ in _models(20_000) if models else rows(20_000):
            pass
        making = (time.process_time() - began) / 20_000
        began = time.process_time()
        run = cc.contacts.import_many(_models(count) if models else rows(count), list_ids="l1")
        outcomes = [outcome async for outcome in run]
        used = (time.process_time() - began) / count - making
        arrived = sum(outcome.counts.person_count or 0 for outcome in outcomes if outcome.counts is not None)
        states = {outcome.state for outcome in outcomes}
        peak = peak_memory()
    encoded = list(_models(20_000) if models else rows(20_000))
    began = time.process_time()
    for _ in range(10):
        for row in encoded:
            msgspec.json.encode(row)
    floor = (time.process_time() - began) / len(encoded) / 10
    return {
        "rows": count,
        "arrived": arrived,
        "done": states == {"done"},
        "jobs": len(outcomes),
        "requests": len(sent),
        "cpu_us": used * 1e6,
        "times_msgspec": used / floor,
        "over_idle_mib": peak - idle,
    }


async def _export(base_url: str) -> Figures:
    sent: list[str] = []
    async with _client(base_url, sent) as cc:
        gc.collect()
        idle = peak_memory()
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "contacts.csv"
            began = time.perf_counter()
            await cc.contacts.export(activity="e1").save(target)
            return {
                "megabytes": target.stat().st_size / 1e6,
                "over_idle_mib": peak_memory() - idle,
                "seconds": time.perf_counter() - began,
                "requests": len(sent),
            }


def main(*, quick: bool = False) -> Figures:
    """Measure, print the tables and return the figures."""
    found: Figures = {}
    for name, count, flags in (
        ("mappings", ROWS, ()),
        ("models", ROWS, ("--models",)),
        ("a million", ROWS if quick else 10 * ROWS, ()),
    ):
        runs = []
        for _ in range(1 if quick else ROUNDS):
            with serving() as base_url:
                runs.append(child("-m", __spec__.name, "--import", base_url, str(count), *flags))
            if not (runs[-1]["done"] and runs[-1]["arrived"] == count):
                raise AssertionError(f"{runs[-1]['arrived']} of {count} rows arrived")
        measured = ("cpu_us", "times_msgspec", "over_idle_mib")
        found[name] = runs[0] | {key: median(runs, key) for key in measured}
    with serving() as base_url:
        found["export"] = child("-m", __spec__.name, "--export", base_url)
    table(
        "Importing rows with names, phone, address and three custom fields",
        ["", "rows", "jobs", "requests", "us a row", "x msgspec", "MiB over idle"],
        (
            [
                name,
                f"{figures['rows']:,}",
                str(figures["jobs"]),
                str(figures["requests"]),
                f"{figures['cpu_us']:.2f}",
                f"{figures['times_msgspec']:.2f}",
                f"{figures['over_idle_mib']:.1f}",
            ]
            for name, figures in found.items()
            if name != "export"
        ),
    )
    exported = found["export"]
    table(
        "Saving an export",
        ["", "MB", "s", "MiB over idle"],
        [["", *(f"{exported[key]:.1f}" for key in ("megabytes", "seconds", "over_idle_mib"))]],
    )
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--models", action="store_true")
    parser.add_argument("--import", nargs=2, dest="rows")
    parser.add_argument("--export")
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve())
    elif given.rows:
        print(json.dumps(asyncio.run(_import(given.rows[0], int(given.rows[1]), models=given.models))))
    elif given.export:
        print(json.dumps(asyncio.run(_export(given.export))))
    else:
        main()
