"""The contacts that a seed makes: realistic, repeatable, cheap; and the index that speaks of them."""

import json
import tracemalloc
from collections import Counter
from time import process_time
from typing import Any

import attrs
import pytest
from hypothesis import given, strategies as st
from support.sandbox_contract import EVERYTHING, SUBRESOURCES, Clock, calling

from cc_async.sandbox import Sandbox
from cc_async.sandbox.chance import identifier, mix
from cc_async.sandbox.stamps import parse_stamp, stamp
from cc_async.sandbox.table import Table, make_index


def contacts_of(box: Sandbox) -> list[Any]:
    return [box.store.get(contact_id) for contact_id in box.store.ids()]


def test_a_seed_repeats_everything_and_another_seed_nothing() -> None:
    one, same, other = Sandbox(contacts=50), Sandbox(contacts=50), Sandbox(contacts=50, seed=1)
    assert contacts_of(one) == contacts_of(same)
    assert (one.access_token, one.client_id) == (same.access_token, same.client_id)
    assert not set(one.store.ids()) & set(other.store.ids())
    assert one.access_token != other.access_token


def test_more_contacts_do_not_change_the_first_ones() -> None:
    assert contacts_of(Sandbox(contacts=60))[:20] == contacts_of(Sandbox(contacts=20))


def test_the_index_says_what_the_documents_say() -> None:
    table = Sandbox(contacts=2_000).store.table
    for row in range(len(table)):
        assert make_index(table.document(row)) == table.entry(row)


def test_contacts_are_full_and_of_every_kind() -> None:
    contacts = contacts_of(Sandbox(contacts=2_000))
    sizes = [len(json.dumps(contact, separators=(",", ":"))) for contact in contacts]
    assert 2_300 < sum(sizes) / len(sizes) < 3_500
    emails = [contact["email_address"] for contact in contacts if "email_address" in contact]
    permissions = Counter(email["permission_to_send"] for email in emails)
    assert set(permissions) == {
        "explicit",
        "implicit",
        "not_set",
        "pending_confirmation",
        "temp_hold",
        "unsubscribed",
    }
    assert all(email["address"].endswith("@example.com") for email in emails)
    assert len({email["address"].lower() for email in emails}) == len(emails) < len(contacts)
    assert {("opt_out_date" in email) for email in emails if email["permission_to_send"] == "unsubscribed"} == {True}
    assert 20 < sum("deleted_at" in contact for contact in contacts) < 120
    assert {"update_source" in contact for contact in contacts} == {True, False}
    assert {len(contact["list_memberships"]) for contact in contacts} <= {1, 2, 3, 4, 5}
    for name in SUBRESOURCES:
        assert any(contact.get(name) for contact in contacts)
    endings = {contact["created_at"][19:] for contact in contacts}
    assert {"Z", "-05:00", "+0000"} <= endings
    assert any(ending.startswith(".") for ending in endings)


def test_parts_have_ids_of_their_own() -> None:
    contacts = contacts_of(Sandbox(contacts=300))
    for name, key in (
        ("phone_numbers", "phone_number_id"),
        ("notes", "note_id"),
        ("street_addresses", "street_address_id"),
    ):
        ids = [part[key] for contact in contacts for part in contact[name]]
        assert len(set(ids)) == len(ids)


async def test_a_generated_contact_reads_the_same_after_it_was_written() -> None:
    clock = Clock()
    async with calling(contacts=20, clock=clock) as call:
        for contact_id in call.box.store.ids():
            before = call.box.store.get(contact_id)
            if "email_address" not in before:
                continue
            call.box.store.unsubscribe(contact_id)
            after = (await call("GET", f"/contacts/{contact_id}?include={EVERYTHING}")).json
            assert {**after, "email_address": 0} == {**before, "email_address": 0}


def test_thousands_of_contacts_are_light_and_quickly_there() -> None:
    tracemalloc.start()
    started = process_time()
    box = Sandbox(contacts=4_000)
    spent, (held, _) = process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(box.store) == 4_000
    assert held / 4_000 < 1_500  # bytes a contact; 200,000 of them are far below a gigabyte
    assert spent < 20  # 200,000 start in seconds; this only catches a change of order


async def test_a_deep_page_costs_no_more_work_than_a_shallow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    json = Table.json

    def note(table: Table, row: int, include: Any) -> bytes:
        read.append(row)
        return json(table, row, include)

    monkeypatch.setattr(Table, "json", note)
    async with calling(contacts=5_000) as call:
        pages = await call.walk("status=all&limit=500")
        assert (len(pages), len(read)) == (10, 5_000)
        results = call.box.store.table._results
        before = [id(rows) for rows in results.values()]
        await call.walk("status=all&limit=500")
        assert [id(rows) for rows in results.values()] == before


async def test_only_so_many_results_are_kept() -> None:
    async with calling(contacts=10) as call:
        for number in range(40):
            await call("GET", f"/contacts?updated_after=2020-01-01T00:00:{number:02}Z")
        assert len(call.box.store.table._results) == 16


@given(st.integers(min_value=0, max_value=4_000_000_000_000), st.integers(min_value=0, max_value=3))
def test_a_stamp_is_read_back_as_the_moment_it_was_written_for(milliseconds: int, style: int) -> None:
    exact = milliseconds if style == 1 else milliseconds // 1000 * 1000
    assert parse_stamp(stamp(exact, style)) == exact


@given(st.lists(st.integers(min_value=0, max_value=1 << 70), min_size=1))
def test_chance_stays_within_its_bounds(numbers: list[int]) -> None:
    assert 0 <= mix(*numbers) < 1 << 64
    assert [len(part) for part in identifier(*numbers).split("-")] == [8, 4, 4, 4, 12]


def test_entries_are_values() -> None:
    entry = Sandbox(contacts=1).store.table.entry(0)
    assert attrs.evolve(entry) == entry
