"""The list's filters, the escape hatch, and every operation against a server with a socket."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
from support.contract_table import BASE_URL, ERRORS, OPERATIONS, UUID
from support.contract_values import CONTACT, PAGE
from support.http_stub import client

from cc_async import (
    ConstantContact,
    Contact,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    DecodeError,
    EmailAddressInput,
    EmailAddressUpdate,
    InvalidRequestError,
    NotFoundError,
    PaginationError,
    PhoneNumberInput,
    RateLimiter,
    RetryPolicy,
    ServerError,
    UpdateContactRequest,
)
from cc_async.codec.decode import decode
from cc_async.sandbox import Sandbox

LAST_PAGE = b'{"contacts": [], "_links": null}'
DEFAULTS = "limit=500&include_count=true"
TOKYO = timezone(timedelta(hours=9))
TEN = datetime(2024, 1, 2, 10, tzinfo=TOKYO)

# --- filters of the list -------------------------------------------------------------------------------------------

FILTERS: list[tuple[dict[str, Any], str]] = [
    ({}, DEFAULTS),
    ({"status": "all"}, f"status=all&{DEFAULTS}"),
    ({"status": ["active", "deleted"]}, f"status=active,deleted&{DEFAULTS}"),
    ({"status": "of_tomorrow"}, f"status=of_tomorrow&{DEFAULTS}"),
    ({"email": "ada+b@example.com"}, f"email=ada%2Bb%40example.com&{DEFAULTS}"),
    ({"lists": [UUID, "b"]}, f"lists={UUID},b&{DEFAULTS}"),
    ({"lists": iter("a" * 25)}, f"lists={','.join('a' * 25)}&{DEFAULTS}"),
    ({"segment_id": 14}, "segment_id=14&limit=500"),
    ({"segment_id": "14", "limit": 20}, "segment_id=14&limit=20"),
    ({"tags": ("a", "b")}, f"tags=a,b&{DEFAULTS}"),
    ({"tags": ["t"] * 50}, f"tags={','.join('t' * 50)}&{DEFAULTS}"),
    *(
        ({name: TEN}, f"{name}=2024-01-02T01:00:00Z&{DEFAULTS}")
        for name, kind in OPERATIONS["list"].query.items()
        if kind == "moment"
    ),
    ({"updated_after": "2024-01-02T10:00:00+09:00"}, f"updated_after=2024-01-02T10:00:00%2B09:00&{DEFAULTS}"),
    ({"updated_after": TEN.replace(microsecond=1)}, f"updated_after=2024-01-02T01:00:00.000Z&{DEFAULTS}"),
    ({"updated_before": TEN.replace(microsecond=1)}, f"updated_before=2024-01-02T01:00:00.001Z&{DEFAULTS}"),
    ({"include": ["notes", "sms_channel"]}, f"include=notes,sms_channel&{DEFAULTS}"),
    ({"include": "notes"}, f"include=notes&{DEFAULTS}"),
    ({"include": ()}, DEFAULTS),
    ({"include": []}, DEFAULTS),
    ({"sms_status": ["explicit"]}, f"sms_status=explicit&{DEFAULTS}"),
    ({"include_count": False}, "limit=500"),
    ({"include_count": True, "limit": 1}, "include_count=true&limit=1"),
    ({"limit": 500}, DEFAULTS),
    ({"status": None, "include": None, "start": None}, DEFAULTS),
]


@pytest.mark.parametrize(("filters", "query"), FILTERS, ids=[query for _, query in FILTERS])
async def test_every_filter_travels_under_the_name_the_api_gives_it(filters: dict[str, Any], query: str) -> None:
    async with client() as (cc, responses):
        responses.plan("GET", f"{BASE_URL}/contacts?{query}", body=LAST_PAGE)
        page = await cc.contacts.with_http_info.list(**filters)
        assert [sent.url for sent in responses.sent] == [f"{BASE_URL}/contacts?{query}"]
        assert (page.items, page.next_url, page.status) == ([], None, 200)


def test_every_parameter_of_the_contract_is_tried() -> None:
    assert {name for filters, _ in FILTERS for name in filters} == {*OPERATIONS["list"].query, "start"}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"limit": 0}, "whole number from 1 to 500"),
    ({"limit": 501}, "whole number from 1 to 500"),
    ({"limit": True}, "whole number from 1 to 500"),
    ({"limit": "50"}, "whole number from 1 to 500"),
    ({"lists": ["x"] * 26}, "lists takes at most 25"),
    ({"lists": ",".join("x" * 26)}, "lists takes at most 25"),
    ({"tags": ["x"] * 51}, "tags takes at most 50"),
    ({"lists": []}, "lists must hold"),
    ({"status": ""}, "status must hold"),
    ({"include": ""}, "include must hold"),
    ({"segment_id": "1,2"}, "segment_id takes at most 1"),
    ({"segment_id": ""}, "segment_id must hold"),
    ({"segment_id": 1, "status": "all", "include": ["notes"]}, "limit only, not with include, status"),
    ({"segment_id": 1, "include_count": True}, "limit only, not with include_count"),
    ({"email": ""}, "email must be a string"),
    ({"email": 7}, "email must be a string"),
    ({"updated_after": datetime(2024, 1, 1)}, "aware datetime"),  # noqa: DTZ001  # naive on purpose
    ({"optout_before": 7}, "aware datetime"),
    ({"created_after": ""}, "aware datetime"),
    ({"start": "/v3/contacts?cursor=x", "status": "all", "limit": 5}, "leave out limit, status"),
    ({"read_ahead": -1}, "read_ahead"),
]


@pytest.mark.parametrize(("filters", "rule"), REFUSED, ids=[f"{filters}"[:40] for filters, _ in REFUSED])
async def test_a_filter_that_breaks_a_rule_is_refused_at_once(filters: dict[str, Any], rule: str) -> None:
    async with client() as (cc, responses):
        with pytest.raises(InvalidRequestError, match=rule):
            cc.contacts.list(**filters)
        assert responses.sent == []


async def test_a_filter_that_does_not_exist_is_a_mistake_in_the_call() -> None:
    async with client() as (cc, _):
        with pytest.raises(TypeError, match="unexpected keyword argument 'stat'"):
            cc.contacts.list(stat="all")  # type: ignore[call-arg]  # a mistake on purpose


async def test_a_saved_link_that_leads_elsewhere_is_refused_at_once() -> None:
    async with client() as (cc, _):
        with pytest.raises(PaginationError, match="another server"):
            cc.contacts.list(start="https://evil.example/v3/contacts?cursor=x")


async def test_the_first_page_comes_with_all_there_is_to_know() -> None:
    async with client() as (cc, responses):
        responses.plan("GET", f"{BASE_URL}/contacts?{DEFAULTS}", body=json.dumps(PAGE), headers={"X-A": "b"})
        page = await cc.contacts.with_http_info.list()
    assert page.items == [decode(CONTACT, Contact).value]
    assert (page.total, page.status, page.headers["x-a"], page.problems) == (3249, 200, "b", ())
    assert page.next_url is not None
    assert page.next_url.startswith("/v3/contacts?cursor=bGltaXQ9MSZuZXh0PTI=")


async def test_an_odd_count_is_warned_of_and_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with client() as (cc, responses):
        responses.plan("GET", f"{BASE_URL}/contacts?{DEFAULTS}", body='{"contacts": [{}], "contacts_count": "many"}')
        page = await cc.contacts.with_http_info.list()
    assert (page.items, page.total) == ([Contact()], None)
    assert ["contacts_count" in record.getMessage() for record in caplog.records] == [True]


# --- the escape hatch -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "params", "sent"),
    [
        ("GET", "/contact_lists", None, "/contact_lists"),
        (
            "get",
            "/contact_lists",
            {"limit": 5, "include_count": True, "name": None},
            "/contact_lists?limit=5&include_count=true",
        ),
        ("GET", "/contact_tags?limit=1", {"start": 2}, "/contact_tags?limit=1&start=2"),
        ("GET", "/contacts", {"email": "a+b@example.com"}, "/contacts?email=a%2Bb%40example.com"),
        ("GET", "/contacts", {"x": ["a", "b,c"]}, "/contacts?x=a&x=b,c"),
        ("GET", "/v3/contacts?cursor=a%2Fb%3D==", None, "/contacts?cursor=a%2Fb%3D=="),
        ("GET", f"{BASE_URL}/contacts?cursor=a%2Fb", {"include": "notes"}, "/contacts?cursor=a%2Fb&include=notes"),
        ("DELETE", "/contacts/a%2Fb%3F", None, "/contacts/a%2Fb%3F"),
    ],
)
async def test_any_request_is_sent_as_it_is_asked_for(method: str, path: str, params: Any, sent: str) -> None:
    async with client() as (cc, responses):
        responses.plan(method, BASE_URL + sent, body=b'{"a": [1.5, null]}', headers={"X-A": "b"})
        response = await cc.request(method, path, params=params)
        assert (response.data, response.status, response.headers["X-A"]) == ({"a": [1.5, None]}, 200, "b")
        (request,) = responses.sent
        assert (request.method, request.url, request.body) == (method.upper(), BASE_URL + sent, None)
        assert "Content-Type" not in request.headers


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"name": "ß", "favorite": True, "x": None}, '{"name":"ß","favorite":true,"x":null}'),
        ([], "[]"),
        ({}, "{}"),
        (0, "0"),
        ("text", '"text"'),
        (EmailAddressInput(address="a@b.example"), '{"address":"a@b.example"}'),
        (
            {"import_data": [PhoneNumberInput(phone_number="1"), {"kind": "home"}]},
            '{"import_data":[{"phone_number":"1"},{"kind":"home"}]}',
        ),
        ({"at": datetime(2024, 1, 1, tzinfo=UTC)}, '{"at":"2024-01-01T00:00:00Z"}'),
    ],
)
async def test_a_body_may_be_json_or_models(body: Any, sent: str) -> None:
    async with client() as (cc, responses):
        responses.plan("POST", f"{BASE_URL}/activities", status=201, body="[]")
        assert (await cc.request("POST", "/activities", json=body)).data == []
        (request,) = responses.sent
        assert request.body == sent.encode()
        assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("body", [b"", b" \n"])
async def test_a_response_without_a_body_is_none(body: bytes) -> None:
    async with client() as (cc, responses):
        responses.plan("DELETE", f"{BASE_URL}/contact_lists/a", status=204, body=body)
        assert tuple(await cc.request("DELETE", "/contact_lists/a"))[:2] == (None, 204)


async def test_errors_of_the_escape_hatch_are_those_of_the_operations() -> None:
    async with client() as (cc, responses):
        responses.plan("GET", f"{BASE_URL}/contact_lists/a", status=404, body=ERRORS["not found"].body)
        with pytest.raises(NotFoundError, match=r"contacts\.api\.not_found"):
            await cc.request("GET", "/contact_lists/a")
        responses.plan("POST", f"{BASE_URL}/contact_lists", status=503, body=ERRORS["html"].body)
        with pytest.raises(ServerError) as caught:
            await cc.request("POST", "/contact_lists", json={})
        assert caught.value.maybe_applied
        responses.plan("GET", f"{BASE_URL}/contact_lists", body="{")
        with pytest.raises(DecodeError):
            await cc.request("GET", "/contact_lists")


async def test_a_client_tells_whether_it_is_closed() -> None:
    limiter = RateLimiter()
    async with ConstantContact("t", rate_limiter=limiter) as cc:
        assert cc.rate_limiter is limiter
        assert not cc.closed
    assert cc.closed


# --- over a socket ----------------------------------------------------------------------------------------------------


async def test_every_operation_works_over_a_socket() -> None:
    async with (
        Sandbox(contacts=30, rate=None, daily=None) as box,
        ConstantContact(
            box.access_token,
            base_url=box.base_url,
            rate_limiter=RateLimiter(rate=100_000),
            retry=RetryPolicy(attempts=1),
        ) as cc,
    ):
        contacts = cc.contacts
        address = EmailAddressInput(address="ada+x@example.com", permission_to_send="implicit")
        created = await contacts.create(
            CreateContactRequest(create_source="Account", first_name="Ada", email_address=address)
        )
        assert created.contact_id is not None
        assert created.email_address is not None
        assert created.email_address.address == "ada+x@example.com"

        lists = (await cc.request("GET", "/contact_lists")).data["lists"]
        list_id = lists[0]["list_id"]
        signed_up = await contacts.with_http_info.create_or_update(
            CreateOrUpdateContactRequest(email_address="ada+x@example.com", list_memberships=[list_id], last_name="L")
        )
        assert (signed_up.status, signed_up.data.action) == (200, "updated")

        found = await contacts.get(created.contact_id, include=["list_memberships", "notes"])
        assert (found.first_name, found.last_name, found.list_memberships) == ("Ada", "L", [list_id])

        counts = await contacts.counts(new_subscribers=True)
        assert counts.explicit  # the sign-up made the consent explicit
        assert counts.new_subscriber is not None

        updated = await contacts.update(
            created.contact_id,
            UpdateContactRequest(
                update_source="Account",
                first_name="Augusta",
                email_address=EmailAddressUpdate(address="ada+x@example.com", permission_to_send="unsubscribed"),
            ),
        )
        assert (updated.first_name, updated.last_name) == ("Augusta", None)
        await contacts.resubscribe(created.contact_id, [list_id])

        assert await contacts.sms_engagement_history(created.contact_id) == []
        assert await contacts.id_xrefs(["0", 1]) is not None

        listed = await contacts.list(email="ada+x@example.com").collect()
        assert [contact.contact_id for contact in listed] == [created.contact_id]
        assert parse_qs(box.requests[-1].query)["email"] == ["ada+x@example.com"]

        assert (await contacts.with_http_info.delete(created.contact_id)).status == 204
        with pytest.raises(NotFoundError) as caught:
            await contacts.get("04fe9a-a579-43c5-bb1a-58ed29bf0a6a")
        assert caught.value.error_key == "contacts.api.not_found"
        assert caught.value.request_id

    sent = {(record.method, record.path.replace(created.contact_id, "{contact_id}")) for record in box.requests}
    assert {(operation.method, "/v3" + operation.path) for operation in OPERATIONS.values()} <= sent


@pytest.mark.parametrize("contact_id", ["a/b", "a?b", "a%2Fb", "..", ".", "é", "a b", "#"])
async def test_whatever_an_id_holds_it_reaches_the_server_as_one_segment(contact_id: str) -> None:
    async with Sandbox() as box, ConstantContact(box.access_token, base_url=box.base_url) as cc:
        with pytest.raises(NotFoundError):
            await cc.contacts.get(contact_id)
        (record,) = box.requests
        sent = record.path.removeprefix("/v3/contacts/")
        assert "/" not in sent
        assert unquote(sent) == contact_id
