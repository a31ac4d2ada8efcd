"""The only place that sends requests to the API: token, limit, send, classify, retry."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import aiohttp
import attrs
from aiohttp.client_middlewares import ClientHandlerType
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from cc_async.auth import OAuth2, StaticToken, TokenProvider
from cc_async.codec import Decoded, Problem, report
from cc_async.errors import (
    ApiError,
    AuthenticationError,
    ClientClosedError,
    ConstantContactError,
    DecodeError,
    InvalidRequestError,
    RateLimitError,
    RequestTimeoutError,
    TransportError,
)
from cc_async.limits import Limiter, RateLimiter, Turn
from cc_async.retry import Repeat, RetryPolicy, is_write, repeat_of
from cc_async.wire import (
    USER_AGENT,
    Secret,
    api_error,
    check_endpoint,
    error_details,
    is_quota,
    is_throttle,
    redact,
    retry_after,
)

T = TypeVar("T")
_LOG = logging.getLogger("cc_async")
_ERROR_BODY = 65_536
"""Bytes read of an error answer; what is longer costs the connection."""

BASE_URL = "https://api.cc.email/v3"


@attrs.frozen
class Answer:
    """A complete answer of the API that is no error."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


class _Triple(NamedTuple, Generic[T]):
    data: T
    status: int
    headers: Mapping[str, str]


class ApiResponse(_Triple[T]):
    """The data of an answer with its status code and its headers, which also unpacks as these three.

    `problems` tells what of the answer could not be read and became None.
    """

    problems: tuple[Problem, ...]

    def __new__(
        cls, data: T, status: int, headers: Mapping[str, str], problems: tuple[Problem, ...] = ()
    ) -> "ApiResponse[T]":
        """Make one of its parts."""
        response = super().__new__(cls, data, status, headers)  # type: ignore[type-var]  # of generic named tuples
        response.problems = problems
        return response

    def __repr__(self) -> str:
        return f"ApiResponse(data={type(self.data).__name__}, status={self.status})"


@attrs.frozen(kw_only=True)
class Call(Generic[T]):
    """One request, and what the session is to do with it."""

    method: str
    path: str
    """Below the base URL, encoded, with its query."""
    parse: Callable[[Answer], Decoded[T]]
    """Reads the answer; a DecodeError of it that says `malformed` counts as a broken connection."""
    body: bytes | None = attrs.field(default=None, repr=False)
    turn: Turn = attrs.field(factory=Turn)
    retry: RetryPolicy | None = None
    """Instead of the session's."""
    repeat: Repeat | None = None
    """Instead of what the method and the path say."""
    on_resend: Callable[[], None] | None = None
    """Called at the moment the request is sent again."""


class _Unanswered(Exception):  # noqa: N818  # no error in itself: its cause is
    """Hides a broken connection from aiohttp, which would send idempotent requests again by itself."""


async def _no_silent_replay(request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
    # aiohttp repeats GET, PUT and DELETE once when a connection breaks: past the limiter, and a DELETE that had worked
    # then looks like a 404. Whether to repeat is the retry policy's to say.
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as broken:
        raise _Unanswered from broken


# No connection was made, so the server cannot have seen the request.
_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)
_PERMANENT = (
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)


def transport_error(cause: BaseException, *, write: bool) -> TransportError:
    """The exception for a failure of aiohttp, of a socket or of a clock; nothing of the request stays in its cause."""
    never_sent = isinstance(cause, _NEVER_SENT)
    maybe_applied = write and not never_sent
    hint = " The write may have taken effect: look before you send it again." if maybe_applied else ""
    if isinstance(cause, aiohttp.ClientResponseError):  # holds the request's headers, and so the token
        blank = aiohttp.RequestInfo(URL(), "", CIMultiDictProxy(CIMultiDict()), URL())
        cause.request_info, cause.history, cause.args = blank, (), (blank, ())
    fields: dict[str, Any] = {"maybe_applied": maybe_applied, "permanent": isinstance(cause, _PERMANENT)}
    if isinstance(cause, TimeoutError):
        what = "No connection was made" if never_sent else "No answer came"
        return RequestTimeoutError(f"{what} within the time-out.{hint}", **fields)
    what = "No connection could be made" if never_sent else "The connection broke before the answer was complete"
    return TransportError(f"{what} ({type(cause).__name__}).{hint}", **fields)


class Session:
    """Sends requests with a token, within the limit, and again where that is right.

    `ConstantContact` makes one and hands it to its resources. It belongs to one event loop.
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
    ) -> None:
        self.base_url = check_endpoint(base_url)
        if not timeout > 0:
            raise InvalidRequestError("timeout must be greater than 0 seconds.")
        self.strict = strict
        self.rate_limiter = RateLimiter() if rate_limiter is None else rate_limiter
        self._auth = StaticToken(auth) if isinstance(auth, str) else auth
        self._origin = str(self.base_url.origin())
        self.prefix = self.base_url.raw_path.rstrip("/")
        self.retry = RetryPolicy() if retry is None else retry
        # A connection that takes this long to be made will not be made; and until it is, every request may be repeated.
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(10.0, timeout / 2))
        self._lent = client_session
        self._own: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    async def request(self, call: Call[T]) -> ApiResponse[T]:
        """Send a request until it is answered, refused, or the policy gives up.

        Raises:
            ApiError: the API refused it, by its status.
            TransportError: no answer came.
            DecodeError: the answer could not be read.
            AuthorizationError: no token could be had.
            ClientClosedError: the client was closed.

        """
        progress = _Progress(call)
        try:
            async with self._open():
                return await self._until_done(call, progress)
        except ConstantContactError as failure:
            failure.maybe_applied = failure.maybe_applied or progress.maybe_applied
            raise

    async def _until_done(self, call: Call[T], progress: "_Progress") -> ApiResponse[T]:
        """One round an attempt; 401 has a round of its own, because the gateway refused before anything happened."""
        rejected: Secret | None = None
        failure: ConstantContactError | None = None
        try:
            while True:
                token = Secret(await self._auth.token(rejected))
                if failure is not None and token == rejected:
                    raise failure
                await self.rate_limiter.acquire(call.turn)
                if failure is not None and call.on_resend is not None:
                    call.on_resend()
                progress.begin()
                try:
                    answer = await self._attempt(call, token, progress)
                    if answer.status < 300 or progress.is_gone(answer.status):
                        decoded = call.parse(answer)
                        report(decoded.problems, strict=self.strict)
                        return ApiResponse(decoded.value, answer.status, answer.headers, decoded.problems)
                    failure = await self._refusal(call, answer)
                except (TransportError, DecodeError) as trouble:
                    failure = trouble
                progress.end(failure)
                if isinstance(failure, AuthenticationError) and rejected is None:
                    rejected = token
                elif not await self._pause(call, failure, progress):
                    raise failure
        finally:
            del failure  # its traceback holds this frame: a cycle that only the garbage collector would end

    async def _attempt(self, call: Call[Any], token: Secret, progress: "_Progress") -> Answer:
        """Send once and read the whole answer, or raise a TransportError."""
        if not (token.isascii() and token.isprintable()):
            raise InvalidRequestError("An access token is printable ASCII: this one was cut or mixed up.")
        headers = {"Authorization": Secret.bearer(token), "Accept": "application/json", "User-Agent": USER_AGENT}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        http, status = self._http(), "no answer"
        try:
            async with http.request(
                call.method,
                URL(self._origin + self.prefix + call.path, encoded=True),
                headers=headers,
                data=call.body,
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=True,
                timeout=self._timeout,
                # Given here they replace the session's own, which a lent session must not lose.
                middlewares=(_no_silent_replay, *getattr(http, "_middlewares", ())),
            ) as response:
                status = str(response.status)
                body = await (response.read() if response.status < 400 else _start(response))
                return Answer(response.status, response.headers, body)
        except _Unanswered as hidden:
            cause = hidden.__cause__ or hidden
            raise transport_error(cause, write=progress.write) from cause
        except (aiohttp.ClientError, OSError) as trouble:
            raise transport_error(trouble, write=progress.write) from trouble
        except ValueError as trouble:
            raise InvalidRequestError(f"aiohttp cannot send this request: {redact(str(trouble))}") from None
        finally:
            _LOG.debug(
                "%s %s: %s in %.0f ms (attempt %d)",
                call.method,
                redact(call.path.partition("?")[0]),
                status,
                progress.milliseconds(),
                progress.attempt,
            )

    async def _refusal(self, call: Call[Any], answer: Answer) -> ConstantContactError:
        """The exception for an error answer, once the limiter knows of it."""
        details = error_details(answer.body)
        if answer.status == 429 and is_quota(details):
            await self.rate_limiter.quota_exceeded()
        elif answer.status == 429 and is_throttle(details):
            await self.rate_limiter.throttled(retry_after(answer.headers))
        maybe_applied = is_write(call.method) and (answer.status >= 500 or answer.status == 408)
        resets_at = self.rate_limiter.resets_at
        return api_error(answer.status, answer.headers, answer.body, resets_at=resets_at, maybe_applied=maybe_applied)

    async def _pause(self, call: Call[Any], failure: ConstantContactError, progress: "_Progress") -> bool:
        """Sleep before the next attempt and say True, or False if there is to be none."""
        asked = None
        if isinstance(failure, ApiError) and not (isinstance(failure, RateLimitError) and is_throttle(failure.errors)):
            asked = retry_after(failure.headers)
        pause = (call.retry or self.retry).pause(
            failure,
            repeat=call.repeat or repeat_of(call.method, call.path),
            attempt=progress.attempt,
            elapsed=progress.elapsed(),
            retry_after=asked,
        )
        if pause is not None:
            await asyncio.sleep(pause)
        return pause is not None

    def _http(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._loop not in {None, loop}:
            raise InvalidRequestError("A client belongs to the event loop of its first request: make one in each.")
        self._loop = loop
        if self._lent is not None:
            if self._lent.closed:
                raise ClientClosedError("The aiohttp session that was lent to the client is closed.")
            return self._lent
        if self._own is None:
            # No limit to the pool, because the rate limiter bounds the requests; no cookies, because tokens do it all.
            connector = aiohttp.TCPConnector(limit=0)
            self._own = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._own

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        """What `close` can end: everything inside leaves with ClientClosedError."""
        if self._closed:
            raise ClientClosedError("The client is closed.")
        try:
            async with asyncio.timeout(None) as call:
                self._calls.add(call)
                try:
                    yield
                finally:
                    self._calls.discard(call)
        except TimeoutError:
            if not call.expired():
                raise
            raise ClientClosedError("The client was closed during the call.") from None
        finally:
            if not self._calls:
                self._idle.set()

    async def close(self) -> None:
        """End all calls with ClientClosedError and close the connections, unless the aiohttp session was lent."""
        if not self._closed:
            self._closed = True
            for call in self._calls:
                call.reschedule(0.0)
        try:
            if self._calls:
                self._idle.clear()
                await self._idle.wait()
        finally:
            if self._own is not None:
                await self._own.close()
            if isinstance(self._auth, OAuth2):
                await self._auth.close()


@attrs.define
class _Progress:
    """What is known of a call while it runs."""

    call: Call[Any]
    attempt: int = 0
    refused: bool = False
    """The last attempt was answered with 401; its replay does not count as another."""
    under_way: bool = False
    applied: bool = False
    """An attempt that has ended may have taken effect."""
    first_began: float = 0.0
    began: float = 0.0

    @property
    def write(self) -> bool:
        return is_write(self.call.method)

    @property
    def maybe_applied(self) -> bool:
        return self.write and (self.applied or self.under_way)

    def is_gone(self, status: int) -> bool:
        """Whether a DELETE that is repeated after a lost answer has succeeded."""
        return self.call.method == "DELETE" and status == 404 and self.applied

    def begin(self) -> None:
        self.attempt += not self.refused
        self.began = asyncio.get_running_loop().time()
        self.first_began = self.first_began or self.began
        self.under_way = True

    def end(self, failure: ConstantContactError) -> None:
        self.under_way = False
        self.refused = isinstance(failure, AuthenticationError)
        self.applied |= failure.maybe_applied or (self.write and isinstance(failure, DecodeError))

    def elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self.first_began

    def milliseconds(self) -> float:
        return (asyncio.get_running_loop().time() - self.began) * 1e3


async def _start(response: aiohttp.ClientResponse) -> bytes:
    """The start of an error body, which may be of any size."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) >= _ERROR_BODY:
            break
    return bytes(body[:_ERROR_BODY])
