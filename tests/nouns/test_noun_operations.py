"""Every operation on the neighbours of contacts: what it sends, byte for byte, and what it makes of the response."""

import inspect
import json
import re
import sys
from operator import attrgetter
from typing import Any, get_args

import aiohttp
import attrs
import pytest
from support.http_stub import Responses, Sent, client
from support.neighbours_table import BASE_URL, CRITERIA, OPERATIONS, STANDARD_ERRORS, Operation

import cc_async
from cc_async import (
    AccountEmail,
    AccountSummary,
    Activity,
    ApiError,
    ApiResponse,
    ContactList,
    CustomFieldChoiceInput,
    CustomFieldDefinition,
    CustomFieldMetadata,
    DecodeError,
    ListXref,
    Segment,
    Tag,
    UserPrivilege,
)
from cc_async.codec.decode import decode
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
A, B = "a-id", "b-id"
CRITERIA_TEXT = json.dumps(CRITERIA, separators=(",", ":"), ensure_ascii=False)
PARSED: dict[str, Any] = {
    "lists": ContactList,
    "tags": Tag,
    "custom_fields": CustomFieldDefinition,
    "segments": Segment,
    "activities": Activity,
    "lists.id_xrefs": list[ListXref],
    "lists.delete": Activity,
    "tags.delete": Activity,
    "account.summary": AccountSummary,
    "account.emails": list[AccountEmail],
    "account.privileges": list[UserPrivilege],
}


@attrs.frozen
class Use:
    """One call of an operation, and what it sends."""

    name: str
    """The noun and its method."""
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    path: str
    """Below the base URL, with the query."""
    body: Any = None

    @property
    def operation(self) -> Operation:
        return OPERATIONS[self.name]

    @property
    def data(self) -> Any:
        """What the sample of the table becomes."""
        if self.operation.response is None:
            return None
        if self.name == "lists.id_xrefs":
            return decode(self.operation.response["xrefs"], list[ListXref]).value
        cls = PARSED.get(self.name) or PARSED[self.name.partition(".")[0]]
        return decode(self.operation.response, cls).value

    async def on(self, cc: Any, view: str = "") -> Any:
        noun, _, method = self.name.partition(".")
        return await attrgetter(f"{noun}{view}.{method}")(cc)(*self.arguments, **self.options)


def use(name: str, *arguments: Any, sends: str, body: Any = None, **options: Any) -> Use:
    return Use(name, arguments, options, sends, body)


def source(**fields: Any) -> dict[str, Any]:
    return {"source": fields}


USES = [
    use("lists.create", "News", sends="/contact_lists", body={"name": "News", "favorite": False}),
    use(
        "lists.create",
        "Größe",
        favorite=True,
        description="d",
        sends="/contact_lists",
        body={"name": "Größe", "favorite": True, "description": "d"},
    ),
    use("lists.get", A, sends=f"/contact_lists/{A}"),
    use("lists.get", "../a b?é%2F", sends="/contact_lists/..%2Fa%20b%3F%C3%A9%252F"),
    use(
        "lists.get",
        ContactList(list_id=A),
        include_membership_count="active",
        sends=f"/contact_lists/{A}?include_membership_count=active",
    ),
    use("lists.update", A, "News", sends=f"/contact_lists/{A}", body={"name": "News", "favorite": False}),
    use(
        "lists.update",
        ContactList(list_id=A),
        "News",
        favorite=True,
        description="",
        sends=f"/contact_lists/{A}",
        body={"name": "News", "favorite": True, "description": ""},
    ),
    use("lists.delete", A, sends=f"/contact_lists/{A}"),
    use("lists.delete", ContactList(list_id=A), sends=f"/contact_lists/{A}"),
    use("lists.id_xrefs", [17, "0016"], sends="/contact_lists/list_id_xrefs?sequence_ids=17,0016"),
    use("lists.id_xrefs", "17,0016", sends="/contact_lists/list_id_xrefs?sequence_ids=17,0016"),
    use("tags.create", "Gold", sends="/contact_tags", body={"name": "Gold"}),
    use("tags.create", "Gold", tag_source="Shop", sends="/contact_tags", body={"name": "Gold", "tag_source": "Shop"}),
    use("tags.get", A, sends=f"/contact_tags/{A}"),
    use("tags.get", Tag(tag_id=A), include_count=True, sends=f"/contact_tags/{A}?include_count=true"),
    use("tags.update", A, "Gold", sends=f"/contact_tags/{A}", body={"name": "Gold"}),
    use("tags.delete", A, sends=f"/contact_tags/{A}"),
    use(
        "custom_fields.create", "Age", "number", sends="/contact_custom_fields", body={"label": "Age", "type": "number"}
    ),
    use(
        "custom_fields.create",
        "Fruit",
        "single_select",
        choices=["Apple", CustomFieldChoiceInput(choice_label="Pear")],
        metadata=CustomFieldMetadata(display_type="radio", integer=False),
        version=2,
        sends="/contact_custom_fields",
        body={
            "label": "Fruit",
            "type": "single_select",
            "metadata": {"display_type": "radio", "integer": False},
            "choices": [{"choice_label": "Apple", "display_order": 1}, {"choice_label": "Pear"}],
            "version": 2,
        },
    ),
    use("custom_fields.get", A, sends=f"/contact_custom_fields/{A}"),
    use("custom_fields.update", A, "Age", sends=f"/contact_custom_fields/{A}", body={"label": "Age"}),
    use(
        "custom_fields.update",
        CustomFieldDefinition(custom_field_id=A),
        "Fruit",
        choices=[CustomFieldChoiceInput(choice_label="Pear", choice_id="9A", display_order=1)],
        sends=f"/contact_custom_fields/{A}",
        body={"label": "Fruit", "choices": [{"choice_label": "Pear", "choice_id": "9A", "display_order": 1}]},
    ),
    use("custom_fields.delete", A, sends=f"/contact_custom_fields/{A}"),
    use(
        "segments.create",
        "Active",
        CRITERIA,
        sends="/segments",
        body={"name": "Active", "segment_criteria": CRITERIA_TEXT},
    ),
    use("segments.create", "A", "{}", sends="/segments", body={"name": "A", "segment_criteria": "{}"}),
    use("segments.get", 14, sends="/segments/14"),
    use("segments.get", "14", sends="/segments/14"),
    use("segments.get", Segment(segment_id=14), sends="/segments/14"),
    use("segments.update", 14, "A", "{}", sends="/segments/14", body={"name": "A", "segment_criteria": "{}"}),
    use("segments.rename", 14, "A", sends="/segments/14/name", body={"name": "A"}),
    use("segments.delete", 14, sends="/segments/14"),
    use("account.summary", sends="/account/summary"),
    use(
        "account.summary",
        extra_fields=["physical_address", "company_logo"],
        sends="/account/summary?extra_fields=physical_address,company_logo",
    ),
    use("account.emails", sends="/account/emails"),
    use("account.emails", confirm_status="CONFIRMED", sends="/account/emails?confirm_status=CONFIRMED"),
    use("account.emails", role_code="BILLING", sends="/account/emails?role_code=BILLING"),
    use("account.emails", email_address="a+b@c.d", sends="/account/emails?email_address=a%2Bb%40c.d"),
    use("account.privileges", sends="/account/user/privileges"),
    use("activities.get", A, sends=f"/activities/{A}"),
    use("activities.get", Activity(activity_id=A), sends=f"/activities/{A}"),
    use(
        "activities.import_contacts",
        [{"email": "é@example.com", "first_name": "", "last_name": None, "cf:age": 7, "birthday_day": 0}],
        A,
        sends="/activities/contacts_json_import",
        body={"import_data": [{"email": "é@example.com", "cf:age": 7, "birthday_day": 0}], "list_ids": [A]},
    ),
    use(
        "activities.import_contacts",
        ({"sms_number": "1"},),
        [A, ContactList(list_id=B)],
        sms_permission_to_send="explicit",
        sends="/activities/contacts_json_import",
        body={"import_data": [{"sms_number": "1"}], "list_ids": [A, B], "sms_permission_to_send": "explicit"},
    ),
    use("activities.export_contacts", sends="/activities/contact_exports", body={}),
    use(
        "activities.export_contacts",
        contact_ids=[A],
        status="active",
        fields=["email_address"],
        sends="/activities/contact_exports",
        body={"contact_ids": [A], "status": "active", "fields": ["email_address"]},
    ),
    use(
        "activities.export_contacts",
        in_lists=A,
        new_subscriber=True,
        exclude_contact_ids=[B],
        sends="/activities/contact_exports",
        body={"list_ids": [A], "new_subscriber": True, "exclude": {"contact_ids": [B]}},
    ),
    use("activities.export_contacts", with_tags=[A], sends="/activities/contact_exports", body={"tag_ids": [A]}),
    use("activities.export_contacts", in_segment=14, sends="/activities/contact_exports", body={"segment_id": 14}),
    use("activities.delete_contacts", [A, B], sends="/activities/contact_delete", body={"contact_ids": [A, B]}),
    use("activities.delete_contacts", in_lists=A, sends="/activities/contact_delete", body={"list_ids": [A]}),
    use(
        "activities.add_to_lists",
        A,
        contact_ids=[B],
        sends="/activities/add_list_memberships",
        body={**source(contact_ids=[B]), "list_ids": [A]},
    ),
    use(
        "activities.add_to_lists",
        [A],
        in_lists=ContactList(list_id=B),
        exclude_contact_ids=[A, B],
        sends="/activities/add_list_memberships",
        body={**source(list_ids=[B]), "exclude": {"contact_ids": [A, B]}, "list_ids": [A]},
    ),
    use(
        "activities.add_to_lists",
        A,
        in_segment=Segment(segment_id=9),
        sends="/activities/add_list_memberships",
        body={**source(segment_id=9), "list_ids": [A]},
    ),
    use(
        "activities.remove_from_lists",
        A,
        engagement_level="low",
        sends="/activities/remove_list_memberships",
        body={**source(engagement_level="low"), "list_ids": [A]},
    ),
    use(
        "activities.remove_from_lists",
        A,
        with_tags=Tag(tag_id=B),
        sends="/activities/remove_list_memberships",
        body={**source(tag_ids=[B]), "list_ids": [A]},
    ),
    use(
        "activities.add_tags",
        Tag(tag_id=A),
        in_lists=ContactList(list_id=B),
        sends="/activities/contacts_taggings_add",
        body={**source(list_ids=[B]), "tag_ids": [A]},
    ),
    use(
        "activities.add_tags",
        A,
        new_subscriber=True,
        sends="/activities/contacts_taggings_add",
        body={**source(new_subscriber=True), "tag_ids": [A]},
    ),
    use(
        "activities.remove_tags",
        A,
        all_active_contacts=True,
        sends="/activities/contacts_taggings_remove",
        body={**source(all_active_contacts=True), "tag_ids": [A]},
    ),
    use("activities.delete_lists", [A, B], sends="/activities/list_delete", body={"list_ids": [A, B]}),
    use("activities.delete_tags", A, sends="/activities/contacts_tags_delete", body={"tag_ids": [A]}),
    use(
        "activities.delete_custom_fields",
        CustomFieldDefinition(custom_field_id=A),
        sends="/activities/custom_fields_delete",
        body={"custom_field_ids": [A]},
    ),
]
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
