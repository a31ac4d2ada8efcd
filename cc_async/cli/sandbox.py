"""`sandbox`: the local server alone, for clients in any language."""

import argparse
import asyncio
import functools

from cc_async.sandbox import Sandbox

_say = functools.partial(print, flush=True)  # unbuffered: a program that reads a pipe waits for the address


def run(given: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    _say(f"Making {given.contacts:,} contacts ...")
    box = Sandbox(
        contacts=given.contacts,
        seed=given.seed,
        port=given.port,
        latency=given.latency,
        jitter=given.jitter,
        rate=given.rate or None,
        daily=given.daily or None,
        cursor=given.cursor,
        order=given.order,
        enforcement=given.enforcement,
        token_lifetime=given.token_lifetime,
        job_seconds=given.job_seconds,
        public_client=True,  # `login` needs no secret here; with the secret it is accepted, too
    )
    asyncio.run(serve(box))
    return 0


async def serve(box: Sandbox) -> None:
    """Print how to reach the server, and serve until the task is cancelled."""
    async with box:
        _say(_instructions(box))
        await asyncio.Event().wait()


def _instructions(box: Sandbox) -> str:
    limits = [f"{limit:,} requests a {span}" for limit, span in ((box.rate, "second"), (box.daily, "day")) if limit]
    lines = [
        f"Latency {box.latency:g} s; {', '.join(limits) or 'no limit to requests'}. Ctrl-C stops the server.",
        "",
        f"base URL       {box.base_url}",
        f"token URL      {box.token_url}",
        f"client id      {box.client_id}",
        f"client secret  {box.client_secret}",
        f"access token   {box.access_token}",
        f"refresh token  {box.refresh_token}",
        "",
        "Try:",
        f"  cc-async login --profile sandbox --base-url {box.base_url} --client-id {box.client_id}",
        f"  curl -H 'Authorization: Bearer {box.access_token}' '{box.base_url}/contacts?limit=2'",
        f"  CC_ACCESS_TOKEN={box.access_token} python -m cc_async contacts --base-url {box.base_url}",
    ]
    return "\n".join(lines)
