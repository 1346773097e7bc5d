"""What every command of the program shares: how it prints, how it fails, and how it says how to go on."""

from __future__ import annotations

import errno
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
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
from rich.text import Text
from typer.core import TyperGroup

from sitetwin.cli import ctrl_c
from sitetwin.errors import SiteTwinError, SiteTwinWarning

if TYPE_CHECKING:
    from typer import Context
else:
    Context = typer.Context.__base__  # what commands are given in truth: the class that typer's own derives from

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)

INTERRUPTED = 130  # 128 + SIGINT, as shells report it
"""Exit status after Ctrl-C."""

_MANIFEST = "manifest.json"
_NO_MEMORY = ("allocate memory", "not enough memory", "out of memory")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during work that can go on later; the message says how."""


class Group(TyperGroup):
    """Commands whose failures are one sentence on stderr, never a traceback (unless `--debug` asks for it)."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command and turn what it raises into a sentence and an exit status."""
        debug = bool(ctx.params.get("debug"))
        try:
            with _sentences_for_warnings():
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            _complain(str(error) or "stopped by Ctrl-C", error, debug)
            raise typer.Exit(INTERRUPTED) from error
        except SiteTwinError as error:
            _complain(f"error: {error}", error, debug)
            raise typer.Exit(1) from error
        except BrokenPipeError:
            raise
        except Exception as error:
            if hasattr(error, "exit_code") or isinstance(error, typer.Abort):
                raise  # the command line's own: wrong options, asked-for exits
            if ctrl_c.pressed():  # what an interrupted import or compiled function raises in its place
                _complain("stopped by Ctrl-C", error, debug)
                raise typer.Exit(INTERRUPTED) from error
            _complain(f"error: {_sentence(error, debug)}", error, debug)
            raise typer.Exit(1) from error


def _sentence(error: Exception, debug: bool) -> str:
    """What to say of an exception that no layer below has put into words."""
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
    ):
        return "the memory is full; work with fewer users or a smaller batch"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{f' ({error.filename})' if error.filename else ''}; free some space and run it again"
    hint = "" if debug else "; `sitetwin --debug ...` shows where"
    return f"unexpected {type(error).__name__}: {_first_line(error)}{hint}"


def _complain(sentence: str, error: BaseException, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    err.print(f"sitetwin: {_printable(sentence)}", markup=False, soft_wrap=True)


def _printable(text: str) -> str:
    """The text on one line: names from files may hold line breaks or a terminal's control characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "no message"


@contextmanager
def _sentences_for_warnings() -> Iterator[None]:
    """Show the package's own warnings as one sentence each."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        if issubclass(category, SiteTwinWarning):
            err.print(f"sitetwin: note: {_printable(str(message))}", markup=False, soft_wrap=True)
        else:
            shown(message, category, filename, lineno, *rest)

    warnings.showwarning = show  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.showwarning = shown


def refuse_idle(ctx: Context, options: dict[str, str], why: str) -> None:
    """Refuse options that were given although they say nothing here: nobody should think that they took effect.

    Args:
        ctx: Context of the command.
        options: For each parameter of the command's function its option.
        why: What makes them say nothing, and how to mend it.

    Raises:
        SiteTwinError: One of them was given.
    """
    for parameter, option in options.items():
        source = ctx.get_parameter_source(parameter)
        if source is not None and source.name == "COMMANDLINE":
            raise SiteTwinError(f"{option} says nothing {why}")


def plain(text: str) -> str:
    """Text for a table, in which brackets are brackets, not markup."""
    return _printable(text).replace("[", r"\[")


def say(text: str) -> None:
    """Print a line as it is, however long."""
    out.print(text, markup=False, soft_wrap=True)


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


@contextmanager
def writing_store(to: Path, resume: bool) -> Iterator[None]:
    """While a command writes a store: `--resume` needs one that was begun, and Ctrl-C says how to go on.

    Raises:
        SiteTwinError: There is nothing to resume.
    """
    if resume and not _is_begun(to) and not (to.is_dir() and not any(to.iterdir())):
        raise SiteTwinError(f"{to} holds no store to go on with; check the path, or begin one without --resume")
    try:
        yield
    except KeyboardInterrupt as error:
        mend = f"with --resume to go on with {to}" if _is_begun(to) else "to begin again: nothing was written yet"
        raise Interrupted(f"stopped; run the same command {mend}") from error


def _is_begun(to: Path) -> bool:
    """Whether a store, or a folder of stores, was begun there."""
    return (to / _MANIFEST).is_file() or any(to.glob(f"*/{_MANIFEST}"))
