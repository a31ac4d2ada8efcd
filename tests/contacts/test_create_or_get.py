"""create_or_get: one contact for an address, whoever creates it first."""

from typing import Any

import pytest
from support.contact_with_everything import World, request

from cc_async import BadRequestError, ConflictError, InvalidRequestError, QuotaExceededError, TransportError
from cc_async.resources.contacts.many import email_key


async def test_a_contact_is_created_where_there_is_none(world: World) -> None:
    made = await world.cc.contacts.create_or_get(request("new@example.com"))
    assert world.contact(made.contact_id)["first_name"] == "New"
    assert world.requests() == ["POST"]


@pytest.mark.parametrize("deleted", [False, True])
async def test_the_one_that_is_there_is_given_untouched(world: World, *, deleted: bool) -> None:
    if deleted:
        world.store.delete(world.id)
    before = world.contact()
    found = await world.cc.contacts.create_or_get(request())
    assert found.contact_id == world.id
    assert (found.deleted_at is not None) is deleted
    assert world.contact() == before
    assert world.requests() == ["POST", "GET"]


@pytest.mark.parametrize(
    ("message", "requests"),
    [
        ("Email already exists.", ["POST", "GET"]),
        ("Email already exists for contact 5c0ffee5-1234-4abc-8def-0123456789ab", ["POST", "GET", "GET"]),
    ],
)
async def test_a_conflict_without_an_id_that_can_be_read_is_resolved_by_the_address(
    world: World, message: str, requests: list[str]
) -> None:
    world.store.delete(world.id)
    world.box.fault("status", method="POST", status=409, key="contacts.api.conflict", message=message)
    found = await world.cc.contacts.create_or_get(request("ada@example.com"))
    assert found.contact_id == world.id
    assert world.requests() == requests


async def test_a_conflict_over_an_sms_number_never_gives_a_contact_with_another_address(world: World) -> None:
    message = f"SMS number already exists for contact {world.id}"
    world.box.fault("status", method="POST", status=409, key="contacts.api.conflict", message=message)
    with pytest.raises(ConflictError):
        await world.cc.contacts.create_or_get(request("someone.else@example.com"))
    assert world.requests() == ["POST", "GET"]


@pytest.mark.parametrize("address", ["nobody@example.com", None])
async def test_a_conflict_with_nobody_stays_a_conflict(world: World, address: str | None) -> None:
    world.box.fault("status", method="POST", status=409, key="contacts.api.conflict")
    with pytest.raises(ConflictError) as caught:
        await world.cc.contacts.create_or_get(request(address))
    assert not caught.value.maybe_applied


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "cut", "when": "after"},
        {"kind": "status", "status": 500, "when": "after"},
        {"kind": "status", "status": 408, "when": "after"},
        {"kind": "truncated"},
        {"kind": "html"},
        {"kind": "redirect", "when": "after"},
    ],
    ids=str,
)
async def test_after_a_lost_response_the_contact_is_looked_up_rather_than_created_again(
    world: World, fault: dict[str, Any]
) -> None:
    world.box.fault(**fault, method="POST")
    if fault["kind"] == "html":
        world.add("new@example.com")
    made = await world.cc.contacts.create_or_get(request("new@example.com"))
    assert made.email_address is not None
    assert made.email_address.address == "new@example.com"
    assert world.requests() == ["POST", "GET"]


@pytest.mark.parametrize("address", ["new@example.com", None])
async def test_a_lost_create_that_nothing_shows_raises_that_it_may_have_been_applied(
    world: World, address: str | None
) -> None:
    world.box.fault("cut", method="POST", when="before")
    with pytest.raises(TransportError) as caught:
        await world.cc.contacts.create_or_get(request(address))
    assert caught.value.maybe_applied


async def test_a_look_up_that_fails_after_a_lost_create_says_so_too(world: World) -> None:
    world.box.fault("cut", method="POST", when="after")
    world.box.fault("quota", method="GET")
    with pytest.raises(QuotaExceededError) as caught:
        await world.cc.contacts.create_or_get(request("new@example.com"))
    assert caught.value.maybe_applied


async def test_a_look_up_that_fails_after_a_conflict_wrote_nothing(world: World) -> None:
    world.box.fault("quota", method="GET")
    with pytest.raises(QuotaExceededError) as caught:
        await world.cc.contacts.create_or_get(request())
    assert not caught.value.maybe_applied


async def test_what_is_refused_is_not_looked_up(world: World) -> None:
    world.box.fault("status", method="POST", status=400)
    with pytest.raises(BadRequestError):
        await world.cc.contacts.create_or_get(request())
    assert world.requests() == ["POST"]


@pytest.mark.parametrize("given", [{"first_name": "Ada"}, None, "Ada"])
@pytest.mark.parametrize(
    ("operation", "arguments", "wanted"),
    [
        ("create", (), "CreateContactRequest"),
        ("create_or_update", (), "CreateOrUpdateContactRequest"),
        ("create_or_get", (), "CreateContactRequest"),
        ("update", ("c1",), "UpdateContactRequest"),
    ],
)
async def test_a_request_of_another_type_is_refused_with_the_class_that_is_wanted(
    world: World, operation: str, arguments: tuple[str, ...], wanted: str, given: Any
) -> None:
    with pytest.raises(InvalidRequestError, match=f"must be a {wanted}"):
        await getattr(world.cc.contacts, operation)(*arguments, given)
    assert world.requests() == []


@pytest.mark.parametrize("concurrency", ["3", 1.5, True, None, 0])
async def test_a_concurrency_that_is_not_a_whole_number_is_refused(world: World, concurrency: Any) -> None:
    with pytest.raises(InvalidRequestError, match="concurrency must be a whole number"):
        world.cc.contacts.delete_many([], concurrency=concurrency)


def test_rows_with_two_spellings_of_one_address_have_the_same_key() -> None:
    keys = {email_key(request(spelling)) for spelling in ("b\u00fc@example.com", " BU\u0308@example.com ")}
    assert len(keys) == 1
    assert email_key(request(None)) is None
