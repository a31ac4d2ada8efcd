"""The streams of the neighbours of contacts: what they ask for, and every shape of a link to the next page."""

import json
from operator import attrgetter
from typing import Any

import pytest
from support.http_stub import client
from support.neighbours_table import ACTIVITY, BASE_URL, FIELD, LIST, OPERATIONS, SEGMENT, TAG

from cc_async import Activity, ContactList, CustomFieldDefinition, InvalidRequestError, PaginationError, Segment, Tag
from cc_async.codec.decode import decode

NOUNS: dict[str, tuple[str, str, dict[str, Any], Any]] = {
    "lists": ("/contact_lists?limit=1000", "lists", LIST, ContactList),
    "tags": ("/contact_tags?limit=500", "tags", TAG, Tag),
    "custom_fields": ("/contact_custom_fields?limit=100", "custom_fields", FIELD, CustomFieldDefinition),
    "segments": ("/segments?limit=1000", "segments", SEGMENT, Segment),
    "activities": ("/activities?limit=500", "activities", ACTIVITY, Activity),
}
"""The first request, the items of its page, one of them, and what it becomes."""
ENDS: list[dict[str, Any]] = [
    {},
    {"_links": None},
    {"_links": {}},
    {"_links": {"next": None}},
    {"_links": {"next": {"href": None}}},
    {"_links": {"next": {"next": {"href": "/v3/not/this"}}}},
]
KEYSET = "bGltaXQ9MSZuZXh0PWQ5MzgyNjBh"
"""A cursor that holds the id of the next item."""


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("end", ENDS)
async def test_a_single_page_ends_the_stream_whatever_its_links(noun: str, end: dict[str, Any]) -> None:
    path, items, sample, cls = NOUNS[noun]
    async with client() as (cc, responses):
        responses.plan("GET", BASE_URL + path, body=json.dumps({items: [sample], **end}).encode())
        assert await attrgetter(noun)(cc).list().collect() == [decode(sample, cls).value]
        assert [sent.url for sent in responses.sent] == [BASE_URL + path]


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("internal", [False, True])
async def test_the_next_page_is_that_of_the_cursor_on_the_path_of_the_collection(noun: str, internal: bool) -> None:
    path, items, sample, _ = NOUNS[noun]
    public = "/v3" + path.partition("?")[0]
    href = f"/contacts-service/v3/accounts/a0{path.partition('?')[0]}" if internal else public
    async with client() as (cc, responses):
        first = {items: [sample], "_links": {"next": {"href": f"{href}?cursor={KEYSET}"}}}
        responses.plan("GET", BASE_URL + path, body=json.dumps(first).encode())
        second = BASE_URL.removesuffix("/v3") + f"{public}?cursor={KEYSET}"
        responses.plan("GET", second, body=json.dumps({items: []}).encode())
        assert len(await attrgetter(noun)(cc).list().collect()) == 1
        assert [sent.url for sent in responses.sent] == [BASE_URL + path, second]


@pytest.mark.parametrize("noun", NOUNS)
async def test_a_stream_can_be_resumed_from_a_saved_link(noun: str) -> None:
    path, items, sample, _ = NOUNS[noun]
    link = f"/v3{path.partition('?')[0]}?cursor={KEYSET}"
    async with client() as (cc, responses):
        responses.plan("GET", BASE_URL.removesuffix("/v3") + link, body=json.dumps({items: [sample]}).encode())
        assert len(await attrgetter(noun)(cc).list(start=link).collect()) == 1


@pytest.mark.parametrize("noun", NOUNS)
async def test_a_link_that_leads_elsewhere_is_not_followed(noun: str) -> None:
    path, items, sample, _ = NOUNS[noun]
    async with client() as (cc, responses):
        first = {items: [sample], "_links": {"next": {"href": f"https://evil.example/v3{path}"}}}
        responses.plan("GET", BASE_URL + path, body=json.dumps(first).encode())
        with pytest.raises(PaginationError, match="another server"):
            await attrgetter(noun)(cc).list().collect()


@pytest.mark.parametrize("noun", NOUNS)
async def test_with_http_info_returns_the_first_page(noun: str) -> None:
    path, items, sample, cls = NOUNS[noun]
    async with client() as (cc, responses):
        body = json.dumps({items: [sample], "_links": {"next": {"href": f"/v3{path}&cursor=x"}}}).encode()
        responses.plan("GET", BASE_URL + path, body=body, headers={"X-A": "b"})
        page = await attrgetter(noun)(cc).with_http_info.list()
        assert (page.items, page.status, page.headers["x-a"]) == ([decode(sample, cls).value], 200, "b")
        assert page.next_url is not None


FILTERS: list[tuple[str, dict[str, Any], str]] = [
    ("lists", {"name": "A+B"}, "/contact_lists?name=A%2BB&limit=1000"),
    ("lists", {"status": "all"}, "/contact_lists?status=all&limit=1000"),
    ("lists", {"status": ["active", "deleted"]}, "/contact_lists?status=active,deleted&limit=1000"),
    ("lists", {"channel_type": "sms", "limit": 10}, "/contact_lists?channel_type=sms&limit=10"),
    ("lists", {"include_count": True}, "/contact_lists?include_count=true&limit=1000"),
    ("lists", {"include_membership_count": "all"}, "/contact_lists?include_membership_count=all&limit=1000"),
    ("lists", {"include_sms_membership_count": True}, "/contact_lists?include_sms_membership_count=true&limit=1000"),
    ("tags", {"include_count": True, "limit": 1}, "/contact_tags?include_count=true&limit=1"),
    ("custom_fields", {"limit": 1}, "/contact_custom_fields?limit=1"),
    ("segments", {"sort_by": "name"}, "/segments?sort_by=name&limit=1000"),
    ("activities", {"state": "of_tomorrow"}, "/activities?state=of_tomorrow&limit=500"),
]


@pytest.mark.parametrize(("noun", "filters", "path"), FILTERS, ids=[path for _, _, path in FILTERS])
async def test_every_filter_travels_under_the_name_the_api_gives_it(
    noun: str, filters: dict[str, Any], path: str
) -> None:
    async with client() as (cc, responses):
        responses.plan("GET", BASE_URL + path, body=b"{}")
        page = await attrgetter(noun)(cc).with_http_info.list(**filters)
        assert page.items == []
        sent = responses.sent[0].url.partition("?")[2]
        assert {pair.partition("=")[0] for pair in sent.split("&")} <= OPERATIONS[f"{noun}.list"].query.keys()


async def test_the_number_of_lists_comes_with_the_page() -> None:
    async with client() as (cc, responses):
        body = json.dumps({"lists": [], "lists_count": 249}).encode()
        responses.plan("GET", f"{BASE_URL}/contact_lists?include_count=true&limit=1000", body=body)
        assert (await cc.lists.with_http_info.list(include_count=True)).total == 249


@pytest.mark.parametrize(
    ("noun", "filters"),
    [
        ("lists", {"name": "a"}),
        ("lists", {"limit": 5}),
        ("tags", {"include_count": True}),
        ("segments", {"sort_by": "name"}),
        ("activities", {"state": "failed"}),
    ],
)
async def test_a_saved_link_carries_all_filters(noun: str, filters: dict[str, Any]) -> None:
    async with client() as (cc, responses):
        with pytest.raises(InvalidRequestError, match=f"leave out {next(iter(filters))}"):
            attrgetter(noun)(cc).list(start="/v3/x?cursor=y", **filters)
        assert responses.sent == []


async def test_an_odd_value_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    async with client() as (cc, responses):
        body = json.dumps({"tags": [TAG | {"created_at": "soon", "of_tomorrow": [1]}, TAG | {"tag_id": "t2"}]}).encode()
        responses.plan("GET", f"{BASE_URL}/contact_tags?limit=500", body=body)
        odd, plain = await cc.tags.list().collect()
        assert (odd.name, odd.created_at) == (plain.name, None)
    assert ["created_at" in record.getMessage() for record in caplog.records] == [True]
