"""Response headers as a plain value."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from cc_async._secrets import Secret


class Headers(Mapping[str, str]):
    """Immutable headers whose look-ups ignore case, and which pickle, copy and compare like a plain mapping.

    If a header was sent several times, the first value counts.
    """

    __slots__ = ("_fields",)
    _fields: dict[str, tuple[str, str]]

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = (), *, hide: str = "") -> None:
        """Copy `fields`, with `<token>` in place of every `hide`."""
        hide = Secret(hide)
        found: dict[str, tuple[str, str]] = {}
        for name, value in fields.items() if isinstance(fields, Mapping) else fields:
            found.setdefault(name.lower(), (name, value.replace(hide, "<token>") if hide else value))
        object.__setattr__(self, "_fields", found)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("Headers cannot be changed.")

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self._lowered() == {str(name).lower(): value for name, value in other.items()}

    def __hash__(self) -> int:
        return hash(frozenset(self._lowered().items()))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"

    def _lowered(self) -> dict[str, str]:
        return {name: value for name, (_, value) in self._fields.items()}
