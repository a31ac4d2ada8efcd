"""What becomes of every exception that a request can end with."""

import inspect
import pickle
import socket
import ssl
import warnings
from collections.abc import Callable
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp import client_exceptions
from aiohttp.client_middlewares import ClientHandlerType
from aiohttp.client_reqrep import ConnectionKey
from multidict import CIMultiDict, CIMultiDictProxy
from support.raw_server import FAST, TOKEN, chain, hasty, shown, shown_by_a_debugger
from yarl import URL

from cc_async import (
    ConstantContactError,
    CreateContactRequest,
    InvalidRequestError,
    RequestTimeoutError,
    TransportError,
)

ADDRESS, QUOTED = "ada@example.com", "ada%40example.com"
TARGET = URL(f"https://api.cc.email/v3/contacts?email={QUOTED}&note=S3CR3T", encoded=True)
INFO = aiohttp.RequestInfo(TARGET, "POST", CIMultiDictProxy(CIMultiDict(Authorization=f"Bearer {TOKEN}")), TARGET)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # aiohttp discourages it, and still keeps it in its keys
    BASIC = aiohttp.BasicAuth("me", "S3CR3T")
KEY = ConnectionKey("api.cc.email", 443, True, True, URL("http://me:S3CR3T@proxy"), BASIC, None)
ADA = CreateContactRequest(create_source="Account", first_name="Ada")

# The classes of which it is certain that nothing was sent, and whether another attempt could help.
NEVER_SENT = {
    "ClientConnectorError": True,
    "ClientConnectorDNSError": True,
    "ClientProxyConnectionError": True,
    "UnixClientConnectorError": True,
    "ClientSSLError": True,
    "ClientConnectorSSLError": True,
    "ConnectionTimeoutError": True,
    "ClientHttpProxyError": True,
    "ClientConnectorCertificateError": False,
    "ServerFingerprintMismatch": False,
    "InvalidURL": False,
    "InvalidUrlClientError": False,
    "NonHttpUrlClientError": False,
}
# Redirects are not followed, so that these do not come; if they did, the request would have been sent.
AFTER_A_REDIRECT = {"InvalidUrlRedirectClientError", "NonHttpUrlRedirectClientError"}


def classes() -> list[type[BaseException]]:
    """Every exception of aiohttp's client, every OSError there is, and what a parser might raise."""
    found: list[Any] = [value for _, value in inspect.getmembers(client_exceptions, inspect.isclass)]
    ours = [cls for cls in found if issubclass(cls, (aiohttp.ClientError, OSError))]
    sockets: list[Any] = [OSError, *OSError.__subclasses__(), *ConnectionError.__subclasses__()]
    builtin = [cls for cls in (*sockets, *ssl.SSLError.__subclasses__()) if cls.__module__ in {"builtins", "ssl"}]
    return sorted({*ours, *builtin, TimeoutError, socket.gaierror}, key=lambda cls: cls.__qualname__)


def made(cls: type[Any]) -> BaseException:
    """An exception that knows as much of a request as its class can hold."""
    refused = OSError(111, "Connection refused")
    builders: list[tuple[type[Any], Callable[[], tuple[Any, ...]]]] = [
        (aiohttp.ClientResponseError, lambda: (INFO, ())),
        (client_exceptions.UnixClientConnectorError, lambda: ("/run/proxy.sock", KEY, refused)),
        (aiohttp.ClientConnectorCertificateError, lambda: (KEY, ssl.SSLCertVerificationError(1, "self-signed"))),
        (aiohttp.ClientConnectorError, lambda: (KEY, refused)),
        (aiohttp.ServerFingerprintMismatch, lambda: (b"expected", b"got", "api.cc.email", 443)),
        (aiohttp.InvalidURL, lambda: (TARGET, f"it holds {TOKEN}")),
        (aiohttp.ClientOSError, lambda: (104, f"Can not write request body for {TARGET}")),
        (OSError, lambda: (104, "Connection reset by peer")),
        (Exception, lambda: (f"Failed to write into Connection<{KEY}> to {TARGET}",)),
    ]
    if cls is TimeoutError:
        return TimeoutError()  # with a number it is the system's, and no time-out of ours
    error: BaseException = cls(*next(arguments() for base, arguments in builders if issubclass(cls, base)))
    if isinstance(error, aiohttp.ClientResponseError):
        error.status, error.message = 400, f"Bad header: Bearer {TOKEN}"
        error.headers = CIMultiDict(Echo=f"Bearer {TOKEN}")
    return error


async def outcome(error: BaseException, method: str) -> tuple[BaseException, int]:
    """What a call ends with if every attempt ends with `error`, and how many there were."""
    attempts = 0

    async def fail(_: aiohttp.ClientRequest, __: ClientHandlerType) -> aiohttp.ClientResponse:
        nonlocal attempts
        attempts += 1
        raise error

    async with aiohttp.ClientSession(middlewares=(fail,)) as http:
        cc = hasty("http://127.0.0.1:1/v3", client_session=http, retry=attrs.evolve(FAST, attempts=2))
        with pytest.raises(ConstantContactError) as caught:
            await (cc.contacts.create(ADA) if method == "POST" else cc.contacts.list(email=ADDRESS).first())
        await cc.close()
    return caught.value, attempts


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__qualname__)
async def test_every_failure_of_a_write_ends_in_one_of_ours_that_says_whether_it_was_sent(cls: type[Any]) -> None:
    failure, attempts = await outcome(made(cls), "POST")
    never_sent, passing = cls.__name__ in NEVER_SENT, NEVER_SENT.get(cls.__name__, True)
    assert isinstance(failure, TransportError)
    assert isinstance(failure, RequestTimeoutError) is issubclass(cls, TimeoutError)
    assert failure.maybe_applied is ("may have been applied" in str(failure)) is not never_sent
    assert failure.permanent is (not passing or cls.__name__ in AFTER_A_REDIRECT)
    assert attempts == (2 if never_sent and passing else 1)
    # aiohttp gives errors of sockets a class of its own.
    assert isinstance(failure, TimeoutError) or cls.__name__ in str(failure) or "ClientOSError" in str(failure)
    assert not any(isinstance(known, aiohttp.ClientError) for known in chain(failure))
    copied = pickle.loads(pickle.dumps(failure))  # noqa: S301  # our own bytes
    assert (type(copied), str(copied), vars(copied)) == (type(failure), str(failure), vars(failure))


@pytest.mark.parametrize("cls", classes(), ids=lambda cls: cls.__qualname__)
async def test_a_read_is_tried_again_unless_that_is_hopeless_and_nothing_of_it_stays_in_the_failure(
    cls: type[Any],
) -> None:
    error = made(cls)
    error.__cause__ = made(aiohttp.ClientOSError)
    error.__cause__.__context__ = made(aiohttp.ClientResponseError)
    failure, attempts = await outcome(error, "GET")
    assert isinstance(failure, TransportError)
    assert not failure.maybe_applied
    assert attempts == (1 if failure.permanent else 2)
    assert error.__cause__ not in chain(failure)
    assert "S3CR3T" not in shown_by_a_debugger(failure)
    assert not [address for address in (ADDRESS, QUOTED) if address in shown(failure)]


async def test_the_message_names_the_reason_that_the_system_gave() -> None:
    failure, _ = await outcome(made(aiohttp.ClientConnectorError), "GET")
    assert str(failure) == "No connection could be made (ClientConnectorError: Connection refused)."


async def test_a_response_that_aiohttp_cannot_parse_is_a_broken_connection() -> None:
    failure, attempts = await outcome(ValueError(f"bad cookie {TOKEN}"), "POST")
    assert isinstance(failure, TransportError)
    assert (failure.maybe_applied, attempts) == (True, 1)


async def test_a_request_that_aiohttp_refuses_to_build_was_not_sent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        http = aiohttp.ClientSession(auth=BASIC)
    async with http:
        cc = hasty("http://127.0.0.1:1/v3", client_session=http)
        with pytest.raises(InvalidRequestError, match="Cannot combine AUTHORIZATION header") as caught:
            await cc.contacts.create(ADA)
        await cc.close()
    assert not caught.value.maybe_applied
