"""Keep the rows of an import on disk until all are read and the first is sent, so that memory stays bounded."""

import hashlib
import tempfile
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from types import TracebackType
from typing import Self

import attrs

from cc_async.resources.bulk.rows import BY_NUMBER, REJECTED, identity_of

_SLICE = 5_000
"""Rows that are processed before the event loop runs again."""
_PARTITION = 200_000
"""Rows per pass of the search for duplicates: more need more memory, fewer need more passes."""


@attrs.frozen
class Job:
    """The rows of one job."""

    positions: "array[int]" = attrs.field(repr=False)
    """The positions of its rows among those given: line N of the job is the row at `positions[N - 2]`."""
    digest: str = ""
    """The digest of the body, by which another process recognises the job; empty unless requested."""

    @property
    def first(self) -> int:
        """Position of the first row."""
        return self.positions[0]

    @property
    def last(self) -> int:
        """Position of the last row."""
        return self.positions[-1]


@attrs.frozen
class RejectedRow:
    """A row that cannot be sent."""

    position: int
    reason: str


class Spool:
    """Rows in a temporary file, in order, with eight bytes of memory for each.

    The file has no name if the system permits that, and disappears with the process. With `digests` each job gets one.
    """

    def __init__(self, *, digests: bool = False) -> None:
        self._digests = digests
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        self._identities = array("q")
        self.rejected = 0

    def __len__(self) -> int:
        return len(self._identities)

    def add(self, lines: bytes, identities: list[str]) -> None:
        """Append encoded rows, one line each."""
        self._file.write(lines)
        self._identities.extend(map(hash, identities))
        self.rejected += identities.count("")

    def _repeated(self) -> Generator[None, None, Mapping[int, int]]:
        """Return the last position of every repeated row, by the hash of its identity."""
        hashes, several = self._identities, set[int]()
        parts = len(hashes) // _PARTITION + 1
        for part in range(parts):
            found = [value for value in hashes if value % parts == part] if parts > 1 else hashes
            if len(set(found)) < len(found):
                several.update(value for value, count in Counter(found).items() if count > 1)
            yield
        several.discard(hash(""))
        return {value: position for position, value in enumerate(hashes) if value in several} if several else {}

    def rows(self) -> Iterator[tuple[int, bytes]]:
        """Yield every row with its position, in the order of addition."""
        self._file.seek(0)
        return enumerate(line.rstrip(b"\n") for line in self._file)

    def superseded(self) -> "Generator[None, None, array[int]]":
        """Find the positions of the rows that a later row with the same identity replaces, in order and in slices."""
        last = yield from self._repeated()
        positions = array("q")
        if not last:
            return positions
        wanted = set(last.values())
        # Compared as text, because two identities may have the same hash.
        identities: dict[int, str] = {}
        for position, line in self.rows():
            if position in wanted:
                identities[position] = identity_of(line)
            if position % _SLICE == 0:
                yield
        for position, line in self.rows():
            latest = last.get(self._identities[position])
            if latest is not None and latest != position and identity_of(line) == identities[latest]:
                positions.append(position)
            if position % _SLICE == 0:
                yield
        return positions

    def jobs(
        self, skip: "array[int]", *, head: bytes, tail: bytes, most_rows: int, most_bytes: int
    ) -> Iterator[tuple[Job, bytes] | RejectedRow]:
        """Split the rows into bodies of `head`, rows joined by commas, and `tail`; one body is in memory at a time."""
        room = most_bytes - len(head) - len(tail)
        self._file.seek(0)
        first, rest = 0, b""
        while block := rest + self._file.read(room + 1 - len(rest)):
            end = block.rfind(b"\n", 0, room + 1) + 1
            if not end:  # no row ends within the available space
                line = block + self._file.readline()
                yield self._too_long(first, line)
                first, rest = first + 1, b""
                continue
            lines, count = block[:end], block.count(b"\n", 0, end)
            if count > most_rows:
                end = len(b"\n".join(block.split(b"\n", most_rows)[:most_rows])) + 1
                lines, count = block[:end], most_rows
            rest = block[end:]
            kept, positions, rejected = self._kept(first, count, lines, skip)
            yield from rejected
            if positions:
                # A line feed within a string is escaped, so these are the ends of the rows.
                body = b"".join((head, kept[:-1].replace(b"\n", b","), tail))
                yield Job(positions, hashlib.blake2b(body).hexdigest() if self._digests else ""), body
            first += count

    def _kept(
        self, first: int, count: int, lines: bytes, skip: "array[int]"
    ) -> "tuple[bytes, array[int], list[RejectedRow]]":
        """Return the lines to send, their positions, and the rows that cannot be sent."""
        positions = array("q", range(first, first + count))
        begins, ends = bisect_left(skip, first), bisect_left(skip, first + count)
        if begins == ends and not (self.rejected and (lines.startswith(REJECTED) or b"\n" + REJECTED in lines)):
            return lines, positions, []
        skipped = set(skip[begins:ends])
        rejected: list[RejectedRow] = []
        kept: list[bytes] = []
        positions = array("q")
        for position, line in enumerate(lines[:-1].split(b"\n"), first):
            if line.startswith(REJECTED):
                rejected.append(RejectedRow(position, line[len(REJECTED) :].decode()))
            elif position not in skipped:
                positions.append(position)
                kept.append(line)
        return b"\n".join([*kept, b""]), positions, rejected

    @staticmethod
    def _too_long(position: int, line: bytes) -> RejectedRow:
        if line.startswith(REJECTED):
            return RejectedRow(position, line[len(REJECTED) : -1].decode())
        return RejectedRow(position, f"The row alone has {len(line):,} bytes, more than an import may have.")

    def missing(self, arrived: "array[int]") -> Generator[None, None, list[str]]:
        """Find the addresses of rows whose hashes did not arrive: each once, in order, in slices."""
        parts = (len(self._identities) + len(arrived)) // _PARTITION + 1
        absent = set[int]()
        for part in range(parts):
            here = {value for value in self._identities if value % parts == part}
            absent |= here.difference(value for value in arrived if value % parts == part)
            yield
        absent.discard(hash(""))
        found: list[str] = []
        for position, line in self.rows() if absent else ():
            if self._identities[position] in absent:
                absent.discard(self._identities[position])
                identity = identity_of(line)
                if not identity.startswith(BY_NUMBER):
                    found.append(identity)
            if position % _SLICE == 0:
                yield
        return found

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
