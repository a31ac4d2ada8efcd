"""Every operation under every fault: how often it is sent, what the caller learns, how often it took effect."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
from support.raw_server import (
    CUT,
    FAST,
    HANG,
    QUOTA,
    RESET,
    THROTTLED,
    UNAUTHORIZED,
    OpenLimiter,
    RawServer,
    Reply,
    TokenList,
    error,
    hasty,
    nobody_accepts,
    nobody_listens,
    reply,
)

from cc_async import (
    ApiError,
    BadRequestError,
    ConstantContact,
    ConstantContactError,
    CreateContactRequest,
    CreateOrUpdateContactRequest,
    DecodeError,
    QuotaExceededError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    TransportError,
    UpdateContactRequest,
)
from cc_async.sandbox import Sandbox
from cc_async.sandbox.faults import KINDS

# A cell reads: requests sent, outcome (a question mark: with maybe_applied), and how often a write took effect.
# sign_up+ is the sign-up with retry_create_or_update=True; tag stands for a POST elsewhere through cc.request.
TABLE = """
fault      when   | get,list | update    | delete    | resubscribe | create,tag,sign_up | sign_up+
throttled  before | 2 ok     | 2 ok 1    | 2 ok 1    | 2 ok 1      | 2 ok 1             | 2 ok 1
quota      before | 1 Quota  | 1 Quota 0 | 1 Quota 0 | 1 Quota 0   | 1 Quota 0          | 1 Quota 0
bulk       before | 1 Rate   | 1 Rate 0  | 1 Rate 0  | 1 Rate 0    | 1 Rate 0           | 1 Rate 0
expired    before | 2 ok     | 2 ok 1    | 2 ok 1    | 2 ok 1      | 2 ok 1             | 2 ok 1
400        before | 1 Bad    | 1 Bad 0   | 1 Bad 0   | 1 Bad 0     | 1 Bad 0            | 1 Bad 0
redirect   before | 1 Api    | 1 Api? 0  | 1 Api? 0  | 1 Api? 0    | 1 Api? 0           | 1 Api? 0
redirect   after  | 1 Api    | 1 Api? 1  | 1 Api? 1  | 1 Api? 1    | 1 Api? 1           | 1 Api? 1
5xx        before | 2 ok     | 2 ok 1    | 2 ok 1    | 1 Server? 0 | 1 Server? 0        | 2 ok 1
5xx        after  | 2 ok     | 2 ok 2    | 2 ok 1    | 1 Server? 1 | 1 Server? 1        | 2 ok 2
408        before | 2 ok     | 2 ok 1    | 2 ok 1    | 1 Api? 0    | 1 Api? 0           | 2 ok 1
408        after  | 2 ok     | 2 ok 2    | 2 ok 1    | 1 Api? 1    | 1 Api? 1           | 2 ok 2
html       before | 2 ok     | 2 ok 1    | 2 ok 1    | 1 Decode? 0 | 1 Decode? 0        | 2 ok 1
html       after  | 2 ok     | 2 ok 2    | 2 ok 1    | 1 Decode? 1 | 1 Decode? 1        | 2 ok 2
cut        before | 2 ok     | 2 ok 1    | 2 ok 1    | 1 Trans? 0  | 1 Trans? 0         | 2 ok 1
cut        after  | 2 ok     | 2 ok 2    | 2 ok 1    | 1 Trans? 1  | 1 Trans? 1         | 2 ok 2
reset      before | 2 ok     | 2 ok 1    | 2 ok 1    | 1 Trans? 0  | 1 Trans? 0         | 2 ok 1
reset      after  | 2 ok     | 2 ok 2    | 2 ok 1    | 1 Trans? 1  | 1 Trans? 1         | 2 ok 2
hang       before | 2 ok     | 2 ok 1    | 2 ok 1    | 1 Time? 0   | 1 Time? 0          | 2 ok 1
hang       after  | 2 ok     | 2 ok 2    | 2 ok 1    | 1 Time? 1   | 1 Time? 1          | 2 ok 2
cut_body   after  | 2 ok     | 2 ok 2    | 1 ok 1    | 1 ok 1      | 1 Trans? 1         | 2 ok 2
truncated  after  | 2 ok     | 2 ok 2    | 1 ok 1    | 1 ok 1      | 1 Decode? 1        | 2 ok 2
broken     after  | 2 ok     | 2 ok 2    | 1 ok 1    | 1 ok 1      | 1 Decode? 1        | 2 ok 2
"""
# What a server of bare sockets does instead of answering. It applies nothing; put is a PUT elsewhere.
RAW_TABLE = """
fault        | get,list,update,delete,sign_up+ | resubscribe,create,put,sign_up
refused      | 2 Trans                         | 2 Trans
unaccepted   | 2 Time                          | 2 Time
cut          | 2 ok                            | 1 Trans?
reset        | 2 ok                            | 1 Trans?
hang         | 2 ok                            | 1 Time?
half_a_head  | 2 ok                            | 1 Trans?
hang_in_head | 2 ok                            | 1 Time?
hang_in_body | 2 ok                            | 1 Time?
no_http      | 2 ok                            | 1 Trans?
bad_header   | 2 ok                            | 1 Trans?
bad_length   | 2 ok                            | 1 Trans?
bad_chunk    | 2 ok                            | 1 Trans?
bad_gzip     | 2 ok                            | 1 Trans?
long_head    | 2 ok                            | 1 Trans?
cut_in_500   | 2 ok                            | 1 Server?
cut_in_400   | 1 Bad                           | 1 Bad
cut_in_429   | 2 ok                            | 2 ok
cut_in_401   | 2 ok                            | 2 ok
flood_in_500 | 2 ok                            | 1 Server?
throttled    | 2 ok                            | 2 ok
bare_429     | 2 ok                            | 2 ok
quota        | 1 Quota                         | 1 Quota
"""
OUTCOMES: dict[str, type[ConstantContactError]] = {
    "Api": ApiError,
    "Bad": BadRequestError,
    "Decode": DecodeError,
    "Quota": QuotaExceededError,
    "Rate": RateLimitError,
    "Server": ServerError,
    "Time": RequestTimeoutError,
    "Trans": TransportError,
}
FAULTS: dict[str, list[dict[str, Any]]] = {
    "400": [{"kind": "status", "status": 400, "key": "contacts.api.validation.error"}],
    "408": [{"kind": "status", "status": 408, "shape": "empty"}],
    "reset": [{"kind": "cut", "reset": True}],
    "expired": [{}],
}
STATUSES = (500, 502, 503, 504)
SHAPES = ("array", "object", "message", "html", "empty")
SHORT = ("hang", "hang_in_head", "hang_in_body", "unaccepted")
RAW: dict[str, Reply] = {
    "cut": CUT,
    "reset": RESET,
    "hang": HANG,
    "half_a_head": Reply(b"HTTP/1.1 200 OK\r\nContent-Le", "close"),
    "hang_in_head": Reply(b"HTTP/1.1 200 OK\r\nContent-Le", "hang"),
    "hang_in_body": Reply(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"contact_id"', "hang"),
    "no_http": Reply(b"SSH-2.0-OpenSSH_9.6 \r\n\r\n", "close"),
    "bad_header": Reply(b"HTTP/1.1 200 OK\r\nno colon in this\r\n\r\n{}", "close"),
    "bad_length": Reply(b"HTTP/1.1 200 OK\r\nContent-Length: twelve\r\n\r\n{}", "close"),
    "bad_chunk": Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", "close"),
    "bad_gzip": reply(200, b"this is not gzip", {"Content-Encoding": "gzip"}, then="close"),
    "long_head": Reply(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n", "close"),
    "cut_in_500": reply(500, {"message": "x" * 99}, cut=50, then="close"),
    "cut_in_400": reply(400, {"message": "x" * 99}, cut=50, then="close"),
    "cut_in_429": reply(429, {"message": "x" * 99}, cut=50, then="reset"),
    "cut_in_401": reply(401, {"message": "x" * 99}, cut=50, then="close"),
    "flood_in_500": Reply(b"HTTP/1.1 500 Oh\r\n\r\n", "flood"),
    "throttled": THROTTLED,
    "bare_429": reply(429),
    "quota": QUOTA,
}


@attrs.frozen
class Case:
    """One cell of a table."""

    fault: str
    when: str
    operation: str
    requests: int
    outcome: str
    maybe_applied: bool
    applied: int | None

    def __str__(self) -> str:
        return "-".join(filter(None, (self.fault, self.when, self.operation)))


def cases(table: str) -> list[Case]:
    """Every cell of a table, one for each operation."""
    (_, *heads), *rows = ([cell.split() for cell in line.split("|")] for line in table.strip().splitlines())
    return [
        Case(
            fault=label[0],
            when=label[1] if len(label) > 1 else "",
            operation=operation,
            requests=int(cell[0]),
            outcome=cell[1].removesuffix("?"),
            maybe_applied=cell[1].endswith("?") and operation not in ("get", "list"),
            applied=int(cell[2]) if len(cell) > 2 else None,
        )
        for label, *cells in rows
        for (head,), cell in zip(heads, cells, strict=True)
        for operation in head.split(",")
    ]


Operation = Callable[[ConstantContact, str, str], Awaitable[Any]]


def _created(cc: ConstantContact, contact_id: str, _: str) -> Awaitable[Any]:
    return cc.contacts.create(CreateContactRequest(create_source="Account", first_name=f"Ada {contact_id}"))


def _signed_up(cc: ConstantContact, contact_id: str, list_id: str) -> Awaitable[Any]:
    address = f"{contact_id[:8]}@new.example.com"
    return cc.contacts.create_or_update(CreateOrUpdateContactRequest(email_address=address, list_memberships=[list_id]))


def _updated(cc: ConstantContact, contact_id: str, _: str) -> Awaitable[Any]:
    return cc.contacts.update(contact_id, UpdateContactRequest(update_source="Account", first_name="Ada"))


OPERATIONS: dict[str, tuple[str, str, Operation]] = {
    "get": ("GET", "/contacts/", lambda cc, contact_id, _: cc.contacts.get(contact_id)),
    "list": ("GET", "/contacts", lambda cc, *_: cc.contacts.with_http_info.list(limit=5)),
    "update": ("PUT", "/contacts/", _updated),
    "delete": ("DELETE", "/contacts/", lambda cc, contact_id, _: cc.contacts.delete(contact_id)),
    "resubscribe": (
        "PUT",
        "/contacts/resubscribe/",
        lambda cc, contact_id, list_id: cc.contacts.resubscribe(contact_id, [list_id]),
    ),
    "create": ("POST", "/contacts", _created),
    "tag": ("POST", "/contact_tags", lambda cc, name, _: cc.request("POST", "/contact_tags", json={"name": name})),
    "put": ("PUT", "/contact_lists", lambda cc, name, _: cc.request("PUT", f"/contact_lists/{name}", json={})),
    "sign_up": ("POST", "/contacts/sign_up_form", _signed_up),
    "sign_up+": ("POST", "/contacts/sign_up_form", _signed_up),
}


async def check(case: Case, cc: ConstantContact, contact_id: str, list_id: str = "l1") -> None:
    """Call the operation and see that it ends as the table says."""
    awaitable = OPERATIONS[case.operation][2](cc, contact_id, list_id)
    if case.outcome == "ok":
        await awaitable
        return
    with pytest.raises(OUTCOMES[case.outcome]) as caught:
        await awaitable
    assert caught.value.maybe_applied is case.maybe_applied
    assert ("may have been applied" in str(caught.value)) is (case.maybe_applied and case.outcome != "Decode")


def faults_of(case: Case) -> list[dict[str, Any]]:
    """The orders that make up a fault: of 5xx every status and every shape, in pairs that differ by operation."""
    if case.fault != "5xx":
        return FAULTS.get(case.fault, [{"kind": case.fault}])
    shift = [*OPERATIONS].index(case.operation)
    statuses = [STATUSES[(number + shift) % len(STATUSES)] for number in range(len(SHAPES))]
    return [
        {"kind": "status", "status": status, "shape": shape} for status, shape in zip(statuses, SHAPES, strict=True)
    ]


def _permits(contact: dict[str, Any]) -> bool:
    permission = contact.get("email_address", {}).get("permission_to_send")
    return permission in ("implicit", "explicit") and "deleted_at" not in contact


def settings(case: Case) -> dict[str, Any]:
    chosen: dict[str, Any] = {"retry": attrs.evolve(FAST, retry_create_or_update=case.operation == "sign_up+")}
    if case.fault in SHORT:
        chosen["timeout"] = 0.6
    return chosen


@pytest.mark.parametrize("case", cases(TABLE), ids=str)
async def test_an_operation_meets_a_fault_of_the_sandbox(case: Case) -> None:
    method, path, _ = OPERATIONS[case.operation]
    async with Sandbox(contacts=20 if case.fault == "5xx" else 9, rate=None) as box:
        usable = [contact for contact in box.store.ids() if _permits(box.store.get(contact))]
        for fault in faults_of(case):
            contact_id, limiter = usable.pop(), OpenLimiter()
            if case.operation == "resubscribe":
                box.store.unsubscribe(contact_id)
            tokens = TokenList(box.access_token)
            if not fault:
                box.revoke(box.access_token)
                tokens.tokens.append(box.access_token)
            else:
                box.fault(**{"method": method, "path": path, "when": case.when, **fault})
            box.requests.clear()
            async with hasty(box.base_url, tokens, rate_limiter=limiter, **settings(case)) as cc:
                await check(case, cc, contact_id, box.store.lists[0])
            assert len(box.requests) == limiter.turns == case.requests
            assert (box.applied(method, path) if case.applied is not None else None) == case.applied
            assert len(limiter.refusals) == (case.fault == "throttled")
            assert limiter.quotas == (case.fault == "quota")


@pytest.mark.parametrize("case", cases(RAW_TABLE), ids=str)
async def test_an_operation_meets_a_fault_of_bare_sockets(case: Case) -> None:
    limiter = OpenLimiter()
    chosen = {**settings(case), "rate_limiter": limiter}
    if case.fault in ("refused", "unaccepted"):
        chosen["retry"] = attrs.evolve(chosen["retry"], attempts=2)
        with nobody_listens() if case.fault == "refused" else nobody_accepts() as base_url:
            async with hasty(base_url, **chosen) as cc:
                await check(case, cc, "c1")
        assert limiter.turns == case.requests
        return
    tokens = TokenList("first", "second")
    async with RawServer(RAW[case.fault]) as server, hasty(server.base_url, tokens, **chosen) as cc:
        await check(case, cc, "c1")
    assert len(server.requests) == limiter.turns == case.requests


def test_the_tables_leave_out_no_fault_that_touches_a_request() -> None:
    content = {"latency", "segment_processing", "mutate", "link", "body"}  # these change what is said, not whether
    named = {"status"} | {fault["kind"] for faults in FAULTS.values() for fault in faults if fault}
    assert {case.fault for case in cases(TABLE)} - FAULTS.keys() - {"5xx"} | named | content == set(KINDS)


async def test_a_delete_that_finds_nothing_after_a_lost_response_has_succeeded_and_says_404() -> None:
    async with Sandbox(contacts=1, rate=None) as box, hasty(box.base_url, box.access_token) as cc:
        box.fault("cut", method="DELETE", when="after")
        response = await cc.contacts.with_http_info.delete(box.store.ids()[0])
    assert (response.data, response.status) == (None, 404)


@pytest.mark.parametrize("lost", [CUT, error(503, "down"), error(504, "late")])
async def test_that_holds_for_a_delete_elsewhere_whatever_the_404_looks_like(lost: Reply) -> None:
    page = reply(404, b"<html>nothing here</html>", {"Content-Type": "text/html"})
    async with RawServer(lost, page) as server, hasty(server.base_url) as cc:
        response = await cc.request("DELETE", "/contact_lists/l1")
    assert (response.data, response.status, len(server.requests)) == (None, 404, 2)


@pytest.mark.parametrize("first", [None, THROTTLED, UNAUTHORIZED])
async def test_a_delete_of_what_never_was_there_is_an_error(first: Reply | None) -> None:
    replies = [*filter(None, [first]), error(404, "contacts.api.not_found")]
    tokens = TokenList("first", "second")
    async with RawServer(*replies) as server, hasty(server.base_url, tokens) as cc:
        with pytest.raises(ApiError) as caught:
            await cc.contacts.delete("c1")
    assert (caught.value.status, caught.value.maybe_applied) == (404, False)


async def test_a_repeated_write_is_the_same_request_again() -> None:
    async with RawServer(CUT, error(502, "gateway")) as server, hasty(server.base_url) as cc:
        await _updated(cc, "c1", "")
    assert len({(request.method, request.target, request.body) for request in server.requests}) == 1
    assert len(server.requests) == 3
    assert json.loads(server.requests[0].body)["first_name"] == "Ada"
