"""Timestamps in milliseconds since the epoch, and the formats in which the API writes them."""

from datetime import UTC, datetime, timedelta, timezone

_EASTERN = timezone(timedelta(hours=-5))
DAY = 86_400_000
OPENED = 1_577_836_800_000
"""When the account was opened: on the first day of 2020."""


def stamp(milliseconds: int, style: int = 1) -> str:
    """Format a timestamp in UTC (0), with milliseconds (1), in eastern time (2) or with +0000 (3)."""
    seconds, rest = divmod(milliseconds, 1000)
    if style == 2:
        return datetime.fromtimestamp(seconds, _EASTERN).isoformat()
    text = datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
    return f"{text}.{rest:03}Z" if style == 1 else f"{text}{'+0000' if style else 'Z'}"


def day(milliseconds: int) -> str:
    """Format the UTC date of a timestamp."""
    return stamp(milliseconds)[:10]


def parse_stamp(text: str | None) -> int:
    """Parse a timestamp in any of these formats; None and "" give 0. Raises ValueError for anything else."""
    if not text:
        return 0
    read = datetime.fromisoformat(text)
    aware = read if read.tzinfo else read.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
