"""Unsubscribing one contact keeps everything else that is known about it."""

import pytest
from support.contact_with_everything import World, differing

from cc_async import InvalidRequestError


async def test_unsubscribing_keeps_all_else_and_names_the_reason(world: World) -> None:
    before = world.contact()
    result = await world.cc.contacts.unsubscribe(world.id, reason="asked by phone")
    assert result.email_address is not None
    assert result.email_address.permission_to_send == "unsubscribed"
    after = world.contact()
    assert differing(before, after) == {"email_address"}
    assert (after["email_address"]["address"], after["email_address"]["opt_out_reason"]) == (
        "Ada@Example.com",
        "asked by phone",
    )
    await world.cc.contacts.unsubscribe(world.id, reason="again")
    assert world.contact() == after
    assert world.requests() == ["GET", "PUT", "GET"]


async def test_a_lost_response_to_an_unsubscribe_does_not_write_twice(world: World) -> None:
    world.box.fault("cut", method="PUT", when="after")
    await world.cc.contacts.unsubscribe(world.id)
    assert world.requests() == ["GET", "PUT", "GET"]


async def test_who_has_no_email_address_cannot_be_unsubscribed(world: World) -> None:
    contact_id = world.add(last_name="Texts")
    with pytest.raises(InvalidRequestError, match="no e-mail address"):
        await world.cc.contacts.unsubscribe(contact_id)
    assert world.requests() == ["GET"]
