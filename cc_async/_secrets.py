"""Strings that no repr shows, and text made fit for a log or an exception."""

import re
from typing import Self

_WORD = r"[^\s@<>\"'(),:;=&?/]"
# A match begins where a word does: tried from the middle of each, a long body without an address takes minutes.
_ADDRESS = re.compile(rf"(?<!{_WORD}){_WORD}+?(?:@|%40){_WORD}+")
_TOKEN = re.compile(r"(?i)(bearer\s+)[^\s\"']+|\beyJ[\w.-]{8,}|((?:access|refresh)_token\W{1,8})[^\s\"'\\&}]+")


class Secret(str):
    """A string that sends as itself and shows as nothing, in a repr as in a traceback's local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    @classmethod
    def bearer(cls, token: str) -> Self:
        """The value of an Authorization header that carries `token`."""
        return cls(f"Bearer {token}")


def redact(text: str) -> str:
    """The text with e-mail addresses and what looks like a token replaced, fit for an exception or a log."""
    printable = text.encode(errors="replace").decode()  # half a surrogate pair would break the log that it is shown in
    return _ADDRESS.sub("<address>", _TOKEN.sub(r"\1\2<token>", printable))


def secret(value: str) -> str:
    """The string as one that no repr shows."""
    return Secret(value)


def masked(value: str | None) -> str | None:
    """The string, if there is one, as one that no repr shows."""
    return None if value is None else Secret(value)
