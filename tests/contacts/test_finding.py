"""Finding a contact by its email address, in any spelling."""

from typing import Any

import pytest
from hypothesis import given, strategies as st
from support.contact_with_everything import World
from support.raw_server import reply, talking

from cc_async import InvalidRequestError
from cc_async.wire.addresses import normalized_address, spellings


@pytest.mark.parametrize("asked", ["Ada@Example.com", "ada@example.com", "ADA@EXAMPLE.COM"])
async def test_a_contact_is_found_whatever_the_case_of_its_address(world: World, asked: str) -> None:
    found = await world.cc.contacts.find(asked, include=["list_memberships"])
    assert found is not None
    assert found.contact_id == world.id
    assert found.list_memberships == list(world.store.lists[:2])
    assert len(world.box.requests) == 1


async def test_an_address_with_capitals_is_asked_for_in_small_letters_too() -> None:
    stored = {"contacts": [{"contact_id": "c1", "email_address": {"address": "ada@example.com"}}]}
    async with talking(reply(200, {"contacts": []}), reply(200, stored)) as (cc, server):
        found = await cc.contacts.find("Ada@Example.com")
        assert found is not None
        assert found.contact_id == "c1"
        assert [request.target.partition("email=")[2].partition("&")[0] for request in server.requests] == [
            "Ada%40Example.com",
            "ada%40example.com",
        ]


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        (" ada@example.com\n", "ada@example.com"),
        ("ada@xn--bcher-kva.example", "Ada@B\u00fccher.example"),
        ("ada@b\u00fccher.example", "ada@XN--BCHER-KVA.example"),
        ("jose\u0301@example.com", "jos\u00e9@example.com"),
        ("jos\u00e9@example.com", "jose\u0301@example.com"),
    ],
    ids=ascii,
)
async def test_two_spellings_of_one_address_find_the_same_contact(asked: str, stored: str) -> None:
    page = {"contacts": [{"contact_id": "c1", "email_address": {"address": stored}}]}
    async with talking(reply(200, page)) as (cc, _):
        found = await cc.contacts.find(asked)
        assert found is not None
        assert found.contact_id == "c1"


async def test_an_international_domain_is_asked_for_in_both_spellings() -> None:
    stored = {"contacts": [{"contact_id": "c1", "email_address": {"address": "ada@b\u00fccher.example"}}]}
    async with talking(reply(200, {"contacts": []}), reply(200, stored)) as (cc, server):
        assert await cc.contacts.find("ada@xn--bcher-kva.example") is not None
        assert len(server.requests) == 2


@pytest.mark.parametrize("asked", [None, 5, b"ada@example.com", "", "  "])
async def test_an_address_that_cannot_be_one_is_refused_before_sending(world: World, asked: Any) -> None:
    with pytest.raises(InvalidRequestError, match="email must be a string"):
        await world.cc.contacts.find(asked)
    assert world.requests() == []


@given(st.text())
def test_any_text_has_a_normalized_form_that_is_stable_for_its_spellings(text: str) -> None:
    normalized = normalized_address(text)
    assert normalized_address(f" {text} ") == normalized
    assert spellings(text)[0] == text.strip()


async def test_only_the_very_address_is_found_on_whatever_page_it_is() -> None:
    others = [{"contact_id": "c1", "email_address": {"address": "grace.ada@example.com"}}, {"contact_id": "c2"}]
    pages = [
        {"contacts": others, "_links": {"next": {"href": "/v3/contacts?cursor=abc"}}},
        {"contacts": [{"contact_id": "c3", "email_address": {"address": "ADA@example.com"}}]},
    ]
    async with talking(*(reply(200, page) for page in pages)) as (cc, server):
        found = await cc.contacts.find("ada@example.com")
        assert found is not None
        assert found.contact_id == "c3"
        assert len(server.requests) == 2


async def test_a_deleted_contact_is_found_only_on_request(world: World) -> None:
    world.store.delete(world.id)
    assert await world.cc.contacts.find("ada@example.com") is None
    found = await world.cc.contacts.find("ada@example.com", deleted=True)
    assert found is not None
    assert found.deleted_at is not None
    assert await world.cc.contacts.find("nobody@example.com", deleted=True) is None
