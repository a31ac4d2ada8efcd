"""Whatever a client sends, the API behind the gateway responds with a status of its own."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import given, settings, strategies as st

from cc_async.sandbox import Sandbox
from cc_async.sandbox.requests import Call

BOX = Sandbox(contacts=4)  # equal to the one that each example gets, as both have the same seed
ROUTES = sorted((method, path) for method, path, _ in BOX._api.routes)
LIST, TAG, FIELD, CONTACT = BOX.store.lists[0], BOX.store.tags[0], BOX.store.custom_fields[0], BOX.store.ids()[0]
IDS = [LIST, TAG, FIELD, CONTACT, "1", "x", "", "é"]
CONSENT = {
    "sms_consent_permission": "explicit",
    "consent_type": "promotional_sms",
    **{f"consent_medium_{part}": "x" for part in ("type", "url", "details")},
}
FULL = {
    "create_source": "Account",
    "update_source": "Account",
    "first_name": "Ada",
    "birthday_month": 1,
    "birthday_day": 2,
    "anniversary": "2020-01-02",
    "email_address": {"address": "ada@example.com", "permission_to_send": "explicit", "opt_out_reason": "x"},
    "custom_fields": [{"custom_field_id": FIELD, "value": "x", "choice_ids": [1]}],
    "list_memberships": [LIST],
    "taggings": [TAG],
    "notes": [{"content": "x"}],
    "phone_numbers": [{"phone_number": "1", "kind": "home"}],
    "street_addresses": [{"kind": "home", "city": "Duluth"}],
    "sms_channel": {"full_sms_address": "12025550143", "sms_channel_consents": [CONSENT]},
}
SIGN_UP = {
    "list_memberships": [LIST],
    "email_address": "bela@example.com",
    "phone_number": "1",
    "street_address": {"kind": "home"},
    "custom_fields": [{"custom_field_id": FIELD, "value": "x"}],
    "sms_channel": {
        "sms_address": "2025550143",
        "dial_code": "1",
        "country_code": "US",
        "sms_channel_consents": [CONSENT],
    },
}
ROW = {
    "email": "elif@example.com",
    "first_name": "Elif",
    "birthday_month": 1,
    "birthday_day": 2,
    "anniversary": "1/2/2020",
    "phone": "1",
    "work_street": "x",
    "street2": "y",
    "home country": "US",
    "cf:orders": 7,
    "sms_number": "202-555-0143",
}
MEMBERS = {"source": {"list_ids": [LIST]}, "exclude": {"contact_ids": [CONTACT]}, "list_ids": [LIST], "tag_ids": [TAG]}
CUSTOM_FIELD = {
    "label": "x",
    "type": "single_select",
    "metadata": {"display_type": "radio", "decimal_places": 2},
    "choices": [{"choice_id": 1, "choice_label": "y", "display_order": 1}],
    "version": 1,
}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/contacts"): FULL,
    ("PUT", "/contacts/{contact_id}"): FULL,
    ("POST", "/contacts/sign_up_form"): SIGN_UP,
    ("PUT", "/contacts/resubscribe/{contact_id}"): {"list_ids": [LIST]},
    ("POST", "/contact_lists"): {"name": "x", "favorite": True, "description": "y"},
    ("PUT", "/contact_lists/{list_id}"): {"name": "x", "favorite": True, "description": "y"},
    ("POST", "/contact_tags"): {"name": "x", "tag_source": "y"},
    ("PUT", "/contact_tags/{tag_id}"): {"name": "x"},
    ("POST", "/contact_custom_fields"): CUSTOM_FIELD,
    ("PUT", "/contact_custom_fields/{field_id}"): CUSTOM_FIELD,
    ("POST", "/segments"): {"name": "x", "segment_criteria": "{}"},
    ("PUT", "/segments/{segment_id}"): {"name": "x", "segment_criteria": "{}"},
    ("PATCH", "/segments/{segment_id}/name"): {"name": "x"},
    ("POST", "/activities/contacts_json_import"): {"import_data": [ROW, {"email": CONTACT}], "list_ids": [LIST]},
    ("POST", "/activities/contact_exports"): {
        "list_ids": [LIST],
        "status": "active",
        "new_subscriber": True,
        "fields": ["email_address", "email_optout_date"],
        "exclude": {"contact_ids": [CONTACT]},
    },
    ("POST", "/activities/contact_delete"): {"contact_ids": [CONTACT]},
    **{
        ("POST", f"/activities/{path}"): MEMBERS
        for path in (
            *("add_list_memberships", "remove_list_memberships"),
            *("contacts_taggings_add", "contacts_taggings_remove"),
        )
    },
    ("POST", "/activities/list_delete"): {"list_ids": [LIST]},
    ("POST", "/activities/contacts_tags_delete"): {"tag_ids": [TAG]},
    ("POST", "/activities/custom_fields_delete"): {"custom_field_ids": [FIELD]},
}
QUERY_NAMES = [
    *("cursor", "email", "include", "include_count", "include_membership_count", "limit", "lists", "name"),
    *("segment_id", "sequence_ids", "sort_by", "state", "status", "tags", "updated_after"),
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([*IDS, "Account", "string", "active", "ada@example.com", "{}", {}, [], [{}], [None], [[]]]),
    st.text(max_size=60),
)
QUERY_VALUES = st.sampled_from([*IDS, "5", "true", "all", "active"]) | st.text(max_size=20)


def places(body: Any) -> Iterator[tuple[Any, Any]]:
    """All containers of a document, each with every key or index in it."""
    for key, value in list(body.items() if isinstance(body, dict) else enumerate(body)):
        yield body, key
        if isinstance(value, dict | list):
            yield from places(value)


def response(route: tuple[str, str], body: Any, query: dict[str, str], one: str) -> int:
    return send(route, "application/json", json.dumps(body).encode(), query, one)


def send(wanted: tuple[str, str], media_type: str, sent: bytes, query: dict[str, str], one: str) -> int:
    box, (method, path) = Sandbox(contacts=4), wanted
    (handler,) = [handler for *route, handler in box._api.routes if route == [method, path]]
    concrete = re.sub(r"{\w+}", quote(one), path)
    args = dict.fromkeys(re.findall(r"{(\w+)}", path), one)
    call = Call(method, concrete, urlencode(query), {"Content-Type": media_type}, sent, handler, args)
    response = box._api.respond(call)
    assert all(response.chunks)
    box.finish_jobs()
    return response.status


@settings(max_examples=600, deadline=None)
@given(st.data(), st.sampled_from(sorted(BODIES)), VALUES, st.sampled_from(IDS))
def test_no_value_anywhere_in_a_body_breaks_the_api(data: Any, route: tuple[str, str], value: Any, one: str) -> None:
    body = copy.deepcopy(BODIES[route])
    for _ in range(data.draw(st.integers(0, 2))):
        container, key = data.draw(st.sampled_from(list(places(body))))
        container[key] = copy.deepcopy(value)
        if data.draw(st.booleans()):
            del container[key]
        if not body:
            break
    assert response(route, body, {}, one) in {200, 201, 204, 400, 404, 409}


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode), st.sampled_from([LIST.encode(), b"", b"\xff"]))
def test_no_file_breaks_the_api(content: bytes, lists: bytes) -> None:
    def part(head: bytes, body: bytes) -> bytes:
        return b"--b\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + body + b"\r\n"

    file = part(b'name="file"; filename="x.csv"', b"email,first_name,cf:orders\r\n" + content)
    for sent in (file + part(b'name="list_ids"', lists) + b"--b--\r\n", file, content, b"--b\r\n" + content):
        route = ("POST", "/activities/contacts_file_import")
        assert send(route, "multipart/form-data; boundary=b", sent, {}, "x") in {201, 400, 404, 415}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(route for route in ROUTES if route[0] in {"GET", "DELETE"})),
    st.dictionaries(st.sampled_from(QUERY_NAMES), QUERY_VALUES, max_size=3),
    st.sampled_from(IDS),
)
def test_no_query_or_id_breaks_the_api(route: tuple[str, str], query: dict[str, str], one: str) -> None:
    assert response(route, None, query, one) in {200, 202, 204, 400, 404}
