"""Downloads of responses that are not JSON."""

import aiohttp

from cc_async.codec.decode import Decoded
from cc_async.errors import DecodeError
from cc_async.http.call import Call, RawResponse


def media_type(response: RawResponse) -> str:
    """Return the media type of a response, in lower case and without parameters, or an empty string."""
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def download(operation: str, path: str, *, accept: str) -> Call[aiohttp.ClientResponse]:
    """GET of a response that is not JSON, with its body unread."""
    return Call(operation=operation, method="GET", path=path, parse=_body_to_come, accept=accept, streamed=True)


def _body_to_come(response: RawResponse) -> Decoded[aiohttp.ClientResponse]:
    if response.stream is None:
        raise DecodeError("The response has no body that could be streamed.")
    if media_type(response) == "text/html":
        response.stream.close()
        raise DecodeError("The response is an HTML page instead of the file.", malformed=True)
    return Decoded(response.stream)
