"""How well entropy-coded codecs serve a cell: those that know the site by a twin, by measurements, and not at all.

    python benchmarks/hybrid_codec.py --seeds 0 1 2 3 4                    # Munich
    python benchmarks/hybrid_codec.py --cell boston.toml --seeds 0 1 2 3 4

The worlds are those of the CSI study: the twin, target A (trees that take power), target B (scattering trees, displaced
walls, an array that is turned by one degree) and a wrong site. NMSE is in dB of the mean over users; behind it stands
half of the 95 % interval over seeds. All reports have the same number of bits, which are written and read back.

`--keep FOLDER` writes the matrices of each seed into a folder, and takes those that are there in place of tracing.
`--join` prints the table of several runs of single seeds from their `--json` files.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel import AntennaArray, OfdmGrid, Radio
from sitetwin.learn import CellLink
from sitetwin.learn.cell.coder import CellCoder
from sitetwin.learn.cell.hybrid_coder import hybrid_fit
from sitetwin.learn.cell.methods import METHODS
from sitetwin.learn.csi.metrics import nmse, to_db
from sitetwin.learn.csi.selection import highest_nmse_of, select_random
from sitetwin.learn.statistics import seed_interval
from sitetwin.studies.csi.config import MUNICH, CsiStudy, csi_study, read_cell
from sitetwin.studies.csi.data import source_set, target_set
from sitetwin.studies.csi.worlds import build_worlds

CASES = (("target_a", "random"), ("target_b", "random"), ("target_b", "blocks"))
PARTS: dict[str, dict[str, Any]] = {
    "no references": {"references": False},
    "no zones": {"zones": 0},
    "no paths": {"paths": 0, "references": False},
    "4 paths": {"paths": 4},
    "a certain map": {"errors": (0.0, 0.0, 0.0, 0.0, 0.0)},
    "no pose": {"posed": False},
    "3 zones tried": {"candidates": 3},
}
"""What is taken from the hybrid codec, or changed in it, one thing at a time."""

KEPT = 40
POOL = 2048


def study_of(options: argparse.Namespace) -> CsiStudy:
    """The CSI study of a cell, with its sizes."""
    cell = MUNICH if options.cell is None else read_cell(options.cell)
    study = csi_study("quick", cell.model_copy(update={"spacing": options.spacing}))
    sizes = {"test_users": options.test, "train_sizes": (options.samples,), "pool": POOL}
    wrong = study.wrong_site.model_copy(update={"spacing": options.spacing})
    evaluation = study.evaluation.model_copy(update=sizes)
    return study.model_copy(update={"evaluation": evaluation, "wrong_site": wrong})


def write_sets(options: argparse.Namespace) -> None:
    """Trace the worlds, and write the matrices of each seed that is not there yet."""
    missing = [seed for seed in options.seeds if not (options.keep / f"{seed}.npz").is_file()]
    if not missing:
        return
    study, begun = study_of(options), time.perf_counter()
    worlds = build_worlds(study, lambda stage, share: None)
    print(f"worlds traced in {time.perf_counter() - begun:.0f} s: {worlds.counts}", flush=True)
    options.keep.mkdir(parents=True, exist_ok=True)
    for seed in missing:
        found = {name: source_set(study, worlds.worlds[name], seed).x.numpy() for name in ("twin", "wrong_site")}
        for key, split in CASES:
            target = target_set(study, worlds, key, split, seed)
            found[f"{key}-{split}-train"], found[f"{key}-{split}-test"] = target.train.x.numpy(), target.test.x.numpy()
        np.savez(options.keep / f"{seed}.npz", **found)


class Seed:
    """What one seed gives: errors of each user, by method, source and case.

    Args:
        sets: Matrices.
        seed: The seed.
        options: Choices of the command line.
    """

    def __init__(self, sets: dict[str, Tensor], seed: int, options: argparse.Namespace) -> None:
        self.sets, self.seed, self.options = sets, seed, options
        link = CellLink.of_radio(Radio(AntennaArray.ula(32)), OfdmGrid(3.5e9, 256, 30e3), taps=32)
        self.fits = {name: METHODS[name].fit_for(link) for name in options.methods}
        if options.ablate:
            changed = {
                f"hybrid {words}": partial(hybrid_fit("hybrid", **change), link=link) for words, change in PARTS.items()
            }
            self.fits = {"hybrid": self.fits["hybrid"], **changed}
        self.figures: dict[str, float] = {}
        self.seconds: dict[str, float] = {}

    def run(self) -> None:
        """Fit and judge all."""
        for method in self.fits:
            if method == "paths":
                coder = self.fitted(method, self.sets["twin"])
                for case in CASES:
                    self.judge(coder, method, "none", case)
                continue
            twin = self.fitted(method, self.sets["twin"])
            hybrid = method.startswith("hybrid") or self.options.all
            wrong = self.fitted(method, self.sets["wrong_site"]) if hybrid and "wrong" in self.options.sources else None
            for case in CASES:
                self.judge(twin, method, "twin", case)
                if wrong is not None:
                    self.judge(wrong, method, "wrong", case)
                train = self.sets["-".join(case) + "-train"]
                if not hybrid or "-".join(case) not in self.options.measured:
                    continue
                if "target" in self.options.sources:
                    self.judge(self.fitted(method, train), method, "target", case)
                for rule in ("random", "high-nmse"):
                    if f"+{KEPT} {rule}" in self.options.sources:
                        self.judge(self.updated(twin, train[:POOL], rule), method, f"+{KEPT} {rule}", case)

    def fitted(self, method: str, x: Tensor) -> CellCoder:
        """A coder of matrices."""
        begun = time.process_time()
        coder = self.fits[method](x[: self.options.samples], self.options.bits, self._rng())
        self.seconds.setdefault(f"fit {method}", time.process_time() - begun)
        return coder

    def updated(self, coder: CellCoder, pool: Tensor, rule: str) -> CellCoder:
        """A coder that also knows some measured matrices."""
        chosen = select_random(pool, KEPT, self._rng())
        if rule == "high-nmse":
            chosen = highest_nmse_of(pool, coder.recovered(pool), KEPT)
        begun = time.process_time()
        found = coder.update(pool[chosen.rows], self._rng())
        self.seconds.setdefault("update", time.process_time() - begun)
        return found

    def judge(self, coder: CellCoder, method: str, source: str, case: tuple[str, str]) -> None:
        """Write reports of the test users, read them, and keep the error."""
        x, begun = self.sets["-".join(case) + "-test"], time.process_time()
        payload, bits = coder.encode(x)
        self.seconds.setdefault(f"encode 1,000 {method}", (time.process_time() - begun) / len(x) * 1000)
        assert int(bits.max()) <= self.options.bits
        error = to_db(nmse(x, coder.decode(payload, bits)).mean())
        self.figures[f"{' '.join(case)} | {method} | {source}"] = error
        turn = coder.facts().get("turn_deg", 0.0)
        print(f"seed {self.seed}  {' '.join(case):16} {method:12} {source:14} {error:8.2f} dB  turn {turn}", flush=True)

    def _rng(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


def table(results: list[dict[str, Any]]) -> None:
    """Print means over seeds with half of their intervals, and the differences that bounds name."""
    names = list(results[0]["figures"])
    for name in names:
        print(f"{name:48} {_interval([one['figures'][name] for one in results])}")
    print("differences, dB:")
    for case in CASES:
        label = " ".join(case)
        pairs = {
            "hybrid of the twin over paths": ("hybrid | twin", "paths | none"),
            "hybrid over KLT, twin": ("hybrid | twin", "klt-entropy | twin"),
            f"+{KEPT} random over the twin": (f"hybrid | +{KEPT} random", "hybrid | twin"),
            f"+{KEPT} high-nmse over the twin": (f"hybrid | +{KEPT} high-nmse", "hybrid | twin"),
            f"+{KEPT} random over target-trained": (f"hybrid | +{KEPT} random", "hybrid | target"),
        }
        for words, (a, b) in pairs.items():
            first, second = f"{label} | {a}", f"{label} | {b}"
            if first in names and second in names:
                gaps = [one["figures"][first] - one["figures"][second] for one in results]
                print(f"{label:16} {words:34} {_interval(gaps)}")
    print("seconds:", {name: round(value, 1) for name, value in results[0]["seconds"].items()})


def _interval(values: list[float]) -> str:
    found = seed_interval(values)
    return f"{found.estimate:8.2f} +- {found.high - found.estimate:.2f}  ({len(values)} seeds)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", type=Path, help="cell of one's own, as `sitetwin study csi --cell` takes it")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of users, splits and fits")
    parser.add_argument("--bits", type=int, default=128, help="bits of a report")
    parser.add_argument("--samples", type=int, default=5120, help="training matrices")
    parser.add_argument("--test", type=int, default=1000, help="test users of each seed")
    parser.add_argument("--spacing", type=float, default=0.37, help="metres between the users of the grid")
    parser.add_argument("--methods", nargs="+", default=["paths", "klt-entropy", "hybrid"])
    parser.add_argument("--sources", nargs="+", default=["wrong", "target", f"+{KEPT} random", f"+{KEPT} high-nmse"])
    parser.add_argument(
        "--measured",
        nargs="+",
        default=["-".join(case) for case in CASES],
        help="cases in which codecs of the target, or updated by it, are judged",
    )
    parser.add_argument("--all", action="store_true", help="all sources for each method, not the twin alone for KLT")
    parser.add_argument("--ablate", action="store_true", help="the hybrid codec without each of its parts")
    parser.add_argument("--keep", type=Path, required=True, help="folder of the matrices of each seed")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--join", type=Path, nargs="+", help="files of figures whose table is printed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.join:
        table([one for file in options.join for one in json.loads(file.read_text())])
        return
    write_sets(options)
    results = []
    for number in options.seeds:
        with np.load(options.keep / f"{number}.npz") as file:
            sets = {name: torch.from_numpy(file[name]) for name in file.files}
        seed = Seed(sets, number, options)
        seed.run()
        results.append({"seed": number, "figures": seed.figures, "seconds": seed.seconds})
        if options.json:
            options.json.write_text(json.dumps(results))
    table(results)


if __name__ == "__main__":
    main()
