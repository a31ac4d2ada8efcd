"""How a person grants the first token: in a browser, or on another device."""

from collections.abc import Iterable
from typing import Final

from cc_async._secrets import secret
from cc_async.errors import AuthorizationError
from cc_async.oauth.endpoint import (
    AuthorizationRequest,
    DeviceAuthorization,
    Form,
    TokenEndpoint,
    TokenFailure,
    code_form,
)
from cc_async.oauth.refresh import Refresher
from cc_async.oauth.token import Token

DEFAULT_SCOPE: Final = ("contact_data", "offline_access")


class Flows:
    """The authorization flows of `OAuth2`."""

    _endpoint: TokenEndpoint
    _refresher: Refresher

    def authorization_url(
        self,
        redirect_uri: str,
        *,
        scope: Iterable[str] = DEFAULT_SCOPE,
        state: str | None = None,
        pkce: bool | None = None,
    ) -> AuthorizationRequest:
        """Return where to send a person's browser for consent; pass the result to `exchange` when it comes back.

        `state` is random unless given. Public applications use PKCE (RFC 7636, S256) unless `pkce` says otherwise.
        """
        return self._endpoint.authorization_request(redirect_uri, scope, state, pkce=pkce)

    async def exchange(self, request: AuthorizationRequest, redirected_to: str) -> Token:
        """Exchange the code for the first token and save it.

        `redirected_to` is the whole address with which the browser came back to `redirect_uri`.

        Raises:
            AuthorizationError: The person refused, the state is not the one that was sent, or the authorization
                server rejected the code.
            TokenStoreError: The store cannot be read or written. If the message says that nothing could be written
                before the request, the code can still be used.

        """
        redirected_to = secret(redirected_to)
        return await self._refresher.shielded(self._refresher.exchange(code_form(request, redirected_to)))

    async def start_device_authorization(self, scope: Iterable[str] = DEFAULT_SCOPE) -> DeviceAuthorization:
        """Request the code to show a person who has no browser here; then call `poll_device_authorization`.

        Raises:
            AuthorizationError: The authorization server granted none.

        """
        device = await self._endpoint.request_device(scope, self._refresher.clock())
        if isinstance(device, TokenFailure):
            raise device.error()
        return device

    async def poll_device_authorization(self, device: DeviceAuthorization) -> Token:
        """Wait until the person has entered the code, and save the first token; network errors are retried.

        Raises:
            AuthorizationError: The person refused (`error="access_denied"`) or the code expired
                (`error="expired_token"`).
            TokenStoreError: The store cannot be read or written.

        """
        refresher = self._refresher
        form: Form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "client_id": self._endpoint.client_id,
            "device_code": device.device_code,
        }
        await refresher.load_stored(refresher.store)
        interval = device.interval
        while refresher.clock() < device.expires_at:
            await refresher.sleep(interval)
            outcome = await refresher.shielded(refresher.request_once(form))
            if isinstance(outcome, Token):
                return outcome
            if outcome.code == "slow_down":
                interval += 5
            elif outcome.final and outcome.code != "authorization_pending":
                raise outcome.error()
            interval = max(interval, outcome.delay)
        raise AuthorizationError("Nobody entered the code in time. Start again.", error="expired_token")
