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
from cc_async.codec.problems import report
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
from cc_async.http.call import Answer, ApiResponse, Call, T
from cc_async.http.options import check_auth, check_parts, check_timeout
from cc_async.http.retry import RetryPolicy, is_write
from cc_async.http.transport import DECODED, Progress, start_of, transport_error
from cc_async.limits.local import RateLimiter
from cc_async.limits.protocol import Limiter
from cc_async.oauth.provider import OAuth2, StaticToken, TokenProvider
from cc_async.wire.errors import api_error, error_details, is_quota, is_throttle, retry_after
from cc_async.wire.urls import USER_AGENT, check_endpoint

_LOG = logging.getLogger("cc_async")
_AT_ONCE = 1_000_000
"""Bytes of a request that aiohttp writes without a warning that it may block the loop."""
BASE_URL = "https://api.cc.email/v3"


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
        trust_env: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        allow_insecure_http: bool = False,
    ) -> None:
        auth = Secret(auth) if isinstance(auth, str) else auth  # this frame may end in a traceback
        check_auth(auth)
        check_parts(client_session, rate_limiter, retry)
        timeout = check_timeout(timeout)
        if client_session is not None and (trust_env or ssl_context is not None):
            raise InvalidRequestError("Set trust_env and the SSL context on the client_session, which brings its own.")
        self.base_url = check_endpoint(base_url, allow_insecure_http=allow_insecure_http)
        self._trust_env, self._ssl_context = trust_env, ssl_context
        self.strict = strict
        self.rate_limiter = RateLimiter() if rate_limiter is None else rate_limiter
        self._auth = StaticToken(auth) if isinstance(auth, str) else auth
        self._origin = str(self.base_url.origin())
        self.prefix = self.base_url.raw_path.rstrip("/")
        self.retry = RetryPolicy() if retry is None else retry
        # A connection that takes this long to be made will not be made. Both are less than the whole, so that what
        # ends by the whole was sent, and what was not can be told from it: that may be repeated, whatever it is.
        connect = timeout / 2
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=connect, sock_connect=min(10.0, connect))
        # A long body may take as long as it needs, if only something comes.
        self._stream_timeout = attrs.evolve(self._timeout, total=None, sock_read=timeout)
        self.learned: dict[str, Any] = {}
        """What streams have learned about a collection, by its path; it lives as long as the client."""
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
        progress = Progress(call.method)
        try:
            async with self._until_closed():
                return await self._until_done(call, progress)
        except ConstantContactError as failure:
            failure.maybe_applied = failure.maybe_applied or progress.maybe_applied
            raise

    async def _until_done(self, call: Call[T], progress: Progress) -> ApiResponse[T]:
        """One round an attempt; 401 has a round of its own, because the gateway refused before anything happened."""
        rejected: Secret | None = None
        failure: ConstantContactError | None = None
        try:
            while True:
                refused = rejected if isinstance(failure, AuthenticationError) else None
                token = await self._token(refused)
                if failure is not None and token == refused:
                    raise failure
                await self.rate_limiter.acquire(call.turn)
                if failure is not None and call.on_retry is not None:
                    call.on_retry()
                http = self._http()
                progress.begin()
                try:
                    answer = await self._attempt(call, http, token, progress)
                    progress.under_way = False
                    if answer.status < 300 or self._succeeded_before(call, answer, progress):
                        return self._read(call, answer)
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

    async def _token(self, rejected: Secret | None) -> Secret:
        try:
            found = await self._auth.token(rejected)
        except ConstantContactError as failure:
            # All that waited for one token are given the same exception, and each call completes its own.
            raise copy.copy(failure) from failure.__cause__
        token = Secret(found if isinstance(found, str) else "")
        del found  # this frame may end in a traceback
        if not (token and token.isascii() and token.isprintable() and " " not in token):
            raise InvalidRequestError(
                "An access token is a string of printable ASCII without spaces: this one is empty, cut or mixed up."
            )
        return token

    async def _attempt(self, call: Call[Any], http: aiohttp.ClientSession, token: Secret, progress: Progress) -> Answer:
        """Send once and read the whole response, unless it is to be streamed, or raise a TransportError."""
        headers = {"Authorization": Secret.bearer(token), "Accept": call.accept, "User-Agent": USER_AGENT}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        status = "no response"
        try:
            response = await http.request(
                call.method,
                URL(self._origin + self.prefix + call.path, encoded=True),
                headers=headers,
                # aiohttp warns of bytes that are too many to be written at once.
                data=call.body if call.body is None or len(call.body) < _AT_ONCE else io.BytesIO(call.body),
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=True,
                timeout=self._stream_timeout if call.streamed else self._timeout,
                # Given here they replace the session's own, which a lent session must not lose.
                middlewares=(progress.watch, *getattr(http, "_middlewares", ())),
            )
            status = str(response.status)
            if call.streamed and response.status < 300:
                return Answer(response.status, Headers(response.headers), b"", response)
            async with response:
                body = await (response.read() if response.status < 300 else start_of(response))
                if response.status >= 300:  # a debugging proxy may echo the request
                    body = body.replace(token.encode(), b"<token>")
                return Answer(response.status, Headers(response.headers, hide=token), body)
        except (aiohttp.ClientError, OSError, ValueError) as trouble:
            if isinstance(trouble, aiohttp.ClientError | OSError) or progress.sending:
                raise transport_error(trouble, write=progress.write)  # noqa: B904  # it has its cause
            progress.under_way = False
            raise InvalidRequestError(f"The request cannot be sent: {redact(str(trouble)).rstrip('.')}.") from None
        finally:
            if _LOG.isEnabledFor(logging.DEBUG):
                self._log(call, status, progress)

    async def download(self, call: Call[aiohttp.ClientResponse]) -> AsyncGenerator[bytes]:
        """Send a request as `request` does, and yield the body of its response as it comes.

        Raises:
            TransportError: The connection broke, or nothing came for the timeout; what was yielded is only a part.
            ConstantContactError: As `request` does, before anything was yielded.

        """
        response = (await self.request(call)).data
        try:
            while True:
                async with self._until_closed():
                    try:
                        chunk = await response.content.readany()
                    except (aiohttp.ClientError, OSError) as trouble:
                        raise transport_error(trouble, write=False)  # noqa: B904  # it has its cause
                if not chunk:
                    return
                yield chunk
        finally:
            response.close()

    def _log(self, call: Call[Any], status: str, progress: Progress) -> None:
        path, milliseconds = redact(call.path.partition("?")[0]), progress.seconds() * 1e3
        _LOG.debug("%s %s: %s in %.0f ms (attempt %d)", call.method, path, status, milliseconds, progress.attempt)

    @staticmethod
    def _succeeded_before(call: Call[Any], answer: Answer, progress: Progress) -> bool:
        return progress.applied and call.succeeded_before is not None and call.succeeded_before(answer)

    def _read(self, call: Call[T], answer: Answer) -> ApiResponse[T]:
        if answer.status >= 300:
            answer = attrs.evolve(
                answer, body=b""
            )  # an earlier attempt has succeeded, although the body says otherwise
        elif (coding := answer.headers.get("Content-Encoding", "").lower()) not in DECODED:
            reason = f"The response has the unknown content coding {redact(coding)[:50]!r}."
            raise DecodeError(reason, malformed=True)
        elif answer.body[:64].lstrip().startswith(b"<"):
            raise DecodeError("A page of HTML came instead of the answer.", malformed=True)
        decoded = call.parse(answer)
        report(decoded.problems, strict=self.strict)
        return ApiResponse(decoded.value, answer.status, answer.headers, decoded.problems)

    async def _refusal(self, call: Call[Any], answer: Answer) -> ConstantContactError:
        """The exception for an error answer, once the limiter knows of it."""
        details = error_details(answer.body)
        if answer.status == 429 and is_quota(details):
            await self.rate_limiter.quota_exceeded()
        elif answer.status == 429 and is_throttle(details):
            await self.rate_limiter.throttled(retry_after(answer.headers))
        # Only an error of the client's says for sure that nothing was done; a redirect may come after the deed.
        sure = 400 <= answer.status < 500 and answer.status != 408
        maybe_applied = is_write(call.method) and not sure
        resets_at = self.rate_limiter.resets_at
        error = api_error(answer.status, answer.headers, answer.body, resets_at=resets_at, maybe_applied=maybe_applied)
        return error if call.refine is None else call.refine(error)

    async def _pause(self, call: Call[Any], failure: ConstantContactError, progress: Progress) -> bool:
        """Sleep before the next attempt and say True, or False if there is to be none."""
        asked = None
        if isinstance(failure, ApiError) and not (isinstance(failure, RateLimitError) and is_throttle(failure.errors)):
            asked = retry_after(failure.headers)
        pause = (call.retry or self.retry).pause(
            failure,
            idempotency=call.idempotency,
            attempt=progress.attempt,
            elapsed=progress.spent,
            retry_after=asked,
        )
        if pause is not None:
            await asyncio.sleep(pause)
            progress.spent += pause
        return pause is not None

    def _check_usable(self) -> None:
        if self._closed:
            raise ClientClosedError("The client is closed.")
        loop = asyncio.get_running_loop()
        if self._loop not in {None, loop}:
            raise InvalidRequestError("A client belongs to the event loop of its first request: make one in each.")
        if self._lent is not None and getattr(self._lent, "_loop", loop) is not loop:
            raise InvalidRequestError("The aiohttp session that was lent to the client belongs to another event loop.")
        self._loop = loop

    async def sleep(self, seconds: float) -> None:
        """Wait, or leave with ClientClosedError as soon as the client is closed."""
        async with self._until_closed():
            await asyncio.sleep(seconds)

    @contextlib.asynccontextmanager
    async def _until_closed(self) -> AsyncIterator[None]:
        """What `close` can end: everything inside leaves with ClientClosedError."""
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
        if self._lent is not None:
            if self._lent.closed:
                raise ClientClosedError("The aiohttp session that was lent to the client is closed.")
            return self._lent
        if self._own is None:
            # No limit to the pool, because the rate limiter bounds the requests; no cookies, because tokens do it all.
            connector = aiohttp.TCPConnector(limit=0, ssl=True if self._ssl_context is None else self._ssl_context)
            cookies = aiohttp.DummyCookieJar()
            self._own = aiohttp.ClientSession(connector=connector, cookie_jar=cookies, trust_env=self._trust_env)
        return self._own

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
            try:
                if self._own is not None:
                    await self._own.close()
            finally:
                if isinstance(self._auth, OAuth2):
                    await self._auth.close()
