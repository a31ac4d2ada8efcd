"""Pages of the small collections: keyset cursors, which hold the id of the next item and the filters."""

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, TypeAlias
from urllib.parse import quote, urlencode

from msgspec import Meta

from .chance import identifier
from .requests import Call, Document, read_limit, read_pairs
from .responses import Response, conflict, document, invalid
from .settings import Settings

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]


def read_query(call: Call) -> dict[str, str]:
    """Return the query parameters with those that ride in the cursor; raises Refused."""
    pairs = call.pairs
    cursor = pairs.pop("cursor", "")
    if not cursor:
        return pairs
    try:
        ridden = read_pairs(base64.b64decode(cursor, validate=True).decode())
    except ValueError:  # neither ASCII, nor base64, nor UTF-8
        raise invalid("cursor is in an invalid format.") from None
    if "next" not in ridden:
        raise invalid("cursor is not valid.")
    return pairs | ridden


def cut(
    given: Mapping[str, str], items: Sequence[Document], id_name: str, most: int, default: int = 50
) -> tuple[Sequence[Document], str | None]:
    """Return the items of the page that a query asks for, and the cursor of the next page or None."""
    limit = read_limit(given, default, most)
    start = next((place for place, item in enumerate(items) if str(item[id_name]) == given.get("next")), None)
    if start is None:
        # The item was deleted in the meantime: where ids ascend, the next one follows.
        later = (place for place, item in enumerate(items) if str(item[id_name]) > given.get("next", ""))
        start = next(later, len(items))
    page = items[start : start + limit]
    if start + limit >= len(items):
        return page, None
    pairs = {**given, "limit": str(limit), "next": str(items[start + limit][id_name])}
    return page, base64.b64encode(urlencode(pairs).encode()).decode()


def respond(settings: Settings, call: Call, body: Document, cursor: str | None) -> Response:
    """Respond with a page; the last one has no links."""
    links = {"_links": {"next": {"href": next_href(settings, call.path, cursor)}}} if cursor else {}
    return document(body | links)


def next_href(settings: Settings, path: str, cursor: str) -> str:
    """Return the link to the next page, which is an internal path if the settings say so."""
    prefix = internal(settings, 3) if settings.internal_links else "/v3"
    return f"{prefix}{path}?cursor={quote(cursor, safe='=')}"


def internal(settings: Settings, version: int) -> str:
    """Return the beginning of the internal paths that leak into some links; the gateway does not serve them."""
    return f"/contacts-service/v{version}/accounts/{identifier(settings.seed, 107)}"


def refuse_taken(name: str, items: Mapping[str, Document], but: str = "", key: str = "name") -> None:
    """Refuse a name that another item has (409)."""
    if any(item[key] == name for item_id, item in items.items() if item_id != but):
        raise conflict(f"Validation failed: {key} {name!r} is already in use.")
