"""Injected faults: what goes wrong, for which requests, and how often."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, get_args

import attrs
import msgspec

from .responses import QUEUE_FULL, QUOTA, THROTTLED, Response, Shape, document, html, shaped

Kind: TypeAlias = Literal[
    "latency",
    "throttled",
    "quota",
    "bulk",
    "status",
    "html",
    "cut",
    "cut_body",
    "truncated",
    "broken",
    "hang",
    "redirect",
    "segment_processing",
    "body",
    "mutate",
    "link",
]
KINDS: tuple[str, ...] = get_args(Kind)
REFUSALS: Mapping[str, Response] = {"throttled": THROTTLED, "quota": QUOTA, "bulk": QUEUE_FULL}
SILENT = ("cut", "hang")  # kinds without any response
_SPOILERS = ("cut_body", "truncated", "broken", "mutate", "link")  # kinds that alter the real response


@attrs.frozen(kw_only=True)
class Fault:
    """One injected fault; `path` is a regular expression matched from the start of the path below /v3.

    `path="token"` stands for the token endpoint, and None for every path of the API. `times=None` means always;
    the first `after` requests that match are spared. `when` says whether a write is still applied.
    See `Sandbox.fault`.
    """

    kind: Kind = attrs.field(validator=attrs.validators.in_(KINDS))
    method: str | None = None
    path: str | re.Pattern[str] | None = None
    times: int | None = 1
    after: int = 0
    when: Literal["before", "after"] = attrs.field(
        default="before", validator=attrs.validators.in_(("before", "after"))
    )

    seconds: float = 0.0  # latency
    status: int = 500  # status, body
    shape: Shape = "array"  # status
    key: str = "contacts.api.internal_error"  # status
    message: str = "Something went wrong."  # status
    headers: Mapping[str, str] = attrs.field(factory=dict)  # of any kind with a response
    body: bytes = b""  # body
    content_type: str = "application/json"  # body
    location: str = "https://elsewhere.example.com/"  # redirect
    href: str = ""  # link
    change: Callable[[Any], Any] | None = None  # mutate: may change the document in place, or return another
    reset: bool = False  # cut, cut_body: end with RST instead of FIN

    def matches(self, method: str, path: str, query: str) -> bool:
        """Return whether a request is one that this fault applies to."""
        if self.method not in (None, method) or (self.kind == "segment_processing" and "segment_id=" not in query):
            return False
        names = _names(path)
        pattern = re.compile("/" if self.path is None else self.path)
        return any(pattern.match(name) for name in names[: 1 if self.path is None else None])

    @property
    def spares_the_write(self) -> bool:
        """Whether the request does not reach the service."""
        return self.when == "before" and self.kind not in ("latency", *_SPOILERS)

    def spoil(self, response: Response) -> Response:
        """Return the response as altered by this fault."""
        if self.kind in _SPOILERS:
            if self.kind == "cut_body" and response.chunks:
                return attrs.evolve(response, headers={**response.headers, **self.headers})
            body = response.body or b"".join(response.chunks)
            if not body:
                return response
            changed = attrs.evolve(response, body=self._spoiled(body), chunks=())
        else:
            changed = self._instead() or response
        return attrs.evolve(changed, headers={**changed.headers, **self.headers})

    def _instead(self) -> Response | None:
        if self.kind == "status":
            return shaped(self.status, self.shape, self.key, self.message)
        others = {
            "html": html(200, "Welcome"),
            "redirect": Response(302, headers={"Location": self.location}),
            "segment_processing": document({"contacts": [], "status": "processing"}, 202),
            "body": Response(self.status, self.body, self.content_type),
        }
        return REFUSALS.get(self.kind) or others.get(self.kind)

    def _spoiled(self, body: bytes) -> bytes:
        if self.kind in ("cut_body", "truncated"):
            return body[: len(body) // 2] if self.kind == "truncated" else body
        if self.kind == "broken":
            return body[:-1] + b",,]"
        content = msgspec.json.decode(body)
        if self.kind == "link" and isinstance(content, dict):
            content["_links"] = {"next": {"href": self.href}}
        elif self.change is not None:
            changed = self.change(content)
            content = content if changed is None else changed
        return msgspec.json.encode(content)


class Faults:
    """The pending faults, oldest first."""

    def __init__(self) -> None:
        self._ordered: list[tuple[Fault, list[int]]] = []

    def add(self, fault: Fault) -> None:
        """Add a fault."""
        self._ordered.append((fault, [0]))

    def clear(self) -> None:
        """Remove all faults."""
        self._ordered.clear()

    def due(self, method: str, path: str, query: str, *, refusals: bool) -> list[Fault]:
        """Return the faults that apply to this request, and count them: all delays and at most one other.

        The gateway asks first, for `refusals` only, so that a request it refuses consumes no other fault.
        """
        due: list[Fault] = []
        for fault, seen in self._ordered:
            if (fault.kind in REFUSALS) is not refusals or not fault.matches(method, path, query):
                continue
            if fault.kind != "latency" and any(other.kind != "latency" for other in due):
                continue
            seen[0] += 1
            if seen[0] > fault.after and (fault.times is None or seen[0] <= fault.after + fault.times):
                due.append(fault)
        return due


def _names(path: str) -> list[str]:
    """Return the names by which a fault may call a path; the API's come first, and begin with a slash."""
    if path.startswith("/v3/"):
        return [path.removeprefix("/v3"), path]
    return ["token" if path.endswith("/token") else "", path]
