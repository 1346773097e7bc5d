"""Run cases and print what they measured beside what was to be kept: one table, in Markdown as the docs have it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sitetwin.errors import SiteTwinWarning
from tests.real_data.cases import Case, shown

PASSED, BROKEN, SKIPPED = "passed", "BROKEN", "skipped"
COLUMNS = ("case", "figure", "measured", "bound", "verdict")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    case: str
    figure: str
    measured: str
    bound: str
    verdict: str
    reason: str = ""

    def __str__(self) -> str:
        verdict = f"{self.verdict}: {self.reason}" if self.reason else self.verdict
        return "| " + " | ".join((self.case, self.figure, self.measured, self.bound, verdict)) + " |"


def rows_of(case: Case, data: Path) -> Iterator[Row]:
    """Measure a case. One that fails breaks its bounds; it does not end the run."""
    if missing := case.missing(data):
        yield Row(case.name, "", "", "", SKIPPED, f"the folder has no {', no '.join(missing)}")
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SiteTwinWarning)  # what a warning says is a figure where it matters
            figures = case.measure(data)
        wanted = {bound.figure for bound in case.bounds}
        if set(figures) != wanted:
            raise AssertionError(f"measured and bounded figures differ: {sorted(wanted ^ set(figures))}")
    except Exception as error:  # the other cases still have something to say
        text = " ".join(f"{type(error).__name__}: {error}".split())
        yield Row(case.name, "", "", "", BROKEN, text.replace("|", "/"))
        return
    for bound in case.bounds:
        value = float(figures[bound.figure])
        verdict = PASSED if bound.keeps(value) else BROKEN
        yield Row(case.name, bound.figure, shown(value), str(bound), verdict)


def run(cases: Sequence[Case], data: Path, out: TextIO) -> int:
    """Print the table of all cases.

    Returns:
        Exit status: 0 if every bound of the cases that could run is kept, 1 if one is broken, 2 if no case could run.
    """
    begun, verdicts, spent = time.monotonic(), [], {}
    print("| " + " | ".join(COLUMNS) + " |", "|---|---|---|---|---|", sep="\n", file=out, flush=True)
    for case in cases:
        started = time.monotonic()
        for row in rows_of(case, data):
            print(row, file=out, flush=True)
            verdicts.append(row.verdict)
        spent[case.name] = time.monotonic() - started
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in (PASSED, BROKEN, SKIPPED))
    print(f"\n{counts}; {time.monotonic() - begun:.0f} s", file=out)
    slow = sorted((name for name in spent if spent[name] >= 1), key=lambda name: -spent[name])
    print("; ".join(f"{name} {spent[name]:.0f} s" for name in slow), file=out, flush=True)
    if BROKEN in verdicts:
        return 1
    if PASSED not in verdicts:
        print(f"'{data}' holds nothing that any case needs; see docs/project/real-data.md", file=out)
        return 2
    return 0
