"""The arguments of the commands about logins."""

import argparse
from typing import Any, Final

from cc_async.cli.arguments import add_connection, add_format, add_profile, port
from cc_async.http.session import BASE_URL

LOOPBACK_PORT: Final = 8639
"""Fixed, because the redirect URI has to be registered with the app."""


def add_account_commands(commands: Any) -> None:
    """Add login, logout, whoami and profiles."""
    _add_login(commands)
    logout = _command(commands, "logout", "delete a login from this machine")
    add_profile(logout, "login to delete (default: default)")
    whoami = _command(commands, "whoami", "show whose account it is, and what the login may do")
    add_connection(whoami)
    add_format(whoami)
    profiles = _command(commands, "profiles", "list the logins on this machine")
    add_format(profiles)


def _command(commands: Any, name: str, text: str, more: str = "") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.{more}"
    )
    return parser


def _add_login(commands: Any) -> None:
    login = _command(
        commands,
        "login",
        "log in to an account, and keep the login on this machine",
        " A page on any device asks for your consent; --browser opens it here instead. What is not given is taken from"
        " the profile's last login.",
    )
    add = login.add_argument
    add_profile(login, "name to keep the login under (default: default)")
    add("--client-id", metavar="ID", help="of your app (default: CC_CLIENT_ID); the provider calls it API key")
    add(
        "--confidential",
        action="store_true",
        help="the app has a client secret: taken from CC_CLIENT_SECRET, else asked for, and never stored",
    )
    add("--browser", action="store_true", help="consent in a browser on this machine (authorization code with PKCE)")
    text = f"for --browser: register http://127.0.0.1:{LOOPBACK_PORT}/callback as redirect URI (default: %(default)s)"
    add("--port", type=port, default=LOOPBACK_PORT, metavar="P", help=text)
    add("--base-url", metavar="URL", help=f"of the API, as for a sandbox (default: {BASE_URL})")
    add("--auth-url", metavar="URL", help="of the authorization server (default: the one of that API)")
