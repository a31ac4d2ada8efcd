"""Validation of the arguments of the client, before anything is sent."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

from cc_async._secrets import Secret
from cc_async.errors import InvalidRequestError
from cc_async.http.retry import RetryPolicy
from cc_async.observer import is_observer


def check_auth(auth: Any) -> None:
    """Raise unless `auth` can provide tokens.

    Raises:
        InvalidRequestError: `auth` is neither a token nor an object with a `token` method.

    """
    if isinstance(auth, str):
        if not auth.strip():
            raise InvalidRequestError("The access token is empty. Is an environment variable empty?")
    elif auth is None:
        raise InvalidRequestError("auth is None instead of an access token or an OAuth2. Is a variable not set?")
    elif inspect.isclass(auth):
        raise InvalidRequestError(f"auth is the class {auth.__name__}: pass an object, such as {auth.__name__}(...).")
    elif not callable(getattr(auth, "token", None)):
        raise InvalidRequestError(
            f"auth must be an access token, an OAuth2 or an object with a method `token`, not {_kind(auth)}."
        )


def check_timeout(timeout: Any) -> float:
    """Return the timeout in seconds.

    Raises:
        InvalidRequestError: It is not a finite number greater than 0.

    """
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise InvalidRequestError(f"timeout must be a number of seconds for one attempt, not {_kind(timeout)}.")
    if not 0 < timeout < math.inf:
        raise InvalidRequestError("timeout must be greater than 0 seconds, and finite.")
    return float(timeout)


def check_parts(client_session: Any, rate_limiter: Any, retry: Any, observer: Any) -> None:
    """Raise if an argument has the wrong type; most often it is a class instead of an instance.

    Raises:
        InvalidRequestError: An argument has the wrong type.

    """
    if inspect.isclass(client_session) or not (
        client_session is None or callable(getattr(client_session, "request", None))
    ):
        raise InvalidRequestError(f"client_session must be an aiohttp.ClientSession, not {_kind(client_session)}.")
    if inspect.isclass(rate_limiter) or not (rate_limiter is None or callable(getattr(rate_limiter, "acquire", None))):
        raise InvalidRequestError(f"rate_limiter must be an object such as RateLimiter(), not {_kind(rate_limiter)}.")
    if retry is not None and not isinstance(retry, RetryPolicy):
        raise InvalidRequestError(f"retry must be a RetryPolicy, such as RetryPolicy(attempts=3), not {_kind(retry)}.")
    if observer is not None and not is_observer(observer):
        raise InvalidRequestError(
            "observer must be an object with the methods of Observer, none of them a coroutine function,"
            f" not {_kind(observer)}."
        )


def check_request(method: Any, path: Any, params: Any) -> None:
    """Raise if an argument of a request has the wrong type.

    Raises:
        InvalidRequestError: An argument has the wrong type.

    """
    if not isinstance(method, str) or not method.isalpha() or not method.isascii():
        raise InvalidRequestError('method must be an HTTP method, such as "GET".')
    if not isinstance(path, str):
        raise InvalidRequestError(f'path must be a string, such as "/contact_lists", not {_kind(path)}.')
    if params is not None and not isinstance(params, Mapping):
        raise InvalidRequestError(f"params must be a mapping of names to values, not {_kind(params)}.")


def _kind(value: object) -> str:
    if value is None or isinstance(value, Secret):
        return "None" if value is None else "a string"
    return f"the class {value.__name__}" if inspect.isclass(value) else type(value).__name__
