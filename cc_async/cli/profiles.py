"""Logins kept in the user's configuration folder: for each profile what is needed to refresh, and its token.

The secret of a confidential app is never among it.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import platformdirs

from cc_async.cli.arguments import DEFAULT_PROFILE, profile as valid_name
from cc_async.cli.exits import NOT_LOGGED_IN, CommandError
from cc_async.oauth.file_store import FileTokenStore
from cc_async.oauth.token import Token

_FORMAT: Final = "cc-async profile 1"
_SUFFIX: Final = ".profile.json"


class Profile(msgspec.Struct, kw_only=True, frozen=True):
    """One login: which application, at which servers, for which account."""

    format: str = _FORMAT
    client_id: str
    confidential: bool
    base_url: str
    token_url: str
    logged_in_at: float
    """In seconds since the epoch."""
    account_id: str | None = None
    account_name: str | None = None
    """None where the app or the user may not read the account."""


def folder() -> Path:
    """The folder of all profiles."""
    return platformdirs.user_config_path("cc-async", appauthor=False) / "profiles"


def token_store(name: str) -> FileTokenStore:
    """The store of the profile's token, which refreshes in every process share."""
    return FileTokenStore(folder() / f"{name}.token.json")


def names() -> list[str]:
    """The names of all profiles, the default one first."""
    try:
        found = [path.name.removesuffix(_SUFFIX) for path in folder().iterdir() if path.name.endswith(_SUFFIX)]
    except FileNotFoundError:
        return []
    return sorted(found, key=lambda name: (name != DEFAULT_PROFILE, name))


def load(name: str) -> Profile | None:
    """Return the profile, or None if there is none.

    Raises:
        CommandError: Its file is damaged.

    """
    path = _path(name)
    try:
        profile = msgspec.json.decode(path.read_bytes(), type=Profile)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        profile = None
    if profile is None or profile.format != _FORMAT:
        raise CommandError(f"{path} is damaged. Log in again with `{login_command(name)}`.", NOT_LOGGED_IN)
    return profile


def prepare() -> None:
    """Create the folder, for its owner alone, and prove that files can be written in it.

    Raises:
        OSError: They cannot.

    """
    target = folder()
    if not target.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        target.chmod(stat.S_IRWXU)  # whatever the umask
    with tempfile.TemporaryFile(dir=target) as file:
        file.write(b"{}")


async def save(name: str, profile: Profile, token: Token) -> None:
    """Replace profile and token; whoever is interrupted in between is logged out, never in with another's token.

    Raises:
        OSError: The folder cannot be written.
        TokenStoreError: The token cannot be written.

    """
    store = token_store(name)
    async with store.lock():  # no refresh of the old token may be saved over the new one
        _token_path(name).unlink(missing_ok=True)
        _replace(_path(name), msgspec.json.encode(profile))
        await store.save(token)


async def remove(name: str) -> bool:
    """Delete profile and token, and return whether there was either."""
    if not folder().is_dir():
        return False
    async with token_store(name).lock():
        found = [path for path in (_token_path(name), _path(name)) if path.exists()]
        for path in found:
            path.unlink(missing_ok=True)
    return bool(found)


def token_saved(name: str) -> float | None:
    """Return when the token file was last written, in seconds since the epoch."""
    with suppress(FileNotFoundError):
        return _token_path(name).stat().st_mtime
    return None


def login_command(name: str) -> str:
    """The command that logs in to the profile."""
    return "cc-async login" + (f" --profile {name}" if name != DEFAULT_PROFILE else "")


def _path(name: str) -> Path:
    return folder() / f"{valid_name(name)}{_SUFFIX}"


def _token_path(name: str) -> Path:
    return folder() / f"{valid_name(name)}.token.json"


def _replace(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, at once."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def all_profiles() -> Iterator[tuple[str, Profile | None]]:
    """Every profile by its name; None for a damaged one."""
    for name in names():
        with suppress(CommandError):
            yield name, load(name)
            continue
        yield name, None
