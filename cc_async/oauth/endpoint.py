"""What is said to the authorization server, and what its answers mean."""

import asyncio
import base64
import hashlib
import hmac
import logging
import math
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import aiohttp
import attrs
import msgspec
from yarl import URL

from cc_async._secrets import Secret, masked, redact, secret
from cc_async._tasks import in_thread
from cc_async.errors import (
    AuthorizationError,
    ConstantContactError,
    ReauthorizationRequiredError,
    RequestTimeoutError,
    TokenRefreshError,
    TransportError,
)
from cc_async.oauth.token import Token
from cc_async.wire.errors import retry_after
from cc_async.wire.urls import USER_AGENT, check_endpoint

PACE: Final = 1.0
"""Seconds between two attempts: the token host refuses more than one request a second."""
LONGEST_WAIT: Final = 30.0
"""Seconds of a `Retry-After` that are honoured, lest callers and the store's lock wait for an hour."""
Form = dict[str, str]
_Fields = dict[str, Any]
_T = TypeVar("_T")
_logger = logging.getLogger("cc_async")


@attrs.frozen
class AuthorizationRequest:
    """One request for a person's consent, to keep (it pickles) until the browser comes back."""

    url: str
    """Where to send the person's browser."""
    state: str
    """What the browser must bring back, so that nobody slips in a consent of their own."""
    redirect_uri: str
    code_verifier: str | None = attrs.field(default=None, converter=masked)
    """The secret half of PKCE, or None without PKCE."""


@attrs.frozen
class DeviceAuthorization:
    """What to show a person who authorizes on another device, and what to poll with."""

    device_code: str = attrs.field(converter=secret)
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    """The address with the code in it, fit for a QR code."""
    expires_at: float
    """When the codes end, in seconds since the epoch."""
    interval: float = 5.0
    """Seconds to leave between two polls."""


@attrs.frozen
class Trouble:
    """Why the authorization server gave nothing."""

    message: str
    code: str | None = None
    """The machine-readable error of the answer, where it had one."""
    final: bool = False
    """True where asking again cannot help."""
    lost: bool = False
    """True where the request may have been carried out although no answer to it came."""
    delay: float = PACE
    """Seconds to wait before the next request."""
    cause: ConstantContactError | None = None

    def error(self, kind: type[AuthorizationError] = AuthorizationError) -> AuthorizationError:
        """The exception to raise: `kind`, or ReauthorizationRequiredError for a refresh token that is spent."""
        if kind is TokenRefreshError and self.spent:
            kind = ReauthorizationRequiredError
        error = kind(self.message, error=self.code)
        error.__cause__ = self.cause
        return error

    @property
    def spent(self) -> bool:
        """True where the grant, such as the refresh token, is not good any more."""
        return self.final and self.code == "invalid_grant"


class TokenHost:
    """Sends one request at a time, each from a thread where the end of the caller's event loop cannot break it off.

    asyncio.run ends with the cancellation of every task. A request that ran in one of them would be torn down after
    the server has spent the refresh token and before its answer is read.
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str | None,
        urls: tuple[str, str, str],
        timeout: float,
        session_factory: Callable[[], aiohttp.ClientSession],
    ) -> None:
        self.client_id = client_id
        self._public = client_secret is None
        self._authorize_url, self._token_url, self._device_url = map(check_endpoint, urls)
        self._headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
        if client_secret is not None:
            self._headers["Authorization"] = _basic(client_id, client_secret)
        # Half of it for the connection, so that one never made is told from an answer that never came.
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=timeout / 2)
        self._session_factory = session_factory

    def authorization_request(
        self, redirect_uri: str, scope: Iterable[str], state: str | None, *, pkce: bool | None
    ) -> AuthorizationRequest:
        """The address to send a browser to; public applications use PKCE unless `pkce` says otherwise."""
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

    def ask_token(self, form: Form, now: float) -> asyncio.Future[Token | Trouble]:
        """Ask for a token; `now` is the time from which its lifetime counts."""
        return self._ask(self._token_url, form, partial(_token, now))

    def ask_device(self, scope: Iterable[str], now: float) -> asyncio.Future[DeviceAuthorization | Trouble]:
        """Ask for a device code."""
        form = {"client_id": self.client_id, "scope": _scope(scope), "response_type": "code"}
        return self._ask(self._device_url, form, partial(_device, now))

    def _ask(self, url: URL, form: Form, read: Callable[[_Fields], _T | None]) -> asyncio.Future[_T | Trouble]:
        if self._public:
            form = form | {"client_id": self.client_id}
        return in_thread(lambda: asyncio.run(self._send(url, form, read)), daemon=True)

    async def _send(self, url: URL, form: Form, read: Callable[[_Fields], _T | None]) -> _T | Trouble:
        options: dict[str, Any] = {"allow_redirects": False, "raise_for_status": False}
        try:
            async with (
                self._session_factory() as session,
                session.post(url, data=form, headers=self._headers, timeout=self._timeout, **options) as response,
            ):
                return judge(response.status, response.headers, await response.read(), form, read)
        except (aiohttp.ClientError, OSError) as error:
            return _broken(error)


def code_form(request: AuthorizationRequest, redirected_to: str) -> Form:
    """What to send for the code with which a browser came back.

    Raises AuthorizationError if it came back with a refusal, without a code, or with the state of another request.
    """
    redirected_to = Secret(redirected_to)
    query = _query(redirected_to)
    if not hmac.compare_digest(query.get("state", Secret()).encode(), request.state.encode()):
        raise AuthorizationError("the state that came back is not the one sent out: start again")
    if error := query.get("error"):
        said = redact(query.get("error_description", Secret()))
        raise AuthorizationError(f"authorization was refused: {error} {said}".rstrip(), error=str(error))
    if "code" not in query:
        raise AuthorizationError("the browser came back without a code: start again")
    form: Form = {
        "grant_type": "authorization_code",
        "code": query["code"],
        "redirect_uri": request.redirect_uri,
    }
    return form if request.code_verifier is None else form | {"code_verifier": request.code_verifier}


def _query(url: str) -> dict[str, Secret]:
    query = url.partition("?")[2].partition("#")[0]
    return {name: Secret(value) for name, value in parse_qsl(query)}


def judge(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    form: Form,
    read: Callable[[_Fields], _T | None],
) -> _T | Trouble:
    """What `read` makes of a good answer, else what went wrong.

    It raises nothing, because its variables hold tokens in the clear.
    """
    fields = _fields(body)
    code = _text(fields, "error", "errorCode")
    good = status // 100 == 2
    if good and code is None and (value := read(fields)) is not None:
        return value
    said = " ".join(filter(None, (code, _text(fields, "error_description", "errorSummary"))))
    for sent in form.values():
        if isinstance(sent, Secret):
            said = said.replace(sent, "***")
    return Trouble(
        f"the token host answered {status} {redact(said)[:200] or 'with nothing readable'}",
        code=code,
        # Any other answer without a code speaks for a proxy, which may let the next request through.
        final=status // 100 == 3 or (code is not None and status < 500 and status != 429),
        lost=good and code is None,
        delay=min(max(retry_after(headers) or 0.0, PACE), LONGEST_WAIT),
    )


def _broken(error: Exception) -> Trouble:
    """What a failed connection means; the exception itself goes no further, since it knows what was sent."""
    said = redact(f"{type(error).__name__}: {error}")
    unsent = isinstance(
        error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
    )
    kind = RequestTimeoutError if isinstance(error, TimeoutError) else TransportError
    cause = kind(said, maybe_applied=not unsent)
    return Trouble(f"no answer came from the token host ({said})", lost=not unsent, cause=cause)


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
        _logger.warning("without the scope offline_access the access token cannot be refreshed")
    return " ".join(names)
