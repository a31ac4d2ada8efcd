"""Arguments that several commands share, and the types of their values; nothing here needs an extra."""

import argparse
import math
import re
from collections.abc import Callable
from typing import Final, TypeVar

from cc_async.http.session import BASE_URL

DEFAULT_PROFILE: Final = "default"
TOKEN_VARIABLE: Final = "CC_ACCESS_TOKEN"  # noqa: S105  # where the token is, not the token
FORMATS: Final = ("table", "jsonl", "csv")
CONNECTION_HELP: Final = (
    f"The account is that of --profile; without it, that of the access token in {TOKEN_VARIABLE}; without both,"
    f" that of the profile {DEFAULT_PROFILE!r}, which `cc-async login` creates."
)
_PROFILE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_N = TypeVar("_N", int, float)


def add_profile(parser: argparse.ArgumentParser, text: str = "account to use, by the name given at `login`") -> None:
    """Add `--profile`; without it `given.profile` is None."""
    parser.add_argument("--profile", type=profile, metavar="NAME", help=text)


def add_connection(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `connected` reads, and say in the help which account they lead to."""
    add_profile(parser)
    parser.add_argument("--base-url", metavar="URL", help=f"of the API (default: the profile's, or {BASE_URL})")
    parser.epilog = " ".join(filter(None, (parser.epilog, CONNECTION_HELP)))


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add `--format`; None stands for a table on a terminal and JSON Lines elsewhere."""
    text = "table, jsonl or csv (default: table on a terminal, jsonl elsewhere)"
    parser.add_argument("--format", choices=FORMATS, metavar="KIND", help=text)


def profile(text: str) -> str:
    """The name of a profile, which is the name of its file, too."""
    name = text.lower()  # some file systems do not tell capitals apart
    if not _PROFILE.fullmatch(name):
        raise argparse.ArgumentTypeError(f"{text!r} is not a name of letters, digits, hyphens and underscores")
    return name


def whole(text: str) -> int:
    """A whole number of 0 or more."""
    return _number(text, int, 0, "a whole number of 0 or more")


def positive(text: str) -> int:
    """A whole number of 1 or more."""
    return _number(text, int, 1, "a whole number of 1 or more")


def port(text: str) -> int:
    """A port, 0 for any."""
    return _number(text, int, 0, "a port from 0 to 65535", most=65_535)


def seconds(text: str) -> float:
    """A duration in seconds."""
    return _number(text, float, 0.0, "a number of seconds, 0 or more")


def interval(text: str) -> float:
    """Seconds between two runs; none between them would use up the day's quota."""
    return _number(text, float, 0.01, "a number of seconds, 0.01 or more")


def _number(text: str, kind: Callable[[str], _N], least: float, what: str, most: float = math.inf) -> _N:
    try:
        number = kind(text)
        if least <= number <= most and number < math.inf:
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
