"""Types that several models share."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta

Timestamp = Annotated[datetime, Meta(tz=True)]
"""An aware datetime."""

MessageText = Annotated[str, "or an object whose `message` it is"]
"""A sentence of the API, which some operations wrap in an object."""


def mask(value: Any) -> str:
    """Stand in for a personal value in a repr."""
    return "None" if value is None else "'***'"
