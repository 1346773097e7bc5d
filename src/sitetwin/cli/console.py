"""How commands print: lines, tables and bars of progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)


def printable(text: str) -> str:
    """The text on one line: names from files may hold line breaks or a terminal's control characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plain(text: str) -> str:
    """Text for a table, in which brackets are brackets, not markup."""
    return printable(text).replace("[", r"\[")


def say(text: str) -> None:
    """Print a line as it is, however long."""
    out.print(text, markup=False, soft_wrap=True)


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print names and what they stand for, one row for each."""
    table = Table(show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(plain(name), plain(value))
    out.print(table)


class _TimeLeft(ProgressColumn):
    """Time left at the rate measured so far: what is left takes as long, share for share, as what was done.

    Shares are of the work of this run alone, so what an earlier run had finished does not flatter the rate. It is
    reckoned when there is news, and counts down in between.
    """

    def render(self, task: Task) -> Text:
        """``left 0:01:40``, or nothing before the first news and after the last."""
        share, told = task.completed, task.fields.get("told")
        if told is None or task.elapsed is None or not 0 < share < 1:
            return Text("")
        left = max(0.0, told * (1 - share) / share - (task.elapsed - told))
        return Text(f"left {timedelta(seconds=round(left))}")


@contextmanager
def progress_bars() -> Iterator[Callable[[str, float], None]]:
    """Bars on stderr, one for each stage that is told, from the first news on."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), _TimeLeft())
    progress = Progress(*columns, console=err)
    tasks: dict[str, TaskID] = {}

    def tell(stage: str, share: float) -> None:
        if stage not in tasks:
            progress.start()
            tasks[stage] = progress.add_task(stage, total=1.0)
        told = next(task.elapsed for task in progress.tasks if task.id == tasks[stage])
        progress.update(tasks[stage], completed=share, told=told)

    try:
        yield tell
    finally:
        if tasks:
            progress.stop()
