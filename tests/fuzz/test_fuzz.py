"""Some damaged files for every reader, the same ones every time; `make fuzz` tries a hundred thousand."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import grimp
import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from tests.fuzz.campaign import input_of, judged, seeds_of
from tests.fuzz.judge import Target
from tests.fuzz.targets import ELSEWHERE, READERS, TARGETS

INPUTS = 30


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_damaged_files_are_read_or_refused_in_a_sentence(name: str) -> None:
    target = TARGETS[name]
    seeds = seeds_of(target)
    for number in range(max(3, round(INPUTS * target.share**2))):
        files, base = input_of(target, seeds, 1, number)
        verdict = judged(target, files, seeds[base])
        assert verdict.kind != "finding", f"--only {name} --seed 1 --start {number} --count 1: {verdict.said}"


def test_every_module_that_reads_files_has_a_target() -> None:
    """A new reader finds its place in `tests/fuzz/targets/__init__.py`."""
    graph = grimp.build_graph("sitetwin", cache_dir=None)
    guard = {"sitetwin.untrusted", *graph.find_descendants("sitetwin.untrusted")}
    readers = {m for one in guard for m in graph.find_modules_that_directly_import(one)} - guard
    assert {name.removeprefix("sitetwin.") for name in readers} - READERS.keys() - ELSEWHERE.keys() == set()
    assert set(READERS.values()) <= TARGETS.keys()


def _target(read: Any, check: Any = None) -> Target:
    return Target("made-up", read, lambda: [{"a.json": b'{"a": [1, 2]}'}], check=check)


def _raises(error: BaseException) -> Any:
    def read(folder: Path) -> None:
        raise error

    return read


class _PlainError(SiteTwinError):
    """A refusal whose message is not brought onto one line."""

    def __init__(self, message: str) -> None:
        self.args = (message,)


def _warns(folder: Path) -> None:
    warnings.warn("deprecated", FutureWarning, stacklevel=1)


def _hangs(folder: Path) -> None:
    end = time.process_time() + 5
    while time.process_time() < end:
        pass


def _fails(value: Any) -> None:
    raise AssertionError("not finite")


@pytest.mark.parametrize(
    ("target", "kind", "said"),
    [
        (_target(lambda folder: 1), "read", ""),
        (_target(_raises(SiteTwinError("'a.json' is broken; mend it"))), "refused", "mend it"),
        (_target(_raises(SiteTwinError("it is broken"))), "finding", "names no file"),
        (_target(_raises(_PlainError("a.json\nis broken"))), "finding", "line breaks"),
        (_target(_raises(_PlainError("a.json " + "x" * 700))), "finding", "707 characters"),
        (_target(_raises(KeyError("x"))), "finding", "KeyError"),
        (_target(_warns), "finding", "FutureWarning"),
        (_target(_hangs), "finding", "more than 0.2 s"),
        (_target(lambda folder: 1, _fails), "finding", "not finite"),
    ],
)
def test_the_judge_tells_findings_from_refusals(target: Target, kind: str, said: str) -> None:
    files = target.seeds()[0]
    verdict = judged(target, files, files, 0.2)
    assert (verdict.kind, said in verdict.said) == (kind, True)


def test_a_seed_and_a_number_decide_an_input() -> None:
    target = TARGETS["geojson"]
    seeds = target.seeds()
    made = [input_of(target, seeds, 7, number) for number in range(40)]
    assert made == [input_of(target, seeds, 7, number) for number in range(40)]
    assert len({str(files) for files, _ in made}) > 35
    assert np.mean([files != seeds[base] for files, base in made]) > 0.9
