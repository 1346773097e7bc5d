"""Damages and forges stores and studies and does with each, in a process of its own, all that can be done with it.

    python -m tests.damage --cases 1000

What is read must be the old values bit by bit, or be refused in one sentence. No case may crash, hang, take much
memory, or change anything outside of its folder. A forgery whose parts agree with each other may be read.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import dask
import torch

from tests.damage.mutations import CHANGES, DAMAGE, FORGERY, Case
from tests.damage.operations import KINDS, OF_ANY_ARRAYS, OPERATIONS, Base, make_base, outcome

SECONDS = 20.0  # of all that is done with one folder
MEMORY = 1 << 30  # bytes beyond what the process has already


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="name of a mutation, or of a kind of folder")
    options = parser.parse_args()
    torch.set_num_threads(1)  # a forked process has no other threads
    dask.config.set(scheduler="synchronous")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        base = make_base(folder / "sound")
        said = {kind: _truth(base, kind, folder) for kind in KINDS}
        wrong: list[str] = []
        counts: Counter[str] = Counter()
        for number in range(options.cases):
            wrong += _try(base, folder, said, number, options, counts)
        print(json.dumps({"outcomes": counts, "wrong": len(wrong)}))
        for line in wrong:
            print(line)
    sys.exit(bool(wrong))


def _truth(base: Base, kind: str, folder: Path) -> dict[str, str]:
    """What each operation says of a sound folder."""
    said = {}
    for operation in OPERATIONS[kind]:
        out = folder / "truth" / kind / operation.__name__
        out.mkdir(parents=True)
        how, what = outcome(operation, base, base.place(kind), out)
        assert how == "says", (kind, operation.__name__, what)
        said[operation.__name__] = what
    return said


def _try(
    base: Base, folder: Path, said: dict[str, dict[str, str]], number: int, options: argparse.Namespace, counts: Counter
) -> list[str]:
    """Damage one folder and do everything with it; returns what went wrong."""
    rng = random.Random(f"{options.seed} {number}")
    everything = DAMAGE | FORGERY | CHANGES
    kind, name = rng.choice(KINDS), rng.choice(sorted(everything))
    if kind == "study":
        name = rng.choice(sorted(DAMAGE))
    if options.only and options.only not in (kind, name):
        return []
    work = folder / "work"
    outside, place, out = work / "outside", work / "place", work / "out"
    shutil.copytree(base.place(kind), place)
    for each in (outside / "deep", out):
        each.mkdir(parents=True)
    for file in ("precious", "deep/precious", "000000-1"):
        (outside / file).write_text("never touch")
    everything[name](Case(place, outside, rng))
    before = _tree(outside)
    started = time.monotonic()
    status, lines = _in_a_process(base, kind, place, out)
    wrong = []
    if status:
        wrong.append(f"the process ended with {status} after {lines[-1:]}")
    for operation, how, what in lines:
        counts[f"{how}"] += 1
        any_value = name in CHANGES or (name in FORGERY and operation in OF_ANY_ARRAYS)
        right = how == "refuses" or (how == "says" and (any_value or what == said[kind][operation]))
        if not right:
            wrong.append(f"{operation} {how} {what}")
    if _tree(outside) != before:
        wrong.append("something outside has changed")
    if strange := sorted(f.name for f in work.iterdir() if f.name not in ("outside", "place", "out", "aside")):
        wrong.append(f"{strange} were written")
    if time.monotonic() - started > SECONDS:
        wrong.append("it took too long")
    shutil.rmtree(work)
    return [f"case {number} ({kind}, {name}): {line}" for line in wrong]


def _in_a_process(base: Base, kind: str, place: Path, out: Path) -> tuple[int, list[list[str]]]:
    """Do everything with a folder in a process with limits; its end and what each operation made of the folder."""
    report = out.parent / "out" / "report"
    child = os.fork()
    if not child:
        try:
            signal.alarm(int(SECONDS))
            held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
            with report.open("w") as stream:
                for operation in OPERATIONS[kind]:
                    below = out / operation.__name__
                    below.mkdir()
                    print(
                        json.dumps([operation.__name__, *outcome(operation, base, place, below)]),
                        file=stream,
                        flush=True,
                    )
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return status, [json.loads(line) for line in report.read_text().splitlines()]


def _tree(folder: Path) -> dict[str, tuple[int, str, bytes]]:
    """Names, kinds and contents of all that lies under a folder."""
    return {
        str(f.relative_to(folder)): (
            f.lstat().st_mode,
            os.readlink(f) if f.is_symlink() else "",
            f.read_bytes() if f.is_file() and not f.is_symlink() else b"",
        )
        for f in sorted(folder.rglob("*"))
    }


if __name__ == "__main__":
    main()
