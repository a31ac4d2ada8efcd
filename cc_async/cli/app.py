"""The command line: arguments, and how commands end."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, get_args

from cc_async._version import __version__
from cc_async.cli import exits
from cc_async.cli.account_arguments import add_account_commands
from cc_async.cli.arguments import add_connection, interval, port, positive, seconds, whole
from cc_async.cli.data_arguments import add_data_commands
from cc_async.cli.exits import CommandError
from cc_async.cli.text import complain
from cc_async.errors import ConstantContactError
from cc_async.sandbox.settings import Cursor, Enforcement, Order

_EXTRAS: Final = {
    "rich": "cli",
    "platformdirs": "cli",
    "sqlalchemy": "mirror",
    "aiosqlite": "mirror",
    "asyncpg": "mirror",
}
"""The modules that a plain installation lacks, and the extra that brings each."""

# An error ends in one line of ours; without a handler Python would print the library's warnings beside it.
logging.getLogger("cc_async").addHandler(logging.NullHandler())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; SystemExit comes from --help, --version and wrong arguments."""
    parser = _parser()
    given = parser.parse_args(argv)
    if given.command is None:
        parser.print_help()
        return 0
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a name shows a question mark instead of a traceback.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")
    return _run(given)


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    """Return the function that runs a command; only its module is imported, because some need an extra."""
    # ruff: noqa: PLC0415  # see above
    match name:
        case "demo":
            from cc_async.cli.demo import run
        case "sandbox":
            from cc_async.cli.sandbox import run
        case "login":
            from cc_async.cli.login import run
        case "logout":
            from cc_async.cli.account import run_logout as run
        case "whoami":
            from cc_async.cli.account import run_whoami as run
        case "profiles":
            from cc_async.cli.account import run_profiles as run
        case "sync":
            from cc_async.cli.sync import run
        case "export":
            from cc_async.cli.exporting import run
        case "import":
            from cc_async.cli.importing import run
        case _:
            from cc_async.cli.data import run
    return run


def _run(given: argparse.Namespace) -> int:
    try:
        return _command(given.command)(given)
    except ModuleNotFoundError as missing:
        module = (missing.name or "").partition(".")[0]
        if module not in _EXTRAS:
            raise
        install = f'python -m pip install "cc-async[{_EXTRAS[module]}]"'
        complain(f"the command {given.command} needs {module}: {install}")
        return exits.USAGE
    except KeyboardInterrupt:
        complain("stopped")
        return exits.INTERRUPTED
    except BrokenPipeError:
        # The reader has closed the pipe; the last flush of the interpreter must not fail because of that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    except CommandError as error:
        complain(error)
        return error.code
    except ConstantContactError as error:
        complain(error)
        return exits.FAILED
    except OSError as error:
        complain(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
        return exits.FAILED


def _parser() -> argparse.ArgumentParser:
    module = Path(sys.argv[0]).name == "__main__.py"
    parser = argparse.ArgumentParser(
        prog="python -m cc_async" if module else "cc-async",
        description="An asyncio client for the Constant Contact V3 API. Start with `demo`: it needs no account"
        " and never leaves this machine. For your own account, start with `login`.",
        epilog=exits.HELP,
    )
    parser.add_argument("--version", action="version", version=f"cc-async {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    _add_demo(commands)
    _add_sandbox(commands)
    add_account_commands(commands)
    add_data_commands(commands)
    _add_sync(commands)
    return parser


def _add_demo(commands: Any) -> None:
    text = "watch contacts being created, changed, streamed and exported, on a local server"
    demo = commands.add_parser("demo", help=text, description=f"{text[0].upper()}{text[1:]}.")
    demo.add_argument("--export", metavar="FILE", help="export to FILE, overwriting it (default: a new file)")
    text = "contacts to import into a new list at the end (default: %(default)s)"
    demo.add_argument("--imports", metavar="N", type=whole, default=25_000, help=text)
    _add_server(demo, contacts=25_000, latency=0.3, rate=positive, daily=positive)


def _add_sandbox(commands: Any) -> None:
    text = "run a local server that behaves like the API, until Ctrl-C"
    sandbox = commands.add_parser("sandbox", help=text, description=f"{text[0].upper()}{text[1:]}.")
    sandbox.add_argument("--port", type=port, default=0, metavar="P", help="port; 0: any free port (default: 0)")
    _add_server(sandbox, contacts=1_000, latency=0.0, rate=whole, daily=whole, none=", 0 for no limit")
    sandbox.add_argument("--jitter", type=seconds, default=0.0, metavar="S", help="random variation of the latency")
    sandbox.add_argument(
        "--token-lifetime", type=seconds, default=86_400.0, metavar="S", help="of access tokens (default: %(default)g)"
    )
    sandbox.add_argument(
        "--job-seconds", type=seconds, default=0.2, metavar="S", help="duration of a bulk job (default: %(default)g)"
    )
    for name, choices, what in (
        ("cursor", Cursor, "form of the links to the next page"),
        ("order", Order, "sort order of contacts"),
        ("enforcement", Enforcement, "how the limit per second is enforced"),
    ):
        known = get_args(choices)
        default = {"enforcement": "sliding"}.get(name, known[0])
        text = f"{what}: {', '.join(known)} (default: {default})"
        sandbox.add_argument(f"--{name}", choices=known, default=default, metavar="KIND", help=text)


def _add_server(
    command: argparse.ArgumentParser,
    *,
    contacts: int,
    latency: float,
    rate: Callable[[str], int],
    daily: Callable[[str], int],
    none: str = "",
) -> None:
    add, default = command.add_argument, "(default: %(default)s)"
    add("--contacts", type=whole, default=contacts, metavar="N", help=f"number of contacts on the server {default}")
    add("--latency", type=seconds, default=latency, metavar="S", help=f"seconds before each response {default}")
    add("--rate", type=rate, default=4, metavar="N", help=f"requests per second that it permits{none} {default}")
    add("--daily", type=daily, default=10_000, metavar="N", help=f"requests per day that it permits{none} {default}")
    add("--seed", type=int, default=0, metavar="N", help=f"seed from which the contacts are generated {default}")


def _add_sync(commands: Any) -> None:
    text = "keep a copy of your account in a database"
    sync = commands.add_parser(
        "sync",
        help=text,
        description=f"{text[0].upper()}{text[1:]}: contacts with all that belongs to them, lists, tags and custom"
        " fields. The first time everything is read, a request for 500 contacts; later only what changed, with about"
        " eight requests. It can be stopped at any moment, and goes on where it was.",
    )
    sync.add_argument(
        "database",
        nargs="?",
        default="contacts.db",
        metavar="DATABASE",
        help="file of SQLite, or URL such as postgresql://user@host/name (default: %(default)s)",
    )
    sync.add_argument("--full", action="store_true", help="read everything again, as should be done from time to time")
    text = "sync again S seconds after the end of the last time, until stopped"
    sync.add_argument("--watch", type=interval, metavar="S", help=text)
    add_connection(sync)
