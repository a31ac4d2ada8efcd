"""A paged collection of the API as a value."""

from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from cc_async.codec.decode import PageShape
from cc_async.streams.cursor import CursorStyle, PageNumberCursor

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Collection(Generic[T]):
    """What has to be known of a paged collection to stream it."""

    path: str
    """Below the base URL, without a query."""
    items: str
    """The name of the array that holds the items of a page."""
    model: type[T]
    """What an item is read into; `dict[str, Any]` leaves it a plain object."""
    key: Callable[[T], str | None]
    """By what an item is recognised if it comes again."""
    total: str | None = None
    """The name of the number of all items, where the API tells it."""
    sent_again: tuple[str, ...] = ()
    """Parameters that are sent beside a cursor too, because it is not known whether they ride in it."""
    parse_cursor: CursorStyle = PageNumberCursor.parse
    """How links to further pages are guessed; a style that always gives None follows link by link."""
    computed: bool = False
    """Whether a page may have to be computed first: then the API says so, and the request is sent again later."""

    @property
    def shape(self) -> PageShape:
        """The names under which a page holds its parts."""
        return PageShape(self.items, self.total)
