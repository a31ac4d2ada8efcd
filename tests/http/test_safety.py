"""What must never leave: tokens, addresses, and requests to anybody but the API."""

import asyncio
import logging
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import attrs
import pytest
from support.raw_server import (
    CUT,
    FAST,
    HANG,
    TOKEN,
    UNAUTHORIZED,
    OpenLimiter,
    RawServer,
    Reply,
    TokenList,
    error,
    hasty,
    nobody_listens,
    reply,
    shown,
    shown_by_a_debugger,
    talking,
)

from cc_async import (
    ApiError,
    ConstantContact,
    ConstantContactError,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    EmailAddressInput,
    InvalidRequestError,
    OAuth2,
    PaginationError,
    RequestTimeoutError,
    TransportError,
)
from cc_async.codec.decode import Decoded
from cc_async.http.call import Call, RawResponse
from cc_async.http.progress import Progress
from cc_async.http.session import Session

ADDRESS, QUOTED = "ada.lovelace@example.com", "ada.lovelace%40example.com"
TWICE = attrs.evolve(FAST, attempts=2)
OTHER = "eyJhbGciOi.another.token"
ECHO = f"No contact {ADDRESS} for Bearer {OTHER}; access_token={OTHER}"
ECHOED = {"Location": f"https://evil.example.com/?t={OTHER}&e={QUOTED}", "X-Echo": ECHO}
# Nobody trusts it, and its key is no secret; it ends in a hundred years.
UNTRUSTED = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgx6+lCt4xQbFagEr0
uOW80vNxTjWqTheRnVav1ckWg8GhRANCAAT+83DbnWgAwoLwfNvj0kcb4JAWGm6U
+sRYjNHtHwul0XZxFMpDvF02BdKutE6S+YBy8A80cCWeupKVHDfjRETb
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmTCCAUCgAwIBAgIURMowJ5ktj0U6PpAIQyZP4vWeqb0wCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwObm9ib2R5LmludmFsaWQwIBcNMjYxMTIzMDM0OTUwWhgPMjEy
NjEwMzAwMzQ5NTBaMBkxFzAVBgNVBAMMDm5vYm9keS5pbnZhbGlkMFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAE/vNw251oAMKC8Hzb49JHG+CQFhpulPrEWIzR7R8L
pdF2cRTKQ7xdNgXSrrROkvmAcvAPNHAlnrqSlRw340RE26NkMGIwHQYDVR0OBBYE
FFixpZbejCnuRRcStu0wdzQqFJVSMB8GA1UdIwQYMBaAFFixpZbejCnuRRcStu0w
dzQqFJVSMA8GA1UdEwEB/wQFMAMBAf8wDwYDVR0RBAgwBocEfwAAATAKBggqhkjO
PQQDAgNHADBEAiBVjwpHIa2SenycXkc+2LpzQUTtyYuf1YecovUKZKJpRwIgMsZf
oNll3Yvt5KjQd/pRNfkjgLYLoBtGaE8tFhOmj9w=
-----END CERTIFICATE-----
"""


Operation = Callable[[ConstantContact], Awaitable[object]]
OPERATIONS: dict[str, Operation] = {
    "list": lambda cc: cc.contacts.list(email=ADDRESS, read_ahead=2).collect(),
    "get": lambda cc: cc.contacts.get(ADDRESS),
    "delete": lambda cc: cc.contacts.delete(ADDRESS),
    "create": lambda cc: cc.contacts.create(
        CreateContactRequest(create_source="Account", email_address=EmailAddressInput(address=ADDRESS))
    ),
    "sign_up": lambda cc: cc.contacts.create_or_update(
        CreateOrUpdateContactRequest(email_address=ADDRESS, list_memberships=["l1"])
    ),
    "request": lambda cc: cc.request("GET", f"/contacts/{ADDRESS}", params={"email": ADDRESS}),
}
FAILURES: dict[str, Reply] = {
    "cut": CUT,
    "hang": HANG,
    "hang_in_body": Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + ECHO.encode(), "hang"),
    "no_http": Reply(ECHO.encode() + b"\r\n\r\n", "close"),
    "bad_header": Reply(b"HTTP/1.1 200 OK\r\n" + ECHO.encode() + b"\xff\r\n\r\n", "close"),
    "unauthorized": UNAUTHORIZED,
    "forbidden": error(403, "access_denied", ECHO, X_Echo=ECHO),
    "conflict": reply(409, [{"error_key": "contacts.api.conflict", "error_message": ECHO}], ECHOED),
    "invalid": reply(400, {"message": ECHO}),
    "page": reply(502, f"<html><title>{ECHO}</title></html>".encode(), {"Content-Type": "text/html"}),
    "no_json": reply(200, ECHO.encode()),
    "odd_json": reply(200, {ECHO: [ECHO], "contacts": ECHO, "contact_id": [ECHO], "_links": ECHO}),
    "redirect": reply(302, None, ECHOED),
    "quota": error(429, "quota_exceeded", ECHO),
    "bulk": error(429, "bulk", ECHO),
}

READS_NOTHING = {("delete", "no_json"), ("delete", "odd_json"), ("request", "odd_json")}


@pytest.fixture(autouse=True)
def every_log_line(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, no line of any logger at any level holds the token or the address."""
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "cc_async"):
        yield
    records = caplog.get_records("call")
    for record in records:
        line = f"{record.getMessage()} {record.args!r} {record.exc_info!r}"
        assert not [secret for secret in (TOKEN, OTHER, ADDRESS, QUOTED) if secret in line]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_no_failure_shows_a_token_or_an_address(operation: str, failure: str) -> None:
    asyncio.get_running_loop().slow_callback_duration = 0.0  # asyncio now logs every callback with its arguments
    tokens = TokenList(TOKEN, TOKEN + "2")
    settings = {"timeout": 0.2, "retry": TWICE} if "hang" in failure else {"strict": True}
    async with talking(auth=tokens, **settings) as (cc, server):
        server.always = FAILURES[failure]
        (outcome,) = await asyncio.gather(OPERATIONS[operation](cc), return_exceptions=True)
    if (operation, failure) in READS_NOTHING:
        assert not isinstance(outcome, BaseException)
        return
    assert isinstance(outcome, ConstantContactError)
    assert TOKEN not in shown_by_a_debugger(outcome)
    assert not [secret for secret in (OTHER, ADDRESS, QUOTED) if secret in shown(outcome)]


@pytest.mark.parametrize("settings", [{"base_url": "http://api.cc.email/v3"}, {"timeout": -1.0}])
def test_a_client_that_cannot_be_made_does_not_show_its_token(settings: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Session(TOKEN, **settings)  # type: ignore[arg-type]  # one of each kind
    assert TOKEN not in shown_by_a_debugger(caught.value)


async def test_no_token_that_is_refused_is_shown() -> None:
    class Careless:
        async def token(self, rejected: str | None = None) -> str:  # noqa: ARG002  # the protocol has it
            return f"{TOKEN}\n"

    async with talking(auth=Careless()) as (cc, _):
        with pytest.raises(InvalidRequestError) as caught:
            await cc.contacts.get("c1")
    assert TOKEN not in shown_by_a_debugger(caught.value)


async def test_no_repr_shows_a_token_or_an_address() -> None:
    auth = OAuth2("id", client_secret=f"{TOKEN}s", refresh_token=f"{TOKEN}r")
    async with talking(reply(200, {"contacts": [], "_links": {"next": {"href": f"/v3/contacts?email={QUOTED}"}}})) as (
        cc,
        _,
    ):
        page = await cc.contacts.with_http_info.list(email=ADDRESS)
        response = await cc.contacts.with_http_info.get(ADDRESS)
        call = Call(
            operation="contacts.get",
            method="GET",
            path=f"/contacts/{QUOTED}?email={QUOTED}",
            parse=Decoded,
            body=ADDRESS.encode(),
        )
        things = [cc, cc._session, cc._session._auth, auth, page, response, call, cc.contacts.list(email=ADDRESS)]
        things += [
            Progress(write=False),
            RawResponse(200, {"X-Echo": ECHO}, ECHO.encode()),
            cc.contacts,
            cc.rate_limiter,
        ]
        for thing in things:
            assert TOKEN not in repr(thing)
            assert ADDRESS not in repr(thing)
            assert QUOTED not in repr(thing)


# --- nobody but the API ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_redirect_is_followed(method: str, status: int) -> None:
    async with RawServer() as elsewhere, talking() as (cc, server):
        for location in (f"{elsewhere.base_url}/contacts", "/v3/contacts"):
            server.replies.append(reply(status, None, {"Location": location}))
            with pytest.raises(ApiError, match="A redirect is never followed") as caught:
                await cc.request(method, "/contact_lists")
            assert caught.value.status == status
    assert (len(server.requests), elsewhere.requests) == (2, [])


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example.com/v3/contacts",
        "HTTPS://evil.example.com/v3/contacts",
        "/\\evil.example.com/v3/contacts",
        "\\\\evil.example.com/v3/contacts",
        "http://127.0.0.1:1/v3/contacts",
        "http://evil@127.0.0.1/v3/contacts",
        "/../oauth2/token",
        "/contacts/../../oauth2/token",
        "/%2e%2e/oauth2/token",
        "/contacts\r\nHost: evil.example.com",
        "contacts",
        "",
    ],
)
async def test_the_escape_hatch_leads_nowhere_else(path: str) -> None:
    limiter = OpenLimiter()
    async with talking(rate_limiter=limiter) as (cc, server):
        with pytest.raises(InvalidRequestError):
            await cc.request("GET", path)
    assert (server.requests, limiter.turns) == ([], 0)


async def test_what_looks_like_a_host_is_a_path_of_the_api() -> None:
    async with talking() as (cc, server):
        await cc.request("GET", "//evil.example.com/v3/contacts")
    assert [request.target for request in server.requests] == ["/v3//evil.example.com/v3/contacts"]


@pytest.mark.parametrize("read_ahead", [0, 12])
async def test_a_stream_follows_no_link_to_another_server(read_ahead: int) -> None:
    async with RawServer() as elsewhere, talking() as (cc, server):
        for link in (f"{elsewhere.base_url}/contacts?cursor=x", f"//{elsewhere.base_url[7:]}/contacts?cursor=x"):
            server.replies.append(reply(200, {"contacts": [], "_links": {"next": {"href": link}}}))
            with pytest.raises(PaginationError):
                await cc.contacts.list(read_ahead=read_ahead).collect()
    assert (len(server.requests), elsewhere.requests) == (2, [])


async def test_an_id_stays_one_segment_of_the_path_and_adds_no_header() -> None:
    async with talking() as (cc, server):
        for contact_id in ("a\r\nX-Evil: 1", "../../oauth2", "a?b#c", "//evil.example.com"):
            await cc.contacts.get(contact_id)
    assert [request.target.count("/") for request in server.requests] == [3] * 4
    assert not any("x-evil" in request.headers for request in server.requests)


# --- encryption --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.cc.email/v3",
        "http://10.0.0.1/v3",
        "http://localhost.example.com/v3",
        "http://127.0.0.1.example.com/v3",
        "http://0.0.0.0/v3",
        "ftp://127.0.0.1/v3",
        "https://me:secret@api.cc.email/v3",
        "api.cc.email/v3",
        "",
    ],
)
def test_plain_http_is_for_this_machine_alone(base_url: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ConstantContact(TOKEN, base_url=base_url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8080/v3", "http://[::1]/v3", "http://localhost/v3"])
def test_this_machine_needs_no_encryption(base_url: str) -> None:
    assert not ConstantContact(TOKEN, base_url=base_url).closed


@pytest.fixture
def untrusted() -> Iterator[tuple[ssl.SSLContext, ssl.SSLContext]]:
    """A server with a certificate that nobody trusts, and a client that does all the same."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "untrusted.pem"
        file.write_text(UNTRUSTED)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(file)
        yield server, ssl.create_default_context(cafile=str(file))


async def test_a_server_that_cannot_prove_its_name_gets_no_request(
    untrusted: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    limiter = OpenLimiter()
    async with RawServer(tls=untrusted[0]) as server, hasty(server.base_url, rate_limiter=limiter) as cc:
        with pytest.raises(TransportError, match="certificate verify failed") as caught:
            await cc.contacts.delete("c1")
    assert (caught.value.permanent, caught.value.maybe_applied) == (True, False)
    assert (server.requests, limiter.turns) == ([], 1)


async def test_a_lent_session_brings_its_own_trust(untrusted: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    connector = aiohttp.TCPConnector(ssl=untrusted[1])
    async with RawServer(tls=untrusted[0]) as server, aiohttp.ClientSession(connector=connector) as http:
        await hasty(server.base_url, client_session=http).contacts.delete("c1")
    assert len(server.requests) == 1


async def test_a_handshake_that_never_ends_is_a_connection_that_was_never_made() -> None:
    limiter = OpenLimiter()
    async with RawServer() as plain:
        base_url = plain.base_url.replace("http:", "https:")
        async with hasty(base_url, rate_limiter=limiter, timeout=0.1) as cc:
            with pytest.raises(RequestTimeoutError, match="No connection was made") as caught:
                await cc.contacts.delete("c1")
    assert (caught.value.maybe_applied, caught.value.permanent, limiter.turns) == (False, False, 6)


async def test_nothing_of_a_write_that_was_never_sent_is_called_applied() -> None:
    with nobody_listens() as base_url:
        async with hasty(base_url) as cc:
            with pytest.raises(TransportError, match="No connection could be made") as caught:
                await cc.contacts.delete("c1")
    assert not caught.value.maybe_applied
