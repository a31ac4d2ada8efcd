"""Lists, tags and segments by the names or ids that people type."""

from collections.abc import AsyncIterable, Callable, Iterable
from typing import TypeVar

from cc_async.cli.exits import CommandError
from cc_async.client import ConstantContact
from cc_async.models.lists import ContactList
from cc_async.models.segments import Segment
from cc_async.models.tags import Tag

_T = TypeVar("_T")


class UnknownNameError(CommandError):
    """There is nothing of this name or id."""


async def find_lists(cc: ConstantContact, wanted: Iterable[str]) -> list[ContactList]:
    """Return the lists of these names or ids.

    Raises:
        UnknownNameError: There is no such list.
        CommandError: There are several.

    """
    return await _find(cc.lists.list_every_channel(), wanted, "list", lambda each: (each.list_id, each.name))


async def find_tags(cc: ConstantContact, wanted: Iterable[str]) -> list[Tag]:
    """Return the tags of these names or ids.

    Raises:
        UnknownNameError: There is no such tag.
        CommandError: There are several.

    """
    return await _find(cc.tags.list(), wanted, "tag", lambda each: (each.tag_id, each.name))


async def find_segment(cc: ConstantContact, wanted: str) -> Segment:
    """Return the segment of this name or id.

    Raises:
        UnknownNameError: There is no such segment.
        CommandError: There are several.

    """

    def keys(each: Segment) -> tuple[str | None, str | None]:
        return None if each.segment_id is None else str(each.segment_id), each.name

    return (await _find(cc.segments.list(), [wanted], "segment", keys))[0]


async def _find(
    all_of_them: AsyncIterable[_T],
    wanted: Iterable[str],
    noun: str,
    keys: Callable[[_T], tuple[str | None, str | None]],
) -> list[_T]:
    known = [(keys(each), each) async for each in all_of_them]
    return [_pick(known, each, noun) for each in wanted]


def _pick(known: list[tuple[tuple[str | None, str | None], _T]], wanted: str, noun: str) -> _T:
    exact = [each for names, each in known if wanted in names]
    alike = [each for (_, name), each in known if name and name.casefold() == wanted.casefold()]
    found = exact or alike
    if not found:
        raise UnknownNameError(f"There is no {noun} {wanted!r}. `cc-async {noun}s` shows those that there are.")
    if len(found) > 1:
        raise CommandError(f"There are {len(found)} {noun}s {wanted!r}: give the id, which `cc-async {noun}s` shows.")
    return found[0]
