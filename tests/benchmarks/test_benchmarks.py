"""The figures of the README are those that were measured, and they were measured with the data they speak of."""

import hashlib
import importlib
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from cc_async import ConstantContact, Contact, RateLimiter
from cc_async.codec.decode import Envelope, PageShape, decode, read_page


def envelope_of(body: bytes) -> Envelope:
    return read_page(body, PageShape("contacts", "contacts_count"))


ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # behind what is installed: the tests are of the installed package

data: Any = importlib.import_module("benchmarks.data")
readme: Any = importlib.import_module("benchmarks.readme")
server: Any = importlib.import_module("benchmarks.server")

SUBRESOURCES = [
    "custom_fields",
    "list_memberships",
    "taggings",
    "notes",
    "phone_numbers",
    "street_addresses",
    "sms_channel",
]
NOT_ON_EVERY_CONTACT = {"deleted_at", "opt_out_source", "opt_out_date", "opt_out_reason"}


def page(number: int, **options: Any) -> Envelope:
    return envelope_of(data.page(data.SEED, number, pages=4, path="/v3/contacts", **options))


def contacts(number: int, **options: Any) -> list[Contact]:
    return [decode(raw, Contact).value for raw in page(number, **options).items]


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    path = ROOT / "benchmarks" / "results.json"
    assert path.exists(), "benchmarks/results.json is missing: run `python -m benchmarks`"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


# --- figures -----------------------------------------------------------------------------------------------------


def test_the_readme_shows_what_results_json_holds(results: dict[str, Any]) -> None:
    shown = readme.current((ROOT / "README.md").read_text(encoding="utf-8"))
    assert shown == readme.block(results), "run `python -m benchmarks.readme`"


def test_another_result_gives_another_block(results: dict[str, Any]) -> None:
    changed = json.loads(json.dumps(results))
    changed["stream_cpu"]["clean"]["ours"]["cpu_us"] += 100
    assert readme.block(changed) != readme.block(results)


def test_a_readme_without_the_markers_is_told_apart() -> None:
    with pytest.raises(ValueError, match="benchmarks:begin"):
        readme.current("# A README\n")


def test_the_results_name_date_versions_and_processors_but_no_machine(results: dict[str, Any]) -> None:
    assert {"date", "python", "cpus", "versions"} <= results.keys()
    assert {"aiohttp", "msgspec", "cattrs", "orjson"} <= results["versions"].keys()
    assert not {"host", "hostname", "node", "user", "path", "machine"} & results.keys()


@pytest.mark.parametrize("name", readme.CHARTS)
def test_a_chart_is_a_small_picture(name: str) -> None:
    path = ROOT / "benchmarks" / name
    assert path.exists(), f"benchmarks/{name} is missing: run `python -m benchmarks`"
    assert path.stat().st_size < 60_000
    assert ET.parse(path).getroot().tag.endswith("svg")  # noqa: S314  # our own file


def test_the_chart_of_processor_time_shows_what_results_json_holds(results: dict[str, Any]) -> None:
    drawn = (ROOT / "benchmarks" / "cpu.svg").read_text(encoding="utf-8")
    for found in results["stream_cpu"]["clean"].values():
        if "failed" not in found:
            assert f"{found['cpu_us']:.0f} µs" in drawn, "run `python -m benchmarks.chart`"


# --- data --------------------------------------------------------------------------------------------------------


def test_the_data_is_the_same_on_every_machine() -> None:
    body = data.page(data.SEED, 1, pages=4, odd=True, path="/v3/contacts")
    assert hashlib.sha256(body).hexdigest() == "65d36b921b3ccf58a2d6557c0e2900653a5439fbf768c7ebb03afce6660b49de"


def test_another_seed_gives_other_contacts() -> None:
    assert data.page(1, 1, pages=1) != data.page(2, 1, pages=1)


def test_every_contact_is_full() -> None:
    for contact in contacts(1):
        filled = attrs.asdict(contact)
        filled |= filled.pop("email_address")
        assert {name for name, value in filled.items() if not value} <= NOT_ON_EVERY_CONTACT
        assert all(filled[name] for name in SUBRESOURCES)


def test_some_contacts_have_opted_out() -> None:
    gone = [contact for contact in contacts(1) if contact.email_address and contact.email_address.opt_out_date]
    assert 0.05 < len(gone) / data.PAGE_SIZE < 0.2


def test_a_contact_weighs_about_three_kilobytes() -> None:
    raws = page(1).items
    assert 2_800 < sum(len(bytes(raw)) for raw in raws) / len(raws) < 3_600


def test_no_contact_comes_twice() -> None:
    ids = [contact.contact_id for number in (1, 2, 3) for contact in contacts(number)]
    assert len(set(ids)) == len(ids) == 3 * data.PAGE_SIZE


def test_the_pages_are_linked_and_the_last_one_is_not() -> None:
    links = [page(number, size=10).href for number in (1, 2, 3, 4)]
    assert links == [f"/v3/contacts?cursor={data.cursor(number, 10)}" for number in (2, 3, 4)] + [None]


def test_one_contact_in_twenty_is_odd_to_msgspec_and_the_others_are_as_before() -> None:
    clean, odd = page(1).items, page(1, odd=True).items
    refused = [index for index, raw in enumerate(odd) if not is_plain(raw)]
    assert all(map(is_plain, clean))
    assert len(refused) == data.PAGE_SIZE * data.ODD_SHARE
    assert [bytes(raw) for index, raw in enumerate(odd) if index not in refused] == [
        bytes(raw) for index, raw in enumerate(clean) if index not in refused
    ]


def is_plain(raw: Any) -> bool:
    try:
        msgspec.json.decode(raw, type=Contact)
    except msgspec.ValidationError:
        return False
    return True


# --- server ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("collection", server.COLLECTIONS)
async def test_the_page_server_gives_every_contact_once(collection: str) -> None:
    with server.serving(3) as origin:
        async with ConstantContact(
            "token", base_url=f"{origin}/{collection}/v3", rate_limiter=RateLimiter(10_000, daily=None)
        ) as cc:
            found = await cc.contacts.list().collect()
            one = await cc.contacts.get("any")
    assert [contact.contact_id for contact in found] == [
        contact.contact_id for number in (1, 2, 3) for contact in contacts(number)
    ]
    assert one == found[0]
