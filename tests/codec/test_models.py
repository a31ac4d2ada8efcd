"""The models: what they hold, what they show, what of them is sent, and that they are those of the contract."""

import inspect
import json
import pickle
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from enum import IntEnum
from typing import Any, get_args, get_origin, get_type_hints

import attrs
import pytest
from support.contract_table import BODIES, PERSONAL, RESPONSES, UUID
from support.contract_values import CONTACT, COUNTS, SIGNED_UP, XREFS

from cc_async import (
    Contact,
    ContactCounts,
    ContactXref,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    CreateOrUpdateContactResult,
    CustomField,
    CustomFieldInput,
    EmailAddress,
    EmailAddressInput,
    EmailAddressUpdate,
    InvalidRequestError,
    Note,
    NoteInput,
    PhoneNumber,
    PhoneNumberInput,
    SignUpCustomField,
    SignUpSmsChannel,
    SignUpSmsChannelConsent,
    SmsChannel,
    SmsChannelConsent,
    SmsChannelConsentInput,
    SmsChannelInput,
    SmsEngagement,
    SmsEngagementDetails,
    StreetAddress,
    StreetAddressInput,
    UpdateContactRequest,
)
from cc_async.codec.decode import decode, dumps
from cc_async.models import contact_requests as requests, contacts as responses

RESPONSE_MODELS: dict[str, type[Any]] = {
    "contact": Contact,
    "email_address": EmailAddress,
    "custom_field": CustomField,
    "phone_number": PhoneNumber,
    "street_address": StreetAddress,
    "note": Note,
    "sms_channel": SmsChannel,
    "sms_consent": SmsChannelConsent,
    "sign_up_result": CreateOrUpdateContactResult,
    "counts": ContactCounts,
    "xref": ContactXref,
    "sms_engagement": SmsEngagement,
    "sms_engagement_details": SmsEngagementDetails,
}
REQUEST_MODELS: dict[str, type[Any]] = {
    "create": CreateContactRequest,
    "update": UpdateContactRequest,
    "sign_up": CreateOrUpdateContactRequest,
    "email_create": EmailAddressInput,
    "email_update": EmailAddressUpdate,
    "custom_field": CustomFieldInput,
    "sign_up_custom_field": SignUpCustomField,
    "phone_number": PhoneNumberInput,
    "street_address": StreetAddressInput,
    "note": NoteInput,
    "sms_channel": SmsChannelInput,
    "sms_consent": SmsChannelConsentInput,
    "sign_up_sms_channel": SignUpSmsChannel,
    "sign_up_sms_consent": SignUpSmsChannelConsent,
}
MODELS = [*RESPONSE_MODELS.values(), *REQUEST_MODELS.values()]
KINDS: dict[Any, str] = {
    str: "string",
    int: "integer",
    int | str: "integer or string",
    datetime: "moment",
    date: "day",
}


def kind_of(hint: Any, models: dict[str, type[Any]]) -> str:
    """What the table calls the type of a field."""
    inner = [option for option in get_args(hint) if option is not type(None)]
    if type(None) in get_args(hint):
        if set(inner) == {EmailAddressInput, EmailAddressUpdate}:
            return "email_update"
        hint = inner[0] if len(inner) == 1 else int | str
    if get_origin(hint) in (list, Sequence):
        return f"[{kind_of(get_args(hint)[0], models)}]"
    return KINDS.get(hint) or next(name for name, model in models.items() if model is hint)


def shape(model: type[Any], models: dict[str, type[Any]]) -> dict[str, str]:
    hints = get_type_hints(model)
    return {
        field.name + "!" * (field.default is attrs.NOTHING): kind_of(hints[field.name], models)
        for field in attrs.fields(model)
    }


# --- shape ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RESPONSE_MODELS)
def test_a_response_has_the_fields_of_the_contract_and_may_lack_any(name: str) -> None:
    expected = {field: {"sms_consent": "sms_consent"}.get(kind, kind) for field, kind in RESPONSES[name].items()}
    assert shape(RESPONSE_MODELS[name], RESPONSE_MODELS) == expected
    assert RESPONSE_MODELS[name]() == decode(b"{}", RESPONSE_MODELS[name]).value


@pytest.mark.parametrize("name", REQUEST_MODELS)
def test_a_request_takes_what_the_api_accepts_and_demands_what_it_must_not_lack(name: str) -> None:
    assert shape(REQUEST_MODELS[name], REQUEST_MODELS) == BODIES[name]


def test_the_tables_and_the_modules_hold_the_same_models() -> None:
    defined = {
        value
        for module in (responses, requests)
        for value in vars(module).values()
        if inspect.isclass(value) and attrs.has(value) and not value.__name__.startswith("_")
    }
    assert defined == set(MODELS)
    assert set(RESPONSES) == set(RESPONSE_MODELS)
    assert set(BODIES) == {*REQUEST_MODELS, "resubscribe"}


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_frozen_slotted_and_made_by_keyword(model: type[Any]) -> None:
    needed = {field.name: None for field in attrs.fields(model) if field.default is attrs.NOTHING}
    made = model(**needed)
    name = attrs.fields(model)[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(made, name, "x")
    assert not hasattr(made, "__dict__")
    with pytest.raises(TypeError, match="positional"):
        model("x")
    with pytest.raises(TypeError, match="unexpected keyword"):
        model(**needed, of_tomorrow=1)
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301  # it is our own


# --- privacy --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_a_repr_masks_addresses_and_numbers_and_shows_the_rest(model: type[Any]) -> None:
    personal = PERSONAL | ({"email_address"} if model is CreateOrUpdateContactRequest else set())
    shown = repr(model(**{field.name: f"<{field.name}>" for field in attrs.fields(model)}))
    for field in attrs.fields(model):
        assert (f"<{field.name}>" in shown) == (field.name not in personal)
        assert (f"{field.name}='***'" in shown) == (field.name in personal)


def test_a_repr_still_tells_what_is_missing() -> None:
    assert "address=None" in repr(EmailAddress())


def test_the_repr_of_a_whole_contact_holds_neither_addresses_nor_numbers() -> None:
    shown = repr(decode(json.dumps([CONTACT] * 2).encode(), list[Contact])) + repr(
        decode(json.dumps(CONTACT).encode(), Contact).value
    )
    assert "Lovelace" in shown
    for secret in ("ada@example.com", "555-555-0100", "5555550100"):
        assert secret not in shown


# --- writing --------------------------------------------------------------------------------------------------------


def sent(request: Any) -> Any:
    return json.loads(dumps(request))


CONSENT = SmsChannelConsentInput(sms_consent_permission="explicit", consent_type="promotional_sms")
FULL = CreateContactRequest(
    create_source="Account",
    email_address=EmailAddressInput(address="ada@example.com", permission_to_send="implicit"),
    first_name="Ada",
    last_name="Lovelace",
    job_title="Analyst",
    company_name="Engines Ltd.",
    birthday_month=12,
    birthday_day=10,
    anniversary="2006-11-15",
    custom_fields=[
        CustomFieldInput(custom_field_id=UUID, value="x"),
        CustomFieldInput(custom_field_id=UUID, choice_ids=(1, "9A63BC")),
    ],
    phone_numbers=[PhoneNumberInput(phone_number="+1-555-555-0100", kind="home")],
    street_addresses=[StreetAddressInput(kind="home", city="London")],
    list_memberships=(UUID,),
    taggings=[],
    notes=[NoteInput(content="Hello", created_at=datetime(2024, 1, 1, tzinfo=UTC))],
    sms_channel=SmsChannelInput(full_sms_address="15555550100", sms_channel_consents=[CONSENT]),
)


def test_a_create_is_sent_with_all_that_was_given_and_nothing_else() -> None:
    assert sent(FULL) == {
        "create_source": "Account",
        "email_address": {"address": "ada@example.com", "permission_to_send": "implicit"},
        "first_name": "Ada",
        "last_name": "Lovelace",
        "job_title": "Analyst",
        "company_name": "Engines Ltd.",
        "birthday_month": 12,
        "birthday_day": 10,
        "anniversary": "2006-11-15",
        "custom_fields": [
            {"custom_field_id": UUID, "value": "x"},
            {"custom_field_id": UUID, "choice_ids": [1, "9A63BC"]},
        ],
        "phone_numbers": [{"phone_number": "+1-555-555-0100", "kind": "home"}],
        "street_addresses": [{"kind": "home", "city": "London"}],
        "list_memberships": [UUID],
        "taggings": [],
        "notes": [{"content": "Hello", "created_at": "2024-01-01T00:00:00Z"}],
        "sms_channel": {
            "full_sms_address": "15555550100",
            "sms_channel_consents": [{"sms_consent_permission": "explicit", "consent_type": "promotional_sms"}],
        },
    }


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (
            CreateContactRequest(create_source="Account", first_name="Ada"),
            {"create_source": "Account", "first_name": "Ada"},
        ),
        (UpdateContactRequest(update_source="Account"), {"update_source": "Account"}),
        (CreateOrUpdateContactRequest(list_memberships=["a"]), {"list_memberships": ["a"]}),
        (
            UpdateContactRequest(update_source="Account", list_memberships=[], notes=(), phone_numbers=[]),
            {"update_source": "Account", "list_memberships": [], "notes": [], "phone_numbers": []},
        ),
        (
            UpdateContactRequest(update_source="Account", first_name="", birthday_month=0),
            {"update_source": "Account", "first_name": "", "birthday_month": 0},
        ),
        (
            UpdateContactRequest(
                update_source="Account",
                email_address=EmailAddressUpdate(
                    address="a@b.example", permission_to_send="unsubscribed", opt_out_reason="enough"
                ),
            ),
            {
                "update_source": "Account",
                "email_address": {
                    "address": "a@b.example",
                    "permission_to_send": "unsubscribed",
                    "opt_out_reason": "enough",
                },
            },
        ),
        (
            UpdateContactRequest(update_source="Account", email_address=EmailAddressInput(address="a@b.example")),
            {"update_source": "Account", "email_address": {"address": "a@b.example"}},
        ),
    ],
)
def test_what_is_left_out_is_not_sent_and_what_is_empty_is(request_: Any, body: dict[str, Any]) -> None:
    assert sent(request_) == body


def test_a_create_never_sends_the_reason_of_an_opt_out() -> None:
    address = EmailAddressUpdate(address="a@b.example", opt_out_reason="enough")
    request = CreateContactRequest(create_source="Account", email_address=address)
    assert sent(request)["email_address"] == {"address": "a@b.example"}


def test_an_sms_channel_has_three_shapes() -> None:
    read = decode(json.dumps(CONTACT["sms_channel"]).encode(), SmsChannel).value
    assert (read.sms_address, read.dial_code, read.country_code) == ("5555550100", "1", "US")
    signed_up = CreateOrUpdateContactRequest(
        list_memberships=["a"],
        sms_channel=SignUpSmsChannel(
            sms_address="5555550100",
            dial_code="1",
            country_code="US",
            sms_channel_consents=[
                SignUpSmsChannelConsent(
                    sms_consent_permission="explicit",
                    consent_type="promotional_sms",
                    consent_medium_type="LF",
                    consent_medium_url="https://example.com",
                    consent_medium_details="a form",
                    advertised_frequency=2,
                )
            ],
        ),
    )
    assert sent(signed_up)["sms_channel"] == {
        "sms_address": "5555550100",
        "dial_code": "1",
        "country_code": "US",
        "sms_channel_consents": [
            {
                "sms_consent_permission": "explicit",
                "consent_type": "promotional_sms",
                "consent_medium_type": "LF",
                "consent_medium_url": "https://example.com",
                "consent_medium_details": "a form",
                "advertised_frequency": 2,
            }
        ],
    }
    assert sent(FULL)["sms_channel"].keys() == {"full_sms_address", "sms_channel_consents"}


def test_a_moment_in_a_request_keeps_its_zone_and_must_have_one() -> None:
    berlin = datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=1)))
    assert sent(NoteInput(created_at=berlin)) == {"created_at": "2024-01-01T12:00:00+01:00"}
    naive = CreateContactRequest(
        create_source="Account",
        notes=[NoteInput(created_at=datetime(2024, 1, 1))],  # noqa: DTZ001  # naive on purpose
    )
    with pytest.raises(InvalidRequestError, match="aware"):
        dumps(naive)


@pytest.mark.parametrize(
    "request_",
    [
        CreateContactRequest(create_source="Account", list_memberships=UUID),
        CreateOrUpdateContactRequest(list_memberships=UUID),
        UpdateContactRequest(update_source="Account", custom_fields="x"),  # type: ignore[arg-type]  # a mistake on purpose
        CreateContactRequest(create_source="Account", email_address="a@b.example"),  # type: ignore[arg-type]  # likewise
    ],
)
def test_a_string_where_a_list_or_an_object_belongs_is_refused(request_: Any) -> None:
    with pytest.raises(InvalidRequestError):
        dumps(request_)


# --- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", object(), {1: object()}, lambda: None])
def test_what_has_no_form_in_json_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError):
        dumps({"x": value})


def test_a_request_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidRequestError):
        dumps(endless)


def test_plain_requests_are_written_as_they_are() -> None:
    assert dumps({"a": None, "b": [], "c": (1, 2.5, True), "d": {"e": "ß"}}) == (
        '{"a":null,"b":[],"c":[1,2.5,true],"d":{"e":"ß"}}'.encode()
    )
    assert dumps(XREFS | SIGNED_UP | COUNTS) == json.dumps(XREFS | SIGNED_UP | COUNTS, separators=(",", ":")).encode()


def test_kinds_of_text_and_numbers_are_written_as_what_they_are() -> None:
    class Grade(IntEnum):
        HIGH = 3

    class Name(str):
        __slots__ = ()

    assert dumps({"a": Name("x"), "b": Grade.HIGH, "c": CreateContactRequest(create_source=Name("Account"))}) == (
        b'{"a":"x","b":3,"c":{"create_source":"Account"}}'
    )
