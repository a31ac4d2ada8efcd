"""Models as plain values: what a web handler returns."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import httpx
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from fastapi import FastAPI
from support.contract_values import CONTACT

from cc_async import Activity, ConstantContact, Contact, EmailAddress, InvalidRequestError, Token, to_plain
from cc_async.codec.decode import decode
from cc_async.sandbox import Sandbox

EASTERN = timezone(timedelta(hours=-5))


@pytest.fixture
async def cc() -> AsyncIterator[ConstantContact]:
    async with Sandbox(contacts=3) as box, ConstantContact(box.access_token, base_url=box.base_url) as cc:
        yield cc


@pytest.fixture
async def contact(cc: ConstantContact) -> Contact:
    first = await cc.contacts.list(include=["custom_fields", "list_memberships"]).first()
    assert first is not None
    return first


async def test_a_fastapi_handler_returns_contacts(cc: ConstantContact, contact: Contact) -> None:
    app = FastAPI()

    @app.get("/contacts/{contact_id}")
    async def show(contact_id: str) -> dict[str, Any]:
        return to_plain(await cc.contacts.get(contact_id, include=["custom_fields", "list_memberships"]))

    @app.get("/contacts")
    async def show_all() -> list[dict[str, Any]]:
        return to_plain(await cc.contacts.list().collect())

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as browser:
        shown = await browser.get(f"/contacts/{contact.contact_id}")
        assert decode(shown.content, Contact).value == contact
        assert len(decode((await browser.get("/contacts")).content, list[Contact]).value) == 3


async def test_an_aiohttp_handler_returns_contacts(cc: ConstantContact, contact: Contact) -> None:
    async def show(request: web.Request) -> web.Response:
        found = await cc.contacts.get(request.match_info["id"], include=["custom_fields", "list_memberships"])
        return web.json_response(to_plain(found))

    async def show_all(_: web.Request) -> web.Response:
        return web.json_response(to_plain(await cc.contacts.list().collect()))

    app = web.Application()
    app.router.add_get("/contacts/{id}", show)
    app.router.add_get("/contacts", show_all)
    async with TestClient(TestServer(app)) as browser:
        shown = await browser.get(f"/contacts/{contact.contact_id}")
        assert decode(await shown.read(), Contact).value == contact
        assert len(decode(await (await browser.get("/contacts")).read(), list[Contact]).value) == 3


def test_it_looks_as_the_api_writes_it_and_leaves_none_out() -> None:
    contact = Contact(
        contact_id="c1",
        email_address=EmailAddress(address="ada@example.com"),
        created_at=datetime(2024, 10, 30, 18, 56, 35, tzinfo=UTC),
        updated_at=datetime(2024, 10, 30, 18, 56, 35, 120_000, tzinfo=EASTERN),
        deleted_at=date(2024, 11, 1),
        list_memberships=[],
    )
    assert to_plain((contact,)) == [
        {
            "contact_id": "c1",
            "email_address": {"address": "ada@example.com"},
            "created_at": "2024-10-30T18:56:35Z",
            "updated_at": "2024-10-30T18:56:35.120000-05:00",
            "deleted_at": "2024-11-01",
            "list_memberships": [],
        }
    ]


def test_links_keep_the_name_that_the_api_gives_them() -> None:
    body = b'{"activity_id": "a1", "_links": {"results": {"href": "/v3/contact_exports/e1"}}}'
    activity = decode(body, Activity).value
    assert to_plain(activity) == json.loads(body)
    assert decode(json.dumps(to_plain(activity)).encode(), Activity).value == activity


class Colour(StrEnum):
    RED = "red"


def test_plain_values_within_mappings_and_sequences_stay_what_they_are() -> None:
    plain = {"a": [1, 1.5, True, None, "x"], "1": {"b": "red"}}
    found = to_plain({"a": (1, 1.5, True, None, "x"), 1: {"b": Colour.RED}})
    assert found == plain
    assert type(found["1"]["b"]) is str
    assert to_plain({3}) == [3]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Token("secret-token"), "token"),
        (Contact(created_at=datetime(2024, 1, 1)), "aware"),  # noqa: DTZ001  # naive on purpose
        (float("nan"), "float has no form in JSON"),
        ([b"bytes"], "bytes has no form in JSON"),
        ({"a": object()}, "object has no form in JSON"),
    ],
    ids=["a token", "naive", "NaN", "bytes", "object"],
)
def test_what_json_cannot_hold_is_refused_and_no_token_is_shown(value: Any, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why) as caught:
        to_plain(value)
    assert "secret-token" not in str(caught.value)


def test_the_contract_s_contact_round_trips() -> None:
    contact = decode(msgspec.json.encode(CONTACT), Contact).value
    assert decode(msgspec.json.encode(to_plain(contact)), Contact).value == contact
