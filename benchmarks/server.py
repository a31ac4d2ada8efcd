"""A server of pages that were encoded and compressed beforehand, in a process of its own.

The cost of serving is thus in no figure. `/clean/v3/contacts` and `/odd/v3/contacts` are two collections;
below them `/contacts/{anything}` is one contact.
"""

import argparse
import asyncio
import contextlib
import gzip
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

from . import data
from .rounds import environment

COLLECTIONS = ("clean", "odd")


class Responses:
    """All responses, by path and cursor, plain and compressed."""

    def __init__(self, pages: int) -> None:
        self._made: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        for name in COLLECTIONS:
            path, odd = f"/{name}/v3/contacts", name == "odd"
            for number in range(1, pages + 1):
                body = data.page(data.SEED, number, pages=pages, odd=odd, path=path)
                self._keep(path, data.cursor(number) if number > 1 else "", body)
            self._keep(path + "/", "", data.encoded(data.contact(data.SEED, 0)))

    def _keep(self, path: str, cursor: str, body: bytes) -> None:
        self._made[path, cursor] = (_answer(body), _answer(gzip.compress(body, 6, mtime=0), "Content-Encoding: gzip"))

    def to(self, head: str) -> bytes:
        """Return the response to the head of a request."""
        url = urlsplit(head.split(" ", 2)[1])
        path, one, _ = url.path.partition("/contacts/")
        cursor = parse_qs(url.query).get("cursor", [""])[0]
        plain, compressed = self._made.get((path + one, cursor), (_answer(b"[]", status="404 Not Found"),) * 2)
        accepted = next((line for line in head.lower().split("\r\n") if line.startswith("accept-encoding:")), "")
        return compressed if "gzip" in accepted else plain


def _answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = (
        f"HTTP/1.1 {status}",
        "Content-Type: application/json; charset=utf-8",
        f"Content-Length: {len(body)}",
        *headers,
    )
    return "\r\n".join((*head, "", "")).encode() + body


async def serve(pages: int) -> None:
    """Serve until standard input ends, as it does when the parent process is gone."""
    responses = Responses(pages)

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(responses.to(head.decode("latin-1")))
                await writer.drain()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def serving(pages: int) -> Iterator[str]:
    """The origin of a server that runs as long as the block."""
    command = [sys.executable, "-m", __spec__.name, "--pages", str(pages)]
    with subprocess.Popen(  # noqa: S603  # this interpreter, this file
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdin is not None  # noqa: S101  # said above, for the type checker
        assert process.stdout is not None  # noqa: S101  # said above, for the type checker
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=40)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args().pages))
