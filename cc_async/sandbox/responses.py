"""Responses as values, and the shapes in which the services write their errors."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import attrs
import msgspec

Shape: TypeAlias = Literal["array", "object", "message", "html", "empty", "oauth", "idp"]


@attrs.frozen
class Response:
    """One HTTP response, before compression and faults; a large one is a stream of `chunks`."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    chunks: Iterable[bytes] = ()


class Refused(Exception):  # noqa: N818  # a refusal is a response of the API, not an error of the sandbox
    """A request that breaks a rule of the service; the methods of `Store` raise it."""

    def __init__(self, status: int, key: str, message: str) -> None:
        super().__init__(status, key, message)
        self.status, self.key, self.message = status, key, message

    @property
    def response(self) -> Response:
        """The error as the service writes it."""
        if self.status == UNSUPPORTED.status:
            return UNSUPPORTED
        return document([_error(self.key, self.message)], self.status)


def _error(key: str, message: str) -> dict[str, str]:
    return {"error_key": key, "error_message": message}


def document(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Respond with a JSON document."""
    return Response(status, msgspec.json.encode(value), headers=headers or {})


def invalid(message: str) -> Refused:
    """Refuse a request that does not validate."""
    return Refused(400, "contacts.api.validation.error", message)


def not_found(message: str = "The contact was not found.") -> Refused:
    """Refuse a request for something that does not exist."""
    return Refused(404, "contacts.api.not_found", message)


def conflict(message: str) -> Refused:
    """Refuse a request that collides with existing data."""
    return Refused(409, "contacts.api.conflict", message)


def unsupported() -> Refused:
    """Refuse a body of the wrong media type."""
    return Refused(UNSUPPORTED.status, "", "Unsupported Media Type")


def gateway(status: int, key: str, message: str) -> Response:
    """Respond as the gateway in front of the services does."""
    return document(_error(key, message), status)


UNAUTHORIZED = gateway(401, "unauthorized", "Unauthorized")
ACCESS_DENIED = gateway(403, "access_denied", "Access Denied")
THROTTLED = gateway(429, "throttled", "Too Many Requests")
QUOTA = gateway(429, "quota_exceeded", "Limit Exceeded")
QUEUE_FULL = gateway(429, "activities.api.limit_exceeded", "More than 1000 bulk activities are queued.")
UNSUPPORTED = document({"message": "Unsupported Media Type"}, 415)


def shaped(status: int, shape: Shape, key: str, message: str) -> Response:
    """Write one error in the shape used by the chosen machine."""
    documents: dict[str, Any] = {
        "array": [_error(key, message)],
        "object": _error(key, message),
        "message": {"message": message},
        "oauth": {"error": key, "error_description": message},
        "idp": {"errorCode": key, "errorSummary": message, "errorLink": key, "errorCauses": []},
    }
    if shape in documents:
        return document(documents[shape], status)
    return html(status, message) if shape == "html" else Response(status)


def html(status: int, title: str) -> Response:
    """Respond with the kind of page that proxies write."""
    page = f"<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Response(status, page.encode(), "text/html")
