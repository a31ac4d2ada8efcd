"""Check the rows of an import as `import_many` does, without sending anything."""

import itertools
from collections.abc import Iterable

import attrs

from cc_async.models.custom_fields import CustomFieldCatalog
from cc_async.resources.bulk.imports import MOST_BYTES, MOST_ROWS
from cc_async.resources.bulk.rows import CustomFieldNames, Row, RowEncoder
from cc_async.resources.bulk.spool import RejectedRow, Spool

_BATCH = 500


@attrs.define
class CheckedRows:
    """What an import would do with rows."""

    rows: int = 0
    sent: int = 0
    duplicates: int = 0
    jobs: int = 0
    rejected: dict[int, str] = attrs.field(factory=dict)
    """Why rows cannot be sent, by their position."""


def check_rows(rows: Iterable[Row], catalog: CustomFieldCatalog) -> CheckedRows:
    """Return what an import would do with these rows; like an import it keeps them in a temporary file meanwhile.

    Raises:
        InvalidRequestError: A row names a custom field that does not exist.

    """
    encoder = RowEncoder(CustomFieldNames.of((field.label, field.name) for field in catalog.fields).key)
    source, found = iter(rows), CheckedRows()
    with Spool(digests=False) as spool:
        while batch := [*itertools.islice(source, _BATCH)]:
            spool.add(*encoder.encode(batch))
        steps = spool.superseded()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                superseded = end.value
                break
        found.rows, found.duplicates = len(spool), len(superseded)
        for piece in spool.jobs(superseded, head=b"[", tail=b"]}", most_rows=MOST_ROWS, most_bytes=MOST_BYTES):
            if isinstance(piece, RejectedRow):
                found.rejected[piece.position] = piece.reason
            else:
                found.jobs += 1
                found.sent += len(piece[0].positions)
    return found
