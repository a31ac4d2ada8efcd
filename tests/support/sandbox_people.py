"""People for the sandbox."""

from typing import Any

from support.sandbox_contract import Caller

ADA = {"create_source": "Account", "first_name": "Ada", "email_address": {"address": "Ada@example.com"}}


async def create(call: Caller, **more: Any) -> Any:
    reply = await call("POST", "/contacts", ADA | more)
    assert reply.status == 201
    return reply.json
