"""How commands print: lines, tables and bars of progress."""

from __future__ import annotations

import time
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


def note(text: str) -> None:
    """Print a sentence that the user should read, on stderr, as warnings are printed."""
    err.print(f"sitetwin: note: {printable(text)}", markup=False, soft_wrap=True)


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


class StageLines:
    """Progress as lines of a log: when a stage begins, now and then how far it is, and when it is done.

    Args:
        put: Is called with each line.
        every: Least seconds between two lines of a stage.
        clock: Seconds, from any origin.
    """

    def __init__(
        self, put: Callable[[str], None], every: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._put, self._every, self._clock = put, every, clock
        self._begun: dict[str, float] = {}
        self._said: dict[str, float] = {}
        self._done: set[str] = set()

    def tell(self, stage: str, share: float) -> None:
        """Take the news of a stage, and say what is worth a line."""
        now = self._clock()
        if stage not in self._begun:
            self._begun[stage] = self._said[stage] = now
            self._put(f"{stage}: 0%")
        if share >= 1:
            if stage not in self._done:
                self._done.add(stage)
                self._put(f"{stage}: 100% after {now - self._begun[stage]:.1f} s")
        elif now - self._said[stage] >= self._every:
            self._said[stage] = now
            self._put(f"{stage}: {share:.0%} after {now - self._begun[stage]:.0f} s")


@contextmanager
def progress_bars() -> Iterator[Callable[[str, float], None]]:
    """Bars on stderr, one for each stage that is told, from the first news on; in a log without a terminal, lines."""
    if not err.is_terminal:
        yield StageLines(lambda line: err.print(f"sitetwin: {line}", markup=False, soft_wrap=True)).tell
        return
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
