"""The rules of the wire for what is sent: ids, queries, times, endpoints, and what is kept out of sight."""

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import example, given, settings, strategies as st
from support.contract_table import BASE_URL
from yarl import URL

from cc_async import InvalidRequestError
from cc_async._secrets import Secret, redact
from cc_async.wire.urls import check_endpoint, csv, is_loopback, query, quote_segment, timestamp, with_query

UNHURRIED = settings(deadline=None)  # the machine may be busy
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("1618ae62-4752-11e9-9c8a-fa163e6b01c1", "1618ae62-4752-11e9-9c8a-fa163e6b01c1"),
        ("../counts", "..%2Fcounts"),
        ("a/b?c#d&e=f;g", "a%2Fb%3Fc%23d%26e%3Df%3Bg"),
        ("a%2Fb", "a%252Fb"),
        ("100%", "100%25"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "%2E%2E%2E"),
        ("..a", "..a"),
        ("größe 名", "gr%C3%B6%C3%9Fe%20%E5%90%8D"),
        ("\0\r\n", "%00%0D%0A"),
        (" ", "%20"),
    ],
)
def test_an_id_travels_as_one_path_segment(value: str, quoted: str) -> None:
    assert quote_segment(value) == quoted


@UNHURRIED
@given(TEXT)
@example("..")
@example("%2e%2e")
def test_any_id_comes_back_whole_from_a_url_parser(value: str) -> None:
    url = f"{BASE_URL}/contacts/{quote_segment(value)}"
    assert unquote(urlsplit(url).path.removeprefix("/v3/contacts/")) == value
    parsed = URL(url, encoded=True)
    assert parsed.raw_parts == ("/", "v3", "contacts", quote_segment(value))
    assert parsed.raw_path_qs == parsed.raw_path
    assert parsed.fragment == ""


@pytest.mark.parametrize("value", ["", None, 7, b"id"])
def test_an_id_that_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="not empty"):
        quote_segment(value)


def test_an_id_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="Unicode"):
        quote_segment("a\ud800")


@UNHURRIED
@given(st.dictionaries(TEXT, TEXT | st.integers() | st.lists(TEXT, max_size=3), max_size=4))
def test_any_query_comes_back_from_a_parser(params: dict[str, Any]) -> None:
    text = query(params)
    pairs = [(name, str(v)) for name, value in params.items() for v in (value if isinstance(value, list) else [value])]
    assert parse_qsl(text, keep_blank_values=True, strict_parsing=bool(pairs)) == pairs
    assert "+" not in text
    assert text.isascii()


def test_a_plus_and_other_marks_are_escaped_while_commas_and_colons_stay() -> None:
    assert query({"email": "ada+b@example.com", "at": "2024-01-01T00:00:00+00:00"}) == (
        "email=ada%2Bb%40example.com&at=2024-01-01T00:00:00%2B00:00"
    )
    assert query({"a": "x,y&z=1 2/3"}) == "a=x,y%26z%3D1%202%2F3"


def test_none_is_left_out_and_booleans_are_words() -> None:
    assert query({"a": None, "b": True, "c": False, "d": [1, None, True], "e": (), "f": 0, "g": ""}) == (
        "b=true&c=false&d=1&d=true&f=0&g="
    )


def test_a_parameter_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="Unicode"):
        query({"email": "\ud800"})


def test_parameters_are_added_behind_those_a_url_has() -> None:
    assert with_query("/contacts", {}) == "/contacts"
    assert with_query("/contacts", {"a": None}) == "/contacts"
    assert with_query("/contacts", {"a": 1}) == "/contacts?a=1"
    assert with_query("/contacts?cursor=a%2Fb==", {"a": "+"}) == "/contacts?cursor=a%2Fb==&a=%2B"


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2024, 10, 30, 18, 56, 35, tzinfo=UTC), "2024-10-30T18:56:35Z"),
        (datetime(2024, 10, 30, 18, 56, 35, tzinfo=timezone(timedelta(hours=-5))), "2024-10-30T23:56:35Z"),
        (datetime(2024, 10, 30, 1, 0, tzinfo=timezone(timedelta(hours=5, minutes=45))), "2024-10-29T19:15:00Z"),
        (datetime(2024, 10, 30, 1, 0, 0, 120_000, tzinfo=UTC), "2024-10-30T01:00:00.120Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
    ],
)
def test_a_moment_of_any_zone_is_sent_as_utc(moment: datetime, text: str) -> None:
    assert timestamp(moment) == timestamp(moment, rounded_up=True) == text


def test_a_bound_finer_than_a_millisecond_is_moved_outwards() -> None:
    moment = datetime(2024, 12, 31, 23, 59, 59, 999_001, tzinfo=UTC)
    assert timestamp(moment) == "2024-12-31T23:59:59.999Z"
    assert timestamp(moment, rounded_up=True) == "2025-01-01T00:00:00.000Z"
    assert timestamp(datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)) == "2024-01-01T00:00:00.000Z"


@UNHURRIED
@given(st.datetimes(timezones=st.timezones() | st.none()) | st.text(max_size=3))
@example(datetime.max.replace(tzinfo=UTC))
@example(datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))))
def test_a_moment_is_sent_exactly_or_refused(moment: datetime | str) -> None:
    try:
        down, up = timestamp(moment), timestamp(moment, rounded_up=True)
    except InvalidRequestError:
        assert not moment or (
            isinstance(moment, datetime) and (moment.utcoffset() is None or not 1 < moment.year < 9999)
        )
        return
    if isinstance(moment, str):
        assert down == up == moment
        return
    earlier, later = datetime.fromisoformat(down), datetime.fromisoformat(up)
    assert down.endswith("Z")
    assert earlier <= moment
    assert later >= moment or later.year == 9999
    assert later - earlier in (timedelta(0), timedelta(milliseconds=1))


@pytest.mark.parametrize("moment", [datetime(2024, 1, 1), "", 1_700_000_000, datetime(2024, 1, 1).date()])  # noqa: DTZ001  # naive on purpose
def test_what_is_no_moment_is_refused(moment: Any) -> None:
    with pytest.raises(InvalidRequestError, match="aware datetime"):
        timestamp(moment)


@pytest.mark.parametrize(
    ("value", "text"),
    [("all", "all"), ("a,b", "a,b"), (["a", "b"], "a,b"), (iter("ab"), "a,b"), (("a,b", "c"), "a,b,c")],
)
def test_several_values_are_one_parameter(value: Any, text: str) -> None:
    assert csv("status", value, at_most=3) == text


@pytest.mark.parametrize("value", ["", [], ["a", ""], "a,,b", [1], [None], ["a", b"b"]])
def test_a_list_of_values_that_would_mean_no_filter_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="status must hold at least one value"):
        csv("status", value)


@pytest.mark.parametrize("value", ["a,b,c", ["a", "b", "c"], ["a,b,c"], ["a,b", "c"]])
def test_more_values_than_the_api_takes_are_refused_however_they_are_written(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="lists takes at most 2 values at a time, not 3"):
        csv("lists", value, at_most=2)


@pytest.mark.parametrize(
    "url", [BASE_URL, "https://h:8443/x/", "http://localhost/v3", "http://127.9.9.9:80/", "http://[::1]:1/v3"]
)
def test_an_endpoint_is_https_or_this_machine(url: str) -> None:
    assert check_endpoint(url) == URL(url)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://api.cc.email/v3", "unprotected"),
        ("http://localhost.evil.example/", "unprotected"),
        ("ftp://api.cc.email/", "unprotected"),
        ("https://user:pw@api.cc.email/", "without user"),
        ("https://api.cc.email/?a=1", "without user, query"),
        ("https://api.cc.email/#a", "fragment"),
        ("/v3", "absolute"),
        ("", "absolute"),
        ("https://h:port/", "not a URL"),
        ("https://[::1", "not a URL"),
    ],
)
def test_an_endpoint_that_would_leak_a_token_is_refused(url: str, rule: str) -> None:
    with pytest.raises(InvalidRequestError, match=rule):
        check_endpoint(url)


def test_only_this_machine_is_loopback() -> None:
    assert is_loopback(URL("http://localhost"))
    assert not is_loopback(URL("http://10.0.0.1"))
    assert not is_loopback(URL("/path"))


def test_a_secret_is_itself_but_shows_as_nothing() -> None:
    secret = Secret.bearer("s3cr3t")
    assert secret == "Bearer s3cr3t"
    assert repr(secret) == "'***'"
    assert "s3cr3t" not in repr({"Authorization": secret})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Email ada+b@mail.example.com exists.", "Email <address> exists."),
        ("/contacts?email=ada%40example.com&x=1", "/contacts?email=<address>&x=1"),
        ('{"address":"ada@example.com"}', '{"address":"<address>"}'),
        ("ＡＤＡ@例え.jp", "<address>"),  # noqa: RUF001  # addresses come in all scripts
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer <token>"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "token <token>"),
        ("access_token=abc&x=1", "access_token=<token>&x=1"),
        ('{"refresh_token" : "abc"}', '{"refresh_token" : "<token>"}'),
        ('"{\\"refresh_token\\": \\"abc\\"}"', '"{\\"refresh_token\\": \\"<token>\\"}"'),
        ("half \ud83d of a smile", "half ? of a smile"),
        ("me @ home, a@", "me @ home, a@"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_addresses_and_tokens_are_redacted(text: str, shown: str) -> None:
    assert redact(text) == shown


WORDS = st.text("abcdefghijklmnopqrstuvwxyz0123456789.+-_", min_size=1, max_size=70)


@UNHURRIED
@given(st.text(max_size=20), WORDS, st.sampled_from(["@", "%40"]), WORDS, st.text(max_size=20))
def test_no_address_is_left_wherever_it_stands(before: str, local: str, at: str, domain: str, after: str) -> None:
    assert local + at + domain not in redact(f"{before} {local}{at}{domain} {after}")


@pytest.mark.parametrize(
    "body", ["a" * 65_536, "access_token" * 5_000, "a@" * 32_000, "eyJ" * 20_000, "bearer" + " " * 65_000]
)
def test_a_long_text_is_redacted_without_holding_up_the_loop(body: str) -> None:
    began = time.process_time()
    redact(body)
    assert time.process_time() - began < 1.0
