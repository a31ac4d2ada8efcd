"""Text for a terminal."""

import sys


def complain(message: object) -> None:
    """Tell on stderr, in one line, what went wrong."""
    print(f"cc-async: {printable(' '.join(str(message).split()))}", file=sys.stderr)  # noqa: T201  # it is a command


def printable(text: str) -> str:
    """The text without control characters, by which a name or an error could steer the terminal."""
    return "".join(char if char.isprintable() else "�" for char in text)
