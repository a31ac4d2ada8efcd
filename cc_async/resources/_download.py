"""GET of what is not JSON."""

import aiohttp

from cc_async.codec.decode import Decoded
from cc_async.errors import DecodeError
from cc_async.http.call import Call, RawResponse


def media_type(response: RawResponse) -> str:
    """The media type of a response, in lower case and without parameters; empty if it names none."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def download(path: str, *, accept: str) -> Call[aiohttp.ClientResponse]:
    """GET of what is not JSON; the body is left to be read."""
    return Call(method="GET", path=path, parse=_body_to_come, accept=accept, streamed=True)


def _body_to_come(response: RawResponse) -> Decoded[aiohttp.ClientResponse]:
    if response.stream is None:
        raise DecodeError("The response has no body that could be streamed.")
    if media_type(response) == "text/html":
        response.stream.close()
        raise DecodeError("A page of HTML came instead of the file.", malformed=True)
    return Decoded(response.stream)
