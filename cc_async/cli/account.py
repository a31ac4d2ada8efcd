"""`whoami`, `profiles` and `logout`: the logins of this machine and their accounts."""

import argparse
import asyncio
import time
from datetime import UTC, datetime
from typing import Final

import attrs

from cc_async.cli import output, profiles, show
from cc_async.cli.arguments import DEFAULT_PROFILE, TOKEN_VARIABLE
from cc_async.cli.connect import connected, token_in_use
from cc_async.cli.exits import OK
from cc_async.cli.output import Column
from cc_async.cli.profiles import Profile
from cc_async.errors import PermissionDeniedError
from cc_async.http.session import BASE_URL
from cc_async.models.account import AccountSummary
from cc_async.oauth.token import Token

_PRIVILEGES: Final = {
    "contacts:read": "read contacts, tags and custom fields",
    "contacts:write": "change these, and run bulk jobs",
    "contacts:lists:read": "read lists and segments",
    "contacts:lists:write": "change lists and segments",
}
"""What this library needs; a user has up to a hundred privileges in all."""


@attrs.frozen(kw_only=True)
class _Login:
    """What `whoami` knows."""

    name: str | None
    """The profile, or None for the access token of the environment."""
    base_url: str
    account: AccountSummary | None
    """None where the login may not read it."""
    privileges: list[str]
    requests_left: int | None
    profile: Profile | None = None
    token: Token | None = None
    token_saved: float | None = None


def run_whoami(given: argparse.Namespace) -> int:
    """Show the account and what the login may do."""
    login = asyncio.run(_whoami(given))
    if output.format_of(given.format) == "table":
        title = (login.account and login.account.organization_name) or "An account whose name this login may not read"
        show.summary(show.console(), title, _facts(login, time.time()))
        return OK
    facts = _data(login)
    columns = [Column[dict[str, object]](name, lambda one, name=name: one[name]) for name in facts]  # type: ignore[misc]
    asyncio.run(output.write([facts], columns, given.format))
    return OK


def run_profiles(given: argparse.Namespace) -> int:
    """List the logins."""
    found = list(profiles.all_profiles())
    columns: list[Column[tuple[str, Profile | None]]] = [
        Column("profile", lambda one: one[0], style="bold"),
        Column("account", lambda one: one[1].account_name if one[1] else "damaged: log in again", most=40),
        Column("client_id", lambda one: one[1] and one[1].client_id, narrow=9, style="dim"),
        Column("base_url", lambda one: one[1] and one[1].base_url, most=40),
        Column("logged_in", lambda one: one[1] and _datetime(one[1].logged_in_at)),
    ]

    def document(one: tuple[str, Profile | None]) -> dict[str, object]:
        return {column.name: column.value(one) for column in columns}

    count = asyncio.run(output.write(found, columns, given.format, document=document))
    if not count and output.format_of(given.format) == "table":
        show.console().print("There is no login yet. Run `cc-async login`.", markup=False)
    return OK


def run_logout(given: argparse.Namespace) -> int:
    """Delete a login."""
    name = given.profile or DEFAULT_PROFILE
    found = asyncio.run(profiles.remove(name))
    text = "was deleted from this machine" if found else "does not exist"
    show.console().print(f"The login {name!r} {text}.", markup=False)
    return OK


async def _whoami(given: argparse.Namespace) -> _Login:
    name = None if token_in_use(given) else given.profile or DEFAULT_PROFILE
    async with connected(given) as cc:
        privileges = await cc.account.privileges()
        try:
            account = await cc.account.summary()
        except PermissionDeniedError:
            account = None
        left = cc.rate_limiter.remaining_today
    profile = profiles.load(name) if name else None
    return _Login(
        name=name,
        base_url=profile.base_url if profile else given.base_url or BASE_URL,
        account=account,
        privileges=sorted(one.privilege_name for one in privileges if one.privilege_name),
        requests_left=left,
        profile=profile,
        token=await profiles.token_store(name).load() if name else None,
        token_saved=profiles.token_saved(name) if name else None,
    )


def _data(login: _Login) -> dict[str, object]:
    """The facts for other programs."""
    account, profile, token = login.account, login.profile, login.token
    return {
        "profile": login.name,
        "organization": account and account.organization_name,
        "account_id": account and account.encoded_account_id,
        "base_url": login.base_url,
        "privileges": login.privileges,
        "logged_in_at": _datetime(profile.logged_in_at if profile else None),
        "token_saved_at": _datetime(login.token_saved),
        "token_expires_at": _datetime(token.expires_at if token else None),
        "requests_left_today": login.requests_left,
    }


def _facts(login: _Login, now: float) -> list[tuple[str, str]]:
    """The facts for people."""
    facts = [("account id", (login.account and login.account.encoded_account_id) or "unknown")]
    if login.profile is None:
        facts += [("login", f"the access token in {TOKEN_VARIABLE}, which is not refreshed")]
    else:
        facts += [
            ("login", f"profile {login.name!r}, {_ago(now - login.profile.logged_in_at)}"),
            ("access token", _token_age(login, now)),
        ]
    facts += _several("may", [text for name, text in _PRIVILEGES.items() if name in login.privileges])
    facts += _several("may not", [text for name, text in _PRIVILEGES.items() if name not in login.privileges])
    left = (
        "not limited;" if login.requests_left is None else f"{login.requests_left:,} left, counting this command alone;"
    )
    notes = [left, "others that use the app's key are not seen here"]
    return [*facts, *_several("requests today", notes), ("API", login.base_url)]


def _several(name: str, texts: list[str]) -> list[tuple[str, str]]:
    """A row for each text; only the first has the name."""
    return [("" if number else name, text) for number, text in enumerate(texts)]


def _token_age(login: _Login, now: float) -> str:
    issued = "" if login.token_saved is None else f"issued {_ago(now - login.token_saved)}, "
    token = login.token or Token("")
    expiry = "of unknown lifetime" if token.expires_at is None else f"valid for {_duration(token.expires_at - now)}"
    return f"{issued}{expiry}{', then renewed' if token.refresh_token else '; log in again then'}"


def _ago(seconds: float) -> str:
    return "just now" if seconds < 60 else f"{_duration(seconds)} ago"


def _duration(seconds: float) -> str:
    """Such as 3 days, 5 hours or 12 minutes, rounded down."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if (count := int(seconds // length)) > 0:
            return f"{count} {unit}{'s' * (count > 1)}"
    return "less than a minute"


def _datetime(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
