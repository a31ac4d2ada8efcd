"""Calls of every operation on the neighbours of contacts, each with the request that it sends."""

import json
from operator import attrgetter
from typing import Any

import attrs

from cc_async import (
    AccountEmail,
    AccountSummary,
    Activity,
    ContactList,
    CustomFieldChoiceInput,
    CustomFieldDefinition,
    CustomFieldMetadata,
    ListXref,
    Segment,
    Tag,
    UserPrivilege,
)
from cc_async.codec.decode import decode
from support.neighbours_table import CRITERIA, OPERATIONS, Operation

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
