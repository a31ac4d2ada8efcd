"""The rest of the API: any paged collection as a stream, and responses that are not JSON."""

import asyncio
import gzip
from contextlib import aclosing
from typing import Any

import pytest
from support.paged_server import take
from support.raw_server import reply, talking

from cc_async import (
    ClientClosedError,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
    PaginationError,
    RequestTimeoutError,
    TransportError,
)

CSV = b"Email address\r\nada@example.com\r\n"


def page(numbers: list[int], href: str | None = None) -> Any:
    links = {} if href is None else {"_links": {"next": {"href": href}}}
    return reply(200, {"campaigns": [{"campaign_id": str(number)} for number in numbers], **links})


async def test_any_paged_collection_is_a_stream_of_plain_objects() -> None:
    async with talking(page([1, 2], "/v3/emails?cursor=ab%3D"), page([3])) as (cc, server):
        found = await cc.pages("/emails", items="campaigns", params={"limit": 2}).collect()
    assert [campaign["campaign_id"] for campaign in found] == ["1", "2", "3"]
    assert [request.target for request in server.requests] == ["/v3/emails?limit=2", "/v3/emails?cursor=ab%3D"]


async def test_a_stream_of_pages_is_resumed_with_the_link_of_a_page() -> None:
    async with talking(page([3])) as (cc, server):
        assert len(await cc.pages("/emails", items="campaigns", start="/v3/emails?cursor=ab").collect()) == 1
    assert [request.target for request in server.requests] == ["/v3/emails?cursor=ab"]


async def test_a_link_of_any_collection_that_leads_away_is_not_followed() -> None:
    async with talking(page([1], "https://elsewhere.example.com/v3/emails?cursor=ab")) as (cc, server):
        with pytest.raises(PaginationError):
            await cc.pages("/emails", items="campaigns").collect()
    assert len(server.requests) == 1


async def test_what_is_not_an_object_is_left_out_of_a_page_and_named() -> None:
    async with talking(reply(200, {"campaigns": [{"a": 1}, 7]})) as (cc, _):
        async for one in cc.pages("/emails", items="campaigns").pages():
            assert (one.items, [problem.path for problem in one.problems]) == ([{"a": 1}], ["$.campaigns[1]"])


@pytest.mark.parametrize("path", ["emails", "https://elsewhere.example.com/v3/emails", "/../emails"])
async def test_a_path_out_of_the_api_is_refused(path: str) -> None:
    async with talking() as (cc, server):
        with pytest.raises(InvalidRequestError):
            cc.pages(path, items="campaigns")
        with pytest.raises(InvalidRequestError):
            await anext(cc.download(path))
    assert server.requests == []


async def test_a_file_is_downloaded_as_it_is() -> None:
    async with talking(reply(200, CSV, headers={"Content-Type": "text/csv"})) as (cc, server):
        assert b"".join([chunk async for chunk in cc.download("/contact_exports/f1", accept="text/csv")]) == CSV
    (request,) = server.requests
    assert (request.target, request.headers["accept"]) == ("/v3/contact_exports/f1", "text/csv")


async def test_a_compressed_file_is_unpacked() -> None:
    headers = {"Content-Type": "text/csv", "Content-Encoding": "gzip"}
    async with talking(reply(200, gzip.compress(CSV), headers=headers)) as (cc, _):
        assert b"".join([chunk async for chunk in cc.download("/contact_exports/f1")]) == CSV


async def test_a_download_is_retried_until_its_body_begins() -> None:
    async with talking(reply(503), reply(200, CSV)) as (cc, server):
        assert b"".join([chunk async for chunk in cc.download("/contact_exports/f1")]) == CSV
    assert len(server.requests) == 2


async def test_a_download_of_what_is_not_there_is_an_error_of_ours() -> None:
    async with talking(reply(404)) as (cc, _):
        with pytest.raises(NotFoundError):
            await anext(cc.download("/contact_exports/f1"))


async def test_html_in_place_of_a_file_is_refused() -> None:
    html = reply(200, b"<html>", headers={"Content-Type": "text/html"})
    async with talking(*[html] * 9) as (cc, _):
        with pytest.raises(DecodeError, match="HTML"):
            await anext(cc.download("/contact_exports/f1"))


async def test_csv_is_not_asked_for_again_but_named() -> None:
    async with talking(reply(200, CSV, headers={"Content-Type": "text/csv"})) as (cc, server):
        with pytest.raises(DecodeError, match="text/csv: get it with `download`"):
            await cc.request("GET", "/contact_exports/f1")
    assert len(server.requests) == 1


async def test_a_body_that_breaks_off_is_a_transport_error_after_what_came() -> None:
    async with talking(reply(200, CSV, cut=10, then="close")) as (cc, server):
        chunks: list[bytes] = []
        with pytest.raises(TransportError) as caught:
            await take(cc.download("/contact_exports/f1"), chunks)
    assert (b"".join(chunks), caught.value.maybe_applied, len(server.requests)) == (CSV[:-10], False, 1)


async def test_a_download_that_is_left_early_closes_its_connection() -> None:
    async with talking(reply(200, CSV, cut=1, then="hang")) as (cc, server):
        async with aclosing(cc.download("/contact_exports/f1")) as chunks:
            assert await anext(chunks)
        await cc.request("GET", "/anything")
        assert server.connections == 2


async def test_closing_the_client_ends_a_download() -> None:
    async with talking(reply(200, CSV, cut=1, then="hang")) as (cc, _):
        chunks = cc.download("/contact_exports/f1")
        await anext(chunks)
        waiting = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        await cc.close()
        with pytest.raises(ClientClosedError):
            await waiting


async def test_a_download_that_falls_silent_ends_with_the_timeout() -> None:
    async with talking(reply(200, CSV, cut=1, then="hang"), timeout=0.2) as (cc, _):
        with pytest.raises(RequestTimeoutError):
            await take(cc.download("/contact_exports/f1"), [])
