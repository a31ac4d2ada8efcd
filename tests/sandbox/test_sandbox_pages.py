"""GET /contacts: filters, cursors, and the ends of pages."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import pytest
from support.sandbox_contract import EVERYTHING, REFUSED_QUERIES, SUBRESOURCES, VALIDATION, Clock, calling

Contact = dict[str, Any]


def cursor_of(page: Any) -> str:
    href: str = page["_links"]["next"]["href"]
    path, _, cursor = href.partition("?cursor=")
    assert path == "/v3/contacts"
    return unquote(cursor)


def email(contact: Contact) -> Contact:
    found: Contact = contact.get("email_address") or {}
    return found


def status(contact: Contact) -> str:
    permission: str = email(contact).get("permission_to_send", "not_set")
    return "deleted" if "deleted_at" in contact else permission


def sms(contact: Contact) -> str:
    consents = contact.get("sms_channel", {}).get("sms_channel_consents", [{}])
    found: str = consents[0].get("sms_consent_permission", "not_set")
    return found


def when(text: str | None) -> datetime:
    return datetime.fromisoformat(text or "1970-01-01T00:00:00Z")


NOON = datetime(2020, 1, 2, 12, tzinfo=UTC)
AFTER, BEFORE = "2020-01-02T12:00:00Z", quote("2020-01-02T07:00:00-05:00")
CASES: dict[str, Callable[[Contact], bool]] = {
    "": lambda contact: status(contact) != "deleted",
    "status=all": lambda _: True,
    "status=deleted": lambda contact: status(contact) == "deleted",
    "status=active": lambda contact: status(contact) in ("implicit", "explicit"),
    "status=unsubscribed,temp_hold": lambda contact: status(contact) in ("unsubscribed", "temp_hold"),
    "status=pending_confirmation&status=not_set": lambda contact: (
        status(contact) in ("pending_confirmation", "not_set")
    ),
    "status=all&sms_status=explicit,unsubscribed": lambda contact: sms(contact) in ("explicit", "unsubscribed"),
    "status=all&sms_status=all": lambda _: True,
    "status=all&sms_status=not_set": lambda contact: sms(contact) == "not_set",
    f"status=all&created_after={AFTER}": lambda contact: when(contact["created_at"]) > NOON,
    f"status=all&created_before={BEFORE}": lambda contact: when(contact["created_at"]) < NOON,
    f"status=all&updated_after={AFTER}": lambda contact: when(contact["updated_at"]) > NOON,
    f"status=all&updated_before={BEFORE}": lambda contact: when(contact["updated_at"]) < NOON,
    "optout_after=2020-06-01": lambda contact: (
        when(email(contact).get("opt_out_date")) > datetime(2020, 6, 1, tzinfo=UTC)
    ),
    "optout_before=2020-06-01": lambda contact: (
        "opt_out_date" in email(contact) and when(email(contact)["opt_out_date"]) < datetime(2020, 6, 1, tzinfo=UTC)
    ),
}


@pytest.mark.parametrize("query", CASES)
async def test_a_filter_finds_what_reading_every_contact_finds(query: str) -> None:
    async with calling(contacts=400) as call:
        store = call.box.store
        expected = [contact_id for contact_id in store.ids() if CASES[query](store.get(contact_id))]
        assert await call.ids(f"limit=150&{query}") == expected
        assert expected


async def test_lists_and_tags_find_their_members() -> None:
    async with calling(contacts=200) as call:
        store = call.box.store
        for name, known, key in (
            ("lists", store.lists, "list_memberships"),
            ("tags", store.tags, "taggings"),
        ):
            wanted = {known[0], known[3]}
            expected = [one for one in store.ids() if wanted & set(store.get(one)[key])]
            assert await call.ids(f"status=all&limit=500&{name}={','.join(wanted)}") == expected
            assert await call.ids(f"status=all&{name}=unknown") == []


async def test_an_address_is_found_whatever_its_case() -> None:
    async with calling(contacts=20) as call:
        contact_id = call.box.store.create(
            {"create_source": "Contact", "email_address": {"address": "Ada+Lovelace@example.com"}}
        )["contact_id"]
        assert await call.ids("email=ada%2Blovelace@EXAMPLE.com") == [contact_id]
        assert await call.ids("email=ada+lovelace@example.com") == []
        call.box.store.delete(contact_id)
        assert await call.ids("email=ada%2Blovelace@example.com") == []
        assert await call.ids("email=ada%2Blovelace@example.com&status=deleted") == [contact_id]


@pytest.mark.parametrize("query", REFUSED_QUERIES)
async def test_a_query_that_breaks_a_rule_is_refused(query: str) -> None:
    async with calling(contacts=5) as call:
        reply = await call("GET", f"/contacts?{query}")
        assert (reply.status, reply.error_key) == (400, VALIDATION)


async def test_the_most_that_may_be_asked_for_is_answered() -> None:
    async with calling(contacts=5) as call:
        for query in ("limit=500", "lists=" + ",".join("x" * 25), "tags=" + ",".join("x" * 50)):
            assert (await call("GET", f"/contacts?{query}")).status == 200


async def test_segments_are_found_and_only_combine_with_limit() -> None:
    async with calling(contacts=300) as call:
        found = [set(await call.ids(f"segment_id={number}&limit=7")) for number in range(1, 11)]
        assert sum(map(len, found)) == len(set.union(*found)) == len(await call.ids("limit=500"))
        assert (await call("GET", "/contacts?segment_id=11")).status == 404


async def test_subresources_come_only_when_they_are_included() -> None:
    async with calling(contacts=30) as call:
        for include in ("", "notes,taggings", EVERYTHING):
            pages = await call.walk(f"limit=20&include={include}")
            for contact in pages[0]["contacts"] + pages[1]["contacts"]:
                assert set(contact) & set(SUBRESOURCES) - {"sms_channel"} == set(include.split(",")) - {
                    "",
                    "sms_channel",
                }
            one = pages[0]["contacts"][0]
            assert (await call("GET", f"/contacts/{one['contact_id']}?include={include}")).json == one
        assert (await call("GET", f"/contacts/{one['contact_id']}?include=secrets")).status == 400


async def test_todays_cursor_is_a_query_string_with_a_page_number() -> None:
    async with calling(contacts=200) as call:
        page = (await call("GET", "/contacts?status=all&limit=50&include_count=true")).json
        pairs = parse_qsl(base64.b64decode(cursor_of(page), validate=True).decode())
        assert pairs == [("limit", "50"), ("next", "2"), ("status[]", "all"), ("include_count", "true")]
        page = (await call("GET", "/contacts")).json
        assert base64.b64decode(cursor_of(page)) == b"limit=50&next=2"
        guess = base64.b64encode(b"limit=50&next=4&status%5B%5D=all").decode()
        fourth = (await call("GET", f"/contacts?cursor={guess}")).json
        assert [contact["contact_id"] for contact in fourth["contacts"]] == call.box.store.ids()[150:]


@pytest.mark.parametrize("cursor", ["page", "opaque", "lying", "switching"])
async def test_whatever_the_cursor_looks_like_following_the_links_finds_everything_once(cursor: str) -> None:
    async with calling(contacts=260, cursor=cursor) as call:
        for query in ("status=all&limit=50&include=notes", "status=all&limit=37", "status=all&limit=500"):
            assert await call.ids(query) == call.box.store.ids()


async def test_an_opaque_cursor_shows_nothing_and_a_page_number_is_refused_in_its_place() -> None:
    async with calling(contacts=100, cursor="opaque") as call:
        cursor = cursor_of((await call("GET", "/contacts?limit=10")).json)
        assert b"next" not in base64.urlsafe_b64decode(cursor)
        number = base64.b64encode(b"limit=10&next=2").decode()
        assert (await call("GET", f"/contacts?cursor={number}")).status == 400


async def test_adding_one_to_a_lying_cursor_gives_another_page_than_the_next() -> None:
    async with calling(contacts=200, cursor="lying") as call:
        first = (await call("GET", "/contacts?status=all&limit=50")).json
        pairs = dict(parse_qsl(base64.b64decode(cursor_of(first)).decode()))
        assert pairs["next"] == "51"
        pairs["next"] = "52"
        guess = base64.b64encode(urlencode(pairs).encode()).decode()
        guessed = (await call("GET", f"/contacts?cursor={guess}")).json
        true = (await call("GET", first["_links"]["next"]["href"])).json
        after = (await call("GET", true["_links"]["next"]["href"])).json
        assert guessed["contacts"] not in (true["contacts"], after["contacts"])


async def test_a_switching_cursor_counts_to_three_and_then_refuses_numbers() -> None:
    async with calling(contacts=260, cursor="switching") as call:
        pages = await call.walk("status=all&limit=50")
        shown = [base64.b64decode(cursor_of(page), altchars=b"-_").startswith(b"limit=") for page in pages[:-1]]
        assert shown == [True, True, False, False, False]
        number = base64.b64encode(b"limit=50&next=4").decode()
        assert (await call("GET", f"/contacts?cursor={number}")).status == 400


@pytest.mark.parametrize(
    ("style", "links"),
    [("absent", "nothing"), ("null", None), ("empty", {}), ("no_next", {"self": {"href": "/v3/contacts"}})],
)
async def test_the_last_page_ends_in_one_of_four_ways(style: str, links: Any) -> None:
    async with calling(contacts=30, end_style=style) as call:
        pages = await call.walk("status=all&limit=20")
        assert pages[-1].get("_links", "nothing") == links
        assert len(pages) == 2


@pytest.mark.parametrize("cursor", ["page", "lying"])
async def test_an_empty_page_is_not_the_end(cursor: str) -> None:
    async with calling(contacts=100, empty_pages={1, 3}, cursor=cursor) as call:
        pages = await call.walk("status=all&limit=30")
        assert [len(page["contacts"]) for page in pages] == [0, 30, 0, 30, 30, 10]
        found = [contact["contact_id"] for page in pages for contact in page["contacts"]]
        assert found == call.box.store.ids()


@pytest.mark.parametrize("every", [True, False])
async def test_later_pages_may_or_may_not_repeat_the_count(every: bool) -> None:
    async with calling(contacts=100, count_every_page=every) as call:
        pages = await call.walk("status=all&include_count=true")
        assert [page.get("contacts_count") for page in pages] == [100, 100 if every else None]
        assert "contacts_count" not in (await call.walk("status=all"))[0]


@pytest.mark.parametrize("rides", [True, False])
async def test_include_may_or_may_not_ride_in_the_cursor_but_can_always_be_sent_beside_it(
    rides: bool,
) -> None:
    async with calling(contacts=100, include_rides_in_cursor=rides) as call:
        first, second = await call.walk("status=all&include=notes")
        assert "notes" in first["contacts"][0]
        assert ("notes" in second["contacts"][0]) is rides
        beside = await call("GET", first["_links"]["next"]["href"] + "&include=taggings&include_count=true")
        assert {"taggings"} == set(beside.json["contacts"][0]) & set(SUBRESOURCES)


@pytest.mark.parametrize("order", ["created", "updated", "id", "shuffled"])
async def test_the_order_is_the_one_that_was_set_before_and_after_writes(order: str) -> None:
    async with calling(contacts=150, order=order) as call:
        store = call.box.store
        before = await call.ids("status=all&limit=50")
        store.put(before[0], {"update_source": "Account"})
        store.delete(before[3])
        made = store.create({"create_source": "Account", "first_name": "New"})["contact_id"]
        after = await call.ids("status=all&limit=50")
        keys: dict[str, Callable[[str], Any]] = {
            "created": lambda one: when(store.get(one)["created_at"]),
            "updated": lambda one: when(store.get(one)["updated_at"]),
            "id": lambda one: one,
            "shuffled": after.index,
        }
        assert after == sorted(after, key=keys[order])
        assert set(after) == {*before, made} == set(store.ids())
        assert (before == store.ids()[:150]) is (order == "created")
        if order == "shuffled":
            assert [one for one in after if one != made] == before


async def test_pages_are_cut_from_the_store_as_it_is_so_that_a_deletion_hides_a_contact() -> None:
    async with calling(contacts=120) as call:
        everyone = await call.ids("limit=50")
        first = (await call("GET", "/contacts?limit=50")).json
        call.box.store.delete(everyone[0])
        second = (await call("GET", first["_links"]["next"]["href"])).json
        assert second["contacts"][0]["contact_id"] == everyone[51]


async def test_cached_results_stay_true_under_every_kind_of_write() -> None:
    clock = Clock()
    async with calling(contacts=200, clock=clock, order="updated") as call:
        store = call.box.store
        queries = [*CASES, f"status=all&lists={store.lists[0]}", f"tags={store.tags[1]}", "segment_id=3"]
        for step in range(4):
            responses = {query: await call.ids(f"limit=500&{query}") for query in queries}
            store.table._results.clear()  # so that the same questions are answered without the cache
            assert {query: await call.ids(f"limit=500&{query}") for query in queries} == responses
            active = await call.ids("status=active&limit=500")
            clock.now += 1
            store.unsubscribe(active[step])
            store.delete(active[step + 10])
            store.put(active[step + 20], {"update_source": "Account", "list_memberships": [store.lists[0]]})
            store.create({"create_source": "Account", "first_name": "N", "taggings": [store.tags[1]]})
            store.sign_up({"email_address": f"n{step}@example.com", "list_memberships": [store.lists[0]]})
