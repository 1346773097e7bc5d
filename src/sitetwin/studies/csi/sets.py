"""Training and test matrices of a study in files, for a codec that is trained outside of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.data import AXES
from sitetwin.store.files import disk_errors, write_file
from sitetwin.studies.csi.config import CsiStudy
from sitetwin.studies.csi.data import source_set, target_set
from sitetwin.studies.csi.worlds import Worlds, build_worlds, check_cells
from sitetwin.studies.frame import Progress, claim_folder, silent

ROOMS = ("backend.py", "compiled.py", "site", "rays", "channel", "store", "studies/csi")
"""Folders whose code decides the matrices."""


def write_csi_sets(
    study: CsiStudy,
    folder: str | Path,
    seed: int = 0,
    cases: tuple[tuple[str, str], ...] | None = None,
    progress: Progress = silent,
) -> list[Path]:
    """Write the matrices that a seed of a study trains and tests with.

    ``twin.npz`` and ``wrong_site.npz`` hold training matrices; ``target_a-random-train.npz`` and ``-test.npz``, and so
    on for each case, those of a target's training and test users. All are in the seed's order, so that the first N rows
    are the training set of N samples. An archive holds `x` (users, taps, beams), complex64, normalised as in the study,
    and `axes`, the names of the axes of `x`.

    Args:
        study: The configuration.
        folder: A new or empty folder, or one that the same configuration wrote before.
        seed: One of the study's seeds.
        cases: Targets and splits; all of the study by default.
        progress: Is told the stage and the share of it that is done.

    Returns:
        The files.

    Raises:
        SiteTwinError: The study has no such seed or case, the folder holds something else or cannot be written, or a
            world is impossible.
    """
    folder = Path(folder)
    wanted = study.evaluation.cases if cases is None else cases
    for case in wanted:
        if case not in study.evaluation.cases:
            known = ", ".join("/".join(one) for one in study.evaluation.cases)
            raise SiteTwinError(f"the study has no case {'/'.join(case)}; choose one of {known}")
    if seed not in study.evaluation.seeds:
        known = ", ".join(map(str, study.evaluation.seeds))
        raise SiteTwinError(f"the study has no seed {seed}; choose one of {known}")
    check_cells(study)
    claim_folder(folder, study, ROOMS)
    worlds = build_worlds(study, progress, target_b=any(target == "target_b" for target, _ in wanted))
    written = []
    with disk_errors("writing the matrices", folder, again="repeat"):
        for name, x in _matrices(study, worlds, seed, wanted):
            content = io.BytesIO()
            np.savez(content, x=x.numpy(), axes=np.array(",".join(AXES)))
            written.append(folder / f"{name}.npz")
            write_file(written[-1], content.getvalue())
    return written


def _matrices(
    study: CsiStudy, worlds: Worlds, seed: int, cases: tuple[tuple[str, str], ...]
) -> list[tuple[str, Tensor]]:
    """Sets by the name of their file."""
    named = [(key, source_set(study, worlds.worlds[key], seed).x) for key in ("twin", "wrong_site")]
    for target, split in cases:
        data = target_set(study, worlds, target, split, seed)
        named += [(f"{target}-{split}-train", data.train.x), (f"{target}-{split}-test", data.test.x)]
    return named
