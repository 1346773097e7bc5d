"""One training of CSINet+ by itself, from matrices in files: hours each, so each can be started, stopped and resumed.

The study itself trains all networks one after the other. Here a single one is trained by the published recipe and
scored as published, and leaves a row that the page of a study shows if it lies in the study's folder ``networks``,
and the codec itself, which `CsiNetPlus.load` reads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn import PAPER, PAPER_REFINEMENT, RefinementConfig, Schedule, data_hash
from sitetwin.learn.csi.csinet import CsiNetPlus, csinet_plus_network
from sitetwin.learn.csi.fair_refinement import NAIVE, refine_by_validation
from sitetwin.learn.csi.metrics import to_db
from sitetwin.learn.csi.neural import CodecNetwork
from sitetwin.learn.csi.refinement import refine
from sitetwin.learn.csi.training import TrainingResult, mean_nmse, train
from sitetwin.store.files import disk_errors
from sitetwin.studies.csi.registry import RANDOM, WORST, choose, with_epochs
from sitetwin.studies.csi.results import NETWORK_SCHEMA, NetworkRow
from sitetwin.studies.frame import Progress, silent, write_json
from sitetwin.studies.records import checked_record
from sitetwin.untrusted.arrays import read_npz

SOURCES = ("twin", "wrong_site", "target")
REFINEMENTS = ("naive", "rehearsal", "tuned")
RULES = {"random": RANDOM, "high-nmse": WORST}
_MOST_TRAINING = 2**24


@dataclass(frozen=True)
class NetworkRun:
    """One training.

    Attributes:
        source: What it is trained on: "twin", "wrong_site" or "target".
        size: Training samples; the first so many of the file.
        refinement: How the trained network is refined with target samples: "naive" or "rehearsal", as published, or
            "tuned", naive with frozen batch normalisation at the learning rate that held-out samples choose; None for a
            training alone.
        rule: How these are chosen out of all training users of the target: "random" or "high-nmse".
        count: How many they are.
        case: Target and split, as in the names of the files.
        batch: Samples per step: the code of the journal version has 32, that of the conference version 4.
        epochs: Length of the training; the published 160, or fewer for a trial that counts as not converged.
        refinement_epochs: Length of a refinement; the published 100, or fewer.
        test_users: Test users of the score, the first so many of the file.
        seed: Seed of initial weights, order of samples and random choice.
    """

    source: str = "twin"
    size: int = 5120
    refinement: str | None = None
    rule: str = "high-nmse"
    count: int = 0
    case: tuple[str, str] = ("target_a", "random")
    batch: int = 32
    epochs: int = PAPER.epochs
    refinement_epochs: int = PAPER_REFINEMENT.epochs
    test_users: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("source", SOURCES), ("refinement", (None, *REFINEMENTS)), ("rule", tuple(RULES))):
            if getattr(self, name) not in known:
                choices = ", ".join(map(str, known))
                raise SiteTwinError(f"{name} must be one of {choices}, not {getattr(self, name)!r}")
        for name in ("size", "batch", "epochs", "refinement_epochs", "test_users"):
            if not 1 <= getattr(self, name) <= _MOST_TRAINING:
                raise SiteTwinError(f"{name} must be a positive number of a usual size, not {getattr(self, name)}")
        if (self.refinement is None) != (self.count == 0) or self.count < 0:
            raise SiteTwinError("a refinement needs a count of target samples, and a count needs a refinement")
        if self.refinement is not None and self.source != "twin":
            raise SiteTwinError(f"what is refined is the network of the twin, not that of {self.source}")

    @property
    def method(self) -> str:
        """Its refinement as the study names it; empty for a training alone."""
        return "" if self.refinement is None else f"{self.refinement}, {RULES[self.rule]}"

    @property
    def name(self) -> str:
        """Name of the file of its row."""
        words = ["csinet", self.source, str(self.size)]
        words += [] if self.refinement is None else [self.refinement, self.rule, str(self.count)]
        words += [] if self.batch == PAPER.batch else [f"batch{self.batch}"]
        words += [] if self.converged else [f"{self.epochs}of{PAPER.epochs}epochs"]
        return "-".join([*words, *self.case, f"seed{self.seed}"])

    @property
    def converged(self) -> bool:
        """Whether it is trained as long as published."""
        whole = self.refinement is None or self.refinement_epochs >= PAPER_REFINEMENT.epochs
        return self.epochs >= PAPER.epochs and whole


def train_network(sets: str | Path, folder: str | Path, run: NetworkRun, progress: Progress = silent) -> Path:
    """Train one network, or finish a training that was interrupted, and write its row and the codec.

    The codec lies beside the row, with the suffix ``.model``. It is kept without its training matrices, which are in
    the files of `sets`; so `CsiNetPlus.update` can refine it naively, and not by rehearsal.

    Args:
        sets: Folder that `write_csi_sets` wrote.
        folder: Folder for the rows, and for the checkpoints in ``checkpoints``; the same for all trainings, because a
            refinement finds the network of the twin there, or trains it first.
        run: The training.
        progress: Is told the stage and the share of it that is done.

    Returns:
        Path of the row.

    Raises:
        SiteTwinError: A file of matrices is missing or damaged, or smaller than asked for; or the disk cannot be
            written.
    """
    sets, folder = Path(sets), Path(folder)
    case = "-".join(run.case)
    test = _rows(read_matrices(sets / f"{case}-test.npz"), run.test_users, "test matrices")
    pool = read_matrices(sets / f"{case}-train.npz") if run.source == "target" or run.refinement else None
    x = pool if run.source == "target" and pool is not None else read_matrices(sets / f"{run.source}.npz")
    samples = _rows(x, run.size, "training matrices")
    network, result = _trained(run, samples, test, folder, progress)
    rate: float | None = None
    if run.refinement == "tuned" and pool is not None:
        network, rate = _tuned(run, network, pool)
    elif run.refinement is not None and pool is not None:
        network, result = _refined(run, network, samples, pool, test, folder, progress)
    final_db = to_db(mean_nmse(network, test))
    tuned = run.refinement == "tuned"
    row = checked_record(
        NetworkRow,
        {
            "codec": "CSINet+",
            "source": run.source,
            "n_train": run.size,
            "method": run.method,
            "n_real": run.count,
            "target": run.case[0],
            "split": run.case[1],
            "nmse_db": round(final_db, 4),
            "score_db": round(final_db if tuned else result.score_db, 4),
            "score_epochs": 1 if tuned else len(result.history.validation),
            "learning_rate": rate,
            "batch": run.batch,
            "epochs": run.refinement_epochs if tuned else len(result.history.loss),
            "converged": run.converged,
            "seed": run.seed,
            "test_users": len(test),
            "data": data_hash(x, test),
            "seconds": None if tuned else round(result.history.seconds, 1),
        },
    )
    with disk_errors("writing the row of a training", folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{run.name}.json"
        CsiNetPlus.of_network(network).save(path.with_suffix(".model"))
        write_json(path, {"schema": NETWORK_SCHEMA, **row.model_dump(mode="json")})
    return path


def _trained(
    run: NetworkRun, x: Tensor, test: Tensor, folder: Path, progress: Progress
) -> tuple[CodecNetwork, TrainingResult]:
    rng = torch.Generator().manual_seed(run.seed)
    network = csinet_plus_network(rng, shape=(x.shape[1], x.shape[2]))
    schedule = replace(with_epochs(PAPER, run.epochs), batch=run.batch)
    result = train(network, x, schedule, rng, **_watched(schedule, test, folder, progress, "train"))
    return network.eval(), result


def _tuned(run: NetworkRun, base: CodecNetwork, pool: Tensor) -> tuple[CodecNetwork, float | None]:
    """Naive fine-tuning as well as it can be done, and its learning rate; None where no refinement served best."""
    rng = torch.Generator().manual_seed(run.seed)
    chosen = choose(RULES[run.rule], base, pool, run.count, rng)
    schedule = replace(with_epochs(PAPER_REFINEMENT, run.refinement_epochs), batch=run.batch)
    network, sweep = refine_by_validation(base, pool[chosen.rows], rng, replace(NAIVE, schedule=schedule))
    return network.eval(), sweep.learning_rate


def _refined(
    run: NetworkRun, base: CodecNetwork, twin: Tensor, pool: Tensor, test: Tensor, folder: Path, progress: Progress
) -> tuple[CodecNetwork, TrainingResult]:
    chosen = choose(RULES[run.rule], base, pool, run.count, torch.Generator().manual_seed(run.seed))
    schedule = replace(with_epochs(PAPER_REFINEMENT, run.refinement_epochs), batch=run.batch)
    config = RefinementConfig(rehearsal=run.refinement == "rehearsal", schedule=schedule)
    rng = torch.Generator().manual_seed(run.seed)
    watched = _watched(schedule, test, folder, progress, "refine")
    network, result = refine(base, pool[chosen.rows], rng, config, twin=twin if config.rehearsal else None, **watched)
    return network.eval(), result


def _watched(schedule: Schedule, test: Tensor, folder: Path, progress: Progress, stage: str) -> dict[str, Any]:
    """What every training gets: a score over the last epochs, checkpoints, progress."""
    return {
        "validation": test,
        "validate_last": schedule.score_epochs,
        "folder": folder / "checkpoints",
        "progress": lambda done, total, figures: progress(stage, done / total),
    }


def read_matrices(path: Path) -> Tensor:
    """Matrices (users, taps, beams) of a file that `write_csi_sets` wrote.

    Raises:
        SiteTwinError: It is missing or damaged, or holds no finite complex64 matrices.
    """
    mend = "write it with `sitetwin study csi-sets`"
    x = read_npz(path, f"'{path}'", mend, ("x",))["x"]
    if x.dtype != np.complex64 or x.ndim != 3 or 0 in x.shape:
        raise SiteTwinError(f"'{path}' holds no complex64 matrices (users, taps, beams); {mend}")
    if not np.isfinite(x.view(np.float32)).all():
        raise SiteTwinError(f"'{path}' holds numbers that are not finite; {mend}")
    return torch.from_numpy(x)


def _rows(x: Tensor, count: int, what: str) -> Tensor:
    if count > len(x):
        raise SiteTwinError(f"{count} {what} were asked for, and the file holds {len(x)}; ask for fewer")
    return x[:count]
