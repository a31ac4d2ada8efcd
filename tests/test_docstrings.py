"""The docstring of every public name shows how it is used, or says where that is shown; what it shows exists."""

import inspect
import re
from collections.abc import Iterator

import pytest
from support.docstrings import NAMES, PUBLIC, docstring, example
from test_readme import GUIDE, README

from cc_async import ConstantContact

OPERATIONS = ("account", "activities", "contacts", "custom_fields", "lists", "segments", "tags")
WITH_EXAMPLE = {
    *("ConstantContact", "OAuth2", "StaticToken", "TokenProvider", "FileTokenStore", "MemoryTokenStore"),
    *("RateLimiter", "RetryPolicy", "Observer", "ApiResponse", "Pager", "merge", "to_plain", "Many", "Changes"),
    *("CreateContactRequest", "CreateOrUpdateContactRequest", "UpdateContactRequest", "ContactChanges"),
    *("ContactFilters", "CustomFieldCatalog", "ImportRow", "Import", "Export", "BulkChange"),
    *("RedisRateLimiter", "RedisTokenStore", "OpenTelemetryObserver", "Mirror", "Sandbox"),
}
"""What people call, construct or iterate over; to the others a pointer is enough, such as a model to its parent."""


def pointers(name: str) -> Iterator[str]:
    """The public names, operations and headings to which a docstring points, other than to itself."""
    for quoted in re.findall(r"`(?:cc\.)?([\w.]+)(?:\(.*?\))?`", docstring(name)):
        first = quoted.partition(".")[0]
        if first in {*PUBLIC, *OPERATIONS} - {name} and (first in PUBLIC or "." in quoted):
            yield quoted
    for heading, where in re.findall(r'"([^"]+)" in the\s(README|guide)', docstring(name)):
        yield f"{where}: {heading}"


@pytest.mark.parametrize("name", NAMES)
def test_a_docstring_has_an_example_or_says_where_there_is_one(name: str) -> None:
    assert example(name) or any(pointers(name))


@pytest.mark.parametrize("name", sorted(WITH_EXAMPLE))
def test_what_people_call_or_construct_has_an_example_of_its_own(name: str) -> None:
    assert example(name)


@pytest.mark.parametrize("name", NAMES)
async def test_what_a_docstring_points_to_exists(name: str) -> None:
    async with ConstantContact("t") as cc:
        for pointer in pointers(name):
            text, _, heading = pointer.partition(": ")
            if heading:
                assert f"# {heading}\n" in {"README": README, "guide": GUIDE}[text]
                continue
            first, *members = pointer.split(".")
            value = PUBLIC[first] if first in PUBLIC else getattr(cc, first)
            for member in members:
                assert hasattr(value, member) or member in inspect.get_annotations(value), pointer
                value = getattr(value, member, None)
