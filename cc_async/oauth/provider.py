"""Providers of access tokens: a static one, and OAuth 2.0 with refresh."""

import ssl
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import aiohttp
import attrs

from cc_async._secrets import masked, secret
from cc_async.errors import InvalidRequestError
from cc_async.oauth.endpoint import TokenEndpoint
from cc_async.oauth.flows import Flows
from cc_async.oauth.refresh import Refresher
from cc_async.oauth.stores import CheckedStore, MemoryTokenStore, TokenStore
from cc_async.observer import GuardedObserver

AUTHORIZATION_SERVER: Final = "https://authz.constantcontact.com/oauth2/default/v1"


class TokenProvider(Protocol):
    """Anything that provides access tokens; pass one to the client in place of a token.

    For example:

        class FromVault:
            async def token(self, rejected: str | None = None) -> str:
                return "an access token"

        async with ConstantContact(FromVault()) as client:
            ...
    """

    async def token(self, rejected: str | None = None) -> str:
        """Return an access token to send now; `rejected` is the one that the API has just refused with 401."""


@attrs.frozen
class StaticToken:
    """An access token that is refreshed elsewhere, if at all; its repr does not show it.

    For example:

        async with ConstantContact(StaticToken("an access token")) as client:
            ...
    """

    access_token: str = attrs.field(converter=secret)

    async def token(self, rejected: str | None = None) -> str:  # noqa: ARG002  # there is no other token
        """Return the access token, even if it was rejected."""
        return self.access_token


class OAuth2(Flows):
    """Provides access tokens: refreshes them early, once for all waiting callers, and never loses a refresh token.

        oauth = OAuth2(client_id, client_secret=client_secret, store=FileTokenStore("cc-token.json"))
        async with ConstantContact(oauth) as client:
            ...

    `refresh_token` seeds an empty `store`. Without a `store`, rotated refresh tokens are lost when the process exits.
    Without `client_secret` the application is a public one. Share one object among all clients of an account;
    `ConstantContact` says how it relates to event loops.

    A token is refreshed `refresh_early` seconds before it expires. If that fails, the present one is used until then.
    Before a refresh token is sent, the store proves under its lock that it can save the next one.

    `timeout` is in seconds, for one request to the authorization server; shutdown may block for up to `timeout` while
    a refresh completes, so the rotated token is not lost. Ctrl-C and every other end of `asyncio.run` are such a
    shutdown. SIGTERM is one only if a handler of yours ends the event loop: without a handler it kills the process at
    once, which loses the response to a refresh in flight, so that the next process has to send the same refresh
    token a second time, and a person must authorize again if the authorization server does not accept that.

    `trust_env` uses the proxies of the environment, as in aiohttp; `ssl_context` decides which certificates
    are trusted. `session_factory` replaces the session of a request altogether. It is called in a thread with its own
    event loop, so it must create everything anew. It cannot be combined with `trust_env`. `allow_insecure_http` sends
    secrets over plain HTTP to other machines, such as a sandbox in a private network, never to the provider's hosts.

    Raises:
        InvalidRequestError: An address would send secrets unencrypted to another machine, or options conflict.

    """

    def __init__(
        self,
        client_id: str,
        *,
        client_secret: str | None = None,
        refresh_token: str | None = None,
        store: TokenStore | None = None,
        token_url: str = f"{AUTHORIZATION_SERVER}/token",
        authorize_url: str = f"{AUTHORIZATION_SERVER}/authorize",
        device_url: str = f"{AUTHORIZATION_SERVER}/device/authorize",
        refresh_early: float = 300.0,
        timeout: float = 30.0,
        trust_env: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        allow_insecure_http: bool = False,
        session_factory: Callable[[], aiohttp.ClientSession] | None = None,
    ) -> None:
        client_secret, refresh_token = masked(client_secret), masked(refresh_token)
        if session_factory is not None and trust_env:
            raise InvalidRequestError("Pass trust_env=True to the session of your session_factory instead of OAuth2.")
        urls = authorize_url, token_url, device_url
        self._endpoint = TokenEndpoint(
            client_id,
            client_secret,
            urls,
            timeout,
            session_factory or partial(aiohttp.ClientSession, trust_env=trust_env),
            ssl_context=ssl_context,
            allow_insecure_http=allow_insecure_http,
        )
        checked = CheckedStore(MemoryTokenStore() if store is None else store)
        self._refresher = Refresher(self._endpoint, checked, refresh_token, refresh_early)

    async def token(self, rejected: str | None = None) -> str:
        """Return a valid access token: the present one, or the next if it is `rejected`, expired or expires soon.

        If the new token cannot be saved, it stays in use and is saved as soon as the store allows.

        Raises:
            ReauthorizationRequiredError: A person must authorize (again).
            TokenRefreshError: The authorization server granted no new token now.
            TokenStoreError: The store failed.

        """
        rejected = masked(rejected)
        return await self._refresher.valid_token(rejected)

    def add_observer(self, observer: GuardedObserver) -> None:
        """Notify an observer of each refresh: once, even if several clients have added it."""
        self._refresher.observers.append(observer)

    def remove_observer(self, observer: GuardedObserver) -> None:
        """Stop notifying an observer."""
        if observer in self._refresher.observers:
            self._refresher.observers.remove(observer)

    async def close(self) -> None:
        """Wait for a refresh in flight, so that no token is lost; the object can be used again afterwards."""
        await self._refresher.close()
