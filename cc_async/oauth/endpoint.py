"""Requests to the authorization server, and what its responses mean."""

import asyncio
import base64
import hashlib
import hmac
import logging
import math
import secrets
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode

import aiohttp
import attrs
import msgspec
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from cc_async._secrets import Secret, masked, redact, secret
from cc_async._tasks import run_in_thread
from cc_async.errors import (
    AuthorizationError,
    ConstantContactError,
    ReauthorizationRequiredError,
    TokenRefreshError,
)
from cc_async.oauth.token import Token
from cc_async.wire.errors import retry_after
from cc_async.wire.failures import classify
from cc_async.wire.urls import USER_AGENT, check_endpoint

MIN_DELAY: Final = 1.0
"""Seconds between two requests: the authorization server refuses more than one a second."""
MAX_DELAY: Final = 30.0
"""Seconds of a `Retry-After` that are honoured, so that callers and the store's lock never wait for an hour."""
Form = dict[str, str]
_Fields = dict[str, Any]
_T = TypeVar("_T")
_LOG = logging.getLogger("cc_async")


@attrs.frozen
class AuthorizationRequest:
    """A pending request for a person's consent; store it (it pickles) until the browser returns.

    See `OAuth2.authorization_url` and `OAuth2.exchange`; "Tokens" in the README shows both.
    """

    url: str
    """Where to send the person's browser."""
    state: str
    """What the browser must bring back, which prevents forged callbacks."""
    redirect_uri: str
    code_verifier: str | None = attrs.field(default=None, converter=masked)
    """The secret half of PKCE, or None without PKCE."""


@attrs.frozen
class DeviceAuthorization:
    """What to show a person who authorizes on another device, and what to poll with.

    See `OAuth2.start_device_authorization` and `OAuth2.poll_device_authorization`.
    """

    device_code: str = attrs.field(converter=secret)
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    """The address that includes the code, suitable for a QR code."""
    expires_at: float
    """When the codes expire, in seconds since the epoch."""
    interval: float = 5.0
    """Seconds to wait between two polls."""


@attrs.frozen
class TokenFailure:
    """Why the authorization server granted nothing."""

    message: str
    code: str | None = None
    """The machine-readable error of the response, if it had one."""
    final: bool = False
    """True where sending the request again cannot help."""
    lost: bool = False
    """True where the request may have been carried out although its response did not arrive."""
    delay: float = MIN_DELAY
    """Seconds to wait before the next request."""
    cause: ConstantContactError | None = None

    def error(self, kind: type[AuthorizationError] = AuthorizationError) -> AuthorizationError:
        """Return the exception to raise: `kind`, or ReauthorizationRequiredError for a rejected refresh token."""
        if kind is TokenRefreshError and self.grant_rejected:
            kind = ReauthorizationRequiredError
        error = kind(self.message, error=self.code)
        error.__cause__ = self.cause
        return error

    @property
    def grant_rejected(self) -> bool:
        """True where the grant, such as the refresh token, is no longer valid."""
        return self.final and self.code == "invalid_grant"


class TokenEndpoint:
    """Sends each request in its own thread and loop, so `asyncio.run()` shutting down cannot cancel a refresh.

    A request that ran in a task of the caller's loop would be cancelled after the server has rotated the refresh
    token and before the response is read.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str | None,
        urls: tuple[str, str, str],
        timeout: float,
        session_factory: Callable[[], aiohttp.ClientSession],
        *,
        ssl_context: ssl.SSLContext | None = None,
        allow_insecure_http: bool = False,
    ) -> None:
        self.client_id = client_id
        self._public = client_secret is None
        check = partial(check_endpoint, allow_insecure_http=allow_insecure_http)
        self._authorize_url, self._token_url, self._device_url = map(check, urls)
        self._headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        if client_secret is not None:
            self._headers["Authorization"] = _basic(client_id, client_secret)
        # Half of it for the connection, which tells a failure to connect from a response that did not arrive.
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=timeout / 2)
        self._session_factory = session_factory
        self._options: dict[str, Any] = {"allow_redirects": False, "raise_for_status": False}
        if ssl_context is not None:
            self._options["ssl"] = ssl_context

    def authorization_request(
        self, redirect_uri: str, scope: Iterable[str], state: str | None, *, pkce: bool | None
    ) -> AuthorizationRequest:
        """Build the address to send a browser to; public applications use PKCE unless `pkce` says otherwise."""
        state = secrets.token_urlsafe(24) if state is None else state
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "scope": _scope(scope),
            "state": state,
        }
        verifier = None
        if self._public if pkce is None else pkce:
            verifier = Secret(secrets.token_urlsafe(64))
            query |= {"code_challenge": _challenge(verifier), "code_challenge_method": "S256"}
        return AuthorizationRequest(str(self._authorize_url.update_query(query)), state, redirect_uri, verifier)

    def request_token(
        self, form: Form, now: float, expired: Callable[[], bool] = bool
    ) -> asyncio.Future[Token | TokenFailure]:
        """Request a token whose lifetime counts from `now`; nothing is sent once `expired()` returns True."""
        return self._request(self._token_url, form, partial(_token, now), expired)

    def request_device(self, scope: Iterable[str], now: float) -> asyncio.Future[DeviceAuthorization | TokenFailure]:
        """Request a device code."""
        form = {"client_id": self.client_id, "scope": _scope(scope), "response_type": "code"}
        return self._request(self._device_url, form, partial(_device, now), bool)

    def _request(
        self, url: URL, form: Form, parse: Callable[[_Fields], _T | None], expired: Callable[[], bool]
    ) -> asyncio.Future[_T | TokenFailure]:
        if self._public:
            form = form | {"client_id": self.client_id}

        def work() -> _T | TokenFailure:
            if _loop_is_running():
                return _PATCHED
            return asyncio.run(self._send(url, form, parse, expired))

        return run_in_thread(work, daemon=True)

    async def _send(
        self, url: URL, form: Form, parse: Callable[[_Fields], _T | None], expired: Callable[[], bool]
    ) -> _T | TokenFailure:
        body = _FormBody(form, expired)
        try:
            async with (
                self._session_factory() as session,
                session.post(url, data=body, headers=self._headers, timeout=self._timeout, **self._options) as response,
            ):
                return parse_token_response(response.status, response.headers, await response.read(), form, parse)
        except (aiohttp.ClientError, OSError) as error:
            if body.withheld:
                return TokenFailure("The lock of the token store expired before the request was sent.")
            return _connection_failure(error)


class _FormBody(aiohttp.BytesPayload):
    """A form that is not sent if someone else may be sending its token: checked last before the transport has it."""

    def __init__(self, form: Form, expired: Callable[[], bool]) -> None:
        super().__init__(urlencode(form).encode(), content_type="application/x-www-form-urlencoded")
        self._expired = expired
        self.withheld = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if self._expired():
            self.withheld = True
            raise ConnectionAbortedError
        await super().write_with_length(writer, content_length)


_PATCHED: Final = TokenFailure(
    "Tokens are requested in a thread with its own event loop, but threads of this process run inside the calling"
    " loop, as after gevent.monkey.patch_all(). Leave threads unpatched (thread=False), or pass a token provider of"
    " your own. Nothing was sent.",
    final=True,
)


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def code_form(request: AuthorizationRequest, redirected_to: str) -> Form:
    """Return the form to send for the code with which a browser came back.

    Raises:
        AuthorizationError: The browser brought a refusal, no code, or the state of another request.

    """
    redirected_to = Secret(redirected_to)
    query = _query(redirected_to)
    if not hmac.compare_digest(query.get("state", Secret()).encode(), request.state.encode()):
        raise AuthorizationError("The state in the callback is not the one that was sent. Start again.")
    if error := query.get("error"):
        said = redact(query.get("error_description", Secret()))
        raise AuthorizationError(f"Authorization was refused: {error} {said}".rstrip(), error=str(error))
    if "code" not in query:
        raise AuthorizationError("The browser came back without a code. Start again.")
    form: Form = {
        "grant_type": "authorization_code",
        "code": query["code"],
        "redirect_uri": request.redirect_uri,
    }
    return form if request.code_verifier is None else form | {"code_verifier": request.code_verifier}


def _query(url: str) -> dict[str, Secret]:
    query = url.partition("?")[2].partition("#")[0]
    return {name: Secret(value) for name, value in parse_qsl(query)}


def parse_token_response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    form: Form,
    parse: Callable[[_Fields], _T | None],
) -> _T | TokenFailure:
    """Return what `parse` makes of a successful response, else the failure.

    It raises nothing, because its variables hold tokens in the clear.
    """
    fields = _fields(body)
    code = _text(fields, "error", "errorCode")
    success = status // 100 == 2
    if success and code is None and (value := parse(fields)) is not None:
        return value
    said = " ".join(filter(None, (code, _text(fields, "error_description", "errorSummary"))))
    for sent in form.values():
        if isinstance(sent, Secret):
            said = said.replace(sent, "***")
    said = redact(said)[:200] or "an unreadable body"
    return TokenFailure(
        f"The authorization server responded with {status}: {said.rstrip('.')}.",
        code=code,
        # Any other response without a code suggests a proxy, which may let the next request through.
        final=status // 100 == 3 or (code is not None and status < 500 and status != 429),
        lost=success and code is None,
        delay=min(max(retry_after(headers) or 0.0, MIN_DELAY), MAX_DELAY),
    )


def _connection_failure(error: Exception) -> TokenFailure:
    """Classify a failed connection; the exception itself is dropped, because it holds what was sent."""
    failure = classify(error)
    said = ": ".join(filter(None, (failure.name, failure.reason)))
    cause = failure.error(write=True)
    return TokenFailure(f"The authorization server did not respond ({said}).", lost=not failure.never_sent, cause=cause)


def _fields(body: bytes) -> _Fields:
    try:
        fields = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _text(fields: _Fields, *names: str) -> str | None:
    values = (fields.get(name) for name in names)
    return next((value for value in values if isinstance(value, str) and value), None)


def _seconds(fields: _Fields, name: str) -> float | None:
    try:
        seconds = float(fields.get(name, ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < math.inf else None


def _token(now: float, fields: _Fields) -> Token | None:
    access = _text(fields, "access_token")
    if access is None:
        return None
    lifetime = _seconds(fields, "expires_in")
    expires_at = None if lifetime is None else now + lifetime
    return Token(access, _text(fields, "refresh_token"), expires_at, _text(fields, "scope"))


def _device(now: float, fields: _Fields) -> DeviceAuthorization | None:
    device, user = _text(fields, "device_code"), _text(fields, "user_code")
    address = _text(fields, "verification_uri")
    if device is None or user is None or address is None:
        return None
    return DeviceAuthorization(
        device,
        user,
        address,
        _text(fields, "verification_uri_complete"),
        now + (_seconds(fields, "expires_in") or 600.0),
        _seconds(fields, "interval") or 5.0,
    )


def _basic(client_id: str, client_secret: str) -> str:
    return Secret("Basic " + base64.b64encode(f"{client_id}:{client_secret}".encode()).decode())


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _scope(scope: Iterable[str]) -> str:
    names = scope.split() if isinstance(scope, str) else list(scope)
    if "offline_access" not in names:
        _LOG.warning("Without the scope offline_access the access token cannot be refreshed.")
    return " ".join(names)
