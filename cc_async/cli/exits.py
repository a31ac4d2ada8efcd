"""How commands end: the exit codes, and the error that carries one."""

from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_LOGGED_IN: Final = 3
PARTLY: Final = 4
INTERRUPTED: Final = 130
TERMINATED: Final = 143

HELP: Final = (
    "Exit codes: 0 done; 1 failed, for the reason on stderr; 2 wrong usage or a missing extra; 3 no login, or one that"
    " is no longer valid; 4 some rows of an import were not imported; 130 stopped with Ctrl-C; 143 stopped with"
    " SIGTERM, which ends `sync --watch` with 0."
)


class CommandError(Exception):
    """Ends a command with one line on stderr and an exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code
