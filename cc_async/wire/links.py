"""Links to the next page: which may be followed, and their canonical form."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from yarl import URL

from cc_async._secrets import redact
from cc_async.errors import DecodeError, InvalidRequestError, PaginationError
from cc_async.wire.urls import with_query

_ORIGIN = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?(?://[^/?#]*)?", re.IGNORECASE)
"""The part of a link before its path."""
_UNFIT = re.compile(r"[\x00-\x20\x7f\\\ud800-\udfff]")
"""Characters that are invalid in a link, and that programs interpret differently."""


def next_href(links: Any) -> str | None:
    """Return the link to the next page, or None at the end: no links, null, `{}`, or no `next`.

    Raises:
        DecodeError: The link is malformed; taking that for the end would lose pages.

    """
    found, path = links, "$._links"
    for name in ("next", "href"):
        if not found:
            return None
        if not isinstance(found, dict):
            raise DecodeError("The link to the next page cannot be read.", path=path)
        found, path = found.get(name), f"{path}.{name}"
    if found is not None and not isinstance(found, str):
        raise DecodeError("The link to the next page cannot be read.", path=path)
    return found or None


def resolve_link(base: URL, href: str) -> str:
    """Return a link as a path with its query, byte for byte, if it stays within the API.

    Raises:
        PaginationError: The link leads to another origin, or out of the API's base path.

    """
    origin = _ORIGIN.match(href)[0]  # type: ignore[index]  # it may be empty, so it always matches
    if unfit := _UNFIT.search(href):
        raise PaginationError(
            f"The link to the next page holds {unfit[0]!a}, which no URL may hold, and was not followed.",
            url=without_query(href),
        )
    if origin and not _same_origin(base, origin):
        raise PaginationError(
            "The link to the next page leads to another server and was not followed.", url=without_query(href)
        )
    relative = href[len(origin) :].partition("#")[0]
    path = relative.partition("?")[0]
    # It must be spelled as in the base URL, because that prefix is removed and added again.
    inside = path.startswith(base.raw_path.rstrip("/") + "/")
    if not inside or "\\" in unquote(path) or ".." in unquote(path).split("/"):
        raise PaginationError(
            "The link to the next page leads out of the API and was not followed.", url=without_query(href)
        )
    return relative


def resolve_page_link(base: URL, path: str, href: str) -> str:
    """Return a link to another page of the collection at `path` (below the base), as `resolve_link` does.

    The API also returns links that work only in its own network: paths of an internal service that end like the path
    of the collection. Of such a link only the cursor is used, with the known path.

    Raises:
        PaginationError: The link leads to another origin, or out of the API.

    """
    prefix = base.raw_path.rstrip("/")
    origin = _ORIGIN.match(href)[0]  # type: ignore[index]  # it may be empty, so it always matches
    route, _, query = href[len(origin) :].partition("#")[0].partition("?")
    cursors = [pair for pair in query.split("&") if pair.startswith("cursor=") and len(pair) > len("cursor=")]
    internal = not route.startswith(prefix + "/") and route.rpartition("/")[2] == path.rpartition("/")[2]
    if internal and len(cursors) == 1 and route.startswith("/") and not route.startswith("//"):
        href = f"{origin}{prefix}{path}?{cursors[0]}"
    return resolve_link(base, href)


def path_below(base: URL, link: str) -> str:
    """Return a resolved link as a path below the base URL, which is the form that a request takes."""
    return link[len(base.raw_path.rstrip("/")) :]


def _same_origin(base: URL, origin: str) -> bool:
    try:
        url = URL(origin)
    except ValueError:
        return False
    return "@" not in origin and (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)


def without_query(href: str) -> str:
    """Return the link without its query, which may contain an address."""
    return redact(href.partition("?")[0])[:200]


def resolve_path(base: URL, path: str, params: Mapping[str, Any] | None = None) -> str:
    """Return a path given by a user, or a link of a response, as a path below the base URL with its query.

    Raises:
        InvalidRequestError: The path leads out of the API.

    """
    prefix = base.raw_path.rstrip("/")
    try:
        found = resolve_link(base, path if path.startswith((prefix + "/", "http")) else f"{prefix}{path}")
    except PaginationError:
        found = ""
    if not found or not path.startswith(("/", "http")):
        raise InvalidRequestError(
            "The path must lie within the API, begin with a slash and be encoded: /contact_lists."
        )
    return with_query(path_below(base, found), params or {})
