"""Many inputs, dealt to processes: one that hangs or dies is a finding too, and the others go on."""

from __future__ import annotations

import faulthandler
import math
import multiprocessing
import shutil
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from tests.fuzz.judge import FOLDER, MOST_MEMORY, MOST_SECONDS, Target, Verdict, judge, write_files
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS

HUNG = 60.0
"""Seconds after which a process that says nothing is ended: compiled code cannot be stopped in another way."""

_MOST_HELD = 3 * MOST_MEMORY  # bytes at which it is ended at once

_BATCH = 25
_KEPT = 3  # inputs of one signature that are kept


def seeds_of(target: Target) -> list[dict[str, bytes]]:
    """The sound inputs of a target, each of which is read without a complaint.

    Raises:
        AssertionError: One is not.
    """
    seeds = target.seeds()
    for number, files in enumerate(seeds):
        judged(target, files, files, math.inf)  # the first time kernels are compiled
        verdict = judged(target, files, files)
        assert verdict.kind == "read", f"seed {number} of {target.name} is not read: {verdict.said}"
    return seeds


def input_of(target: Target, seeds: Sequence[dict[str, bytes]], seed: int, number: int) -> tuple[dict[str, bytes], int]:
    """One damaged input and the place of its sound one: what a campaign's seed, a target and a number decide."""
    rng = np.random.default_rng([seed, zlib.crc32(target.name.encode()), number])
    base = int(rng.integers(len(seeds)))
    return mutated(seeds[base], target.words, rng), base


def judged(
    target: Target, files: dict[str, bytes], sound: dict[str, bytes], most_seconds: float = MOST_SECONDS
) -> Verdict:
    """Write an input to a scratch folder and have the target read it."""
    scratch = Path(tempfile.mkdtemp(prefix="sitetwin-"))
    try:
        folder = scratch / FOLDER
        folder.mkdir()
        write_files(folder, files)
        return judge(target, folder, sound, most_seconds)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@dataclass
class Tally:
    """What became of the inputs of one target."""

    read: int = 0
    refused: int = 0
    findings: int = 0
    slowest: float = 0.0
    seconds: float = 0.0

    @property
    def inputs(self) -> int:
        return self.read + self.refused + self.findings


@dataclass
class Campaign:
    """Inputs for all targets.

    Attributes:
        targets: The targets.
        count: Number of inputs, over all targets.
        seed: Decides the inputs, with their numbers.
        start: Number of the first input of each target.
        kept: Folder for the inputs of findings.
    """

    targets: list[Target]
    count: int
    seed: int
    start: int
    kept: Path
    tallies: dict[str, Tally] = field(default_factory=dict)
    signatures: Counter[tuple[str, str]] = field(default_factory=Counter)

    def run(self, processes: int) -> None:
        """Try all inputs, and say every few seconds how far it is."""
        self.tallies = {target.name: Tally() for target in self.targets}
        batches, total = list(self._batches()), sum(self._counts().values())
        workers = [_Worker(self.seed) for _ in range(processes)]
        began = told = time.monotonic()
        try:
            while batches or any(worker.batch for worker in workers):
                for worker in workers:
                    if not worker.batch and batches:
                        worker.begin(batches.pop())
                wait([worker.pipe for worker in workers if worker.batch], timeout=1.0)
                for worker in workers:
                    for name, number, verdict in worker.answers():
                        self._count(name, number, verdict)
                done = sum(tally.inputs for tally in self.tallies.values())
                if time.monotonic() - told > 5:
                    told = time.monotonic()
                    rate = done / (told - began)
                    found = sum(tally.findings for tally in self.tallies.values())
                    print(f"{done:,} of {total:,} inputs, {rate:.0f} a second, {found} findings", flush=True)
        finally:
            for worker in workers:
                worker.end()

    def _counts(self) -> dict[str, int]:
        whole = sum(target.share for target in self.targets)
        return {target.name: max(1, round(self.count * target.share / whole)) for target in self.targets}

    def _batches(self) -> Iterator[tuple[str, list[int]]]:
        """Batches of all targets in turn, so that a campaign that is stopped has tried each of them."""
        found = []
        for name, count in self._counts().items():
            numbers = range(self.start, self.start + count)
            found += [(at, name, list(numbers[at : at + _BATCH])) for at in range(0, count, _BATCH)]
        for _, name, numbers in sorted(found, key=lambda batch: batch[0], reverse=True):
            yield name, numbers

    def _count(self, name: str, number: int, verdict: Verdict) -> None:
        tally = self.tallies[name]
        tally.slowest, tally.seconds = max(tally.slowest, verdict.seconds), tally.seconds + verdict.seconds
        if verdict.kind == "read":
            tally.read += 1
        elif verdict.kind == "refused":
            tally.refused += 1
        else:
            tally.findings += 1
            self.signatures[name, verdict.signature] += 1
            if self.signatures[name, verdict.signature] <= _KEPT:
                self._keep(name, number, verdict)

    def _keep(self, name: str, number: int, verdict: Verdict) -> None:
        target = TARGETS[name]
        folder = self.kept / f"{name}-{self.seed}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            files, _ = input_of(target, target.seeds(), self.seed, number)
        write_files(folder, files)
        again = f"python -m tests.fuzz --only {name} --seed {self.seed} --start {number} --count 1"
        print(f"FINDING {name}: {verdict.said}\n  {folder}\n  {again}", flush=True)

    def table(self) -> str:
        """What became of the inputs, target by target."""
        rows = ["target                 inputs     read  refused  findings  slowest s  ms each"]
        whole = Tally()
        for name, tally in [*self.tallies.items(), ("all", whole)]:
            each = 1e3 * tally.seconds / max(tally.inputs, 1)
            rows.append(
                f"{name:20} {tally.inputs:8,} {tally.read:8,} {tally.refused:8,} {tally.findings:9,} "
                f"{tally.slowest:10.2f} {each:8.1f}"
            )
            for part in ("read", "refused", "findings", "seconds"):
                setattr(whole, part, getattr(whole, part) + getattr(tally, part))
            whole.slowest = max(whole.slowest, tally.slowest)
        return "\n".join(rows)


class _Worker:
    """A process that tries batches of inputs."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.batch: tuple[str, list[int]] | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, self._seed), daemon=True)
        self._process.start()
        theirs.close()
        self._heard = time.monotonic()

    def begin(self, batch: tuple[str, list[int]]) -> None:
        """Have it try a batch."""
        self.batch, self._heard = batch, time.monotonic()
        self.pipe.send(batch)

    def answers(self) -> Iterator[tuple[str, int, Verdict]]:
        """Verdicts that have come; for a process that died or hangs, that of its input, and a new process."""
        while self.batch:
            name, left = self.batch
            try:
                if not self.pipe.poll():
                    if self._process.is_alive() and self._memory() > _MOST_HELD:
                        yield from self._lost(name, left, f"more than {_MOST_HELD >> 30} GB of memory", "memory")
                    elif time.monotonic() - self._heard > HUNG:
                        yield from self._lost(name, left, f"no answer for {HUNG:g} s", "hangs")
                    return
                number, verdict = self.pipe.recv()
            except (EOFError, OSError):
                self._process.join(10)
                yield from self._lost(name, left, f"the process ended ({self._process.exitcode})", "crash")
                return
            self._heard = time.monotonic()
            left.remove(number)
            if not left:
                self.batch = None
            yield name, number, verdict

    def _lost(self, name: str, left: list[int], said: str, signature: str) -> Iterator[tuple[str, int, Verdict]]:
        self.end()
        self._start()
        number, rest = left[0], left[1:]
        self.batch = None
        if rest:
            self.begin((name, rest))
        yield name, number, Verdict("finding", said, signature)

    def _memory(self) -> int:
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _work(pipe: Connection, seed: int) -> None:
    """Try batches until the pipe ends."""
    _limit_memory()
    seeds: dict[str, Any] = {}
    while True:
        try:
            name, numbers = pipe.recv()
        except EOFError:
            return
        target = TARGETS[name]
        if name not in seeds:
            seeds[name] = seeds_of(target)
        for number in numbers:
            files, base = input_of(target, seeds[name], seed, number)
            faulthandler.dump_traceback_later(HUNG / 2)  # where it is, should it not come back
            verdict = judged(target, files, seeds[name][base])
            faulthandler.cancel_dump_traceback_later()
            pipe.send((number, verdict))
            if verdict.signature == "memory":
                return  # the most memory that a process held is never forgotten


def _limit_memory() -> None:
    """Let a demand for very much more memory than allowed fail here, not the machine."""
    if sys.platform == "linux":
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + 6 * MOST_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
