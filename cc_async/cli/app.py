"""The command line: arguments, and how commands end.

Exit codes: 0 done, 1 an error that one line on stderr explains, 2 wrong usage, 130 stopped with Ctrl-C.
"""

import argparse
import logging
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from cc_async._version import __version__
from cc_async.cli.text import complain
from cc_async.errors import ConstantContactError
from cc_async.http.session import BASE_URL
from cc_async.sandbox.settings import Cursor, Enforcement, Order

_N = TypeVar("_N", int, float)
_CLI_EXTRA = 'python -m pip install "cc-async[cli]"'

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
    """Return the function that runs a command; only its module is imported, because some need rich."""
    if name == "demo":
        from cc_async.cli.demo import run as run_demo  # noqa: PLC0415  # see above

        return run_demo
    if name == "sandbox":
        from cc_async.cli.sandbox import run as run_sandbox  # noqa: PLC0415  # see above

        return run_sandbox
    from cc_async.cli.contacts import run as run_contacts  # noqa: PLC0415  # see above

    return run_contacts


def _run(given: argparse.Namespace) -> int:
    try:
        run = _command(given.command)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "rich":
            raise
        complain(f"the command {given.command} needs rich: {_CLI_EXTRA}")
        return 2
    try:
        return run(given)
    except KeyboardInterrupt:
        complain("stopped")
        return 130
    except BrokenPipeError:
        # Whoever read the output has enough; the interpreter's own last flush must not fail on it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ConstantContactError as error:
        complain(error)
        return 1
    except OSError as error:
        complain(": ".join(str(part) for part in (error.filename, error.strerror or error) if part))
        return 1


def _parser() -> argparse.ArgumentParser:
    module = Path(sys.argv[0]).name == "__main__.py"
    parser = argparse.ArgumentParser(
        prog="python -m cc_async" if module else "cc-async",
        description="An asyncio client for the Constant Contact V3 API. Start with `demo`: it needs no account"
        " and never leaves this machine.",
    )
    parser.add_argument("--version", action="version", version=f"cc-async {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND")
    _add_demo(commands)
    _add_sandbox(commands)
    _add_contacts(commands)
    return parser


def _add_demo(commands: Any) -> None:
    text = "watch contacts being created, changed, streamed and exported, on a local server"
    demo = commands.add_parser("demo", help=text, description=f"{text[0].upper()}{text[1:]}.")
    demo.add_argument("--export", metavar="FILE", help="export to FILE, overwriting it (default: a new file)")
    text = "contacts to import into a new list at the end (default: %(default)s)"
    demo.add_argument("--imports", metavar="N", type=_whole, default=25_000, help=text)
    _add_server(demo, contacts=25_000, latency=0.3, rate=_positive, daily=_positive)


def _add_sandbox(commands: Any) -> None:
    text = "run a local server that behaves like the API, until Ctrl-C"
    sandbox = commands.add_parser("sandbox", help=text, description=f"{text[0].upper()}{text[1:]}.")
    sandbox.add_argument("--port", type=_port, default=0, metavar="P", help="port; 0: any free port (default: 0)")
    _add_server(sandbox, contacts=1_000, latency=0.0, rate=_whole, daily=_whole, none=", 0 for no limit")
    sandbox.add_argument("--jitter", type=_seconds, default=0.0, metavar="S", help="random variation of the latency")
    sandbox.add_argument(
        "--token-lifetime", type=_seconds, default=86_400.0, metavar="S", help="of access tokens (default: %(default)g)"
    )
    sandbox.add_argument(
        "--job-seconds", type=_seconds, default=0.2, metavar="S", help="duration of a bulk job (default: %(default)g)"
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
    add("--contacts", type=_whole, default=contacts, metavar="N", help=f"number of contacts on the server {default}")
    add("--latency", type=_seconds, default=latency, metavar="S", help=f"seconds before each response {default}")
    add("--rate", type=rate, default=4, metavar="N", help=f"requests per second that it permits{none} {default}")
    add("--daily", type=daily, default=10_000, metavar="N", help=f"requests per day that it permits{none} {default}")
    add("--seed", type=int, default=0, metavar="N", help=f"seed from which the contacts are generated {default}")


def _add_contacts(commands: Any) -> None:
    text = "list contacts of your account, read-only"
    contacts = commands.add_parser(
        "contacts",
        help=text,
        description="List contacts of your account, read-only, with the access token in CC_ACCESS_TOKEN.",
    )
    contacts.add_argument("--max", type=_positive, default=20, metavar="N", help="read at most N (default: 20)")
    contacts.add_argument(
        "--status", metavar="STATUS", help="such as active, unsubscribed, deleted or all; separate several with commas"
    )
    contacts.add_argument("--email", metavar="ADDRESS", help="only the contact with this e-mail address")
    contacts.add_argument("--base-url", default=BASE_URL, metavar="URL", help="of the API (default: %(default)s)")


def _whole(text: str) -> int:
    return _number(text, int, 0, "a whole number of 0 or more")


def _positive(text: str) -> int:
    return _number(text, int, 1, "a whole number of 1 or more")


def _port(text: str) -> int:
    return _number(text, int, 0, "a port from 0 to 65535", most=65_535)


def _seconds(text: str) -> float:
    return _number(text, float, 0.0, "a number of seconds, 0 or more")


def _number(text: str, kind: Callable[[str], _N], least: float, what: str, most: float = math.inf) -> _N:
    try:
        number = kind(text)
        if least <= number <= most and number < math.inf:
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
