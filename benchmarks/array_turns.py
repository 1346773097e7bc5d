"""Turns of a station's array between drives: what finding them is worth, where the truth is known.

    python benchmarks/array_turns.py SCENARIO_DIR --codebook CODEBOOK_DIR --json

A measured scenario of beams is given turns that it does not have: from some drive on, all positions are rotated about
the station, which is what a turn of its array looks like. The structured twin is then calibrated on 40 rows and judged
on whole drives that it has not seen, with all rows chosen before any is measured, with the last quarter chosen in turn,
and as if the array never turned. Line of sight alone: no site is needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from sitetwin.calibrate import Street, StructuredTwin, choose_in_turn, choose_rows
from sitetwin.learn.beams.metrics import rank_of_best
from sitetwin.learn.beams.splits import BeamSplit, drive_folds
from sitetwin.measured import read_codebook, read_deepsense

ROWS, FOLDS = 40, 5
FIRST_BEAM, BEAM_STEP = 1, 4
SMALLEST_DEG, LARGEST_DEG = 4.0, 14.0


def turned(place: np.ndarray, drive: np.ndarray, first: int, degrees: float) -> np.ndarray:
    """Positions (N, 2), those from drive `first` on rotated about the station."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.where((drive >= first)[:, None], place @ np.array([[c, s], [-s, c]]), place)


def top1(
    twin: StructuredTwin, street: Street, splits: Sequence[BeamSplit], rows: np.ndarray, power: np.ndarray
) -> float:
    """Top-1 over the test rows of all splits, of a twin that is fitted to some rows of each split's pool."""
    longest = max(len(split.test) for split in splits)
    test = np.stack([np.resize(split.test, longest) for split in splits])
    answer = twin.fit(street.rows(rows, power=power)).predict(street.rows(test))
    hits = [rank_of_best(a[: len(s.test)], power[s.test]) == 0 for a, s in zip(answer, splits, strict=True)]
    return float(np.concatenate(hits).mean())


def judged(place: np.ndarray, drive: np.ndarray, power: np.ndarray, book: tuple, seed: int) -> dict[str, float]:
    """Top-1 over all drives of the three ways."""
    street, splits = Street.of(place, drive), drive_folds(drive, FOLDS, seed)
    pools = [split.pool for split in splits]
    model = StructuredTwin(*book, tuned=False)
    at_once = np.stack([choose_rows(street, pool, ROWS) for pool in pools])
    ways = {
        "at_once": (model, at_once),
        "in_turn": (model, choose_in_turn(model, street, pools, power, ROWS)),
        "never_turned": (StructuredTwin(*book, sessions=False, tuned=False), at_once),
    }
    return {name: round(top1(twin, street, splits, rows, power), 4) for name, (twin, rows) in ways.items()}


def main(
    scenario: Path,
    codebook: Annotated[Path | None, typer.Option(help="codebook_beams in the scenario by default.")] = None,
    worlds: Annotated[int, typer.Option(help="Turns that are drawn.", min=1)] = 12,
    seed: int = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    data = read_deepsense(scenario)
    book = read_codebook(codebook or scenario / "codebook_beams", data.sizes["beam"])
    beams = np.setdiff1d(np.arange(FIRST_BEAM, data.sizes["beam"], BEAM_STEP), np.flatnonzero(data.dead.values))
    place, drive = np.stack([data.east.values, data.north.values], axis=1), data.drive.values
    power, patterns = data.power.values[:, beams], (book.values[beams], book.azimuth.values)
    rng, drives = np.random.default_rng(seed), np.unique(drive)
    rows = [{"first_drive": None, "degrees": 0.0, **judged(place, drive, power, patterns, seed)}]
    for world in range(worlds):
        first = int(drives[rng.integers(2, len(drives) - 1)])
        degrees = float(rng.choice([-1, 1]) * rng.uniform(SMALLEST_DEG, LARGEST_DEG))
        top1 = judged(turned(place, drive, first, degrees), drive, power, patterns, seed + 1 + world)
        rows.append({"first_drive": first, "degrees": round(degrees, 1), **top1})
        if not as_json:
            print(rows[-1], flush=True)
    mean = {name: round(float(np.mean([r[name] for r in rows[1:]])), 4) for name in top1}
    result = {"scenario": data.attrs["scenario"], "rows": ROWS, "not_turned": rows[0], "mean": mean, "worlds": rows[1:]}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    typer.run(main)
