"""A copy of an account in a database, for queries that the API does not answer; needs the extra `mirror`."""

try:
    import sqlalchemy as _  # noqa: F401  # so that the message below comes first
except ImportError as error:
    raise ImportError(
        "cc_async.mirror needs the extra `mirror`: pip install 'cc-async[mirror]'.", name=error.name
    ) from error

from cc_async.mirror import tables
from cc_async.mirror.mirror import Mirror
from cc_async.mirror.report import SyncProgress, SyncReport

__all__ = ["Mirror", "SyncProgress", "SyncReport", "tables"]
