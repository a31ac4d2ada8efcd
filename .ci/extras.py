"""Checks in an installation without extras that whatever needs one says which: `python .ci/extras.py [encryption]`."""

import importlib
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import Final

import cc_async
from cc_async.cli import app

EXTRAS: Final = sorted(metadata.metadata("cc-async").get_all("Provides-Extra", ()))
MODULES: Final = [extra for extra in EXTRAS if find_spec(f"cc_async.{extra}") and extra != "cli"]
"""The extras that bring what a module of the same name needs, such as `cc_async.redis`."""


def main(*what: str) -> None:
    """Check the modules and commands, or what needs the extra `encryption` besides `redis`."""
    if what == ("encryption",):
        check_encryption()
        return
    assert cc_async.ConstantContact.__module__.startswith("cc_async.")
    for name in cc_async.__all__:
        assert getattr(cc_async, name)
    for extra in MODULES:
        check_module(f"cc_async.{extra}", extra)
    commands = app._parser()._subparsers._group_actions[0].choices  # the parser has no public list of them
    for command in commands:
        check_command(command)
    print(f"{len(MODULES)} modules and {len(commands)} commands say which extra they need, or need none.")


def check_module(module: str, extra: str) -> None:
    """Check that importing a module says which extra it needs."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        assert f"cc-async[{extra}]" in str(error), f"{module} says only: {error}"
    else:
        raise AssertionError(f"{module} can be imported without its extra.")


def check_command(command: str) -> None:
    """Check that a command can be loaded, or says which extra it needs and exits like one with wrong arguments."""
    try:
        app._command(command)
    except ModuleNotFoundError as error:
        assert error.name in app._EXTRAS, f"`cc-async {command}` needs {error.name}, and does not say how to get it."
        run = subprocess.run(
            [sys.executable, "-m", "cc_async", command], capture_output=True, text=True, timeout=60, check=False
        )
        assert run.returncode == 2, f"`cc-async {command}` exits with {run.returncode}: {run.stderr}"
        # A command with arguments that are mandatory refuses to run without them before anything else.
        assert "cc-async[" in run.stderr or "required" in run.stderr, f"`cc-async {command}` says only: {run.stderr}"


def check_encryption() -> None:
    """Check that encrypted tokens on Redis say which extra they need."""
    store = importlib.import_module("cc_async.redis").RedisTokenStore
    try:
        store(None, "key", encryption_key="key")
    except cc_async.InvalidRequestError as error:
        assert "cc-async[encryption]" in str(error), f"encryption_key says only: {error}"
    else:
        raise AssertionError("A token can be encrypted without the extra.")
    print("encryption_key says which extra it needs.")


if __name__ == "__main__":
    main(*sys.argv[1:])
