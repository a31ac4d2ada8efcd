"""What data commands print: a table on a terminal, JSON Lines or CSV for other programs."""

import csv
import io
import sys
from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import attrs

from cc_async.cli.text import printable
from cc_async.codec.decode import dumps

Format: TypeAlias = Literal["table", "jsonl", "csv"]
_T = TypeVar("_T")
_WIDE: Final = 120
"""Columns from which there is room for whole values."""


@attrs.frozen
class Column(Generic[_T]):
    """A column of tables and of CSV."""

    name: str
    value: Callable[[_T], object]
    """Returns what to show: None, text, a number, a boolean, a date, or a list of texts."""
    style: str = ""
    narrow: int | None = None
    """The width on a terminal of less than 120 columns, where longer values are cut."""
    most: int | None = None
    """The greatest width."""
    least: int | None = None
    """A width that is kept when the others have to shrink."""


def format_of(given: Format | None) -> Format:
    """Return the format that was asked for, else the one that fits standard output."""
    return given or ("table" if sys.stdout.isatty() else "jsonl")


async def write(
    items: AsyncIterable[_T] | Iterable[_T],
    columns: Sequence[Column[_T]],
    given: Format | None,
    *,
    document: Callable[[_T], Any] = lambda item: item,
) -> int:
    """Print all items and return how many there were; JSON Lines and CSV are printed as they come.

    JSON Lines hold the whole `document` of an item, a model or plain JSON; tables and CSV hold the `columns`.
    """
    kind = format_of(given)
    if kind == "table":
        everything = [item async for item in _each(items)]
        if everything:
            _print_table(everything, columns)
        return len(everything)
    _speak_utf8()
    count = 0
    if kind == "csv":
        _say(_csv_line([column.name for column in columns]))
    async for item in _each(items):
        count += 1
        if kind == "csv":
            _say(_csv_line([_csv_cell(column.value(item)) for column in columns]))
        else:
            _say(dumps(document(item)).decode())
    return count


async def _each(items: AsyncIterable[_T] | Iterable[_T]) -> AsyncIterable[_T]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


def _speak_utf8() -> None:
    """Write data as UTF-8 wherever it goes: a letter that the locale lacks must not be lost."""
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        reconfigure(encoding="utf-8", errors="backslashreplace")


def _say(line: str) -> None:
    print(printable(line) if sys.stdout.isatty() else line)  # noqa: T201  # it is a command


def csv_row(values: Sequence[object]) -> str:
    """Return a line of CSV, ended as the standard says."""
    return f"{_csv_line([_csv_cell(value) for value in values])}\r\n"


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ";".join(map(str, value))
    return str(value)


def _table_cell(value: object) -> str:
    if value is None or value in ("", [], ()):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, int | float):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _print_table(items: Sequence[_T], columns: Sequence[Column[_T]]) -> None:
    from rich.table import Table  # noqa: PLC0415  # other formats do without the extra
    from rich.text import Text  # noqa: PLC0415  # see above

    from cc_async.cli.show import console as open_console  # noqa: PLC0415  # see above

    console = open_console(wide_pipe=True)
    narrow = console.width < _WIDE
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        numeric = any(type(column.value(item)) in (int, float) for item in items)
        table.add_column(
            column.name,
            no_wrap=True,
            style=column.style,
            width=column.narrow if narrow else None,
            max_width=column.most,
            min_width=column.least,
            justify="right" if numeric else "left",
        )
    for item in items:
        table.add_row(*(Text(printable(_table_cell(column.value(item)))) for column in columns))
    console.print(table)
