"""Timestamps as milliseconds since the epoch, and the ways in which the API writes them."""

from datetime import UTC, datetime, timedelta, timezone

_EASTERN = timezone(timedelta(hours=-5))
DAY = 86_400_000


def stamp(milliseconds: int, style: int = 1) -> str:
    """Write a moment in UTC (0), with milliseconds (1), in eastern time (2) or without a colon (3)."""
    seconds, rest = divmod(milliseconds, 1000)
    if style == 2:
        return datetime.fromtimestamp(seconds, _EASTERN).isoformat()
    text = datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
    return f"{text}.{rest:03}Z" if style == 1 else f"{text}{'+0000' if style else 'Z'}"


def day(milliseconds: int) -> str:
    """Write the UTC date of a moment."""
    return stamp(milliseconds)[:10]


def moment(text: str | None) -> int:
    """Read any of those ways; nothing is 0. Raises ValueError where the text is no moment."""
    if not text:
        return 0
    read = datetime.fromisoformat(text)
    aware = read if read.tzinfo else read.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)
