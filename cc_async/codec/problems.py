"""Values of a response that could not be read."""

import logging
from collections.abc import Iterable

import attrs

from cc_async.errors import DecodeError

_LOG = logging.getLogger("cc_async")
_SHOWN = 5
"""Problems named in one log line or exception."""


@attrs.frozen
class Problem:
    """A value of a response that could not be read: the field became None, or the entry of a list was left out.

    See `Page.problems` and `ApiResponse.problems`.
    """

    path: str
    """The place of the value, such as `$.contacts[3].created_at`."""
    reason: str
    """Why it could not be read, without the value."""

    def below(self, parent: str) -> "Problem":
        """Return the same problem with its path prefixed."""
        return Problem(self.path.replace("$", parent, 1), self.reason)


def log_problems(problems: Iterable[Problem], *, strict: bool) -> None:
    """Log the problems of a response once, without the values; raise a DecodeError instead if `strict`."""
    found = list(problems)
    if not found:
        return
    places = "; ".join(f"{problem.path}: {problem.reason}" for problem in found[:_SHOWN])
    message = f"{len(found)} value(s) of the response could not be read and were left out or became None ({places})"
    if strict:
        raise DecodeError(message + ".", path=found[0].path)
    _LOG.warning(message)
