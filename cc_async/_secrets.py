"""Strings hidden from every repr, and redaction of text for logs and exceptions."""

import re
from typing import Self

_WORD = r"[^\s@<>\"'(),:;=&?/]"
# Matches start at word boundaries: otherwise a long body without an address takes minutes.
_ADDRESS = re.compile(rf"(?<!{_WORD}){_WORD}+?(?:@|%40){_WORD}+")
_TOKEN = re.compile(r"(?i)(bearer\s+)[^\s\"']+|\beyJ[\w.-]{8,}|((?:access|refresh)_token\W{1,8})[^\s\"'\\&}]+")


class Secret(str):
    """A string that is sent as it is but hidden in its repr, and so in tracebacks that show local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    @classmethod
    def bearer(cls, token: str) -> Self:
        """Return the value of an Authorization header with `token`."""
        return cls(f"Bearer {token}")


def redact(text: str) -> str:
    """Replace e-mail addresses and anything that looks like a token, so that the text may be logged or raised."""
    printable = text.encode(errors="replace").decode()  # a lone surrogate would break the log handler
    return _ADDRESS.sub("<address>", _TOKEN.sub(r"\1\2<token>", printable))


def secret(value: str) -> str:
    """Wrap a string so that no repr shows it."""
    return Secret(value)


def masked(value: str | None) -> str | None:
    """Wrap an optional string so that no repr shows it."""
    return None if value is None else Secret(value)
