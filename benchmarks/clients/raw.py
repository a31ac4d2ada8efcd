"""The floor: aiohttp, and orjson to dicts."""

from typing import Any

import orjson

from . import loop


def decode(body: bytes) -> list[Any]:
    return _read(body)[0]


def stream(base_url: str) -> int:
    return loop.stream(base_url, _read)


def _read(body: bytes) -> tuple[list[Any], str | None]:
    page = orjson.loads(body)
    return page["contacts"], page.get("_links", {}).get("next", {}).get("href")
