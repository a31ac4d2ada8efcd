"""Every operation on the neighbours of contacts: what it sends, byte for byte, and what it makes of the response."""

import inspect
import json
import re
import sys
from operator import attrgetter
from typing import Any, get_args

import aiohttp
import pytest
from support.http_stub import Responses, Sent, client
from support.neighbours_table import BASE_URL, OPERATIONS, STANDARD_ERRORS
from support.noun_uses import USES, Use

import cc_async
from cc_async import ApiError, ApiResponse, DecodeError
from cc_async.resources.account import Account
from cc_async.resources.activities import Activities
from cc_async.resources.custom_fields import CustomFields
from cc_async.resources.lists import Lists
from cc_async.resources.segments import Segments
from cc_async.resources.tags import Tags

USER_AGENT = (
    f"cc-async/{cc_async.__version__} Python/{sys.version_info[0]}.{sys.version_info[1]} aiohttp/{aiohttp.__version__}"
)
HEADERS = {"x-amzn-RequestId": "r1"}
ONE_EACH = list({use.name: use for use in reversed(USES)}.values())
STREAMS = {name for name in OPERATIONS if name.endswith(".list")}


def named(each: Use) -> str:
    return each.name


def plan(responses: Responses, each: Use, status: int, body: bytes) -> None:
    responses.plan(each.operation.method, BASE_URL + each.path, status=status, body=body, headers=HEADERS)


def sample(each: Use) -> bytes:
    return b"" if each.operation.response is None else json.dumps(each.operation.response).encode()


def expected(each: Use) -> Sent:
    body = None if each.body is None else json.dumps(each.body, separators=(",", ":"), ensure_ascii=False).encode()
    headers = {
        "Authorization": "Bearer t0k3n",
        "Accept": "application/json",
        "User-Agent": USER_AGENT,
    } | ({} if body is None else {"Content-Type": "application/json"})
    return Sent(each.operation.method, BASE_URL + each.path, headers, body)


@pytest.mark.parametrize("each", USES, ids=named)
async def test_an_operation_sends_one_exact_request_and_returns_the_data(each: Use) -> None:
    for status in each.operation.statuses:
        async with client() as (cc, responses):
            plan(responses, each, status, sample(each))
            assert await each.on(cc) == each.data
            assert responses.sent == [expected(each)]


@pytest.mark.parametrize("each", USES, ids=named)
async def test_with_http_info_sends_the_same_and_adds_status_and_headers(each: Use) -> None:
    for status in each.operation.statuses:
        async with client() as (cc, responses):
            plan(responses, each, status, sample(each))
            response = await each.on(cc, ".with_http_info")
            assert responses.sent == [expected(each)]
            assert isinstance(response, ApiResponse)
            data, code, headers = response
            assert (data, code, headers["X-AMZN-requestid"], response.problems) == (each.data, status, "r1", ())


@pytest.mark.parametrize("each", ONE_EACH, ids=named)
async def test_every_successful_status_is_accepted(each: Use) -> None:
    for status in (200, 201, 202, 204):
        async with client() as (cc, responses):
            plan(responses, each, status, sample(each))
            assert await each.on(cc) == each.data


def fits(value: Any, kind: Any) -> bool:
    """Whether a value of a body is of a kind of the table."""
    if isinstance(kind, dict):
        kinds = {name.rstrip("!"): inner for name, inner in kind.items()}
        required = {name.rstrip("!") for name in kind if name.endswith("!")}
        inside = isinstance(value, dict) and required <= value.keys() <= kinds.keys()
        return inside and all(fits(inner, kinds[name]) for name, inner in value.items())
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(entry, kind[0]) for entry in value)
    if kind.startswith("["):
        return isinstance(value, list) and all(fits(entry, kind[1:-1]) for entry in value)
    types: dict[str, Any] = {
        "string": str,
        "integer": int,
        "boolean": bool,
        "integer or string": (int, str),
        "row": dict,
    }
    return isinstance(value, types[kind]) and isinstance(value, bool) == (kind == "boolean")


@pytest.mark.parametrize("each", USES, ids=named)
def test_what_is_sent_is_valid_under_the_contract(each: Use) -> None:
    path, _, query = each.path.partition("?")
    assert {pair.partition("=")[0] for pair in query.split("&") if pair} <= each.operation.query.keys()
    pattern = each.operation.path.replace("{id}", "[^/]+")
    assert re.fullmatch(pattern, path)
    assert (each.body is None) == (each.operation.body is None)
    if each.body is not None:
        assert fits(each.body, each.operation.body)


def test_the_table_knows_every_operation_and_each_is_tried() -> None:
    assert {each.name for each in USES} | STREAMS | {"activities.import_file"} == set(OPERATIONS)
    built_on_others = {"find", "get_or_create", "patch", "catalog", "wait", "list_every_channel", "with_http_info"}
    nouns = {"lists": Lists, "tags": Tags, "custom_fields": CustomFields}
    nouns |= {"segments": Segments, "account": Account, "activities": Activities}
    for noun, cls in nouns.items():
        public = {name for name in vars(cls) if not name.startswith("_")} - built_on_others
        assert {f"{noun}.{name}" for name in public} == {name for name in OPERATIONS if name.startswith(noun + ".")}


@pytest.mark.parametrize("each", ONE_EACH, ids=named)
async def test_an_operation_raises_the_error_of_each_status(each: Use) -> None:
    for status in (*STANDARD_ERRORS, *each.operation.errors):
        body = json.dumps([{"error_key": "some.key", "error_message": "Some message."}]).encode()
        async with client() as (cc, responses):
            plan(responses, each, status, body)
            with pytest.raises(ApiError) as caught:
                await each.on(cc)
            error = caught.value
            assert (error.status, error.request_id, error.error_key) == (status, "r1", "some.key")
            assert error.maybe_applied == (status >= 500 and each.operation.method != "GET")
            assert len(responses.sent) == 1


@pytest.mark.parametrize("each", [each for each in ONE_EACH if each.operation.response], ids=named)
@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"null", b"7"])
async def test_a_response_that_cannot_be_read_is_an_error(each: Use, body: bytes) -> None:
    async with client() as (cc, responses):
        plan(responses, each, each.operation.statuses[0], body)
        with pytest.raises(DecodeError) as caught:
            await each.on(cc)
        assert caught.value.maybe_applied == (each.operation.method != "GET")


@pytest.mark.parametrize("name", OPERATIONS)
def test_help_shows_every_parameter_in_both_views(name: str) -> None:
    cc = cc_async.ConstantContact("t")
    noun, _, method = name.partition(".")
    plain = inspect.signature(attrgetter(name)(cc))
    view = inspect.signature(attrgetter(f"{noun}.with_http_info.{method}")(cc))
    for signature in (plain, view):
        kinds = {parameter.kind for parameter in signature.parameters.values()}
        assert kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    if name != "activities.import_file":  # which reads the file first
        assert {*view.parameters} == {*plain.parameters}
    if method != "list":
        (data,) = get_args(view.return_annotation)
        assert data == (plain.return_annotation or type(None))
