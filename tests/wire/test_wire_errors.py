"""What the API says when it refuses: every shape of body, every status, and what of it an exception shows."""

import copy
import json
import pickle
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from multidict import CIMultiDict
from support.contract_table import CONFLICT, ERRORS, UUID, ErrorAnswer

import cc_async
from cc_async import (
    Activity,
    ActivityFailedError,
    ActivityTimeoutError,
    ApiError,
    AuthenticationError,
    AuthorizationError,
    BadRequestError,
    ConflictError,
    ConstantContactError,
    ContactChangedError,
    DecodeError,
    ErrorDetail,
    NotFoundError,
    PaginationError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    TransportError,
    UnsupportedMediaTypeError,
)
from cc_async.wire.errors import api_error, error_details, is_quota, is_throttle, retry_after

UNHURRIED = settings(deadline=None)  # the machine may be busy
MIDNIGHT = datetime(2024, 10, 31, tzinfo=UTC)
SOME_UUID = "04fe9a97-a579-43c5-bb1a-58ed29bf0a6a"


def refused(response: ErrorAnswer, headers: Mapping[str, str] | None = None) -> ApiError:
    """The exception for an error response."""
    return api_error(response.status, CIMultiDict(headers or {}), response.body, resets_at=MIDNIGHT)


# --- Retry-After ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("5", 5.0),
        (" 120 ", 120.0),
        ("0.25", 0.25),
        ("9" * 20, 1e20),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after_tells_seconds(value: str, seconds: float) -> None:
    assert retry_after({"Retry-After": value}) == seconds


@pytest.mark.parametrize("zone", ["GMT", "-0000", ""])
@pytest.mark.parametrize("local", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_a_date_is_utc_wherever_the_program_runs(zone: str, local: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", local)
        time.tzset()
        text = format_datetime(datetime.now(UTC) + timedelta(seconds=30)).replace("+0000", zone).strip()
        assert retry_after({"Retry-After": text}) == pytest.approx(30, abs=2)
    time.tzset()


@pytest.mark.parametrize("form", ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"])
def test_the_two_old_forms_of_dates_are_read(form: str) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=30)
    assert retry_after({"Retry-After": moment.strftime(form)}) == pytest.approx(30, abs=2)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "soon",
        "-1",
        "1e3",
        "٣",
        "1,5",
        "Wed, 31 Feb 2035 07:28:00 GMT",
        "Mon, 01 Jan 2024 00:00:00 +99999999999999999",
        "2035-01-01T00:00:00Z",
        "a@",
    ],
)
def test_a_retry_after_that_means_nothing_is_none(value: str) -> None:
    assert retry_after({"Retry-After": value}) is None
    assert retry_after({}) is None


DATE_PIECES = st.sampled_from(
    [
        "Wed,",
        "21",
        "Oct",
        "2015",
        "99999",
        "07:28:00",
        "24:61",
        "GMT",
        "-0000",
        "+9999",
        "+99999999",
        "0",
        "00",
        "-",
        "PM",
    ]
)


@UNHURRIED
@given(st.text(max_size=40) | st.lists(DATE_PIECES, max_size=7).map(" ".join))
def test_no_retry_after_raises(value: str) -> None:
    seconds = retry_after({"Retry-After": value})
    assert seconds is None or seconds >= 0


# --- bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("response", ERRORS.values(), ids=ERRORS)
def test_every_shape_of_error_is_read(response: ErrorAnswer) -> None:
    expected = (ErrorDetail(response.key, response.message),) if response.key or response.message else ()
    assert error_details(response.body) == expected
    error = refused(response)
    assert (error.error_key, error.error_message) == (response.key, response.message)


@pytest.mark.parametrize(
    ("body", "details"),
    [
        (
            '[{"error_key": "a"}, {"error_message": "b"}, {"error_key": "c", "error_message": "d"}]',
            [("a",), (None, "b"), "cd"],
        ),
        ('[{}, 7, null, "x", [], {"error_key": null}, {"error_key": "a"}]', [("a",)]),
        ('{"error_key": 7, "error_message": ["x"]}', []),
        ('{"error_key": "a", "error_message": 7}', [("a",)]),
        ('{"error_message": null, "message": "b"}', [(None, "b")]),
        ('{"error_message": "b", "message": "c"}', [(None, "b")]),
        ('"throttled"', []),
        ("7", []),
        ("null", []),
        ("true", []),
        ('{"error_key": "cut', []),
        ("[" * 100_000, []),
        ("9" * 10_000, []),
        ('{"message": "\\ud800"}', [(None, "?")]),
        ('\ufeff{"error_key": "a"}', [("a",)]),
    ],
)
def test_odd_bodies_say_what_can_be_read_of_them(body: str, details: list[tuple[str | None, ...]]) -> None:
    assert error_details(body.encode()) == tuple(ErrorDetail(*detail) for detail in details)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["error_key", "error_message", "message"]) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@UNHURRIED
@given(st.binary(max_size=60) | JSON.map(lambda plain: json.dumps(plain).encode()), st.integers(300, 599))
def test_no_body_makes_an_error_fail(body: bytes, status: int) -> None:
    error = refused(ErrorAnswer(status, body))
    assert error.status == status
    assert type(pickle.loads(pickle.dumps(error))) is type(error)  # noqa: S301  # it is our own
    f"{error} {error.errors}".encode()


# --- classes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        *((status, ApiError) for status in (300, 302, 304, 399, 402, 405, 406, 408, 410, 413, 418, 422, 451, 499)),
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (415, UnsupportedMediaTypeError),
        (429, RateLimitError),
        *((status, ServerError) for status in (500, 501, 502, 503, 504, 507, 520, 599)),
    ],
)
def test_the_status_chooses_the_class(status: int, cls: type[ApiError]) -> None:
    error = refused(ErrorAnswer(status, b""))
    assert type(error) is cls
    assert f"The API answered {status}." in str(error)
    assert ("redirect" in str(error)) == (status < 400)


@pytest.mark.parametrize(
    ("name", "quota", "throttle"),
    [
        ("throttled", False, True),
        ("quota", True, False),
        ("bulk", False, False),
        ("bare throttled", False, True),
        ("bare quota", True, False),
        ("html", False, True),
        ("nothing", False, True),
    ],
)
def test_the_three_kinds_of_429_are_told_apart(name: str, quota: bool, throttle: bool) -> None:
    response = ErrorAnswer(429, ERRORS[name].body)
    details = error_details(response.body)
    assert (is_quota(details), is_throttle(details)) == (quota, throttle)
    error = refused(response, {"Retry-After": "7"})
    assert isinstance(error, RateLimitError)
    assert isinstance(error, QuotaExceededError) == quota


def test_a_sentence_about_a_limit_means_the_quota_only_where_no_key_says_otherwise() -> None:
    assert not is_quota((ErrorDetail("throttled", "Limit Exceeded"),))
    assert is_throttle((ErrorDetail("throttled", "Limit Exceeded"),))


def test_a_spent_quota_tells_when_it_is_whole_again() -> None:
    error = refused(ERRORS["quota"])
    assert isinstance(error, QuotaExceededError)
    assert error.resets_at == MIDNIGHT
    assert error.retry_after is None
    assert "before 2024-10-31 00:00 UTC" in str(error)


def test_a_throttled_request_tells_how_long_to_wait() -> None:
    error = refused(ERRORS["throttled"], {"retry-after": "7"})
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 7.0
    plain = refused(ERRORS["throttled"])
    assert isinstance(plain, RateLimitError)
    assert plain.retry_after is None


@pytest.mark.parametrize(
    ("message", "contact_id"),
    [
        (CONFLICT, UUID),
        (CONFLICT.upper(), UUID.upper()),
        (CONFLICT.replace(UUID, "04fe9a-a579-43c5-bb1a-58ed29bf0a6a"), "04fe9a-a579-43c5-bb1a-58ed29bf0a6a"),
        ("Email already exists.", None),
        (f"The address {UUID}@example.com exists for {SOME_UUID}.", SOME_UUID),
        ("", None),
    ],
)
def test_a_conflict_tells_which_contact_is_in_the_way(message: str, contact_id: str | None) -> None:
    body = json.dumps([{"error_key": "other"}, {"error_key": "contacts.api.conflict", "error_message": message}])
    error = refused(ErrorAnswer(409, body.encode()))
    assert isinstance(error, ConflictError)
    assert error.contact_id == contact_id


@pytest.mark.parametrize("name", ["html", "nothing", "bare"])
def test_a_conflict_that_says_nothing_names_no_contact(name: str) -> None:
    error = refused(ErrorAnswer(409, ERRORS[name].body))
    assert isinstance(error, ConflictError)
    assert error.contact_id is None


# --- what an error shows --------------------------------------------------------------------------------------------


def test_an_error_shows_neither_tokens_nor_addresses_of_the_server() -> None:
    body = b'[{"error_key": "ada@example.com", "error_message": "ada@example.com sent Bearer abc.def"}]'
    headers = {"Location": "https://x/?email=ada%40example.com", "X": "eyJhbGciOi.eyJzdWIi.c2ln"}
    error = refused(ErrorAnswer(400, body), headers)
    shown = (
        f"{error!r} {error} {error.errors} {error.body} {dict(error.headers)} {error.error_key} {error.error_message}"
    )
    for secret in ("ada", "abc.def", "eyJ"):
        assert secret not in shown
    assert error.error_message == "<address> sent Bearer <token>"


def test_the_body_that_an_error_keeps_is_bounded_and_starts_where_the_response_does() -> None:
    error = refused(ErrorAnswer(500, b"\xff" + b"x" * 1_000_000))
    assert error.body == "\N{REPLACEMENT CHARACTER}" + "x" * 4_095


def test_the_message_of_an_error_is_bounded() -> None:
    entry = {"error_key": "k" * 30_000, "error_message": "m" * 30_000}
    error = refused(ErrorAnswer(400, json.dumps([entry] * 9).encode()))
    assert len(str(error)) < 1_200
    assert len(error.errors) == 9


def test_an_error_names_several_reasons_and_what_to_do() -> None:
    error = refused(ErrorAnswer(403, b'[{"error_key": "a", "error_message": "b"}, {"error_message": "c"}]'))
    assert str(error).startswith("The API answered 403 (a: b; c). A scope or a privilege is missing")


def test_an_error_after_a_write_says_that_it_may_have_been_applied() -> None:
    error = api_error(500, {}, b"", resets_at=MIDNIGHT, maybe_applied=True)
    assert error.maybe_applied
    assert "may have been applied" in str(error)
    assert not refused(ErrorAnswer(500, b"")).maybe_applied


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({"X-Amzn-RequestId": "a", "x-eig-tracking-id": "b"}, "a"),
        ({"X-EIG-Tracking-Id": "b"}, "b"),
        ({}, None),
    ],
)
def test_the_request_id_is_the_gateways_or_else_the_services(headers: dict[str, str], request_id: str | None) -> None:
    assert refused(ErrorAnswer(500, b""), headers).request_id == request_id


# --- the tree of exceptions -----------------------------------------------------------------------------------------


def tree(cls: type[ConstantContactError]) -> set[type[ConstantContactError]]:
    return {cls}.union(*(tree(below) for below in cls.__subclasses__()))


FIELDS: dict[type[ConstantContactError], dict[str, Any]] = {
    ConflictError: {"contact_id": UUID},
    RateLimitError: {"retry_after": 1.5},
    QuotaExceededError: {"retry_after": 1.5, "resets_at": MIDNIGHT},
    TransportError: {"maybe_applied": True, "permanent": True},
    RequestTimeoutError: {"maybe_applied": True, "permanent": False},
    AuthorizationError: {"error": "access_denied"},
    DecodeError: {"path": "$.contacts[3]", "malformed": True},
    PaginationError: {"url": "/v3/contacts"},
    ContactChangedError: {"contact_id": UUID},
    ActivityTimeoutError: {"activity": Activity(activity_id=UUID)},
    ActivityFailedError: {"activity": Activity(activity_id=UUID)},
}
API_FIELDS = {
    "status": 429,
    "errors": (ErrorDetail("a", "b"), ErrorDetail()),
    "headers": {"X-Amzn-RequestId": "a"},
    "body": "b",
    "maybe_applied": True,
}


@pytest.mark.parametrize("cls", sorted(tree(ConstantContactError), key=str))
def test_every_exception_survives_a_pickle_and_a_copy_with_all_it_knows(cls: type[ConstantContactError]) -> None:
    fields = next((FIELDS[base] for base in cls.__mro__ if base in FIELDS), {})
    fields = fields | (API_FIELDS if issubclass(cls, ApiError) else {})
    error = cls("what happened", **fields)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301  # our own
        assert type(twin) is cls
        assert str(twin) == "what happened"
        assert twin.args == error.args
        assert twin.__dict__ == error.__dict__
        for name, value in fields.items():
            assert getattr(twin, name) == value
        if isinstance(twin, ApiError):
            assert (twin.error_key, twin.error_message, twin.request_id) == ("a", "b", "a")
            assert twin.headers["x-AMZN-requestid"] == "a"


def test_the_tree_has_one_root_and_builtin_kin_where_they_are_expected() -> None:
    public = {value for value in vars(cc_async).values() if isinstance(value, type) and issubclass(value, Exception)}
    assert public == tree(ConstantContactError)
    assert issubclass(RequestTimeoutError, TimeoutError)
    assert issubclass(cc_async.InvalidRequestError, ValueError)


def test_nothing_but_a_write_may_have_been_applied() -> None:
    assert not ConstantContactError("x").maybe_applied
    assert not TransportError("x").maybe_applied
