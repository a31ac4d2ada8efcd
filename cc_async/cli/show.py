"""Output of the commands: with rich on a terminal, in plain lines elsewhere."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from cc_async.cli.text import printable

Advance: TypeAlias = Callable[[int, int, str], None]
"""Takes the amount done, the total, and the text to show beside it."""
_BAR = 36
_PLAIN_STEPS = 10
_PIPE_WIDTH = 1_000


def console(*, wide_pipe: bool = False) -> Console:
    """Standard output; with `wide_pipe` nothing is cut or wrapped where that is not a terminal."""
    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal or not wide_pipe else Console(highlight=False, width=_PIPE_WIDTH)


def heading(console: Console, text: str) -> None:
    """Print a heading."""
    console.print()
    console.print(Text(text, style="bold"))


def row(console: Console, *cells: tuple[str, str, int | None]) -> None:
    """Print one line of cells, each a text, a style and a width; the one without a width takes the rest."""
    line = Table.grid(padding=(0, 2, 0, 0), expand=True)
    line.add_column(width=0)
    for _, style, width in cells:
        line.add_column(width=width, ratio=1 if width is None else None, style=style, no_wrap=width is not None)
    line.add_row("", *(Text(printable(text)) for text, _, _ in cells))
    console.print(line)


def bars(console: Console, figures: Iterable[tuple[str, int]]) -> None:
    """Draw each figure with its share of the total, and a bar."""
    known = dict(figures)
    total, longest = max(sum(known.values()), 1), max(*known.values(), 1)
    block = "#" if console.options.ascii_only else "█"
    chart = Table.grid(padding=(0, 2, 0, 0))
    chart.add_column(width=0)
    chart.add_column()
    chart.add_column(justify="right", style="bold")
    chart.add_column(justify="right")
    for name, figure in known.items():
        bar = Text(block * math.ceil(_BAR * figure / longest), style="cyan")
        chart.add_row("", name, f"{figure:,}", f"{figure / total:.0%}", bar)
    console.print(chart)


@contextmanager
def progress(console: Console) -> Iterator[Advance]:
    """Show a live progress bar on a terminal, and elsewhere a line for every tenth."""
    if not console.is_interactive:
        yield _plain(console)
        return
    with Progress(BarColumn(bar_width=None), TextColumn("{task.description}"), console=console, expand=True) as live:
        task = live.add_task("the first page is under way", total=None)
        yield lambda done, total, text: live.update(task, completed=done, total=total, description=text)


@contextmanager
def waiting(console: Console, text: str) -> Iterator[None]:
    """A spinner beside the text on a terminal; elsewhere the text alone."""
    if not console.is_interactive:
        console.print(text, markup=False)
        yield
        return
    with console.status(Text(text)):
        yield


def _plain(console: Console) -> Advance:
    reached = 0

    def advance(done: int, total: int, text: str) -> None:
        nonlocal reached
        tenth = _PLAIN_STEPS * done // max(total, 1)
        if tenth > reached:
            reached = tenth
            console.print(f"  {text}", soft_wrap=True)

    return advance


def summary(console: Console, title: str, facts: Iterable[tuple[str, str]]) -> None:
    """Draw a framed table of two columns."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False)
    table.add_column()
    table.add_column(style="bold")
    for name, value in facts:
        table.add_row(name, Text(printable(value)))
    console.print(table)
