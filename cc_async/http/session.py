"""The only place that sends requests to the API: token, limit, send, classify, retry."""

import asyncio
import contextlib
import copy
import io
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import aiohttp
import attrs
from yarl import URL

from cc_async._headers import Headers
from cc_async._secrets import Secret, redact
from cc_async.codec.problems import log_problems
from cc_async.errors import (
    ApiError,
    AuthenticationError,
    ClientClosedError,
    ConstantContactError,
    DecodeError,
    InvalidRequestError,
    RateLimitError,
    TransportError,
)
from cc_async.http.call import ApiResponse, Call, RawResponse, T
from cc_async.http.options import check_auth, check_parts, check_timeout
from cc_async.http.progress import Progress, observing
from cc_async.http.retry import RetryPolicy, is_write
from cc_async.http.transport import DECODED, SendOnce, start_of
from cc_async.limits.local import RateLimiter
from cc_async.limits.protocol import Limiter
from cc_async.oauth.provider import OAuth2, StaticToken, TokenProvider
from cc_async.observer import GuardedObserver, Observer
from cc_async.wire.errors import api_error, error_details, is_quota, is_throttle, retry_after
from cc_async.wire.failures import classify
from cc_async.wire.urls import USER_AGENT, check_endpoint

_LOG = logging.getLogger("cc_async")
_AT_ONCE = 1_000_000
"""Bytes of a request that aiohttp writes without a warning that it may block the loop."""
BASE_URL = "https://api.cc.email/v3"


class Session:
    """Sends requests with a token, within the rate limit, and retries them where that is safe.

    `ConstantContact` creates one and passes it to its resources.
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
        check_auth(auth)
        check_parts(client_session, rate_limiter, retry, observer)
        timeout = check_timeout(timeout)
        if client_session is not None and (trust_env or ssl_context is not None):
            raise InvalidRequestError("Set trust_env and the SSL context on the client_session, which brings its own.")
        self.base_url = check_endpoint(base_url, allow_insecure_http=allow_insecure_http)
        self._trust_env, self._ssl_context = trust_env, ssl_context
        self.strict = strict
        self.rate_limiter = RateLimiter() if rate_limiter is None else rate_limiter
        self._auth = StaticToken(auth) if isinstance(auth, str) else auth
        self._observer = None if observer is None else GuardedObserver(observer)
        if self._observer is not None and isinstance(self._auth, OAuth2):
            self._auth.add_observer(self._observer)
        self._origin = str(self.base_url.origin())
        self.prefix = self.base_url.raw_path.rstrip("/")
        self.retry = RetryPolicy() if retry is None else retry
        # Connect timeouts must be shorter than the total: a total timeout then means that the request was sent, a
        # connect timeout that it never was and is safe to retry.
        connect = timeout / 2
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=connect, sock_connect=min(10.0, connect))
        # A long body may take as long as it needs while data keeps arriving.
        self._stream_timeout = attrs.evolve(self._timeout, total=None, sock_read=timeout)
        self.learned: dict[str, Any] = {}
        """What streams have learned about each collection, by path."""
        self._external = client_session
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
        """Send a request, and repeat it until it succeeds, is refused, or the retry policy gives up.

        Raises:
            ApiError: The API refused the request; the class tells the status.
            TransportError: No complete response arrived.
            DecodeError: The response could not be read.
            AuthorizationError: No token could be obtained.
            ClientClosedError: The client was closed.

        """
        progress = Progress(is_write(call.method))
        if self._observer is None:
            return await self._request(call, progress)
        with observing(call, progress, self._observer, self.rate_limiter):
            return await self._request(call, progress)

    async def _request(self, call: Call[T], progress: Progress) -> ApiResponse[T]:
        try:
            async with self._until_closed():
                return await self._with_retries(call, progress)
        except ConstantContactError as error:
            error.maybe_applied = error.maybe_applied or progress.maybe_applied
            raise

    # One concern per layer: `_with_retries` calls `_with_token`, which calls `_send_once`.

    async def _with_retries(self, call: Call[T], progress: Progress) -> ApiResponse[T]:
        while True:
            progress.attempt += 1
            try:
                return await self._with_token(call, progress)
            except (ApiError, TransportError, DecodeError) as error:
                pause = self._pause(call, error, progress)
                if pause is None:
                    raise
            await asyncio.sleep(pause)
            progress.elapsed += pause

    async def _with_token(self, call: Call[T], progress: Progress) -> ApiResponse[T]:
        """Send with a token; if it is rejected, refresh it once and send again, which does not count as an attempt."""
        token = await self._token(None)
        try:
            return await self._send_once(call, token, progress)
        except AuthenticationError:
            if progress.reauthenticated:
                raise
            progress.reauthenticated = True
            rejected, token = token, await self._token(token)
            if token == rejected:
                raise
        return await self._send_once(call, token, progress)

    async def _send_once(self, call: Call[T], token: Secret, progress: Progress) -> ApiResponse[T]:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        try:
            await self.rate_limiter.acquire(call.turn)
        finally:
            progress.waited += loop.time() - asked
        if progress.sent and call.on_retry is not None:
            call.on_retry()
        http, began = self._http(), loop.time()
        progress.sent += 1
        progress.status, progress.under_way = None, True
        try:
            response = await self._exchange(call, http, token, progress)
            progress.received(response.status)
            if response.status < 300 or self._succeeded_before(call, response, progress):
                return self._read(call, response)
            raise await self._refusal(call, response)
        except (ApiError, TransportError, DecodeError) as error:
            progress.under_way = False
            progress.applied |= error.maybe_applied or (progress.write and isinstance(error, DecodeError))
            raise
        finally:
            progress.elapsed += loop.time() - began

    async def _token(self, rejected: Secret | None) -> Secret:
        try:
            found = await self._auth.token(rejected)
        except ConstantContactError as error:
            # All callers that waited for one token get the same exception, so each modifies its own copy.
            raise copy.copy(error) from error.__cause__
        token = Secret(found if isinstance(found, str) else "")
        del found  # tracebacks may show this frame
        if not (token and token.isascii() and token.isprintable() and " " not in token):
            raise InvalidRequestError(
                "An access token is a string of printable ASCII without spaces: this one is empty, cut or mixed up."
            )
        return token

    async def _exchange(
        self, call: Call[Any], http: aiohttp.ClientSession, token: Secret, progress: Progress
    ) -> RawResponse:
        """Send a request and read the whole response, unless it is streamed."""
        status, began, once = "no response", asyncio.get_running_loop().time(), SendOnce()
        refusal: str | None = None
        try:
            response = await http.request(
                call.method,
                URL(self._origin + self.prefix + call.path, encoded=True),
                headers=_headers(call, token),
                # aiohttp warns about large bodies given as bytes, because writing them at once blocks the loop.
                data=call.body if call.body is None or len(call.body) < _AT_ONCE else io.BytesIO(call.body),
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=True,
                timeout=self._stream_timeout if call.streamed else self._timeout,
                # Middlewares given here replace those of the session, which an external session must keep; aiohttp
                # has no public way to read them.
                middlewares=(once, *getattr(http, "_middlewares", ())),
            )
            status = str(response.status)
            if call.streamed and response.status < 300:
                return RawResponse(response.status, Headers(response.headers), b"", response)
            async with response:
                return await _read_whole(response, token)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if once.sending or not isinstance(error, ValueError) or isinstance(error, aiohttp.ClientError | OSError):
                failure = classify(error)
            else:
                refusal = redact(str(error))
        finally:
            if _LOG.isEnabledFor(logging.DEBUG):
                self._log(call, status, progress.attempt, asyncio.get_running_loop().time() - began)
        # Raised out here so that aiohttp's exception, which holds the request, does not become the context.
        if refusal is not None:
            progress.under_way = False
            raise InvalidRequestError(f"The request cannot be sent: {refusal.rstrip('.')}.")
        raise failure.error(write=progress.write)

    async def download(self, call: Call[aiohttp.ClientResponse]) -> AsyncGenerator[bytes]:
        """Send a request as `request` does, and yield the body of its response in chunks.

        Raises:
            TransportError: The connection broke or timed out; the chunks so far are only a part of the body.
            ConstantContactError: As `request` does, before anything was yielded.

        """
        response = (await self.request(call)).data
        try:
            while chunk := await self._next_chunk(response):
                yield chunk
        finally:
            response.close()

    async def _next_chunk(self, response: aiohttp.ClientResponse) -> bytes:
        async with self._until_closed():
            try:
                return await response.content.readany()
            except (aiohttp.ClientError, OSError) as error:
                failure = classify(error)
            raise failure.error(write=False)

    @staticmethod
    def _log(call: Call[Any], status: str, attempt: int, seconds: float) -> None:
        path = redact(call.path.partition("?")[0])
        _LOG.debug("%s %s: %s in %.0f ms (attempt %d)", call.method, path, status, seconds * 1e3, attempt)

    @staticmethod
    def _succeeded_before(call: Call[Any], response: RawResponse, progress: Progress) -> bool:
        return progress.applied and call.succeeded_before is not None and call.succeeded_before(response)

    def _read(self, call: Call[T], response: RawResponse) -> ApiResponse[T]:
        coding = response.headers.get("Content-Encoding", "").lower()
        if response.status >= 300:
            # An earlier attempt has succeeded, so the error in this body is irrelevant.
            response = attrs.evolve(response, body=b"")
        elif coding not in DECODED:
            reason = f"The response has the unknown content coding {redact(coding)[:50]!r}."
            raise DecodeError(reason, malformed=True)
        elif response.body[:64].lstrip().startswith(b"<"):
            raise DecodeError("The response is a page of HTML.", malformed=True)
        decoded = call.parse(response)
        log_problems(decoded.problems, strict=self.strict)
        return ApiResponse(decoded.value, response.status, response.headers, decoded.problems)

    async def _refusal(self, call: Call[Any], response: RawResponse) -> ApiError:
        """Return the exception for an error response, after telling the limiter."""
        details = error_details(response.body)
        if response.status == 429 and is_quota(details):
            await self.rate_limiter.quota_exceeded()
        elif response.status == 429 and is_throttle(details):
            await self.rate_limiter.throttled(retry_after(response.headers))
        # Only a client error proves that nothing was done; a redirect may follow a write that was applied.
        refused = 400 <= response.status < 500 and response.status != 408
        error = api_error(
            response.status,
            response.headers,
            response.body,
            resets_at=self.rate_limiter.resets_at,
            maybe_applied=is_write(call.method) and not refused,
        )
        return error if call.refine is None else call.refine(error)

    def _pause(self, call: Call[Any], error: ConstantContactError, progress: Progress) -> float | None:
        """Return the seconds to wait before the next attempt, or None to give up."""
        asked = None
        if isinstance(error, ApiError) and not (isinstance(error, RateLimitError) and is_throttle(error.errors)):
            asked = retry_after(error.headers)
        return (call.retry or self.retry).pause(
            error,
            idempotency=call.idempotency,
            attempt=progress.attempt,
            elapsed=progress.elapsed,
            retry_after=asked,
        )

    def _check_usable(self) -> None:
        if self._closed:
            raise ClientClosedError("The client is closed.")
        loop = asyncio.get_running_loop()
        if self._loop not in {None, loop}:
            raise InvalidRequestError("A client belongs to the event loop of its first request: make one in each.")
        if self._external is not None and getattr(self._external, "_loop", loop) is not loop:
            raise InvalidRequestError("The client_session belongs to another event loop.")
        self._loop = loop

    async def sleep(self, seconds: float) -> None:
        """Sleep; raise ClientClosedError as soon as the client is closed."""
        async with self._until_closed():
            await asyncio.sleep(seconds)

    @contextlib.asynccontextmanager
    async def _until_closed(self) -> AsyncIterator[None]:
        """Raise ClientClosedError in the body as soon as the client is closed."""
        self._check_usable()
        closing = asyncio.timeout(None)
        self._calls.add(closing)
        try:
            async with closing:
                yield
        except TimeoutError:
            if not closing.expired():
                raise
            raise ClientClosedError("The client was closed during the call.") from None
        finally:
            self._calls.discard(closing)
            if not self._calls:
                self._idle.set()

    def _http(self) -> aiohttp.ClientSession:
        if self._external is not None:
            if self._external.closed:
                raise ClientClosedError("The client_session is closed.")
            return self._external
        if self._own is None:
            # No limit on the pool, because the rate limiter bounds the requests; no cookies, because tokens suffice.
            connector = aiohttp.TCPConnector(limit=0, ssl=True if self._ssl_context is None else self._ssl_context)
            cookies = aiohttp.DummyCookieJar()
            self._own = aiohttp.ClientSession(connector=connector, cookie_jar=cookies, trust_env=self._trust_env)
        return self._own

    async def close(self) -> None:
        """End all calls with ClientClosedError and close the connections, unless the aiohttp session is external."""
        if not self._closed:
            self._closed = True
            for call in self._calls:
                call.reschedule(0.0)
        try:
            if self._calls:
                self._idle.clear()
                await self._idle.wait()
        finally:
            try:
                if self._own is not None:
                    await self._own.close()
            finally:
                if isinstance(self._auth, OAuth2):
                    await self._auth.close()
                    if self._observer is not None:
                        self._auth.remove_observer(self._observer)


def _headers(call: Call[Any], token: Secret) -> dict[str, str]:
    headers = {"Authorization": Secret.bearer(token), "Accept": call.accept, "User-Agent": USER_AGENT}
    return headers if call.body is None else headers | {"Content-Type": call.content_type}


async def _read_whole(response: aiohttp.ClientResponse, token: Secret) -> RawResponse:
    body = await (response.read() if response.status < 300 else start_of(response))
    if response.status >= 300:  # a debugging proxy may echo the request
        body = body.replace(token.encode(), b"<token>")
    return RawResponse(response.status, Headers(response.headers, hide=token), body)
