"""What could not be read of a response."""

import logging
from collections.abc import Iterable

import attrs

from cc_async.errors import DecodeError

_LOG = logging.getLogger("cc_async")
_SHOWN = 5
"""Problems named in one log line or exception."""


@attrs.frozen
class Problem:
    """A value of a response that could not be read: a field became None, an entry of a list was left out."""

    path: str
    """Where it stood, such as `$.contacts[3].created_at`."""
    reason: str
    """Why it could not be read, without the value."""

    def below(self, parent: str) -> "Problem":
        """The same problem, seen from further out."""
        return Problem(self.path.replace("$", parent, 1), self.reason)


def log_problems(problems: Iterable[Problem], *, strict: bool) -> None:
    """Log what could not be read, once and without its values, or raise a DecodeError where `strict` says so."""
    found = list(problems)
    if not found:
        return
    places = "; ".join(f"{problem.path}: {problem.reason}" for problem in found[:_SHOWN])
    message = f"{len(found)} value(s) of the response could not be read and were left out or became None ({places})"
    if strict:
        raise DecodeError(message + ".", path=found[0].path)
    _LOG.warning(message)
