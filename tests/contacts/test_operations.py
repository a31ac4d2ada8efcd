"""The ten operations: what each sends, byte for byte, and what it makes of the response."""

import inspect
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import attrs
import pytest
from support.contract_table import BASE_URL, ERRORS, OPERATIONS, SOME_ID, UUID, ErrorAnswer, Operation
from support.contract_values import CONTACT, COUNTS, SAMPLES, SIGNED_UP, SMS_HISTORY, XREFS
from support.http_stub import Responses, Sent, client

import cc_async
from cc_async import (
    ApiError,
    ApiResponse,
    ConstantContact,
    Contact,
    ContactCounts,
    ContactFilters,
    ContactXref,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    CreateOrUpdateContactResult,
    DecodeError,
    InvalidRequestError,
    ManyOptions,
    SmsEngagement,
    UpdateContactRequest,
)
from cc_async.codec.decode import decode
from cc_async.resources.contacts import Contacts
from cc_async.resources.contacts.http_info import ContactsWithHttpInfo

USER_AGENT = (
    f"cc-async/{cc_async.__version__} Python/{sys.version_info[0]}.{sys.version_info[1]} aiohttp/{aiohttp.__version__}"
)
HEADERS = {"x-amzn-RequestId": "r1"}
CREATE = CreateContactRequest(create_source="Account", first_name="Ada")
SIGN_UP = CreateOrUpdateContactRequest(list_memberships=[UUID], email_address="ada+x@example.com")
UPDATE = UpdateContactRequest(update_source="Account", first_name="Ada", list_memberships=[])


@attrs.frozen(kw_only=True)
class Use:
    """One call of an operation, what it sends, and what it gives for the sample of the contract."""

    name: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = attrs.field(factory=dict)
    url: str
    body: bytes | None = None
    data: Any = None

    @property
    def operation(self) -> Operation:
        return OPERATIONS[self.name]

    def on(self, contacts: Any) -> Any:
        return getattr(contacts, self.name)(*self.arguments, **self.options)


def model(sample: Any, cls: Any) -> Any:
    return decode(sample, cls).value


USES = [
    Use(
        name="create",
        arguments=(CREATE,),
        url="/contacts",
        body=b'{"create_source":"Account","first_name":"Ada"}',
        data=model(CONTACT, Contact),
    ),
    Use(
        name="create_or_update",
        arguments=(SIGN_UP,),
        url="/contacts/sign_up_form",
        body=f'{{"list_memberships":["{UUID}"],"email_address":"ada+x@example.com"}}'.encode(),
        data=model(SIGNED_UP, CreateOrUpdateContactResult),
    ),
    Use(name="delete", arguments=(SOME_ID,), url=f"/contacts/{SOME_ID}"),
    Use(name="get", arguments=(SOME_ID,), url=f"/contacts/{SOME_ID}", data=model(CONTACT, Contact)),
    Use(
        name="get",
        arguments=("../a b?é%2F",),
        options={"include": ["notes", "sms_channel"]},
        url="/contacts/..%2Fa%20b%3F%C3%A9%252F?include=notes,sms_channel",
        data=model(CONTACT, Contact),
    ),
    Use(name="counts", url="/contacts/counts", data=model(COUNTS, ContactCounts)),
    Use(
        name="counts",
        options={"new_subscribers": True},
        url="/contacts/counts?include=new_subscriber",
        data=model(COUNTS, ContactCounts),
    ),
    Use(
        name="id_xrefs",
        arguments=([1995998026, "0016633325"],),
        url="/contacts/contact_id_xrefs?sequence_ids=1995998026,0016633325",
        data=model(XREFS["xrefs"], list[ContactXref]),
    ),
    Use(
        name="sms_engagement_history",
        arguments=("a/b",),
        url="/contacts/sms_engagement_history/a%2Fb",
        data=model(SMS_HISTORY, list[SmsEngagement]),
    ),
    Use(
        name="update",
        arguments=(SOME_ID, UPDATE),
        url=f"/contacts/{SOME_ID}",
        body=b'{"update_source":"Account","first_name":"Ada","list_memberships":[]}',
        data=model(CONTACT, Contact),
    ),
    Use(
        name="resubscribe",
        arguments=("a?b", (UUID, SOME_ID)),
        url="/contacts/resubscribe/a%3Fb",
        body=f'{{"list_ids":["{UUID}","{SOME_ID}"]}}'.encode(),
    ),
    Use(
        name="resubscribe",
        arguments=("a", UUID),
        url="/contacts/resubscribe/a",
        body=f'{{"list_ids":["{UUID}"]}}'.encode(),
    ),
]
ONE_EACH = [use for number, use in enumerate(USES) if use.name not in {other.name for other in USES[:number]}]


def named(use: Use) -> str:
    return use.url.partition("?")[0]


def plan(responses: Responses, use: Use, status: int, body: bytes) -> None:
    responses.plan(use.operation.method, BASE_URL + use.url, status=status, body=body, headers=HEADERS)


def sample(use: Use) -> bytes:
    return json.dumps(SAMPLES[use.operation.response]).encode() if use.operation.response else b""


def expected(use: Use) -> Sent:
    headers = {
        "Authorization": "Bearer t0k3n",
        "Accept": "application/json",
        "User-Agent": USER_AGENT,
    } | ({"Content-Type": "application/json"} if use.body is not None else {})
    return Sent(use.operation.method, BASE_URL + use.url, headers, use.body)


# --- what is sent and what comes of it -----------------------------------------------------------------------------


@pytest.mark.parametrize("use", USES, ids=named)
async def test_an_operation_sends_one_exact_request_and_gives_the_data(use: Use) -> None:
    for status in use.operation.statuses:
        async with client() as (cc, responses):
            plan(responses, use, status, sample(use))
            assert await use.on(cc.contacts) == use.data
            assert responses.sent == [expected(use)]


@pytest.mark.parametrize("use", USES, ids=named)
async def test_with_http_info_sends_the_same_and_adds_status_and_headers(use: Use) -> None:
    for status in use.operation.statuses:
        async with client() as (cc, responses):
            plan(responses, use, status, sample(use))
            response = await use.on(cc.contacts.with_http_info)
            assert responses.sent == [expected(use)]
            assert isinstance(response, ApiResponse)
            data, code, headers = response
            assert (data, code, headers["X-AMZN-requestid"], response.problems) == (use.data, status, "r1", ())


def test_the_table_knows_every_operation_and_each_is_tried() -> None:
    assert {use.name for use in USES} | {"list"} == set(OPERATIONS)
    public = {name for name in vars(ContactsWithHttpInfo) if not name.startswith("_")}
    assert public == set(OPERATIONS)


@pytest.mark.parametrize("use", ONE_EACH, ids=lambda use: use.name)
async def test_an_operation_raises_the_error_of_each_status(use: Use) -> None:
    for status in use.operation.errors:
        for response in (*ERRORS.values(), ErrorAnswer(status, b"")):
            if response.status == status:
                async with client() as (cc, responses):
                    plan(responses, use, status, response.body)
                    with pytest.raises(ApiError) as caught:
                        await use.on(cc.contacts)
                    error = caught.value
                    assert (error.status, error.request_id) == (status, "r1")
                    assert (error.error_key, error.error_message) == (response.key, response.message)
                    assert error.maybe_applied == (status >= 500 and use.operation.method != "GET")
                    assert len(responses.sent) == 1


@pytest.mark.parametrize("use", [use for use in ONE_EACH if use.operation.response], ids=lambda use: use.name)
@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"null", b"7"])
async def test_a_response_that_cannot_be_read_is_an_error(use: Use, body: bytes) -> None:
    async with client() as (cc, responses):
        plan(responses, use, use.operation.statuses[0], body)
        with pytest.raises(DecodeError) as caught:
            await use.on(cc.contacts)
        assert caught.value.malformed == (body in (b"", b"<html>", b"{"))
        assert caught.value.maybe_applied == (use.operation.method != "GET")


@pytest.mark.parametrize("body", [b"", b"  ", b"{}", b"null"])
async def test_responses_without_data_may_have_any_body(body: bytes) -> None:
    for use in USES:
        if use.operation.response is None:
            async with client() as (cc, responses):
                plan(responses, use, use.operation.statuses[0], body)
                assert await use.on(cc.contacts) is None


@pytest.mark.parametrize("name", ["get", "create", "update"])
async def test_problems_come_with_the_response_and_strict_raises(name: str, caplog: pytest.LogCaptureFixture) -> None:
    use = next(use for use in USES if use.name == name)
    odd = json.dumps(CONTACT | {"created_at": "soon"}).encode()
    async with client() as (cc, responses):
        plan(responses, use, use.operation.statuses[0], odd)
        response = await use.on(cc.contacts.with_http_info)
        assert [problem.path for problem in response.problems] == ["$.created_at"]
        assert response.data == attrs.evolve(use.data, created_at=None)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    async with client(strict=True) as (cc, responses):
        plan(responses, use, use.operation.statuses[0], odd)
        with pytest.raises(DecodeError, match="not a timestamp") as caught:
            await use.on(cc.contacts)
        assert caught.value.path == "$.created_at"


# --- refused before anything is sent ---------------------------------------------------------------------------------

Refused = Callable[[ConstantContact], Coroutine[Any, Any, Any]]
REFUSED: list[tuple[Refused, str]] = [
    (lambda cc: cc.contacts.get(""), "An id must be a string that is not empty"),
    (lambda cc: cc.contacts.get("\ud800"), "valid Unicode"),
    (lambda cc: cc.contacts.get("a", include=["notes", ""]), "include must hold"),
    (lambda cc: cc.contacts.delete(""), "An id must be"),
    (lambda cc: cc.contacts.update("", UPDATE), "An id must be"),
    (lambda cc: cc.contacts.resubscribe("", [UUID]), "An id must be"),
    (lambda cc: cc.contacts.resubscribe("a", []), "list_ids must name at least one"),
    (lambda cc: cc.contacts.sms_engagement_history(""), "An id must be"),
    (lambda cc: cc.contacts.create(CreateContactRequest(create_source="Account")), "first_name, a last_name"),
    (lambda cc: cc.contacts.create_or_update(attrs.evolve(SIGN_UP, list_memberships=[])), "at least one list"),
    (lambda cc: cc.contacts.create_or_update(attrs.evolve(SIGN_UP, email_address=None)), "an email_address or an sms"),
    (lambda cc: cc.contacts.id_xrefs(""), "sequence_ids must hold"),
    (lambda cc: cc.contacts.id_xrefs(["1", ""]), "sequence_ids must hold"),
    (lambda cc: cc.contacts.id_xrefs("1,,2"), "sequence_ids must hold"),
    (lambda cc: cc.contacts.with_http_info.id_xrefs([]), "sequence_ids must hold"),
    (lambda cc: cc.contacts.with_http_info.id_xrefs(range(501)), "at most 500 values at a time, not 501"),
    (lambda cc: cc.request("GET", "contact_lists"), "within the API"),
    (lambda cc: cc.request("GET", "https://evil.example/v3/contacts"), "within the API"),
    (lambda cc: cc.request("GET", "/../oauth"), "within the API"),
    (lambda cc: cc.request("POST", "/contact_lists", json={"name": float("nan")}), "NaN"),
]


@pytest.mark.parametrize(("refused", "rule"), REFUSED, ids=[rule for _, rule in REFUSED])
async def test_what_the_api_would_certainly_refuse_is_not_sent(refused: Refused, rule: str) -> None:
    async with client() as (cc, responses):
        with pytest.raises(InvalidRequestError, match=rule):
            await refused(cc)
        assert responses.sent == []


# --- cross-references ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 500, 501, 1_250])
@pytest.mark.parametrize("kind", ["numbers", "strings", "csv", "generator"])
async def test_any_number_of_ids_is_split_by_500(count: int, kind: str) -> None:
    numbers = [100_000 + number for number in range(count)]
    ids: Any = {
        "numbers": numbers,
        "strings": [str(number) for number in numbers],
        "csv": ",".join(map(str, numbers)),
        "generator": (number for number in numbers),
    }[kind]
    if kind == "csv" and not count:
        return  # an empty string is refused: it is no list of ids
    chunks = [",".join(map(str, numbers[start : start + 500])) for start in range(0, count, 500)]
    async with client() as (cc, responses):
        for number, chunk in enumerate(chunks):
            body = json.dumps({"xrefs": [{"sequence_id": str(number), "contact_id": UUID}]}).encode()
            responses.plan("GET", f"{BASE_URL}/contacts/contact_id_xrefs?sequence_ids={chunk}", body=body)
        found = await cc.contacts.id_xrefs(ids)
        assert [xref.sequence_id for xref in found] == [str(number) for number in range(len(chunks))]
        assert [sent.url.partition("=")[2] for sent in responses.sent] == chunks


@pytest.mark.parametrize("body", [b"{}", b'{"xrefs": null}', b'{"xrefs": []}'])
async def test_ids_that_are_unknown_are_simply_missing(body: bytes) -> None:
    async with client() as (cc, responses):
        responses.plan("GET", f"{BASE_URL}/contacts/contact_id_xrefs?sequence_ids=1", body=body)
        assert await cc.contacts.id_xrefs("1") == []


# --- what `help` shows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", [Contacts, ContactsWithHttpInfo])
def test_help_shows_every_filter_of_the_list_with_its_type(owner: Any) -> None:
    parameters = inspect.signature(owner.list).parameters
    assert set(parameters) - {"self"} == set(ContactFilters.__annotations__)
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in [*parameters.values()][1:])


@pytest.mark.parametrize("name", ["create_many", "create_or_update_many", "delete_many", "get_many", "patch_many"])
def test_help_shows_the_options_of_the_operations_on_many(name: str) -> None:
    parameters = inspect.signature(getattr(Contacts, name)).parameters
    assert set(ManyOptions.__annotations__) <= set(parameters)
    for option, kind in ManyOptions.__annotations__.items():
        assert parameters[option].annotation is kind


def test_help_shows_the_parameters_of_the_operations_with_http_info() -> None:
    shown = inspect.signature(ContactsWithHttpInfo.get)
    assert list(shown.parameters) == ["self", "contact_id", "include"]
    assert shown.return_annotation == ApiResponse[Contact]
