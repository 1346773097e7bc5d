"""What becomes of an input: it is read and its property holds, it is refused in a sentence, or there is a finding."""

from __future__ import annotations

import math
import re
import resource
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from sitetwin.errors import SiteTwinError, SiteTwinWarning

LONGEST_SENTENCE = 600
MOST_SECONDS = 10.0
"""Of processor time, so that a busy machine makes no finding."""
MOST_MEMORY = 1 << 30
"""Bytes beyond those that the process holds anyway."""

FOLDER = "fuzzed"
"""Name of the folder that holds the files of an input."""


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        name: Short name.
        read: Reads what lies in a folder, which is given.
        seeds: Makes sound inputs: files by their names.
        words: Words of the format.
        check: Raises AssertionError where what was read cannot be.
        share: Share of the inputs, in proportion to those of others; slow readers get fewer.
        named: Whether refusals name the file, as those of readers do; what is done with their values may not know it.
    """

    name: str
    read: Callable[[Path], Any]
    seeds: Callable[[], list[dict[str, bytes]]]
    words: tuple[bytes, ...] = ()
    check: Callable[[Any], None] | None = None
    share: float = 1.0
    named: bool = True


@dataclass(frozen=True)
class Verdict:
    """What became of an input.

    Attributes:
        kind: "read", "refused" or "finding".
        said: The sentence of the refusal, or what the finding is.
        signature: Findings of one signature have one cause.
        seconds: Processor time.
    """

    kind: Literal["read", "refused", "finding"]
    said: str = ""
    signature: str = ""
    seconds: float = 0.0


class _TooSlowError(BaseException):
    """No handler of a reader catches it."""


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put the files of an input into an empty folder."""
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def judge(target: Target, folder: Path, names: Mapping[str, bytes], most_seconds: float = MOST_SECONDS) -> Verdict:
    """Have a target read the files in a folder.

    Args:
        target: The reader.
        folder: Holds the files.
        names: The files that the sound input has, one of which a refusal must name, or the folder.
        most_seconds: Processor time that it may take.
    """
    began, memory, before = time.process_time(), _memory(), _highest_memory()
    verdict = _outcome(target, folder, names, most_seconds)
    seconds = time.process_time() - began
    highest = _highest_memory()
    grown = highest - memory if highest > before else 0  # what another test held before says nothing of this one
    if verdict.kind != "finding" and grown > MOST_MEMORY:
        verdict = Verdict("finding", f"{grown >> 20} MB of memory", "memory")
    return Verdict(verdict.kind, verdict.said, verdict.signature, seconds)


def _outcome(target: Target, folder: Path, names: Mapping[str, bytes], most_seconds: float) -> Verdict:
    was_read = False
    try:
        with warnings.catch_warnings(record=True) as told, _time_limit(most_seconds):
            warnings.simplefilter("always")
            value = target.read(folder)
            was_read = True
            if target.check is not None:
                target.check(value)
    except SiteTwinError as error:  # what a property is tried with does not know the file any more
        return (
            _of_sentence(str(error), names if target.named and not was_read else None)
            or _of_warnings(told)
            or Verdict("refused", str(error))
        )
    except _TooSlowError as error:
        return Verdict("finding", f"more than {most_seconds:g} s: {_place(error)}", f"slow {_place(error)}")
    except Exception as error:
        said = f"{type(error).__name__}: {str(error)[:200]}"
        return Verdict("finding", f"{said} @ {_place(error)}", f"{type(error).__name__} {_place(error)}")
    return _of_warnings(told) or Verdict("read")


def _of_sentence(said: str, names: Mapping[str, bytes] | None) -> Verdict | None:
    """A finding, where a refusal is no sentence that names its file."""
    files = [name.rpartition("/")[2] for name in names or ()]
    known = {FOLDER, *files, *(f"'{name.partition('.')[0]}'" for name in files)}
    fault = ""
    if not said.strip():
        fault = "an empty refusal"
    elif len(said) >= LONGEST_SENTENCE:
        fault = f"a refusal of {len(said)} characters"
    elif any(not c.isprintable() for c in said):
        fault = "a refusal with line breaks or control characters"
    elif names is not None and not any(name in said for name in known):
        fault = "a refusal that names no file"
    return (
        Verdict("finding", f"{fault}: {said[:300]!r}", f"{fault.split(' of ')[0]} {_digits(said)[:50]}")
        if fault
        else None
    )


def _of_warnings(told: list[warnings.WarningMessage]) -> Verdict | None:
    """A finding, where a library warns."""
    for one in told:
        if not issubclass(one.category, (SiteTwinWarning, ResourceWarning)):
            said = f"{one.category.__name__}: {str(one.message)[:200]} @ {_short_file(one.filename)}:{one.lineno}"
            return Verdict("finding", said, f"{one.category.__name__} {_short_file(one.filename)}:{one.lineno}")
        if issubclass(one.category, SiteTwinWarning) and len(str(one.message)) > LONGEST_SENTENCE:
            return Verdict(
                "finding", f"a warning of {len(str(one.message))} characters", f"long {str(one.message)[:40]}"
            )
    return None


def _digits(text: str) -> str:
    return re.sub(r"\d+", "#", text)


def _short_file(name: str) -> str:
    return "/".join(Path(name).parts[-3:])


def _place(error: BaseException) -> str:
    """Where in the package an exception comes from, or else where at all."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "sitetwin" in Path(f.filename).parts] or [f for f in frames if "fuzz" not in f.filename]
    last = (own or list(frames))[-1]
    return f"{_short_file(last.filename)}:{last.lineno} {last.name}"


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise in this thread once it has computed too long; compiled code is stopped when it comes back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def too_slow(number: int, frame: Any) -> None:
        raise _TooSlowError

    before = signal.signal(signal.SIGPROF, too_slow)
    again = 1.0  # an exception that a destructor or a callback swallows is raised once more
    signal.setitimer(signal.ITIMER_PROF, 0 if math.isinf(seconds) else seconds, again)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _memory() -> int:
    """Bytes that the process holds now."""
    return int(psutil.Process().memory_info().rss)


def _highest_memory() -> int:
    """Most bytes that the process ever held."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
