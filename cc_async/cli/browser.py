"""Consent in a browser on this machine, which comes back to a server on the loopback interface."""

import asyncio
import errno
import hmac
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiohttp import web

from cc_async._tasks import run_in_thread
from cc_async.cli.exits import CommandError
from cc_async.oauth.provider import OAuth2
from cc_async.oauth.token import Token

SECONDS: Final = 600.0
"""How long a person has for consent."""
_HOST: Final = "127.0.0.1"  # never every interface: what comes back is a credential
_PATH: Final = "/callback"
_HEADERS: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


async def consent_in_browser(auth: OAuth2, scope: Iterable[str], port: int, show: Callable[[str], None]) -> Token:
    """Show and open the page that asks for consent, wait for the browser, and return the token.

    Raises:
        AuthorizationError: Consent was refused, or the code was rejected.
        CommandError: The port is in use, or nobody consented in time.

    """
    returned: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    state = ""

    async def callback(request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.query.get("state", "").encode(), state.encode()):
            # Another login's page, or a forged one: neither may end this login.
            return _page("This page belongs to another login. Return to the terminal.", 400)
        if not returned.done():
            returned.set_result(f"?{request.rel_url.raw_query_string}")
        granted = "error" not in request.query
        return _page(f"{'Thank you.' if granted else 'Consent was refused.'} Return to the terminal.")

    async with _server(callback, port) as actual_port:
        authorization = auth.authorization_url(f"http://{_HOST}:{actual_port}{_PATH}", scope=scope, pkce=True)
        state = authorization.state
        show(authorization.url)
        # In a thread that nothing waits for: some browsers run until they are closed.
        opening = run_in_thread(lambda: _open(authorization.url), daemon=True)
        try:
            async with asyncio.timeout(SECONDS):
                redirected_to = await returned
        except TimeoutError:
            raise CommandError(f"Nobody consented within {SECONDS / 60:.0f} minutes. Start again.") from None
        finally:
            opening.cancel()
    return await auth.exchange(authorization, redirected_to)


def _open(url: str) -> None:
    with suppress(webbrowser.Error):
        webbrowser.open(url)


@asynccontextmanager
async def _server(callback: Callable[[web.Request], Awaitable[web.StreamResponse]], port: int) -> AsyncIterator[int]:
    """Listen on the loopback interface and yield the port."""
    app = web.Application()
    app.router.add_get(_PATH, callback)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    try:
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, port).start()
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            message = f"Port {port} on {_HOST} is taken, perhaps by another login. Choose another with --port."
            raise CommandError(message) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _page(text: str, status: int = 200) -> web.Response:
    page = f"<!DOCTYPE html><html lang=en><meta charset=utf-8><title>cc-async</title><h1>{text}</h1></html>"
    response = web.Response(text=page, content_type="text/html", status=status, headers=_HEADERS)
    response.force_close()
    return response
