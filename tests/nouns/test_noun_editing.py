"""What is built on the operations: looking up by name, creating unless it exists, changing one thing, labels."""

import asyncio
import json
from typing import Any

import pytest
from support.http_stub import Responses, client
from support.neighbours_table import BASE_URL, FIELD, LIST, SEGMENT, TAG

from cc_async import (
    ConflictError,
    ConstantContact,
    Contact,
    CustomField,
    CustomFieldChoice,
    CustomFieldChoiceInput,
    CustomFieldDefinition,
    DecodeError,
    ServerError,
)
from cc_async.models.custom_fields import CustomFieldCatalog

TAGS = f"{BASE_URL}/contact_tags"
LISTS = f"{BASE_URL}/contact_lists"
FIELDS = f"{BASE_URL}/contact_custom_fields"
TAKEN = json.dumps([{"error_key": "contacts.api.conflict", "error_message": "The name is taken."}]).encode()


def plan_tags(responses: Responses, *names: str) -> None:
    tags = [{"tag_id": f"id of {name}", "name": name} for name in names]
    responses.plan("GET", f"{TAGS}?limit=500", body=json.dumps({"tags": tags}).encode())


def plan_lists(responses: Responses, *, email: list[str], sms: list[str]) -> None:
    for channel, names in (("email", email), ("sms", sms)):
        lists = [{"list_id": f"id of {name}", "name": name} for name in names]
        url = f"{LISTS}?channel_type={channel}&limit=1000"
        responses.plan("GET", url, body=json.dumps({"lists": lists}).encode())


def methods(responses: Responses) -> str:
    return " ".join(sent.method for sent in responses.sent)


# --- find ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["gold", "Gold"], "Gold", "id of Gold"),
        (["gold", "silver"], "GOLD", "id of gold"),
        (["Straße"], "STRASSE", "id of Straße"),
        (["gold"], "silver", None),
        ([], "silver", None),
    ],
)
async def test_find_prefers_the_same_spelling_and_ignores_case_otherwise(
    names: list[str], wanted: str, found: str | None
) -> None:
    async with client() as (cc, responses):
        plan_tags(responses, *names)
        tag = await cc.tags.find(wanted)
        assert (tag and tag.tag_id) == found


async def test_lists_are_found_whatever_their_channel() -> None:
    async with client() as (cc, responses):
        plan_lists(responses, email=["News"], sms=["Alerts"])
        found = await cc.lists.find("Alerts")
        assert found is not None
        assert found.list_id == "id of Alerts"


async def test_every_channel_comes_in_one_stream() -> None:
    async with client() as (cc, responses):
        plan_lists(responses, email=["News", "Sales"], sms=["Alerts"])
        names = {found.name async for found in cc.lists.list_every_channel()}
        assert names == {"News", "Sales", "Alerts"}


async def test_a_segment_is_found_by_its_name() -> None:
    async with client() as (cc, responses):
        body = json.dumps({"segments": [SEGMENT], "_links": {"next": {"href": None}}}).encode()
        responses.plan("GET", f"{BASE_URL}/segments?limit=1000", body=body)
        found = await cc.segments.find("active")
        assert found is not None
        assert found.segment_id == 14


# --- get_or_create ------------------------------------------------------------------------------------------------


async def test_what_exists_is_not_created() -> None:
    async with client() as (cc, responses):
        plan_tags(responses, "Gold")
        assert (await cc.tags.get_or_create("Gold")).tag_id == "id of Gold"
        assert methods(responses) == "GET"


async def test_what_does_not_exist_is_created_even_if_another_name_differs_in_case_only() -> None:
    async with client() as (cc, responses):
        plan_tags(responses, "gold")
        responses.plan("POST", TAGS, status=201, body=json.dumps(TAG).encode())
        assert (await cc.tags.get_or_create("Gold")).tag_id == TAG["tag_id"]
        assert methods(responses) == "GET POST"


@pytest.mark.parametrize("name", ["Gold", "gold"])
async def test_a_name_that_was_taken_meanwhile_is_looked_up_again(name: str) -> None:
    async with client() as (cc, responses):
        plan_tags(responses)
        responses.plan("POST", TAGS, status=409, body=TAKEN)
        plan_tags(responses, name)
        assert (await cc.tags.get_or_create("Gold")).tag_id == f"id of {name}"
        assert methods(responses) == "GET POST GET"


async def test_a_lost_response_to_a_create_is_looked_up_and_nothing_is_created_twice() -> None:
    async with client() as (cc, responses):
        plan_lists(responses, email=[], sms=[])
        responses.plan("POST", LISTS, status=500)
        plan_lists(responses, email=["News"], sms=[])
        assert (await cc.lists.get_or_create("News")).list_id == "id of News"
        assert methods(responses).count("POST") == 1


async def test_what_cannot_be_found_after_all_raises_the_error_of_the_create() -> None:
    async with client() as (cc, responses):
        plan_tags(responses)
        responses.plan("POST", TAGS, status=409, body=TAKEN)
        plan_tags(responses)
        with pytest.raises(ConflictError, match="taken"):
            await cc.tags.get_or_create("Gold")


async def test_an_error_of_the_second_look_says_that_the_create_may_have_been_applied() -> None:
    async with client() as (cc, responses):
        plan_tags(responses)
        responses.plan("POST", TAGS, status=503)
        responses.plan("GET", f"{TAGS}?limit=500", status=502)
        with pytest.raises(ServerError) as caught:
            await cc.tags.get_or_create("Gold")
        assert (caught.value.status, caught.value.maybe_applied) == (502, True)


async def test_an_error_that_says_nothing_about_the_name_is_raised_at_once() -> None:
    async with client() as (cc, responses):
        plan_tags(responses)
        responses.plan("POST", TAGS, status=400)
        with pytest.raises(Exception, match="400"):
            await cc.tags.get_or_create("Gold")
        assert methods(responses) == "GET POST"


# --- patch --------------------------------------------------------------------------------------------------------


async def patched(responses: Responses, url: str, now: dict[str, Any], work: Any) -> dict[str, Any]:
    """The body that a patch sends for what it has read."""
    responses.plan("GET", url, body=json.dumps(now).encode())
    responses.plan("PUT", url, body=json.dumps(now).encode())
    await work
    assert methods(responses) == "GET PUT"
    body: dict[str, Any] = json.loads(responses.sent[-1].body or b"")
    return body


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({"name": "New"}, {"name": "New", "favorite": True, "description": "d"}),
        ({"favorite": False}, {"name": "Düsseldorf", "favorite": False, "description": "d"}),
        ({"description": ""}, {"name": "Düsseldorf", "favorite": True, "description": ""}),
        ({}, {"name": "Düsseldorf", "favorite": True, "description": "d"}),
    ],
)
async def test_a_patch_of_a_list_keeps_what_is_not_given(changes: dict[str, Any], sent: dict[str, Any]) -> None:
    async with client() as (cc, responses):
        work = cc.lists.patch("a", **changes)
        assert await patched(responses, f"{LISTS}/a", LIST | {"description": "d"}, work) == sent


async def test_a_patch_of_a_segment_keeps_what_is_not_given() -> None:
    async with client() as (cc, responses):
        work = cc.segments.patch(14, name="New")
        body = await patched(responses, f"{BASE_URL}/segments/14", SEGMENT | {"segment_criteria": "{1}"}, work)
        assert body == {"name": "New", "segment_criteria": "{1}"}


APPLE = {"choice_label": "Apple", "choice_id": 7, "display_order": 1}
PEAR = {"choice_label": "Pear", "choice_id": "9A63BC", "display_order": 2}


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({"label": "Fruit"}, {"label": "Fruit", "choices": [APPLE, PEAR]}),
        (
            {"choices": ["Pear", "Plum"]},
            {
                "label": "Favorite fruit",
                "choices": [PEAR | {"display_order": 1}, {"choice_label": "Plum", "display_order": 2}],
            },
        ),
        (
            {"choices": [CustomFieldChoiceInput(choice_label="Red apple", choice_id=7)]},
            {"label": "Favorite fruit", "choices": [{"choice_label": "Red apple", "choice_id": 7}]},
        ),
    ],
)
async def test_a_patch_of_a_custom_field_keeps_its_choices_with_their_ids(
    changes: dict[str, Any], sent: dict[str, Any]
) -> None:
    async with client() as (cc, responses):
        assert await patched(responses, f"{FIELDS}/a", FIELD, cc.custom_fields.patch("a", **changes)) == sent


async def test_a_patch_of_a_field_without_choices_sends_none() -> None:
    async with client() as (cc, responses):
        now = {"label": "Age", "type": "number"}
        body = await patched(responses, f"{FIELDS}/a", now, cc.custom_fields.patch("a", label="Years"))
        assert body == {"label": "Years"}


async def test_a_choice_that_was_deleted_is_not_sent_back() -> None:
    async with client() as (cc, responses):
        now = FIELD | {"choices": [APPLE | {"deleted_at": "2024-01-01"}, PEAR]}
        body = await patched(responses, f"{FIELDS}/a", now, cc.custom_fields.patch("a"))
        assert body["choices"] == [PEAR]


async def test_a_patch_that_cannot_read_what_it_would_send_back_sends_nothing() -> None:
    async with client() as (cc, responses):
        odd = FIELD | {"choices": [APPLE | {"choice_label": ["Apple"]}]}
        responses.plan("GET", f"{FIELDS}/a", body=json.dumps(odd).encode())
        with pytest.raises(DecodeError, match="would be lost"):
            await cc.custom_fields.patch("a", label="Fruit")
        assert methods(responses) == "GET"


# --- labels -------------------------------------------------------------------------------------------------------

CATALOG = CustomFieldCatalog(
    (
        CustomFieldDefinition(custom_field_id="1", label="Age", name="age", type="number"),
        CustomFieldDefinition(
            custom_field_id="2",
            label="Fruit",
            name="fruit",
            type="single_select",
            choices=[CustomFieldChoice(choice_id=7, choice_label="Apple")],
        ),
        CustomFieldDefinition(
            custom_field_id="3",
            label="Colors",
            name="favorite_colors",
            type="multi_select",
            choices=[CustomFieldChoice(choice_id="9A", choice_label="Red")],
        ),
        CustomFieldDefinition(custom_field_id="4", label="favorite_colors", name="other"),
    )
)


def test_values_of_a_contact_are_read_by_label() -> None:
    contact = Contact(
        custom_fields=[
            CustomField(custom_field_id="1", value="36"),
            CustomField(custom_field_id="2", choice_ids=["7"]),
            CustomField(custom_field_id="3", choice_ids=["9A", 8]),
            CustomField(custom_field_id="99", value="?"),
        ]
    )
    assert CATALOG.values(contact) == {"Age": "36", "Fruit": "Apple", "Colors": ["Red", "8"], "99": "?"}
    assert CATALOG.values(Contact()) == {}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("Age", "1"),
        ("age", "1"),
        ("AGE", "1"),
        ("favorite_colors", "4"),
        ("Favorite_Colors", "3"),
        ("fruit", "2"),
        ("x", None),
    ],
)
def test_a_field_is_found_by_its_label_before_its_name(wanted: str, found: str | None) -> None:
    field = CATALOG.find(wanted)
    assert (field and field.custom_field_id) == found


async def test_the_catalog_costs_one_request_for_all_fields() -> None:
    async with client() as (cc, responses):
        body = json.dumps({"custom_fields": [FIELD]}).encode()
        responses.plan("GET", f"{FIELDS}?limit=100", body=body)
        catalog = await cc.custom_fields.catalog()
        responses.plan("GET", f"{FIELDS}?limit=100", body=body)
        found = await cc.custom_fields.find("favorite_fruit")
        assert catalog.fields == (found,)
        assert len(responses.sent) == 2


async def test_any_number_of_sequence_ids_is_split_by_500() -> None:
    async with client() as (cc, responses):
        ids = list(range(1, 1_002))
        for start in (0, 500, 1_000):
            query = ",".join(map(str, ids[start : start + 500]))
            body = json.dumps({"xrefs": [{"sequence_id": str(start), "list_id": "a"}]}).encode()
            responses.plan("GET", f"{LISTS}/list_id_xrefs?sequence_ids={query}", body=body)
        found = await cc.lists.id_xrefs(ids)
        assert [xref.sequence_id for xref in found] == ["0", "500", "1000"]


async def test_two_clients_that_create_at_once_end_with_one() -> None:
    async with client() as (cc, responses), ConstantContact("other") as other:
        plan_tags(responses)
        plan_tags(responses)
        responses.plan("POST", TAGS, status=201, body=json.dumps({"tag_id": "id of Gold", "name": "Gold"}).encode())
        responses.plan("POST", TAGS, status=409, body=TAKEN)
        plan_tags(responses, "Gold")
        both = await asyncio.gather(cc.tags.get_or_create("Gold"), other.tags.get_or_create("Gold"))
        assert [tag.tag_id for tag in both] == ["id of Gold"] * 2
        assert sorted(methods(responses).split()) == ["GET", "GET", "GET", "POST", "POST"]


async def test_a_hundred_tasks_of_one_client_create_once() -> None:
    async with client() as (cc, responses):
        plan_tags(responses)
        responses.plan("POST", TAGS, status=201, body=json.dumps({"tag_id": "id of Gold", "name": "Gold"}).encode())
        for _ in range(99):
            plan_tags(responses, "Gold")
        found = await asyncio.gather(*(cc.tags.get_or_create("Gold") for _ in range(100)))
        assert {tag.tag_id for tag in found} == {"id of Gold"}
        assert methods(responses).count("POST") == 1


async def test_a_task_that_is_cancelled_while_it_looks_lets_the_next_one_try() -> None:
    async with client() as (cc, responses):
        plan_tags(responses, "Gold")
        plan_tags(responses, "Gold")
        first = asyncio.create_task(cc.tags.get_or_create("Gold"))
        second = asyncio.create_task(cc.tags.get_or_create("Gold"))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).tag_id == "id of Gold"
        with pytest.raises(asyncio.CancelledError):
            await first
