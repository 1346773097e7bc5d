"""Turns of a station's array between drives: what finding them is worth, where the truth is known.

    python benchmarks/array_turns.py SCENARIO_DIR --codebook CODEBOOK_DIR --json

A measured scenario of beams is given turns that it does not have: from some drive on, all positions are rotated about
the station, which is what a turn of its array looks like. The structured twin is then calibrated on 40 rows and judged
on whole drives that it has not seen, beside the scenario as it is. No site is needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from sitetwin.calibrate import CalibratedBeams, Track, choose_rows
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


def top1(model: CalibratedBeams, track: Track, splits: Sequence[BeamSplit], power: np.ndarray) -> float:
    """Top-1 over the test rows of all splits, of the twin that is fitted to rows chosen in each split's pool."""
    hits = []
    for split in splits:
        rows = choose_rows(track, split.pool, ROWS)
        answer = model.fit(track.rows(rows), power[rows]).predict_proba(track.rows(split.test))
        hits.append(rank_of_best(answer, power[split.test]) == 0)
    return float(np.concatenate(hits).mean())


def judged(place: np.ndarray, drive: np.ndarray, power: np.ndarray, book: tuple, seed: int) -> dict[str, float]:
    """Top-1 over all drives."""
    track, splits = Track.of(place, drive), drive_folds(drive, FOLDS, seed)
    return {"top1": round(top1(CalibratedBeams(*book), track, splits, power), 4)}


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
        found = judged(turned(place, drive, first, degrees), drive, power, patterns, seed + 1 + world)
        rows.append({"first_drive": first, "degrees": round(degrees, 1), **found})
        if not as_json:
            print(rows[-1], flush=True)
    mean = {name: round(float(np.mean([r[name] for r in rows[1:]])), 4) for name in ("top1",)}
    result = {"scenario": data.attrs["scenario"], "rows": ROWS, "not_turned": rows[0], "mean": mean, "worlds": rows[1:]}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    typer.run(main)
