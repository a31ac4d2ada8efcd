"""A paged collection of the API as a value."""

from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from cc_async.codec.decode import PageShape, RawItem
from cc_async.streams.cursor import CursorStyle, PageNumberCursor

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Collection(Generic[T]):
    """The description of a paged collection that is needed to stream it."""

    operation: str
    """The name of GET of one page for observers, such as `contacts.list`."""
    path: str
    """The path below the base URL, without a query."""
    items: str
    """The name of the array with the items of a page."""
    model: type[T]
    """The type of an item: a model, `RawItem[model]` to decode it later, or `dict[str, Any]` for plain objects."""
    key: Callable[[T], str | None]
    """Returns the identity of an item, by which repeated items are recognised, or None."""
    total: str | None = None
    """The name of the number of all items, if the API gives it."""
    sent_again: tuple[str, ...] = ()
    """Parameters that are also sent beside a cursor, because the cursor may not contain them."""
    parse_cursor: CursorStyle = PageNumberCursor.parse
    """How links to further pages are guessed; a style that always returns None follows link by link."""
    computed: bool = False
    """Whether the API may have to compute a page first (202); the request is then repeated later."""

    @property
    def shape(self) -> PageShape:
        """The names of the parts of a page."""
        return PageShape(self.items, self.total)

    def undecoded(self, key: Callable[[RawItem[T]], str | None]) -> "Collection[RawItem[T]]":
        """Return the same collection with items that are decoded later."""
        return Collection(
            operation=self.operation,
            path=self.path,
            items=self.items,
            model=RawItem[self.model],  # type: ignore[name-defined]  # a type at run time
            key=key,
            total=self.total,
            sent_again=self.sent_again,
            parse_cursor=self.parse_cursor,
            computed=self.computed,
        )
