"""The sandbox itself: its socket, the gateway in front of the API, and the interface for tests."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Mapping
from email.utils import formatdate
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

import attrs
from aiohttp import web

from .api.contacts.store import Store
from .api.service import Api
from .chance import Dice, identifier
from .faults import REFUSALS, SILENT, Fault, Faults, Kind
from .limits import Limits, RateMeter
from .oauth import Authorization, Denied
from .requests import Call, Handler
from .responses import ACCESS_DENIED, THROTTLED, UNAUTHORIZED, Response
from .settings import Settings

_OAUTH = "/oauth2/default/v1"
_ENDPOINTS = {
    f"{_OAUTH}/token": "token",
    f"{_OAUTH}/authorize": "authorize",
    f"{_OAUTH}/device/authorize": "device",
    "/activate": "activate",
}
_SCOPES = {"/v3/account/user/privileges": "", "/v3/account/": "account_read"}
_SECRET_HEADERS = ("authorization", "cookie")
_COMPRESSED_FROM = 1024  # bytes
_CHUNKS_BEFORE_CUT = 3
_LARGEST_BODY = 16 << 20
_PATIENCE = 0.01  # seconds that requests in flight have to finish on close; 0 would mean forever


@attrs.frozen(kw_only=True)
class Record:
    """One request that arrived; `status` is 0 if there was no response. See `Sandbox.requests`."""

    endpoint: str  # api, token, authorize, device, activate
    method: str
    path: str
    query: str
    headers: Mapping[str, str] = attrs.field(repr=False)  # in lower case, without credentials
    status: int
    arrived: float  # by the monotonic clock
    applied: bool  # whether a write took effect, or tokens were issued


@attrs.define(kw_only=True, eq=False, repr=False)
class Sandbox(Settings):
    """A local server that behaves like the Constant Contact V3 API; an async context manager.

        async with Sandbox(contacts=1_000, latency=0.05) as box:
            async with ConstantContact(box.access_token, base_url=box.base_url) as client:
                print(await client.contacts.counts())

    The settings are inherited so that type checkers know every keyword, and so that tests can change them while
    the sandbox runs; its parts (`oauth`, `limits`, `store`) are attributes.

    Everything in `Settings` can be given by keyword. Its contacts, identifiers and tokens follow from `seed`.
    """

    store: Store = attrs.field(init=False)
    requests: list[Record] = attrs.field(init=False, factory=list)
    limits: Limits = attrs.field(init=False)
    _token_meter: RateMeter = attrs.field(init=False, factory=RateMeter)
    oauth: Authorization = attrs.field(init=False)
    _faults: Faults = attrs.field(init=False, factory=Faults)
    _api: Api = attrs.field(init=False)
    _dice: Dice = attrs.field(init=False)
    _runner: web.AppRunner | None = attrs.field(init=False, default=None)
    _origin: str = attrs.field(init=False, default="")

    def __attrs_post_init__(self) -> None:
        self.limits = Limits(self)
        self.oauth = Authorization(self)
        self.oauth.grant()
        self._api = Api(self)
        self.store = self._api.store
        self._dice = Dice(self.seed)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Start listening on 127.0.0.1; does nothing if already started."""
        if self._runner is not None:
            return
        app = web.Application(client_max_size=_LARGEST_BODY)
        for method, path, handler in self._api.routes:
            app.router.add_route(method, f"/v3{path}", partial(self._serve, handler))
        app.router.add_route("*", "/{path:.*}", partial(self._serve, _deny))
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_PATIENCE)
        self._runner = runner
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
        except BaseException:
            await self.close()
            raise
        host, port = runner.addresses[0][:2]
        self._origin = f"http://{host}:{port}"

    async def close(self) -> None:
        """Close every connection and stop listening; does nothing if already closed."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @property
    def base_url(self) -> str:
        """The base URL of the API."""
        return f"{self._origin}/v3"

    @property
    def token_url(self) -> str:
        """The URL of the token endpoint."""
        return f"{self._origin}{_OAUTH}/token"

    @property
    def authorize_url(self) -> str:
        """The URL to which a browser is sent to authorize."""
        return f"{self._origin}{_OAUTH}/authorize"

    @property
    def device_url(self) -> str:
        """The URL at which a device starts to authorize."""
        return f"{self._origin}{_OAUTH}/device/authorize"

    @property
    def client_id(self) -> str:
        """The application's id, which is also its API key."""
        return self.oauth.client_id

    @property
    def client_secret(self) -> str:
        """The secret of the application, for confidential clients."""
        return self.oauth.client_secret

    @property
    def access_token(self) -> str:
        """The newest valid access token."""
        return self.oauth.current()

    @property
    def refresh_token(self) -> str:
        """The newest valid refresh token."""
        return self.oauth.current_refresh_token()

    @property
    def refreshes(self) -> int:
        """The number of refreshes."""
        return self.oauth.refreshes

    @property
    def spent_token_uses(self) -> int:
        """The number of requests with a refresh token that was already used."""
        return self.oauth.spent_token_uses

    @property
    def throttled(self) -> int:
        """The number of requests refused by the limit per second."""
        return self.limits.throttled

    @property
    def spent_today(self) -> int:
        """The number of requests counted against the quota of the current UTC day."""
        return self.limits.spent_today

    def max_in_window(self, seconds: float | None = None) -> int:
        """Return the highest number of API requests that arrived within any window of `seconds` (default: `per`)."""
        return self.limits.most_within(self.per if seconds is None else seconds)

    def applied(self, method: str, path: str = "") -> int:
        """Count the writes that were applied, by method and prefix of the path below /v3."""
        prefix = f"/v3{path}"
        return sum(
            1
            for record in self.requests
            if record.applied and record.method == method and record.path.startswith(prefix)
        )

    def revoke(self, token: str) -> None:
        """Revoke an access or refresh token."""
        self.oauth.revoke(token)

    def expire_access_tokens(self) -> None:
        """Expire all access tokens issued so far."""
        self.oauth.expire()

    def approve_device(self, user_code: str) -> None:
        """Approve the device with this user code; raises KeyError for an unknown code."""
        self.oauth.decide(user_code, "approved")

    def deny_device(self, user_code: str) -> None:
        """Deny the device with this user code; raises KeyError for an unknown code."""
        self.oauth.decide(user_code, "denied")

    def advance(self, seconds: float) -> None:
        """Move the clock forward for tokens, quota, timestamps and bulk jobs."""
        clock = self.clock
        self.clock = lambda: clock() + seconds

    def finish_jobs(self) -> None:
        """Complete all bulk jobs now."""
        self._api.jobs.finish()

    def spend_quota(self, requests: int) -> None:
        """Count requests made today by other users of the same key."""
        self.limits.spend(requests)

    def fault(self, kind: Kind, **details: Any) -> Fault:
        """Inject a fault; `details` are the attributes of `Fault`."""
        fault = Fault(kind=kind, **details)
        self._faults.add(fault)
        return fault

    def clear_faults(self) -> None:
        """Remove all pending faults."""
        self._faults.clear()

    async def _serve(self, handler: Handler, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(2 * self.arrival_jitter * self._dice.roll())
        body, query, path = await request.read(), request.rel_url.raw_query_string, request.rel_url.raw_path
        call = Call(request.method, path, query, request.headers, body, handler, request.match_info)
        arrived, endpoint = self.monotonic(), _ENDPOINTS.get(path, "api")
        faults: list[Fault] = []
        applied, status = False, 0
        response = self._gateway(call, endpoint, arrived)
        try:
            if response is None:
                faults = self._faults.due(call.method, call.path, call.query, refusals=False)
                await asyncio.sleep(sum(fault.seconds for fault in faults if fault.when == "before"))
                while self._api.jobs.step():  # noqa: ASYNC110  # lets others run between the slices of a large job
                    await asyncio.sleep(0)
                response, applied = self._respond(call, endpoint, faults)
            status = 0 if any(fault.kind in SILENT for fault in faults) else response.status
        finally:
            self.requests.append(_record(call, endpoint, arrived, status, applied=applied))
        late = sum(fault.seconds for fault in faults if fault.when == "after")
        await asyncio.sleep(max(0.0, late + self.latency + self.jitter * (2 * self._dice.roll() - 1)))
        worst = next((fault for fault in faults if fault.kind != "latency"), None)
        return await self._deliver(request, response, worst)

    def _gateway(self, call: Call, endpoint: str, arrived: float) -> Response | None:
        """Return the refusal of the gateway, or None if the request may pass."""
        for fault in self._faults.due(call.method, call.path, call.query, refusals=True):
            return fault.spoil(REFUSALS[fault.kind])
        if endpoint != "api":
            rate = self.token_rate if endpoint == "token" else None
            passes = rate is None or self._token_meter.admit(arrived, rate, 1.0, "sliding")
            return None if passes else THROTTLED
        refusal = self.limits.admit(arrived)
        if refusal is not None:
            return refusal
        scope = self.oauth.scope_of(call.headers.get("Authorization", ""))
        if scope is None:
            return UNAUTHORIZED
        needed = next((scope for start, scope in _SCOPES.items() if call.path.startswith(start)), "contact_data")
        allowed = call.path.startswith("/v3/") and (not needed or needed in scope.split())
        return None if allowed else ACCESS_DENIED

    def _respond(self, call: Call, endpoint: str, faults: list[Fault]) -> tuple[Response, bool]:
        """Return the response of the service, altered by faults, and whether a write was applied."""
        true, applied = Response(500), False
        if not any(fault.spares_the_write for fault in faults):
            true = self._service(call, endpoint)
            succeeded = 200 <= true.status < 300
            applied = succeeded and call.method != "GET"
        for fault in faults:
            true = fault.spoil(true)
        return true, applied

    def _service(self, call: Call, endpoint: str) -> Response:
        if endpoint == "api":
            return self._api.respond(attrs.evolve(call, path=call.path.removeprefix("/v3")))
        if endpoint == "authorize":
            return self.oauth.authorize(call.query)
        if endpoint == "activate":
            return self.oauth.activate(call.query, call.body)
        try:
            if endpoint == "device":
                return self.oauth.device(call.body, call.headers)
            return self.oauth.token(call.body, call.headers)
        except Denied as denied:
            return denied.response

    async def _deliver(self, request: web.Request, given: Response, fault: Fault | None) -> web.StreamResponse:
        body, headers = given.body, self._headers(given)
        accepted = request.headers.get("Accept-Encoding", "")
        if self.compress and len(body) > _COMPRESSED_FROM and "gzip" in accepted:
            packer = zlib.compressobj(1, wbits=31)
            body = packer.compress(body) + packer.flush()
            headers["Content-Encoding"] = "gzip"
        if fault is not None and fault.kind == "hang":
            await asyncio.Event().wait()
        if given.chunks and (fault is None or fault.kind != "cut"):
            return await _stream(request, given, headers, fault)
        if fault is not None and fault.kind in ("cut", "cut_body"):
            response = web.StreamResponse(status=given.status, headers=headers)
            if fault.kind == "cut_body":
                response.content_length = len(body)
                await response.prepare(request)
                await response.write(body[: len(body) // 2])
            _cut(request, reset=fault.reset)
            return response
        return web.Response(status=given.status, body=body or None, headers=headers)

    def _headers(self, given: Response) -> dict[str, str]:
        number = len(self.requests)
        headers = {
            "x-amzn-RequestId": identifier(self.seed, 301, number),
            "x-eig-tracking-id": identifier(self.seed, 302, number),
            "Date": formatdate(self.clock(), usegmt=True),
        }
        if given.body or given.chunks:
            headers["Content-Type"] = f"{given.content_type}; charset=utf-8"
        return {**headers, **given.headers}


def _deny(_: Call) -> Response:
    return ACCESS_DENIED


async def serve(box: Sandbox) -> None:
    """Run a sandbox until the task is cancelled, as in `asyncio.run(serve(Sandbox(port=8080)))`. See `Sandbox`."""
    async with box:
        await asyncio.Event().wait()


async def _stream(
    request: web.Request, given: Response, headers: Mapping[str, str], fault: Fault | None
) -> web.StreamResponse:
    """Send a large body chunk by chunk; a fault can cut it after some of them."""
    response = web.StreamResponse(status=given.status, headers=headers)
    await response.prepare(request)
    for number, chunk in enumerate(given.chunks):
        if fault is not None and fault.kind == "cut_body" and number == _CHUNKS_BEFORE_CUT:
            break
        await response.write(chunk)
    if fault is not None and fault.kind == "cut_body":
        _cut(request, reset=fault.reset)
        return response
    await response.write_eof()
    return response


def _record(call: Call, endpoint: str, arrived: float, status: int, *, applied: bool) -> Record:
    headers = {name.lower(): value for name, value in call.headers.items() if name.lower() not in _SECRET_HEADERS}
    return Record(
        endpoint=endpoint,
        method=call.method,
        path=call.path,
        query=call.query,
        headers=headers,
        status=status,
        arrived=arrived,
        applied=applied,
    )


def _cut(request: web.Request, *, reset: bool) -> None:
    transport = request.transport
    if transport is None:
        return
    if reset:
        connection = cast("socket.socket", transport.get_extra_info("socket"))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    transport.close()
