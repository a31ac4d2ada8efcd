"""The authorization server: authorization codes, devices, single-use refresh tokens and expiring access tokens."""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from hashlib import sha256
from html import escape
from urllib.parse import parse_qsl, urlencode

import attrs

from .chance import mix, secret
from .responses import Response, document, html, shaped
from .settings import Settings

_CODE_LIFETIME = 600
_UNUSED_LIFETIME = 180 * 86_400  # an unused refresh token expires after 180 days
_SLOWER = 5  # seconds a poll that comes too soon adds to the interval
_ALL_SCOPES = "contact_data campaign_data account_read account_update offline_access"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_ACTIVATE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sandbox</title></head><body>
<h1>Connect a device to the sandbox</h1>
<form method="post" action="/activate">
<p><label>Code <input name="user_code" value="USER_CODE" autofocus></label></p>
<button name="decision" value="approve">Approve</button> <button name="decision" value="deny">Deny</button>
</form></body></html>"""


@attrs.define
class _Code:
    redirect_uri: str
    scope: str
    challenge: str | None
    expires: float


@attrs.define
class _Device:
    user_code: str
    scope: str
    expires: float
    interval: float
    polled: float | None = None
    decision: str | None = None  # approved, denied or None


@attrs.define
class _RefreshToken:
    scope: str
    used: float
    spent: bool = False


@attrs.frozen
class _Access:
    scope: str
    expires: float


class Denied(Exception):  # noqa: N818  # a response of the token endpoint, not an error of the sandbox
    """A request that the authorization server refuses."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error, description)
        self.response = shaped(status, "oauth", error, description)


class Authorization:
    """The grants of one application for one account."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._issued = 0
        self._codes: dict[str, _Code] = {}
        self._devices: dict[str, _Device] = {}
        self._refresh: dict[str, _RefreshToken] = {}
        self._access: dict[str, _Access] = {}
        self.client_id = secret(settings.seed, 201)[:36]
        self.client_secret = secret(settings.seed, 202)[:22]
        self.refreshes = 0
        self.spent_token_uses = 0

    def grant(self, scope: str = _ALL_SCOPES) -> dict[str, object]:
        """Issue tokens and return the body of the token response."""
        access, expires = self._secret(), self._now() + self._settings.token_lifetime
        self._access[access] = _Access(scope, expires)
        response: dict[str, object] = {
            "token_type": "Bearer",
            "expires_in": int(self._settings.token_lifetime),
            "access_token": access,
            "scope": scope,
        }
        if "offline_access" in scope.split():
            response["refresh_token"] = refresh = self._secret()
            self._refresh[refresh] = _RefreshToken(scope, self._now())
        return response

    def scope_of(self, authorization: str) -> str | None:
        """Return the scope of a bearer token; None if it is missing, unknown or expired."""
        kind, _, token = authorization.partition(" ")
        known = self._access.get(token) if kind.lower() == "bearer" else None
        return known.scope if known is not None and known.expires > self._now() else None

    def current(self) -> str:
        """Return the newest valid access token, issuing one if there is none."""
        now = self._now()
        valid = (token for token, known in reversed(self._access.items()) if known.expires > now)
        return next(valid, None) or str(self.grant("contact_data")["access_token"])

    def current_refresh_token(self) -> str:
        """Return the newest unused refresh token, issuing one if there is none."""
        valid = (token for token, known in reversed(self._refresh.items()) if not known.spent)
        return next(valid, None) or str(self.grant()["refresh_token"])

    def revoke(self, token: str) -> None:
        """Revoke an access or refresh token."""
        self._access.pop(token, None)
        self._refresh.pop(token, None)

    def expire(self) -> None:
        """Expire all access tokens."""
        self._access.clear()

    def decide(self, user_code: str, decision: str) -> None:
        """Approve or deny a device on behalf of a person; raises KeyError for an unknown code."""
        for device in self._devices.values():
            if device.user_code == user_code:
                device.decision = decision
                return
        raise KeyError(user_code)

    def authorize(self, query: str) -> Response:
        """Redirect a browser with an authorization code, as if a person had agreed."""
        given = dict(parse_qsl(query))
        redirect = given.get("redirect_uri", "")
        if given.get("client_id") != self.client_id or not redirect:
            return html(400, "Bad Request")
        state = {"state": given["state"]} if "state" in given else {}
        if given.get("response_type") != "code" or given.get("code_challenge_method", "S256") != "S256":
            outcome = {"error": "invalid_request"}
        else:
            outcome = {"code": self._secret()}
            expires = self._now() + _CODE_LIFETIME
            self._codes[outcome["code"]] = _Code(redirect, given.get("scope", ""), given.get("code_challenge"), expires)
        joint = "&" if "?" in redirect else "?"
        return Response(302, headers={"Location": f"{redirect}{joint}{urlencode(outcome | state)}"})

    def device(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Start a device grant."""
        form = _form(body, headers)
        self._authenticate(form, headers)
        code, user_code = self._secret(), f"{mix(self._settings.seed, 203, self._issued) & 0xFFFFFFFF:08X}"
        settings, scope = self._settings, form.get("scope", "")
        expires = self._now() + settings.device_lifetime
        self._devices[code] = _Device(user_code, scope, expires, settings.device_interval)
        verification = f"http://{headers.get('Host', '127.0.0.1')}/activate"
        return document(
            {
                "device_code": code,
                "user_code": user_code,
                "verification_uri": verification,
                "verification_uri_complete": f"{verification}?user_code={user_code}",
                "expires_in": int(settings.device_lifetime),
                "interval": settings.device_interval,
            }
        )

    def activate(self, query: str, body: bytes) -> Response:
        """Show the page on which a person approves or denies a device, or do what its form says."""
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        if not form:
            user_code = escape(dict(parse_qsl(query)).get("user_code", ""), quote=True)
            return Response(200, _ACTIVATE.replace("USER_CODE", user_code).encode(), "text/html")
        decision = "approved" if form.get("decision") == "approve" else "denied"
        try:
            self.decide(form.get("user_code", "").strip().upper(), decision)
        except KeyError:
            return html(404, "There is no such code.")
        return html(200, f"The device was {decision}.")

    def token(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Respond to a token request."""
        agent = headers.get("User-Agent", "")
        if self._settings.refuse_default_agents and (not agent or agent.startswith(("Python/", "python-"))):
            return html(403, "Forbidden")
        form = _form(body, headers)
        public = self._authenticate(form, headers)
        grants: dict[str, Callable[[], dict[str, object]]] = {
            "authorization_code": lambda: self._by_code(form, public=public),
            "refresh_token": lambda: self._by_refresh_token(form),
            DEVICE_GRANT: lambda: self._by_device(form),
        }
        grant = grants.get(form.get("grant_type", ""))
        if grant is None:
            raise Denied("unsupported_grant_type", "The grant type is not supported.")
        return document(grant(), headers={"Cache-Control": "no-store"})

    def _by_code(self, form: Mapping[str, str], *, public: bool) -> dict[str, object]:
        code = self._codes.pop(form.get("code", ""), None)
        if code is None or code.expires < self._now() or code.redirect_uri != form.get("redirect_uri"):
            raise Denied("invalid_grant", "The authorization code is invalid or has expired.")
        if public and code.challenge is None:
            raise Denied("invalid_grant", "PKCE is required.")
        if code.challenge is not None and code.challenge != challenge(form.get("code_verifier", "")):
            raise Denied("invalid_grant", "PKCE verification failed.")
        return self.grant(code.scope)

    def _by_refresh_token(self, form: Mapping[str, str]) -> dict[str, object]:
        token = self._refresh.get(form.get("refresh_token", ""))
        now = self._now()
        if token is not None and token.spent:
            self.spent_token_uses += 1
        if token is None or token.spent or now - token.used > _UNUSED_LIFETIME:
            raise Denied("invalid_grant", "The refresh token is invalid or expired.")
        self.refreshes += 1
        token.used = now
        if self._settings.rotating:
            token.spent = True
            return self.grant(token.scope)
        response = self.grant(" ".join(name for name in token.scope.split() if name != "offline_access"))
        response["scope"] = token.scope
        if self._settings.refresh_token_in_response:
            response["refresh_token"] = form["refresh_token"]
        return response

    def _by_device(self, form: Mapping[str, str]) -> dict[str, object]:
        device, now = self._devices.get(form.get("device_code", "")), self._now()
        if device is None:
            raise Denied("invalid_grant", "The device code is invalid.")
        if device.expires <= now:
            raise Denied("expired_token", "The device code has expired.")
        early = device.polled is not None and now - device.polled < device.interval
        device.polled = now
        if device.decision == "denied":
            raise Denied("access_denied", "The request was denied.")
        if early:
            device.interval += _SLOWER
            raise Denied("slow_down", "The device polls too often.")
        if device.decision is None:
            raise Denied("authorization_pending", "The device authorization is pending.")
        del self._devices[form["device_code"]]
        return self.grant(device.scope)

    def _authenticate(self, form: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        """Return whether the client is public; raises Denied for an unknown client."""
        given = _basic(headers.get("Authorization", ""))
        if given is not None:
            known = f"{self.client_id}:{self.client_secret}"
            if hmac.compare_digest(given.encode(), known.encode()):
                return False
        elif self._settings.public_client and form.get("client_id") == self.client_id:
            return True
        raise Denied("invalid_client", "Client authentication failed.", 401)

    def _secret(self) -> str:
        self._issued += 1
        return f"eyJ{secret(self._settings.seed, 204, self._issued)}"

    def _now(self) -> float:
        return self._settings.clock()


def challenge(verifier: str) -> str:
    """Return the S256 challenge of a PKCE verifier."""
    return base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _basic(authorization: str) -> str | None:
    kind, _, credentials = authorization.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _form(body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
    if headers.get("Content-Type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Denied("invalid_request", "The request must be form-encoded.")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
