"""What holds for every response: both decoders agree, only a DecodeError is raised, and odd values stay alone."""

import json
from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any

import attrs
import msgspec
from hypothesis import example, given, settings, strategies as st
from support.contract_table import RESPONSES
from support.contract_values import CONTACT, ODD, OTHER_TIMESTAMPS, PAGE, TIMESTAMPS

from cc_async import Contact, ContactCounts, DecodeError, SmsEngagement, to_plain
from cc_async.codec.decode import (
    Decoded,
    Envelope,
    PageShape,
    _decoder,
    _loads_for_models,
    _structure,
    decode,
    loads,
    read_page,
)


def envelope_of(body: bytes) -> Envelope:
    return read_page(body, PageShape("contacts", "contacts_count"))


FEWER = settings(max_examples=60, deadline=None)  # the machine may be busy
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.sampled_from([*TIMESTAMPS, *OTHER_TIMESTAMPS]) | st.datetimes(timezones=ZONES | st.none()).map(str)
NEARLY_MOMENTS = st.from_regex(
    r"[0-2][0-9]{3}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-6][0-9]([.][0-9]{1,10})?"
    r"(Z|z|[+-][0-2][0-9]:?[0-9]{2})?",
    fullmatch=True,
)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXT | st.sampled_from(["x" * 5_000, "", "of tomorrow", "12", "\0", "é😀"]),
    "integer": st.integers() | st.sampled_from([0, -1, 2**63, 2**64, 10**20]),
    "integer or string": TEXT | st.integers(),
    "moment": MOMENTS,
    "day": st.dates().map(str) | MOMENTS,
}
UNKNOWN = st.dictionaries(TEXT.map("x_{}".format), st.none() | st.integers() | st.lists(TEXT, max_size=2), max_size=2)


def value_of(kind: str) -> st.SearchStrategy[Any]:
    """Values of a kind as the API might write them."""
    if kind.startswith("["):
        longest = 60 if kind == "[string]" else 3
        return st.lists(value_of(kind[1:-1]), max_size=longest)
    return KINDS[kind] if kind in KINDS else object_of(kind)


def object_of(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any of their fields, some of them null, and fields that nobody knows."""
    fields = {field: value_of(kind) | st.none() for field, kind in RESPONSES[name].items()}
    return st.tuples(st.fixed_dictionaries({}, optional=fields), UNKNOWN).map(lambda both: both[0] | both[1])


CONTACTS = object_of("contact")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | MOMENTS
    | NEARLY_MOMENTS
    | st.sampled_from(["\ud800", "NaN", "", " ", "12", "1e3", "0", float("nan"), -0.0, 1e308, 10**400])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(sorted({*RESPONSES["contact"], *RESPONSES["sms_channel"]})) | TEXT, inner, max_size=3
        )
    ),
    max_leaves=8,
)


def as_bytes(plain: Any) -> bytes:
    return json.dumps(plain, ensure_ascii=False).encode("utf-8", "surrogatepass")


def both_ways(body: bytes, cls: Any) -> None:
    """Whatever the fast decoder accepts, the tolerant one reads as the same."""
    try:
        fast = _decoder(cls).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    tolerant = _structure(_loads_for_models(body), cls)
    assert tolerant.problems == ()
    assert tolerant.value == fast
    assert repr(tolerant.value) == repr(fast)
    assert decode(body, cls) == tolerant


@FEWER
@given(CONTACTS)
@example(CONTACT)
def test_both_decoders_agree_on_contacts(contact: dict[str, Any]) -> None:
    both_ways(as_bytes(contact), Contact)


@FEWER
@given(object_of("counts"), st.lists(object_of("sms_engagement"), max_size=3))
def test_both_decoders_agree_on_other_responses(counts: dict[str, Any], history: list[dict[str, Any]]) -> None:
    both_ways(as_bytes(counts), ContactCounts)
    both_ways(as_bytes(history), list[SmsEngagement])


@FEWER
@given(st.dictionaries(st.sampled_from(sorted(RESPONSES["contact"])), ANYTHING, max_size=5))
def test_both_decoders_agree_on_whatever_the_fast_one_accepts(contact: dict[str, Any]) -> None:
    both_ways(as_bytes(contact), Contact)


@FEWER
@given(CONTACTS)
def test_what_the_api_may_write_is_read_without_a_problem(contact: dict[str, Any]) -> None:
    assert decode(as_bytes(contact), Contact).problems == ()


@FEWER
@given(st.lists(CONTACTS, max_size=2), object_of("counts"), object_of("sms_engagement"))
def test_plain_values_are_read_as_the_same_models_again(
    contacts: list[dict[str, Any]], counts: dict[str, Any], engagement: dict[str, Any]
) -> None:
    kinds: list[tuple[Any, Any]] = [(contacts, list[Contact]), (counts, ContactCounts), (engagement, SmsEngagement)]
    for plain, cls in kinds:
        model = decode(as_bytes(plain), cls).value
        assert decode(json.dumps(to_plain(model), allow_nan=False).encode(), cls) == Decoded(model)


@FEWER
@given(CONTACTS, st.dictionaries(st.sampled_from(sorted(RESPONSES["contact"])), ANYTHING, min_size=1, max_size=3))
def test_odd_fields_cost_at_most_themselves(contact: dict[str, Any], odd: dict[str, Any]) -> None:
    clean = decode(as_bytes({name: value for name, value in contact.items() if name not in odd}), Contact)
    decoded = decode(as_bytes(contact | odd), Contact)
    for field in attrs.fields(Contact):
        if field.name not in odd:
            assert getattr(decoded.value, field.name) == getattr(clean.value, field.name)
            continue
        value, blank = odd[field.name], odd[field.name] is None or str(odd[field.name]).strip() == ""
        named = [problem for problem in decoded.problems if problem.path == f"$.{field.name}"]
        assert (getattr(decoded.value, field.name) is None) == bool(named or blank) or value == ""
    others = [problem for problem in decoded.problems if problem.path[2:].split(".")[0].split("[")[0] not in odd]
    assert others == list(clean.problems)


def marked(value: Any) -> Any:
    """The value with a mark in every string, and every number made one that can be found again."""
    if isinstance(value, dict):
        return {name: marked(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [marked(inner) for inner in value]
    return f"s3cret{value}" if isinstance(value, str) else 97531.5 if isinstance(value, (int, float)) else value


@FEWER
@given(st.sampled_from(sorted(RESPONSES["contact"])), ANYTHING)
def test_no_problem_tells_the_value(name: str, value: Any) -> None:
    for problem in decode(as_bytes({name: marked(value)}), Contact).problems:
        assert "s3cret" not in problem.reason
        assert "97531" not in problem.reason
        assert problem.path.startswith(f"$.{name}")


@FEWER
@given(st.binary(max_size=80) | ANYTHING.map(as_bytes) | st.sampled_from([odd.written.encode() for odd in ODD]))
def test_no_body_raises_anything_but_a_decode_error(body: bytes) -> None:
    whole = (lambda body: decode(body, Contact), lambda body: decode(body, list[SmsEngagement]))
    for read in (loads, envelope_of, *whole):
        for text in (body, b'{"contacts":[' + body + b"]}", b'{"notes":' + body + b"}"):
            error = failure(read, text)
            assert error is None or f"{error} {error.path}".encode().startswith(b"The ")


def failure(read: Callable[[bytes], Any], body: bytes) -> DecodeError | None:
    try:
        read(body)
    except DecodeError as error:
        return error
    return None


WHOLE = as_bytes(PAGE)


@FEWER
@given(st.integers(1, len(WHOLE) - 1))
def test_a_page_that_is_cut_off_anywhere_is_malformed(length: int) -> None:
    for read in (loads, envelope_of):
        error = failure(read, WHOLE[:length])
        assert error is not None
        assert error.malformed
