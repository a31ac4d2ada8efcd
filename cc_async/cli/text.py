"""Text for a terminal."""

import sys


def complain(message: object) -> None:
    """Print an error on stderr, in one line."""
    print(f"cc-async: {printable(' '.join(str(message).split()))}", file=sys.stderr)  # noqa: T201  # it is a command


def printable(text: str) -> str:
    """Remove control characters, with which a name or an error could control the terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)
