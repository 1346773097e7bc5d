"""The calibrated twin of beams on several measured streets, by whole drives, with stresses: one line for each cell.

    python benchmarks/beams_any_street.py FOLDER --codebook CODEBOOK_DIR --rows 10 --rows 40 --rows 0

FOLDER gathers scenarios of DeepSense 6G (``scenario<n>_unit1_pwr_60ghz_1-<N>.npy`` and their neighbours). Zero rows
stand for the whole pool. Every drive is tested once in each deal. A line has top-1 accuracy with its interval over
drives, power loss, what sweeps that ask for 95 and 99 % deliver with how many beams (and how many an oracle's fixed
number would be), the time of a fit, and the mean weights of the guard.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
import xarray as xr

from sitetwin.calibrate import CalibratedBeams, Track, choose_rows
from sitetwin.learn.beams.baselines import nearest
from sitetwin.learn.beams.experts import cubic_lane, tree_powers
from sitetwin.learn.beams.metrics import adaptive_sweep, fixed_sweep, power_loss_db, rank_of_best
from sitetwin.learn.beams.splits import drive_folds
from sitetwin.measured import read_codebook, read_deepsense
from sitetwin.studies.beams.stress import STRESSES, stressed

EXPERTS = {
    "kNN (5)": lambda p, v, power, at, there: nearest(p, power, at, min(5, len(p))),
    "kNN (25)": lambda p, v, power, at, there: nearest(p, power, at, min(25, len(p))),
    "cubic in azimuth and lane": cubic_lane,
    "extra trees": tree_powers,
}
FIRST_BEAM, BEAM_STEP, FOLDS, SEED = 1, 4, 5, 2022


def cell(data: xr.Dataset, book: xr.DataArray, beams: np.ndarray, count: int, deals: int, random: bool) -> str:
    """One line."""
    track = Track.of(np.stack([data.east.values, data.north.values], axis=1), data.drive.values)
    power = data.power.values[:, beams]
    model = CalibratedBeams(book.values[beams], book.azimuth.values)
    answers, rows, seconds, weights = [], [], [], []
    for split in (s for deal in range(deals) for s in drive_folds(track.drive, FOLDS, SEED + deal)):
        pool = split.pool
        bought = pool if not count else pool[:count] if random else choose_rows(track, pool, count)
        begun = time.perf_counter()
        model.fit(track.rows(bought), power[bought])
        seconds.append(time.perf_counter() - begun)
        answers.append(model.predict_proba(track.rows(split.test)))
        rows.append(split.test)
        weights.append(model.account.get("weights", {"twin": 1.0}))
    answer, test = np.concatenate(answers), np.concatenate(rows)
    rank = rank_of_best(answer, power[test])
    numbers, place = np.unique(track.drive[test], return_inverse=True)
    hits, tested = np.bincount(place, rank == 0), np.bincount(place)
    drawn = np.random.default_rng(0).integers(0, len(numbers), (2000, len(numbers)))
    low, high = np.percentile(hits[drawn].sum(axis=1) / tested[drawn].sum(axis=1), [2.5, 97.5])
    sweeps = [(adaptive_sweep(answer, power[test], r), fixed_sweep(rank, r)) for r in (0.95, 0.99)]
    told = "; ".join(f"{a.reliability:.3f} with {a.beams:.2f} beams (fixed {f.beams:.0f})" for a, f in sweeps)
    mean = {name: np.mean([w.get(name, 0.0) for w in weights]) for w in weights for name in w}
    blend = ", ".join(f"{name} {share:.2f}" for name, share in mean.items() if share >= 0.01)
    return (
        f"{len(beams)} beams, {count or 'all'} rows{', random' if random else ''}: top-1 {(rank == 0).mean():.4f} "
        f"[{low:.4f}, {high:.4f}], {power_loss_db(answer, power[test]):.3f} dB, {told}, "
        f"fit {np.median(seconds):.2f} s, {blend}"
    )


def baselines(data: xr.Dataset, beams: np.ndarray, count: int, deals: int, random: bool) -> str:
    """Top-1 of baselines on the same rows."""
    track = Track.of(np.stack([data.east.values, data.north.values], axis=1), data.drive.values)
    power, hits, tested = data.power.values[:, beams], dict.fromkeys(EXPERTS, 0), 0
    for split in (s for deal in range(deals) for s in drive_folds(track.drive, FOLDS, SEED + deal)):
        pool = split.pool
        rows = pool if not count else pool[:count] if random else choose_rows(track, pool, count)
        asked, own = track.rows(split.test), track.rows(rows)
        for name, expert in EXPERTS.items():
            score = expert(own.position, own.velocity, power[rows], asked.position, asked.velocity)
            hits[name] += int((rank_of_best(score, power[split.test]) == 0).sum())
        tested += len(split.test)
    return ", ".join(f"{name} {hit / tested:.4f}" for name, hit in hits.items())


def main(
    folder: Path,
    codebook: Annotated[Path, typer.Option(help="Folder of the measured codebook.")],
    rows: Annotated[list[int], typer.Option(help="Numbers of rows; 0 for the whole pool.")] = [10, 40, 0],  # noqa: B006
    scenario: Annotated[list[int], typer.Option(help="Numbers of scenarios; all by default.")] = [],  # noqa: B006
    stress: Annotated[list[str], typer.Option(help=f"Of {', '.join(STRESSES)}.")] = [],  # noqa: B006
    deals: Annotated[int, typer.Option(min=1)] = 1,
    fine: Annotated[bool, typer.Option("--fine", help="All beams that work, not every fourth.")] = False,
    random: Annotated[bool, typer.Option("--random", help="Random rows, not chosen ones.")] = False,
    experts: Annotated[bool, typer.Option("--experts", help="Baselines that know no codebook, too.")] = False,
) -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    for path in sorted(folder.glob("scenario*_unit1_pwr_60ghz_*.npy")):
        number = int(path.name.removeprefix("scenario").split("_")[0])
        if scenario and number not in scenario:
            continue
        data = read_deepsense(path)
        book = read_codebook(codebook, data.sizes["beam"])
        alive = np.flatnonzero(~data.dead.values)
        beams = alive if fine else np.intersect1d(np.arange(FIRST_BEAM, data.sizes["beam"], BEAM_STEP), alive)
        for name in stress or [None]:
            changed, turned = stressed(data, book, name)
            for count in rows:
                told = cell(changed, turned, beams, count, deals, random)
                print(f"scenario {number}{f', {name}' if name else ''}, {told}", flush=True)
                if experts:
                    print(f"    {baselines(changed, beams, count, deals, random)}", flush=True)


if __name__ == "__main__":
    typer.run(main)
