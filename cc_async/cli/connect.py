"""The connection of a command to an account: by a profile, or by an access token from the environment."""

import argparse
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cc_async.cli.arguments import DEFAULT_PROFILE, TOKEN_VARIABLE
from cc_async.cli.exits import NOT_LOGGED_IN, USAGE, CommandError
from cc_async.client import ConstantContact
from cc_async.errors import AuthenticationError, ReauthorizationRequiredError
from cc_async.http.session import BASE_URL
from cc_async.oauth.provider import OAuth2

SECRET_VARIABLE = "CC_CLIENT_SECRET"  # noqa: S105  # where the secret is, not the secret


@asynccontextmanager
async def connected(given: argparse.Namespace) -> AsyncIterator[ConstantContact]:
    """Yield a client for the account that `--profile`, `--base-url` and the environment name.

    Raises:
        CommandError: There is no login, or it is no longer valid; the message says which command helps.

    """
    if token := token_in_use(given):
        async with ConstantContact(token, base_url=given.base_url or BASE_URL) as cc:
            try:
                yield cc
            except AuthenticationError as error:
                raise CommandError(f"{error} Set {TOKEN_VARIABLE} to a valid access token.", NOT_LOGGED_IN) from error
        return
    name = given.profile or DEFAULT_PROFILE
    auth, base_url = _login(name, given.base_url)
    try:
        async with ConstantContact(auth, base_url=base_url) as cc:
            yield cc
    except (ReauthorizationRequiredError, AuthenticationError) as error:
        from cc_async.cli.profiles import login_command  # noqa: PLC0415  # needs platformdirs

        message = f"The login of the profile {name!r} has expired or was revoked. Run `{login_command(name)}`."
        raise CommandError(message, NOT_LOGGED_IN) from error
    finally:
        await auth.close()


def token_in_use(given: argparse.Namespace) -> str | None:
    """Return the access token of the environment, unless a profile was asked for or there is none."""
    return None if given.profile else variable(TOKEN_VARIABLE)


def variable(name: str) -> str | None:
    """Return an environment variable; None where it is unset or blank."""
    return os.environ.get(name, "").strip() or None


def _login(name: str, base_url: str | None) -> tuple[OAuth2, str]:
    from cc_async.cli import profiles  # noqa: PLC0415  # needs platformdirs, which an access token does without

    profile, command = profiles.load(name), profiles.login_command(name)
    if profile is None:
        hint = f"Run `{command}`, or set {TOKEN_VARIABLE} to an access token."
        raise CommandError(f"There is no login for the profile {name!r}. {hint}", NOT_LOGGED_IN)
    if base_url is not None and base_url.rstrip("/") != profile.base_url.rstrip("/"):
        # Else a mistyped address would be sent the token of the account.
        message = f"The profile {name!r} belongs to {profile.base_url}. Leave out --base-url, or use another profile."
        raise CommandError(message, USAGE)
    secret = variable(SECRET_VARIABLE) if profile.confidential else None
    if profile.confidential and secret is None:
        message = f"The profile {name!r} uses a confidential app, whose secret is not stored: set {SECRET_VARIABLE}."
        raise CommandError(message, NOT_LOGGED_IN)
    store = profiles.token_store(name)
    return OAuth2(profile.client_id, client_secret=secret, store=store, token_url=profile.token_url), profile.base_url
