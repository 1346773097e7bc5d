"""Files of strangers, read by other people's libraries in a process of its own with little time and memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import limited_child
from sitetwin.untrusted.arrays import read_npz
from sitetwin.untrusted.texts import parse_json

ANSWER = "answer.npz"
"""File in the question's folder that holds the answer."""

_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
_KEPT = ("PATH", "LD_LIBRARY_PATH")
_LATER = 6  # times the seconds of work after which the process is ended on a busy machine


def ask(
    program: str,
    question: Mapping[str, Any],
    seconds: int,
    memory: int,
    environment: Mapping[str, str],
    kept: Sequence[str] = (),
) -> Literal["answered", "too long", "broken"]:
    """Let a program read what a question names; it leaves `ANSWER` in the question's folder.

    Args:
        program: File of Python with a function ``answer(question)``, which writes arrays to the file
            ``question["answer"]``; it imports nothing of the package.
        question: What is asked, JSON-serialisable, with the `folder` of the answer, which is also where the program
            works.
        seconds: Seconds of work.
        memory: Bytes.
        environment: Variables of the process, beside those that every such process has.
        kept: Names of the variables that it takes over, beside the paths of programs and libraries.

    Returns:
        How the process ended; "broken" stands for a crash and for too little memory.

    Raises:
        subprocess.TimeoutExpired: It does not end, though it does not work either.
        OSError: No process can be started.
    """
    limits = {"program": program, "seconds": seconds, "memory": memory, "path": sys.path}
    answer = os.path.join(question["folder"], ANSWER)
    own = {name: os.environ[name] for name in (*_KEPT, *kept) if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-I", limited_child.__file__],
        input=json.dumps({**question, **limits, "answer": answer}).encode(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**own, **_ENVIRONMENT, **environment},
        cwd=question["folder"],
        timeout=_LATER * seconds,
        check=False,
    )
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return "too long"
    return "broken" if done.returncode else "answered"


def answered(
    program: str,
    question: Mapping[str, Any],
    seconds: int,
    memory: int,
    environment: Mapping[str, str],
    *,
    what: str,
    kind: str,
    mend: str,
    too_long: str,
    broken: str,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of an answer, and what its `text` says; its file is taken away.

    Args:
        program: As of `ask`.
        question: As of `ask`.
        seconds: As of `ask`.
        memory: As of `ask`.
        environment: As of `ask`.
        what: Kind and name of the file, for messages.
        kind: What it is, for messages: "file".
        mend: What the user can do.
        too_long: What is said, with the mend, where the work takes longer.
        broken: What is said, with the mend, where the process crashes or lacks memory.

    Raises:
        SiteTwinError: The process cannot be started, takes longer, crashes or refuses the file.
    """
    try:
        ended = ask(program, question, seconds, memory, environment)
    except (subprocess.TimeoutExpired, OSError) as error:
        raise SiteTwinError(f"{what} cannot be read by a process of Python ({type(error).__name__}); {mend}") from error
    if ended != "answered":
        raise SiteTwinError(f"{what}: the {kind} {too_long if ended == 'too long' else broken}")
    answer = Path(question["folder"]) / ANSWER
    arrays = read_npz(answer, f"what was read of {what}", mend)
    answer.unlink()
    text = parse_json(arrays.pop("text").tobytes(), f"what was read of {what}", mend)
    if "refused" in text:
        raise SiteTwinError(f"{what}: the {kind} {text['refused']}")
    return arrays, text
