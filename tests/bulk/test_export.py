"""Exports: the job, the rows of its file whatever their columns, and the file saved whole or not at all."""

import csv
import io
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from support.paged_server import take
from support.raw_server import RawServer, Reply, reply, talking

from cc_async import (
    ActivityFailedError,
    ConstantContact,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
    TransportError,
)
from cc_async.resources.bulk import exports
from cc_async.resources.bulk.exports import records

HEADER = b'Email address,First name,"Tags"\r\n'
FILE = HEADER + b'ada@example.com,Ada,"Autumn, ""2030""\nnew"\r\nbob@example.com,J\xc3\xb6rg,\r\n'
ROWS = [
    {"Email address": "ada@example.com", "First name": "Ada", "Tags": 'Autumn, "2030"\nnew'},
    {"Email address": "bob@example.com", "First name": "Jörg", "Tags": ""},
]
LINKS = {"_links": {"results": {"href": "/v3/contacts_exports/f%2F1"}}}
STARTED = reply(201, {"activity_id": "a1", "state": "initialized", **LINKS})
COMPLETED = reply(200, {"activity_id": "a1", "state": "completed", **LINKS})


def csv_reply(content: bytes = FILE, **options: Any) -> Reply:
    return reply(200, content, headers={"Content-Type": "text/csv"}, **options)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cc_async.resources.activities._PAUSES", (0.0,))
    monkeypatch.setattr(exports, "_NOT_THERE_YET", (0.0,) * 4)


def targets(server: RawServer) -> list[str]:
    return [f"{request.method} {request.target}" for request in server.requests]


async def test_the_rows_of_an_export_are_dicts_by_its_header() -> None:
    async with talking(STARTED, COMPLETED, csv_reply()) as (cc, server):
        export = cc.contacts.export(in_lists="l1", fields=["email_address"])
        assert [row async for row in export] == ROWS
        assert export.activity is not None
        assert export.activity.activity_id == "a1"
    assert targets(server) == [
        "POST /v3/activities/contact_exports",
        "GET /v3/activities/a1",
        "GET /v3/contact_exports/f%252F1",
    ]
    assert server.requests[0].body == b'{"list_ids":["l1"],"fields":["email_address"]}'
    assert server.requests[2].headers["accept"] == "text/csv"


async def test_an_export_is_taken_up_again_by_its_id() -> None:
    async with talking(COMPLETED, csv_reply(b"\xef\xbb\xbf" + FILE)) as (cc, server):
        assert [row async for row in cc.contacts.export(activity="a1")] == ROWS
    assert targets(server)[0] == "GET /v3/activities/a1"


async def test_a_file_that_is_not_there_yet_is_asked_for_again_shortly() -> None:
    missing = reply(404)
    async with talking(STARTED, COMPLETED, missing, missing, csv_reply()) as (cc, _):
        assert [row async for row in cc.contacts.export()] == ROWS
    async with talking(STARTED, COMPLETED, *[missing] * 9) as (cc, server):
        with pytest.raises(NotFoundError):
            await anext(aiter(cc.contacts.export()))
    assert len(server.requests) == 7


async def test_a_connection_that_breaks_is_made_again_and_no_row_comes_twice() -> None:
    broken = csv_reply(cut=20, then="close")
    async with talking(STARTED, COMPLETED, broken, broken, csv_reply()) as (cc, _):
        assert [row async for row in cc.contacts.export()] == ROWS
    async with talking(STARTED, COMPLETED, *[broken] * 9) as (cc, server):
        rows: list[dict[str, str]] = []
        with pytest.raises(TransportError):
            await take(aiter(cc.contacts.export()), rows)
    assert (rows, len(server.requests)) == (ROWS[:1], 7)


async def test_an_export_that_ends_without_a_file_says_so() -> None:
    failed = reply(200, {"activity_id": "a1", "state": "failed"})
    async with talking(STARTED, failed) as (cc, _):
        with pytest.raises(ActivityFailedError) as caught:
            await anext(aiter(cc.contacts.export()))
    assert caught.value.activity.state == "failed"


async def test_more_than_one_source_is_refused_at_once() -> None:
    async with talking() as (cc, _):
        with pytest.raises(InvalidRequestError, match="at most one"):
            cc.contacts.export(in_lists="l1", with_tags="t1")


async def test_a_file_is_saved_byte_for_byte(tmp_path: Path) -> None:
    target = tmp_path / "contacts.csv"
    target.write_bytes(b"old")
    broken = csv_reply(cut=30, then="close")
    async with talking(STARTED, COMPLETED, broken, csv_reply()) as (cc, _):
        await cc.contacts.export().save(target)
    assert target.read_bytes() == FILE
    assert os.listdir(tmp_path) == ["contacts.csv"]  # noqa: PTH208  # its pathlib twin is taken for blocking


async def test_a_file_that_cannot_be_had_whole_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "contacts.csv"
    target.write_bytes(b"old")
    async with talking(STARTED, COMPLETED, *[csv_reply(cut=30, then="close")] * 9) as (cc, _):
        with pytest.raises(TransportError):
            await cc.contacts.export().save(target)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["contacts.csv"]  # noqa: PTH208  # its pathlib twin is taken for blocking


async def test_nothing_is_started_for_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    async with talking() as (cc, server):
        with pytest.raises(FileNotFoundError):
            await cc.contacts.export().save(tmp_path / "missing" / "contacts.csv")
    assert server.requests == []


async def pieces(content: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    edges = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    for begin, end in itertools.pairwise(edges):
        yield content[begin:end]


fields = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=8)


@given(
    table=st.lists(st.lists(fields, min_size=2, max_size=4), min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 500), max_size=8),
    bom=st.booleans(),
    ended=st.booleans(),
)
async def test_records_are_read_whatever_the_pieces_in_which_they_come(
    table: list[list[str]], cuts: list[int], *, bom: bool, ended: bool
) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(table)
    content = text.getvalue().encode("utf-8-sig" if bom else "utf-8")
    content = content if ended else content.removesuffix(b"\r\n")
    assert [record async for record in records(pieces(content, cuts))] == table


@pytest.mark.parametrize("content", [b'a,b\r\n1,"2\r\n', b"a,b\r\n\xff,2\r\n"])
async def test_a_file_that_is_not_csv_is_an_error_of_ours(content: bytes) -> None:
    with pytest.raises(DecodeError):
        await take(records(pieces(content, [])), [])


async def test_the_client_sends_nothing_until_the_first_row_is_asked_for() -> None:
    async with talking() as (cc, server):
        cc.contacts.export()
        assert isinstance(cc, ConstantContact)
    assert server.requests == []
