"""Wrong use of the neighbours of contacts: each ends in one clear error, and nothing is sent."""

from collections.abc import Callable
from typing import Any

import pytest
from support.http_stub import client

from cc_async import Activity, ConstantContact, ContactList, InvalidRequestError, Tag
from cc_async.resources.activities.calls import BYTES_AT_MOST, ROWS_AT_MOST

REFUSED: list[tuple[Callable[[ConstantContact], Any], str]] = [
    (lambda cc: cc.lists.create(""), "name of a list must be a string that is not empty"),
    (lambda cc: cc.lists.create("x" * 256), "name of a list takes at most 255 characters, not 256"),
    (lambda cc: cc.lists.get_or_create(""), "name of a list must be"),
    (lambda cc: cc.lists.update("a", ""), "name of a list must be"),
    (lambda cc: cc.lists.get(""), "list_id must be a string that is not empty"),
    (lambda cc: cc.lists.get(ContactList(name="News")), "list_id must be a string"),
    (lambda cc: cc.lists.delete(Tag(tag_id="t")), "list_id must be a string"),  # type: ignore[arg-type]
    (lambda cc: cc.lists.delete("\ud800"), "valid Unicode"),
    (lambda cc: cc.lists.id_xrefs(["1", ""]), "sequence_ids must hold"),
    (lambda cc: cc.lists.with_http_info.id_xrefs(range(501)), "at most 500 values at a time, not 501"),
    (lambda cc: cc.lists.list(limit=1_001), "from 1 to 1,000"),
    (lambda cc: cc.lists.list(limit=True), "from 1 to 1,000"),
    (lambda cc: cc.lists.list(name=""), "name of a list must be"),
    (lambda cc: cc.tags.create(""), "name of a tag must be"),
    (lambda cc: cc.tags.create("x" * 256), "at most 255 characters"),
    (lambda cc: cc.tags.list(limit=0), "from 1 to 500"),
    (lambda cc: cc.tags.get_or_create("x" * 256), "at most 255"),
    (lambda cc: cc.custom_fields.create("", "string"), "label of a custom field must be"),
    (lambda cc: cc.custom_fields.create("x" * 51, "string"), "at most 50 characters, not 51"),
    (lambda cc: cc.custom_fields.create("x", ""), "type of a custom field must be"),
    (lambda cc: cc.custom_fields.create("x", "single_select", choices="abc"), "choices must be several"),
    (lambda cc: cc.custom_fields.list(limit=101), "from 1 to 100"),
    (lambda cc: cc.segments.get("fourteen"), "whole number from 1 to 2,147,483,647"),
    (lambda cc: cc.segments.get(2**31), "whole number from 1"),
    (lambda cc: cc.segments.get("9" * 5_000), "whole number from 1"),
    (lambda cc: cc.segments.get(True), "whole number from 1"),
    (lambda cc: cc.segments.delete(""), "whole number from 1"),
    (lambda cc: cc.segments.create("", "{}"), "name of a segment must be"),
    (lambda cc: cc.segments.create("x", ""), "criteria of a segment must be"),
    (lambda cc: cc.segments.create("x", "x" * 20_001), "at most 20,000 characters"),
    (lambda cc: cc.segments.create("x", {"a": float("nan")}), "NaN"),
    (lambda cc: cc.segments.rename(1, ""), "name of a segment must be"),
    (lambda cc: cc.account.emails(role_code="OTHER", confirm_status="CONFIRMED"), "one filter at a time"),
    (lambda cc: cc.account.summary(extra_fields=["", "x"]), "extra_fields must hold"),
    (lambda cc: cc.activities.get(""), "activity_id must be"),
    (lambda cc: cc.activities.list(limit=501), "from 1 to 500"),
    (lambda cc: cc.activities.import_contacts([], "a"), "1 to 39,999 rows, not 0"),
    (lambda cc: cc.activities.import_contacts([{}] * (ROWS_AT_MOST + 1), "a"), "1 to 39,999 rows, not 40,000"),
    (lambda cc: cc.activities.import_contacts([{"a": "x" * BYTES_AT_MOST}], "a"), "at most 4,000,000 bytes, not 4,000"),
    (lambda cc: cc.activities.import_contacts([{"a": "b"}], []), "list_ids must name at least one"),
    (lambda cc: cc.activities.import_contacts([{"a": "b"}], ["a"] * 51), "list_ids takes at most 50 at a time, not 51"),
    (lambda cc: cc.activities.import_file(b"email\n", "a", filename="a.txt"), "must end with .csv"),
    (lambda cc: cc.activities.import_file(b"a\n" * 40_001, "a"), "at most 40,000 lines with the header, not 40,001"),
    (lambda cc: cc.activities.import_file(b"x" * 4_000_001, "a"), "at most 4,000,000 bytes"),
    (lambda cc: cc.activities.export_contacts(contact_ids="a", in_lists="b"), "at most one of contact_ids, in_lists"),
    (lambda cc: cc.activities.export_contacts(exclude_contact_ids=["a"] * 51), "exclude_contact_ids takes at most 50"),
    (lambda cc: cc.activities.export_contacts(in_segment="x"), "segment_id must be a whole number"),
    (lambda cc: cc.activities.delete_contacts(), "exactly one of contact_ids, in_lists"),
    (lambda cc: cc.activities.delete_contacts([]), "contact_ids must name at least one"),
    (lambda cc: cc.activities.delete_contacts(["a"] * 501), "contact_ids takes at most 500"),
    (lambda cc: cc.activities.delete_contacts(in_lists=["a"] * 51), "in_lists takes at most 50"),
    (lambda cc: cc.activities.add_to_lists("a"), "exactly one of contact_ids, in_lists, with_tags, in_segment"),
    (lambda cc: cc.activities.add_to_lists(["a"] * 51, contact_ids="b"), "list_ids takes at most 50"),
    (lambda cc: cc.activities.add_to_lists("a", contact_ids="b", with_tags="c"), "exactly one of"),
    (lambda cc: cc.activities.remove_from_lists("a", all_active_contacts=True, with_tags="c"), "exactly one of"),
    (lambda cc: cc.activities.add_tags("a"), "exactly one of contact_ids, in_lists, with_tags, new_subscriber"),
    (lambda cc: cc.activities.add_tags([], contact_ids="a"), "tag_ids must name at least one"),
    (lambda cc: cc.activities.remove_tags(["a"] * 51, contact_ids="a"), "tag_ids takes at most 50"),
    (lambda cc: cc.activities.delete_lists(["a"] * 101), "list_ids takes at most 100"),
    (lambda cc: cc.activities.delete_tags(["a"] * 501), "tag_ids takes at most 500"),
    (lambda cc: cc.activities.delete_custom_fields(["a"] * 101), "custom_field_ids takes at most 100"),
]


@pytest.mark.parametrize(("refused", "rule"), REFUSED, ids=[rule for _, rule in REFUSED])
async def test_what_the_api_would_certainly_refuse_is_not_sent(
    refused: Callable[[ConstantContact], Any], rule: str
) -> None:
    async with client() as (cc, responses):
        with pytest.raises(InvalidRequestError, match=rule) as caught:
            await refused(cc)
        assert str(caught.value).endswith(".")
        assert responses.sent == []


async def test_an_activity_without_an_id_cannot_be_read_again() -> None:
    async with client() as (cc, responses):
        with pytest.raises(InvalidRequestError, match="activity_id"):
            await cc.activities.get(Activity())
        assert responses.sent == []
