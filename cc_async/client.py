"""The client: create one, use it in an `async with` block, and share it."""

import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs

import aiohttp

from cc_async._secrets import Secret, redact
from cc_async.codec.decode import Decoded, dumps, loads
from cc_async.errors import DecodeError
from cc_async.http.call import ApiResponse, Call, RawResponse
from cc_async.http.options import check_request
from cc_async.http.retry import Idempotency, RetryPolicy, is_write
from cc_async.http.session import BASE_URL, Session
from cc_async.limits.protocol import Limiter
from cc_async.oauth.provider import TokenProvider
from cc_async.observer import Observer
from cc_async.resources._collection import stream
from cc_async.resources._download import download, media_type
from cc_async.streams.collection import Collection
from cc_async.streams.pager import Pager
from cc_async.wire.links import resolve_path
from cc_async.wire.urls import query_values

if TYPE_CHECKING:
    from cc_async.resources.account import Account
    from cc_async.resources.activities import Activities
    from cc_async.resources.contacts import Contacts
    from cc_async.resources.custom_fields import CustomFields
    from cc_async.resources.lists import Lists
    from cc_async.resources.segments import Segments
    from cc_async.resources.tags import Tags


class ConstantContact:
    """A client of the Constant Contact V3 API for one account.

        async with ConstantContact(oauth) as client:
            print(await client.contacts.counts())

    `auth` is an access token, an `OAuth2`, or any object with `async token(rejected=None) -> str`. An external
    `client_session` is used with its proxies and tracing, and is never closed. Share one `rate_limiter` among all
    clients with the same API key, because the limit belongs to the key. `timeout` is in seconds and applies to one
    attempt, not to the wait for the limiter. `strict` raises a DecodeError for a value that cannot be read, instead of
    leaving it None.

    `trust_env` uses the proxies of the environment (`HTTPS_PROXY`, `NO_PROXY`) as aiohttp does, and `ssl_context`
    decides which certificates are trusted; pass the same to an `OAuth2`. `allow_insecure_http` permits sending tokens
    over plain HTTP to other machines, such as a sandbox in a private network, but never to the provider's own hosts.

    Event loops: a client, with its streams, belongs to the event loop of its first request. A `RateLimiter` and an
    `OAuth2` serve one event loop at a time, and may be used again in the next one once the previous loop has ended, as
    with several calls of `asyncio.run`. Anything else raises InvalidRequestError or is undefined.

    `observer` is notified of each logical call and of each refresh of a token; see `Observer`.

    Raises:
        InvalidRequestError: `base_url` would send the token unprotected, or an argument is invalid.

    """

    def __init__(
        self,
        auth: str | TokenProvider,
        *,
        base_url: str = BASE_URL,
        client_session: aiohttp.ClientSession | None = None,
        rate_limiter: Limiter | None = None,
        retry: RetryPolicy | None = None,
        timeout: float = 30.0,
        strict: bool = False,
        trust_env: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        allow_insecure_http: bool = False,
        observer: Observer | None = None,
    ) -> None:
        auth = Secret(auth) if isinstance(auth, str) else auth  # tracebacks may show this frame
        self._session = Session(
            auth,
            base_url=base_url,
            client_session=client_session,
            rate_limiter=rate_limiter,
            retry=retry,
            timeout=timeout,
            strict=strict,
            trust_env=trust_env,
            ssl_context=ssl_context,
            allow_insecure_http=allow_insecure_http,
            observer=observer,
        )

    # Resources and their models, which are most of the package, are imported on first use.

    @cached_property
    def contacts(self) -> "Contacts":
        """Operations on contacts."""
        from cc_async.resources.contacts import Contacts  # noqa: PLC0415  # see above

        return Contacts(self._session)

    @cached_property
    def lists(self) -> "Lists":
        """Operations on contact lists."""
        from cc_async.resources.lists import Lists  # noqa: PLC0415  # see above

        return Lists(self._session)

    @cached_property
    def tags(self) -> "Tags":
        """Operations on tags."""
        from cc_async.resources.tags import Tags  # noqa: PLC0415  # see above

        return Tags(self._session)

    @cached_property
    def custom_fields(self) -> "CustomFields":
        """Operations on custom fields."""
        from cc_async.resources.custom_fields import CustomFields  # noqa: PLC0415  # see above

        return CustomFields(self._session)

    @cached_property
    def segments(self) -> "Segments":
        """Operations on segments."""
        from cc_async.resources.segments import Segments  # noqa: PLC0415  # see above

        return Segments(self._session)

    @cached_property
    def activities(self) -> "Activities":
        """Bulk jobs: start, look up and wait."""
        from cc_async.resources.activities import Activities  # noqa: PLC0415  # see above

        return Activities(self._session)

    @cached_property
    def account(self) -> "Account":
        """Operations on the account itself."""
        from cc_async.resources.account import Account  # noqa: PLC0415  # see above

        return Account(self._session)

    @property
    def rate_limiter(self) -> Limiter:
        """The rate limiter; its `remaining_today` is what is left of the daily quota."""
        return self._session.rate_limiter

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._session.closed

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        idempotent: bool | None = None,
    ) -> ApiResponse[Any]:
        """Send any request to the API, with the same token, rate limit and retries.

        `path` is relative to the base URL, such as `/contact_lists`, or the `href` of a link in a response. A sequence,
        a set or a generator in `params` is sent as several parameters, an aware datetime as UTC. `json` may contain
        models. The data of the response is plain JSON, or None if there is no body.

        `idempotent` says whether the request may be repeated after the server may have carried it out: by default,
        reads and DELETE may, other writes may not. A repeated DELETE that finds nothing (404) counts as a success.

        Raises:
            InvalidRequestError: The path leads out of the API.

        """
        check_request(method, path, params)
        body = None if json is None else dumps(json)
        method = method.upper()
        repeatable = method == "DELETE" or not is_write(method) if idempotent is None else idempotent
        call = Call(
            operation="request",
            method=method,
            path=resolve_path(self._session.base_url, path, params),
            parse=_plain,
            idempotency=Idempotency.SAFE if repeatable else Idempotency.UNSAFE,
            body=body,
            succeeded_before=(lambda response: response.status == 404) if method == "DELETE" else None,
        )
        return await self._session.request(call)

    def pages(
        self,
        path: str,
        *,
        items: str,
        params: Mapping[str, Any] | None = None,
        total: str | None = None,
        start: str | None = None,
    ) -> Pager[dict[str, Any]]:
        """Stream any paged collection of the API as plain objects, as safely as contacts.

        `path` is relative to the base URL, such as `/emails`; `items` names the array in its pages, such as
        `campaigns`, and `total` the field with the number of all items, if the API gives it. `start` is the `next_url`
        of a page, to continue after it.

        Raises:
            InvalidRequestError: The path leads out of the API.

        """
        check_request("GET", path, params)
        route = resolve_path(self._session.base_url, path)
        collection = Collection(
            operation="pages",
            path=route.partition("?")[0],
            items=items,
            model=dict[str, Any],
            key=lambda _: None,
            total=total,
        )
        query = parse_qs(route.partition("?")[2])
        query |= {name: query_values(name, value) for name, value in (params or {}).items()}
        return stream(self._session, collection, query, start=start)

    async def download(
        self, path: str, *, params: Mapping[str, Any] | None = None, accept: str = "*/*"
    ) -> AsyncGenerator[bytes]:
        """Get a response that is not JSON, such as a file, and yield its body in chunks, in bounded memory.

        The request is retried like any other until the body begins. A truncated body raises TransportError: start
        over. To leave the loop early and close the connection at once, iterate inside `contextlib.aclosing`.

        Raises:
            InvalidRequestError: The path leads out of the API.

        """
        check_request("GET", path, params)
        call = download("download", resolve_path(self._session.base_url, path, params), accept=accept)
        async with aclosing(self._session.download(call)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def close(self) -> None:
        """End all calls and streams with ClientClosedError and close the connections."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _plain(response: RawResponse) -> Decoded[Any]:
    try:
        return Decoded(loads(response.body) if response.body.strip() else None)
    except DecodeError:
        kind = media_type(response)
        if "json" in kind or kind in {"", "text/html"}:
            raise
    raise DecodeError(f"The response is not JSON but {redact(kind)}: get it with `download`.")
