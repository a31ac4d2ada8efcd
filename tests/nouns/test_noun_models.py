"""The models of the neighbours of contacts: any field may be absent, both decoders agree, nothing personal shows."""

import json
import pickle
from datetime import date, datetime
from typing import Any, get_args, get_origin, get_type_hints

import attrs
import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from cc_async import (
    AccountEmail,
    AccountSummary,
    Activity,
    ContactList,
    CustomFieldDefinition,
    ListXref,
    Segment,
    Tag,
    UserPrivilege,
    to_plain,
)
from cc_async.codec.decode import Decoded, _decoder, _loads_for_models, _structure, decode

MODELS = [
    AccountEmail,
    AccountSummary,
    Activity,
    ContactList,
    CustomFieldDefinition,
    ListXref,
    Segment,
    Tag,
    UserPrivilege,
]
STAMPS = ["2024-10-30T18:56:35Z", "2024-01-23T13:48:44.521+0000", "2024-01-23 06:09:23 -0800", "2024-01-23", "soon"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
ODD = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.lists(TEXT, max_size=2)
KINDS: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(-(2**40), 2**40) | st.sampled_from(["7", " 7 ", ""]),
    bool: st.booleans() | st.sampled_from(["true", "False", ""]),
    datetime: st.sampled_from(STAMPS),
    date: st.sampled_from(STAMPS),
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """What may come where a type is expected, mostly of that type."""
    options = [option for option in get_args(hint) if option is not type(None)]
    if get_origin(hint) is list:
        return st.lists(values(options[0]), max_size=3)
    if attrs.has(hint):
        hints = get_type_hints(hint)
        return st.fixed_dictionaries({}, optional={name: values(kind) | ODD for name, kind in hints.items()})
    return KINDS[hint] if hint in KINDS else st.one_of([values(option) for option in options])


@pytest.mark.parametrize("cls", MODELS)
def test_every_field_may_be_absent_or_null_and_unknown_ones_are_ignored(cls: Any) -> None:
    names = [field.name for field in attrs.fields(cls)]
    assert decode(b"{}", cls).value == cls()
    assert decode(json.dumps({**dict.fromkeys(names), "of_tomorrow": [{}]}).encode(), cls).value == cls()
    assert pickle.loads(pickle.dumps(cls())) == cls()  # noqa: S301  # our own


@pytest.mark.parametrize("cls", MODELS)
def test_both_decoders_agree_and_nothing_but_the_odd_value_is_lost(cls: Any) -> None:
    @settings(max_examples=60, deadline=None)
    @given(values(cls))
    def check(plain: dict[str, Any]) -> None:
        body = json.dumps(plain).encode()
        tolerant = _structure(_loads_for_models(body), cls)
        assert decode(body, cls).value == tolerant.value
        try:
            fast = _decoder(cls).decode(body)
        except msgspec.DecodeError:
            return
        assert (tolerant.value, tolerant.problems) == (fast, ())

    check()


@pytest.mark.parametrize("cls", MODELS)
def test_plain_values_are_read_as_the_same_model_again(cls: Any) -> None:
    @settings(max_examples=60, deadline=None)
    @given(values(cls))
    def check(plain: dict[str, Any]) -> None:
        model = decode(json.dumps(plain).encode(), cls).value
        assert decode(json.dumps(to_plain(model), allow_nan=False).encode(), cls) == Decoded(model)

    check()


@pytest.mark.parametrize(
    "model",
    [
        AccountSummary(contact_email="s3cr3t", contact_phone="s3cr3t", organization_phone="s3cr3t"),
        AccountEmail(email_address="s3cr3t"),
    ],
)
def test_what_identifies_a_person_does_not_show(model: Any) -> None:
    assert "s3cr3t" not in repr(model)
    assert "'***'" in repr(model)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("true", True),
        ('"true"', True),
        ('" FALSE "', False),
        ('""', None),
        ("null", None),
    ],
)
def test_a_boolean_is_read_however_it_is_written(written: str, read: bool | None) -> None:
    decoded = decode(f'{{"favorite": {written}}}'.encode(), ContactList)
    assert (decoded.value.favorite, decoded.problems) == (read, ())


@pytest.mark.parametrize("written", ["1", '"yes"', "[]", "{}"])
def test_what_is_no_boolean_is_named(written: str) -> None:
    decoded = decode(f'{{"favorite": {written}, "name": "a"}}'.encode(), ContactList)
    assert (decoded.value, [problem.path for problem in decoded.problems]) == (ContactList(name="a"), ["$.favorite"])
