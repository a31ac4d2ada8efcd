"""aiohttp, and pydantic into models that have the same fields as our classes."""

import functools
import operator
from typing import Any, get_args, get_origin

import attrs
from pydantic import BaseModel, ConfigDict, Field, create_model

from cc_async import Contact

from . import loop


@functools.cache
def _model(cls: type[attrs.AttrsInstance]) -> type[BaseModel]:
    """The model with the fields of an attrs class."""
    fields: dict[str, Any] = {field.name: (_kind(field.type), None) for field in attrs.fields(attrs.resolve_types(cls))}
    return create_model(cls.__name__, __config__=ConfigDict(frozen=True), **fields)


def _kind(kind: Any) -> Any:
    if isinstance(kind, type) and attrs.has(kind):
        return _model(kind)
    if get_origin(kind) is list:
        return list[_kind(get_args(kind)[0])]  # type: ignore[misc]  # a type that is only known now
    if type(None) in get_args(kind):
        return functools.reduce(operator.or_, (_kind(option) for option in get_args(kind)))
    return kind


class _Next(BaseModel):
    href: str


class _Links(BaseModel):
    next: _Next | None = None


class _Page(BaseModel):
    contacts: list[_model(Contact)]  # type: ignore[valid-type]  # a type that is only known now
    links: _Links | None = Field(default=None, alias="_links")


def decode(body: bytes) -> list[Any]:
    return _read(body)[0]


def stream(base_url: str) -> int:
    return loop.stream(base_url, _read)


def _read(body: bytes) -> tuple[list[Any], str | None]:
    page = _Page.model_validate_json(body)
    return page.contacts, page.links.next.href if page.links and page.links.next else None
