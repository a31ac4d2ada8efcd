"""Bytes to models: what becomes of every odd value, alone and in the middle of a page, and of bodies that are none."""

import asyncio
import functools
import json
import logging
import re
from typing import Any

import attrs
import pytest
from support.contract_table import UUID
from support.contract_values import CONTACT, ODD, PAGE, SAMPLES, SMS_HISTORY, TIMESTAMPS, Odd

from cc_async import Contact, ContactCounts, CreateOrUpdateContactResult, DecodeError, Problem, SmsEngagement
from cc_async.codec.decode import Decoded, Envelope, PageShape, decode, decode_items, dumps, loads, read_page
from cc_async.codec.problems import log_problems


def envelope_of(body: bytes) -> Envelope:
    return read_page(body, PageShape("contacts", "contacts_count"))


MARK = "@odd@"
PLACE = 250
DEEP = 100_000


def as_bytes(plain: Any) -> bytes:
    return json.dumps(plain).encode()


def written(odd: Odd) -> bytes:
    """The sample contact with one value replaced, as JSON."""
    contact = json.loads(json.dumps(CONTACT))
    *above, name = re.findall(r"\w+", odd.field)
    inner = contact
    for step in above:
        inner = inner[int(step) if step.isdecimal() else step]
    inner[name] = MARK
    return as_bytes(contact).replace(as_bytes(MARK), odd.written.encode())


def evolved(model: Any, steps: list[str], value: Any) -> Any:
    """The model with one value replaced."""
    step, *rest = steps
    if isinstance(model, list):
        index = int(step)
        return [*model[:index], evolved(model[index], rest, value), *model[index + 1 :]]
    if not hasattr(model, step):
        return model
    return attrs.evolve(model, **{step: evolved(getattr(model, step), rest, value) if rest else value})


def expected(odd: Odd) -> Contact:
    contact: Contact = evolved(decode(as_bytes(CONTACT), Contact).value, re.findall(r"\w+", odd.field), odd.read)
    return contact


def problems(odd: Odd, below: str = "$") -> tuple[Problem, ...]:
    path = odd.path or f"$.{odd.field}"
    return () if odd.reason is None else (Problem(path.replace("$", below), odd.reason),)


def page_of(contacts: list[bytes], rest: bytes = b"") -> bytes:
    return b'{"contacts":[' + b",".join(contacts) + b"]" + rest + b"}"


async def contacts_of(body: bytes) -> Decoded[list[Contact]]:
    return await decode_items(envelope_of(body).items, Contact, "contacts")


# --- odd values -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{odd.field}={odd.written[:30]}")
def test_an_odd_value_costs_at_most_itself(odd: Odd) -> None:
    decoded = decode(written(odd), Contact)
    assert decoded.value == expected(odd)
    assert repr(decoded.value) == repr(expected(odd))
    assert decoded.problems == problems(odd)


NEIGHBOURS = [as_bytes({"contact_id": str(number), "created_at": "2024-10-30T18:56:35Z"}) for number in range(499)]
NEIGHBOUR_MODELS = [decode(neighbour, Contact).value for neighbour in NEIGHBOURS]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: f"{odd.field}={odd.written[:30]}")
async def test_an_odd_value_within_a_page_costs_no_other_contact_anything(odd: Odd) -> None:
    body = page_of([*NEIGHBOURS[:PLACE], written(odd), *NEIGHBOURS[PLACE:]], b',"contacts_count":500')
    page = envelope_of(body)
    decoded = await decode_items(page.items, Contact, "contacts")
    assert decoded.value[PLACE] == expected(odd)
    assert decoded.value[:PLACE] + decoded.value[PLACE + 1 :] == NEIGHBOUR_MODELS
    assert decoded.problems == problems(odd, f"$.contacts[{PLACE}]")
    assert (page.total, page.href, page.problems) == (500, None, ())


def test_bytes_that_are_no_utf8_cost_their_own_field() -> None:
    body = as_bytes(CONTACT).replace(b"Lovelace", b"Lovel\xe4ce")
    decoded = decode(body, Contact)
    assert decoded.value == attrs.evolve(decode(as_bytes(CONTACT), Contact).value, last_name=None)
    assert decoded.problems == (Problem("$.last_name", "not valid Unicode"),)


async def test_bytes_that_are_no_utf8_cost_no_other_contact_anything() -> None:
    body = page_of([*NEIGHBOURS[:9], as_bytes(CONTACT).replace(b"Lovelace", b"\xff"), *NEIGHBOURS[9:]])
    decoded = await contacts_of(body)
    assert len(decoded.value) == 500
    assert decoded.problems == (Problem("$.contacts[9].last_name", "not valid Unicode"),)


def test_several_odd_values_are_all_named() -> None:
    body = as_bytes({"first_name": True, "notes": [{"created_at": "soon", "content": []}], "last_name": "Lovelace"})
    decoded = decode(body, Contact)
    assert decoded.value.last_name == "Lovelace"
    assert [problem.path for problem in decoded.problems] == [
        *("$.first_name", "$.notes[0].created_at", "$.notes[0].content")
    ]


def test_the_last_of_two_equal_names_counts_both_ways() -> None:
    assert decode(b'{"first_name": "a", "first_name": "b"}', Contact).value.first_name == "b"
    assert decode(b'{"first_name": 7, "first_name": "b"}', Contact).value.first_name == "b"


def test_a_byte_order_mark_is_no_harm() -> None:
    assert decode(b"\xef\xbb\xbf" + as_bytes(CONTACT), Contact) == decode(as_bytes(CONTACT), Contact)


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("contact", Contact),
        ("counts", ContactCounts),
        ("sign_up_result", CreateOrUpdateContactResult),
        ("[sms_engagement]", list[SmsEngagement]),
    ],
)
def test_the_samples_of_the_contract_are_read_without_a_problem(name: str, cls: type[Any]) -> None:
    decoded = decode(as_bytes(SAMPLES[name]), cls)
    assert decoded.problems == ()
    assert decode(SAMPLES[name], cls) == decoded


def test_a_sample_keeps_every_value_that_it_holds() -> None:
    plain = json.loads(dumps(decode(as_bytes(CONTACT), Contact).value))
    normalised = json.loads(as_bytes(CONTACT).replace(b".108Z", b".108000Z"))  # as a datetime is written
    assert plain == normalised


def test_a_string_field_keeps_what_is_no_timestamp() -> None:
    (entry,) = decode(as_bytes(SMS_HISTORY), list[SmsEngagement]).value
    details = entry.history_details
    assert details is not None
    assert details.source_consent_timestamp == "2016-03-03T10:53:04-05:0"
    assert details.consent_action_time == TIMESTAMPS["2023-01-23 06:09:23 -0800"]
    assert details.advertised_frequency == 2


# --- what is no model at all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "kind"),
    [("null", "null"), ("7", "a number"), ("1.5", "a number"), ('"x"', "a string"), ("[]", "an array"), ("NaN", "NaN")],
)
async def test_what_stands_in_place_of_a_contact_is_left_out_and_named(written: str, kind: str) -> None:
    decoded = await contacts_of(page_of([*NEIGHBOURS[:3], written.encode(), *NEIGHBOURS[3:]]))
    assert decoded.value == NEIGHBOUR_MODELS
    (problem,) = decoded.problems
    assert problem.path == "$.contacts[3]"
    assert f"expected an object, got {kind}" in problem.reason


@pytest.mark.parametrize("written", ["[]", "null", "7", "true", '"x"', "NaN"])
def test_what_stands_in_place_of_an_object_is_an_error(written: str) -> None:
    with pytest.raises(DecodeError, match="expected an object") as caught:
        decode(written.encode(), Contact)
    assert (caught.value.path, caught.value.malformed) == ("$", False)


@pytest.mark.parametrize("written", ["{}", "null", "7", '"x"'])
def test_what_stands_in_place_of_an_array_is_an_error(written: str) -> None:
    with pytest.raises(DecodeError, match="expected an array") as caught:
        decode(written.encode(), list[SmsEngagement])
    assert (caught.value.path, caught.value.malformed) == ("$", False)


def test_an_entry_of_an_array_that_cannot_be_read_is_left_out_and_named() -> None:
    decoded = decode(as_bytes([None, *SMS_HISTORY, 7]), list[SmsEngagement])
    assert [entry.contact_id for entry in decoded.value] == [UUID]
    assert [problem.path for problem in decoded.problems] == ["$[0]", "$[2]"]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"<html></html>", "is HTML"),
        (b"\n <!DOCTYPE html>", "is HTML"),
        (b"OK", "is not valid JSON"),
        (as_bytes(PAGE)[:-1], "is not valid JSON"),
        (as_bytes(PAGE)[:700], "is not valid JSON"),
        (as_bytes(PAGE) + b"x", "is not valid JSON"),
        (b"{'a': 1}", "is not valid JSON"),
        (b'{"a": 1,}', "is not valid JSON"),
        (b'{"a": "\\x"}', "is not valid JSON"),
        (b"\xff\xfe{\x00}\x00", "is not valid JSON"),
        (b"\x1f\x8b\x08", "is not valid JSON"),
    ],
)
def test_what_is_no_json_is_malformed(body: bytes, what: str) -> None:
    for read in (functools.partial(decode, cls=Contact), envelope_of, loads):
        with pytest.raises(DecodeError, match=what) as caught:
            read(body)
        assert (caught.value.path, caught.value.malformed) == ("$", True)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("before", [b"", b'{"first_name":', b'{"of_tomorrow":', b'{"contacts":[{"notes":'])
def test_endless_nesting_is_an_error_and_no_crash(before: bytes, opening: bytes) -> None:
    closing = {b"[": b"]", b'{"a":': b"}"}[opening]
    ends = b"}" * before.count(b"{") if b"[" not in before else b"}]}"
    for body in (before + opening * DEEP, before + opening * DEEP + b"1" + closing * DEEP + ends):
        for read in (
            lambda body=body: decode(body, Contact),
            lambda body=body: envelope_of(body),
            lambda body=body: loads(body),
        ):
            with pytest.raises(DecodeError, match="nested too deep") as caught:
                read()
            assert (caught.value.path, caught.value.malformed) == ("$", False)


def test_plain_json_keeps_what_it_can_of_odd_bodies() -> None:
    odd = {"a": 1.5, "b": "\N{REPLACEMENT CHARACTER}", "c": "\ud800", "d": "x\ny"}
    assert loads(b'{"a": 1.50, "b": "\xff", "c": "\\ud800", "d": "x\ny"}') == odd
    assert type(loads(b"[1.5, NaN]")[0]) is float
    assert loads(b"[" + b"9" * 5_000 + b"]") == [float("inf")]


def test_what_is_to_be_sent_back_must_be_what_was_read() -> None:
    assert loads(b'{"a": 1}', exact=True) == {"a": 1}
    for body in (b'{"a": "\xff"}', b'{"a": NaN}', b'{"a": "\\ud800"}'):
        with pytest.raises(DecodeError, match="cannot be sent back") as caught:
            loads(body, exact=True)
        assert not caught.value.malformed


# --- pages ----------------------------------------------------------------------------------------------------------


def test_a_page_is_read_without_its_contacts() -> None:
    page = envelope_of(as_bytes(PAGE))
    assert (page.href, page.total, page.problems) == ("/v3/contacts?cursor=bGltaXQ9MSZuZXh0PTI=", 3249, ())
    assert [bytes(contact) for contact in page.items] == [as_bytes(CONTACT)]
    assert "example.com" not in repr(page)


@pytest.mark.parametrize(
    "links", ["", ',"_links":null', ',"_links":{}', ',"_links":{"next":null}', ',"_links":{"self":{}}']
)
@pytest.mark.parametrize("odd", ["", ',"x":NaN'], ids=["fast", "tolerant"])
def test_the_end_has_four_shapes(links: str, odd: str) -> None:
    page = envelope_of(page_of([], (links + odd).encode()))
    assert (page.href, page.items) == (None, [])


@pytest.mark.parametrize("odd", ["", ',"x":NaN', ',"x":"\\ud800"'], ids=["fast", "NaN", "surrogate"])
@pytest.mark.parametrize(
    ("count", "total", "reason"),
    [
        ("3249", 3249, None),
        ("0", 0, None),
        ("null", None, None),
        ('"3249"', 3249, None),
        ('""', None, None),
        ("3249.0", 3249, None),
        ("-1", None, "a negative number"),
        ('"-1"', None, "a negative number"),
        ("1.5", None, "expected a whole number, got a number"),
        ("true", None, "expected a whole number, got a boolean"),
        ('"many"', None, "expected a whole number, got a string"),
        ("[]", None, "expected a whole number, got an array"),
        ("NaN", None, "expected a whole number, got NaN or an infinity"),
    ],
)
def test_an_odd_count_costs_no_contact(count: str, total: int | None, reason: str | None, odd: str) -> None:
    page = envelope_of(page_of(NEIGHBOURS[:2], f',"contacts_count":{count}{odd}'.encode()))
    assert len(page.items) == 2
    assert page.total == total
    assert page.problems == (() if reason is None else (Problem("$.contacts_count", reason),))


@pytest.mark.parametrize("odd", ["", ',"x":NaN'], ids=["fast", "tolerant"])
@pytest.mark.parametrize("contacts", ["", '"contacts":null', '"contacts":[]'])
def test_a_page_may_be_empty(contacts: str, odd: str) -> None:
    body = "{" + ",".join(filter(None, (contacts, '"_links":{"next":{"href":"/v3/contacts?cursor=x"}}'))) + odd + "}"
    page = envelope_of(body.encode())
    assert (page.items, page.href) == ([], "/v3/contacts?cursor=x")


@pytest.mark.parametrize(
    ("contacts", "kind"), [("{}", "an object"), ('"x"', "a string"), ("7", "a number"), ("true", "a boolean")]
)
def test_a_page_whose_contacts_are_no_array_is_an_error(contacts: str, kind: str) -> None:
    with pytest.raises(DecodeError, match=f"expected an array of contacts, got {kind}") as caught:
        envelope_of(f'{{"contacts":{contacts}}}'.encode())
    assert (caught.value.path, caught.value.malformed) == ("$.contacts", False)


@pytest.mark.parametrize("body", ["[]", "null", "7", '"x"'])
def test_a_page_that_is_no_object_is_an_error(body: str) -> None:
    with pytest.raises(DecodeError, match="not a page: expected an object") as caught:
        envelope_of(body.encode())
    assert (caught.value.path, caught.value.malformed) == ("$", False)


def test_a_link_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(DecodeError, match="link to the next page") as caught:
        envelope_of(b'{"contacts":[],"_links":{"next":7}}')
    assert caught.value.path == "$._links.next"


async def test_the_event_loop_runs_while_a_page_is_decoded() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(tick())
    await contacts_of(page_of(NEIGHBOURS))
    ticker.cancel()
    assert ticks >= 20


# --- reports --------------------------------------------------------------------------------------------------------


async def test_one_warning_names_the_places_and_none_of_the_values(caplog: pytest.LogCaptureFixture) -> None:
    odd = b'{"first_name": ["s3cret"], "created_at": "s3cret", "notes": {"s3cret": 1}}'
    decoded = await contacts_of(page_of([odd] * 9))
    with caplog.at_level(logging.DEBUG):
        log_problems(decoded.problems, strict=False)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("cc_async", "WARNING")
    text = record.getMessage()
    assert "27 value(s)" in text
    assert "$.contacts[0].first_name: expected a string, got an array" in text
    assert len(text) < 500
    assert "s3cret" not in text + repr(decoded)


def test_no_problem_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    log_problems((), strict=True)
    assert not caplog.records


def test_strict_raises_with_the_first_place() -> None:
    decoded = decode(b'{"last_name": "x", "created_at": "soon", "first_name": true}', Contact)
    with pytest.raises(DecodeError, match=r"2 value\(s\).*\$\.created_at: not a timestamp") as caught:
        log_problems(decoded.problems, strict=True)
    assert caught.value.path in {"$.first_name", "$.created_at"}
    assert not caught.value.malformed


@pytest.mark.parametrize(
    "body", [b'{"address": "ada@example.com"', b'{"address": "ada@example.com\xff"', b"<p>ada@example.com"]
)
def test_what_cannot_be_read_does_not_go_along_with_the_error(body: bytes) -> None:
    for read in (loads, envelope_of, functools.partial(decode, cls=Contact)):
        with pytest.raises(DecodeError) as caught:
            read(body)
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None
