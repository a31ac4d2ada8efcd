"""Tokens and a clock for tests of their refresh."""

import asyncio

from cc_async.oauth.token import Token

NOW = 1_800_000_000.0


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def lasting(seconds: float | None = 86_400, number: int = 0) -> Token:
    return Token(f"a{number}", f"r{number}", None if seconds is None else NOW + seconds)
