"""Reproducible randomness: every identifier, token, contact and delay of a sandbox follows from its seed."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")
_MASK = (1 << 64) - 1


def mix(*numbers: int) -> int:
    """Scatter numbers into 64 bits (splitmix64), so that neighbours have nothing in common."""
    state = 0
    for number in numbers:
        state = (state + number * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def identifier(*numbers: int) -> str:
    """Make an identifier that looks like a random UUID."""
    high, low = mix(*numbers, 1), mix(*numbers, 2)
    return (
        f"{high >> 32:08x}-{high >> 16 & 0xFFFF:04x}-4{high & 0xFFF:03x}"
        f"-{0x8000 | low >> 50:04x}-{low & 0xFFFFFFFFFFFF:012x}"
    )


def secret(*numbers: int) -> str:
    """Make a long string that looks like a credential."""
    return "".join(f"{mix(*numbers, part):016x}" for part in range(3))


class Dice:
    """Random numbers and choices which the seed decides."""

    def __init__(self, *seed: int) -> None:
        self.roll = Random(repr(seed)).random  # noqa: S311  # repeatable test data, not cryptography

    def below(self, bound: int) -> int:
        """Return a whole number from 0 to `bound` - 1."""
        return int(self.roll() * bound)

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[int(self.roll() * len(options))]

    def some(self, options: Sequence[T], count: int) -> list[T]:
        """Return up to `count` different options, in their order."""
        places = {self.below(len(options)) for _ in range(count)} if options else ()
        return [options[place] for place in sorted(places)]
