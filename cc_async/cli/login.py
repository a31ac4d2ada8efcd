"""`login`: a person's consent on another device or in a browser here, and the token kept under a profile."""

import argparse
import asyncio
import getpass
import sys
import time
from typing import Final

import attrs
from rich.console import Console
from yarl import URL

from cc_async._tasks import complete
from cc_async.cli import profiles, show
from cc_async.cli.arguments import DEFAULT_PROFILE
from cc_async.cli.browser import consent_in_browser
from cc_async.cli.connect import SECRET_VARIABLE, variable
from cc_async.cli.exits import FAILED, OK, USAGE, CommandError
from cc_async.cli.profiles import Profile
from cc_async.cli.text import printable
from cc_async.client import ConstantContact
from cc_async.errors import AuthorizationError, PermissionDeniedError
from cc_async.http.session import BASE_URL
from cc_async.models.account import AccountSummary
from cc_async.oauth.provider import AUTHORIZATION_SERVER, OAuth2
from cc_async.oauth.token import Token

SCOPE: Final = ("contact_data", "account_read", "offline_access")
_SERVER_PATH: Final = URL(AUTHORIZATION_SERVER).path
_REASONS: Final = {
    "access_denied": "Consent was refused.",
    "expired_token": "Nobody entered the code in time. Start again.",
    "invalid_client": "The authorization server does not accept this client id. Check it; an app that has a client"
    f" secret needs --confidential and the right secret ({SECRET_VARIABLE}).",
    "unauthorized_client": "The app may not log in this way. Try --browser, or log in without it.",
    "invalid_grant": "The authorization server rejected the code, or it has expired. Start again.",
}


@attrs.frozen
class _App:
    """The application that asks for consent, and where."""

    client_id: str
    secret: str | None = attrs.field(repr=False)
    base_url: str
    auth_url: str

    def oauth(self) -> OAuth2:
        """Return the provider, with tokens in memory until the login is complete."""
        return OAuth2(
            self.client_id,
            client_secret=self.secret,
            token_url=f"{self.auth_url}/token",
            authorize_url=f"{self.auth_url}/authorize",
            device_url=f"{self.auth_url}/device/authorize",
        )


def run(given: argparse.Namespace) -> int:
    """Log in; nothing is stored unless it succeeds."""
    name = given.profile or DEFAULT_PROFILE
    console = show.console()
    profiles.prepare()  # a folder that cannot be written must not cost a person's consent
    profile = asyncio.run(_log_in(given, console, name, _app(given, _last(name))))
    whose = "" if profile.account_name is None else f" to {profile.account_name}"
    console.print()
    console.print(printable(f"Logged in{whose}."), style="bold", markup=False)
    console.print(f"The login is the profile {name!r}, in {profiles.folder()}", soft_wrap=True, markup=False)
    if profile.confidential:
        console.print(f"The client secret is not stored: set {SECRET_VARIABLE} for every command.", markup=False)
    more = "" if name == DEFAULT_PROFILE else f" --profile {name}"
    console.print(f"Next: cc-async whoami{more}", markup=False)
    return OK


def _last(name: str) -> Profile | None:
    try:
        return profiles.load(name)
    except CommandError:
        return None  # a new login mends it


def _app(given: argparse.Namespace, last: Profile | None) -> _App:
    client_id = given.client_id or variable("CC_CLIENT_ID") or (last and last.client_id)
    if not client_id:
        raise CommandError("Give the client id of your app: --client-id, or the variable CC_CLIENT_ID.", USAGE)
    last = last if last is not None and last.client_id == client_id else None
    base_url = given.base_url or (last.base_url if last else BASE_URL)
    auth_url = given.auth_url
    if auth_url is None and last is not None and given.base_url is None:
        auth_url = last.token_url.removesuffix("/token")
    elif auth_url is None:
        auth_url = AUTHORIZATION_SERVER if base_url == BASE_URL else _same_host(base_url)
    secret = variable(SECRET_VARIABLE)
    if secret is None and (given.confidential or (last is not None and last.confidential)):
        secret = _ask_for_secret()
    return _App(client_id, secret, base_url, auth_url.rstrip("/"))


def _same_host(base_url: str) -> str:
    try:
        return str(URL(base_url).origin().with_path(_SERVER_PATH))
    except ValueError:
        raise CommandError("--base-url is not an absolute URL.", USAGE) from None


def _ask_for_secret() -> str:
    if not sys.stdin.isatty():  # else it would be echoed, or read from a script
        raise CommandError(f"A confidential app needs its secret: set {SECRET_VARIABLE}.", USAGE)
    if secret := getpass.getpass("Client secret (hidden): ").strip():
        return secret
    raise CommandError("The client secret is empty.", USAGE)


async def _log_in(given: argparse.Namespace, console: Console, name: str, app: _App) -> Profile:
    auth = app.oauth()
    try:
        if given.browser:
            token = await consent_in_browser(auth, SCOPE, given.port, lambda url: _show_browser(console, url))
        else:
            token = await _consent_on_device(auth, console)
        account = await _account(auth, app.base_url)
    except AuthorizationError as error:
        reason = _REASONS.get(error.error or "", str(error))
        raise CommandError(f"{reason} Nothing was stored.", FAILED) from error
    finally:
        await auth.close()
    profile = Profile(
        client_id=app.client_id,
        confidential=app.secret is not None,
        base_url=app.base_url,
        token_url=f"{app.auth_url}/token",
        logged_in_at=time.time(),
        account_id=account.encoded_account_id,
        account_name=account.organization_name,
    )
    _refuse_another_account(name, profile)
    await complete(profiles.save(name, profile, token))  # Ctrl-C takes effect before or after
    return profile


async def _consent_on_device(auth: OAuth2, console: Console) -> Token:
    device = await auth.start_device_authorization(SCOPE)
    console.print("Open this page on any device:")
    _show_url(console, device.verification_uri)
    console.print("and enter the code:")
    console.print(f"  {printable(device.user_code)}", style="bold cyan", markup=False)
    if device.verification_uri_complete:
        console.print("or open the page that knows the code already:")
        _show_url(console, device.verification_uri_complete)
    minutes = max(1, round((device.expires_at - time.time()) / 60))
    with show.waiting(console, f"Waiting for your consent, for {minutes} minutes. Ctrl-C stops."):
        return await auth.poll_device_authorization(device)


def _show_browser(console: Console, url: str) -> None:
    console.print("Consent in the browser. If none has opened, open this page on this machine:")
    _show_url(console, url)
    console.print("Waiting for your consent. Ctrl-C stops.")


def _show_url(console: Console, url: str) -> None:
    console.print(f"  {printable(url)}", style="cyan", markup=False, soft_wrap=True)


async def _account(auth: OAuth2, base_url: str) -> AccountSummary:
    """Return the account; without a name where app or user may not read it, which does not keep them from contacts."""
    async with ConstantContact(auth, base_url=base_url) as cc:
        try:
            return await cc.account.summary()
        except PermissionDeniedError:
            return AccountSummary()


def _refuse_another_account(name: str, new: Profile) -> None:
    """Keep a profile with its account: jobs that use it would go on with another one's contacts."""
    last = _last(name)
    ids = {profile.account_id for profile in (last, new) if profile is not None and profile.account_id}
    if last is not None and len(ids) > 1:
        raise CommandError(
            f"You consented for {new.account_name!r}, but the profile {name!r} belongs to {last.account_name!r}."
            " Choose another name with --profile, or log out first. Nothing was stored."
        )
