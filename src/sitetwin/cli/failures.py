"""How commands fail: in one sentence on stderr, with an exit status, and saying how to go on."""

from __future__ import annotations

import errno
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from sitetwin.cli import ctrl_c
from sitetwin.cli.console import err, note, printable
from sitetwin.errors import SiteTwinError, SiteTwinWarning

if TYPE_CHECKING:
    from typer import Context
else:
    Context = typer.Context.__base__  # what commands are given in truth: the class that typer's own derives from

WRONG_OPTIONS = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
"""Exit status after Ctrl-C."""

_MANIFEST = "manifest.json"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # as in `sitetwin.store.files`, which is slow to import
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
            if hasattr(error, "format_message") and hasattr(error, "ctx"):  # wrong options
                _complain(_of_usage(error), error, debug)
                raise typer.Exit(WRONG_OPTIONS) from error
            if hasattr(error, "exit_code") or isinstance(error, typer.Abort):
                raise  # the command line's own: asked-for exits
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
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        return f"the disk is full{f' ({error.filename})' if error.filename else ''}; free some space and run it again"
    hint = "" if debug else "; `sitetwin --debug ...` shows where"
    return f"unexpected {type(error).__name__}: {_first_line(error)}{hint}"


def _of_usage(error: Any) -> str:
    """A sentence for wrong options: what is wrong, what a missing option means, and where all are listed."""
    said = error.format_message().strip().rstrip(".")
    help_text = getattr(getattr(error, "param", None), "help", None)
    if type(error).__name__ == "MissingParameter" and help_text:
        said = f"{said} ({help_text.strip().rstrip('.')})"
    command = error.ctx.command_path if error.ctx is not None else "sitetwin"
    return f"error: {said[:1].lower()}{said[1:]}; `{command} -h` lists the options"


def _complain(sentence: str, error: BaseException, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    err.print(f"sitetwin: {printable(sentence)}", markup=False, soft_wrap=True)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else "no message"


@contextmanager
def _sentences_for_warnings() -> Iterator[None]:
    """Show the package's own warnings as one sentence each."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        if issubclass(category, SiteTwinWarning):
            note(str(message))
        else:
            shown(message, category, filename, lineno, *rest)

    warnings.showwarning = show  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.showwarning = shown


def refuse_idle(ctx: Context, parameters: Iterable[str], why: str) -> None:
    """Refuse options that were given although they have no effect here, so that no user relies on them.

    Args:
        ctx: Context of the command.
        parameters: Names of the parameters of the options.
        why: What makes them say nothing, and how to mend it.

    Raises:
        SiteTwinError: One of them was given.
    """
    known = {parameter.name: parameter for parameter in ctx.command.params}
    for name in parameters:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            off = known[name].secondary_opts if ctx.params[name] is False else []
            raise SiteTwinError(f"{(off or known[name].opts)[0]} says nothing {why}")


@contextmanager
def writing_store(to: Path, resume: bool) -> Iterator[None]:
    """While a command writes a store: `--resume` needs one that was begun, and Ctrl-C says how to go on.

    Raises:
        SiteTwinError: There is nothing to resume.
    """
    if resume and not _is_begun(to) and not (to.is_dir() and not any(to.iterdir())):
        raise SiteTwinError(f"{to} holds no store to go on with; check the path, or begin one without --resume")
    with resumed_by(to, lambda: _is_begun(to)):
        yield


@contextmanager
def resumed_by(to: Path, is_begun: Callable[[], bool]) -> Iterator[None]:
    """While a command writes what `--resume` goes on with: Ctrl-C says how.

    Args:
        to: Where it writes.
        is_begun: Whether anything was written yet.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        mend = f"with --resume to go on with {to}" if is_begun() else "to begin again: nothing was written yet"
        raise Interrupted(f"stopped; run the same command {mend}") from error


@contextmanager
def resumed_again(to: Path) -> Iterator[None]:
    """While a command works that goes on by itself when it is run again: Ctrl-C says so."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped; run the same command again to go on with {to}") from error


def _is_begun(to: Path) -> bool:
    """Whether a store, or a folder of stores, was begun there."""
    return (to / _MANIFEST).is_file() or any(to.glob(f"*/{_MANIFEST}"))
