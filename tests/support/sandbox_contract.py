"""What the sandbox is held to, told apart from its code: routes, statuses, error keys, and a bare caller."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
from yarl import URL

from cc_async.sandbox import Sandbox

SUBRESOURCES = (
    "custom_fields",
    "list_memberships",
    "taggings",
    "notes",
    "phone_numbers",
    "street_addresses",
    "sms_channel",
)
EVERYTHING = ",".join(SUBRESOURCES)

VALIDATION = "contacts.api.validation.error"
NOT_FOUND = "contacts.api.not_found"
CONFLICT = "contacts.api.conflict"

SOME_ID = "5c0ffee5-1234-4abc-8def-0123456789ab"
REFUSED_QUERIES = [
    "limit=0",
    "limit=501",
    "limit=many",
    "status=asleep",
    "sms_status=asleep",
    "include=secrets",
    "include_count=perhaps",
    "updated_after=yesterday",
    "created_before=2024-01-01T00:00:00+00:00",  # a bare + arrives as a space
    "lists=" + ",".join("x" * 26),
    "tags=" + ",".join("x" * 51),
    "segment_id=1&status=all",
    "segment_id=1,2",
    "cursor=never%20made",
    "cursor=bmV4dD0w",
    "cursor=bGltaXQ9NTA=",
]
REFUSED_CONTACTS: list[Any] = [
    [],
    "text",
    {"create_source": "Account"},
    {"create_source": "Robot", "first_name": "Ada"},
    {"create_source": "Account", "first_name": 7},
    {"create_source": "Account", "first_name": "A" * 51},
    {"create_source": "Account", "email_address": "ada@example.com"},
    {"create_source": "Account", "email_address": {"permission_to_send": "implicit"}},
    {
        "create_source": "Account",
        "email_address": {"address": "a@example.com", "permission_to_send": "forced"},
    },
    {"create_source": "Account", "first_name": "Ada", "birthday_month": 12},
    {"create_source": "Account", "first_name": "Ada", "birthday_month": 13, "birthday_day": 1},
    {"create_source": "Account", "first_name": "Ada", "birthday_month": True, "birthday_day": 1},
    {"create_source": "Account", "first_name": "Ada", "phone_numbers": [{}] * 4},
    {"create_source": "Account", "first_name": "Ada", "street_addresses": [{"street": "1 Main St"}]},
    {"create_source": "Account", "first_name": "Ada", "list_memberships": ["no such list"]},
    {"create_source": "Account", "first_name": "Ada", "taggings": ["no such tag"]},
    {"create_source": "Account", "first_name": "Ada", "custom_fields": [{"custom_field_id": "none"}]},
]


@attrs.frozen
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error_key(self) -> str:
        """Read the key from either shape of error."""
        content = self.json
        key: str = (content[0] if isinstance(content, list) else content)["error_key"]
        return key


class Caller:
    """Speaks to a sandbox with bare aiohttp; paths begin under /v3, hrefs with /v3, URLs with http."""

    def __init__(self, box: Sandbox, session: aiohttp.ClientSession) -> None:
        self.box, self.session = box, session
        self.token = box.access_token

    async def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        base = "" if path.startswith("http") else self.box.base_url.removesuffix("/v3" * path.startswith("/v3/"))
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        extra = {"json": body} if body is not None else {}
        async with self.session.request(
            method,
            URL(base + path, encoded=True),
            headers=headers,
            allow_redirects=False,
            **extra,
            **options,
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def walk(self, query: str) -> list[Any]:
        """Follow the links of GET /contacts to their end; return the pages."""
        pages = []
        href: str | None = f"/v3/contacts?{query}"
        while href:
            reply = await self("GET", href)
            assert reply.status == 200, reply.body
            pages.append(reply.json)
            href = ((pages[-1].get("_links") or {}).get("next") or {}).get("href")
            assert len(pages) < 100
        return pages

    async def ids(self, query: str) -> list[str]:
        """Return the ids of all contacts that a query finds."""
        return [contact["contact_id"] for page in await self.walk(query) for contact in page["contacts"]]

    async def token_request(self, form: Mapping[str, str], **options: Any) -> Reply:
        """Ask the token endpoint as a confidential application does."""
        headers = {"Authorization": aiohttp.encode_basic_auth(self.box.client_id, self.box.client_secret)}
        return await self("POST", self.box.token_url, data=form, headers=headers, **options)

    async def refresh(self, token: str) -> Reply:
        """Exchange a refresh token."""
        return await self.token_request({"grant_type": "refresh_token", "refresh_token": token})


@asynccontextmanager
async def calling(contacts: int = 0, **settings: Any) -> AsyncIterator[Caller]:
    """Run a sandbox, by default one without limits, and a caller of it."""
    settings = {"rate": None, "daily": None} | settings
    async with Sandbox(contacts=contacts, **settings) as box, aiohttp.ClientSession() as session:
        yield Caller(box, session)


async def until(ready: Callable[[], bool]) -> None:
    """Let the others run until something is so."""
    for _ in range(5_000):
        if ready():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came true")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1_750_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
