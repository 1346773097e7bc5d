"""What a finished CSI study leaves behind beside its results: the codec of the headline, ready for use."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.channel import OfdmGrid
from sitetwin.learn import CellCodec, CsiSet
from sitetwin.learn.cell.link import CellLink
from sitetwin.learn.cell.matrices import CellMatrices
from sitetwin.store.files import disk_errors, own_place
from sitetwin.studies.csi.config import CsiStudy
from sitetwin.studies.csi.data import PHASE_REFERENCE, source_set, target_set
from sitetwin.studies.csi.registry import HEADLINE_CASE, HEADLINE_CODEC
from sitetwin.studies.csi.worlds import Worlds

CODEC = "headline.codec"
"""The file of the codec that is kept."""

_METHOD = "klt"  # the headline's codec, by its name among the codecs of a cell


def keep_codec(study: CsiStudy, worlds: Worlds, folder: Path) -> dict[str, Any]:
    """Fit the headline's codec anew, on the first seed, as a codec of a cell, and keep it.

    Its numbers are quantised to the bits of a report; `sitetwin codec` takes the file.

    Args:
        study: The configuration.
        worlds: The worlds.
        folder: Folder of the study; a codec that is there already is kept.

    Returns:
        What is said of it: its file, its hash, and what it knows.

    Raises:
        SiteTwinError: The disk cannot be written.
    """
    seed, few = study.evaluation.seeds[0], study.evaluation.few
    path = own_place(folder, CODEC)
    if path.exists():
        codec = CellCodec.load(path)
    else:
        codec = _fitted(study, worlds, seed, few)
        codec.save(path)
    return {
        "file": CODEC,
        "hash": codec.hash,
        "what": f"{HEADLINE_CODEC.name} of the twin, updated with {few} target samples, seed {seed}",
    }


def _fitted(study: CsiStudy, worlds: Worlds, seed: int, few: int) -> CellCodec:
    twin, link = worlds.worlds["twin"], study.link
    grid = OfdmGrid(link.carrier_hz, link.subcarriers, link.subcarrier_spacing_hz)
    cell = CellLink.of_radio(
        twin.radio,
        grid,
        link.taps,
        phase_reference=PHASE_REFERENCE,
        site=twin.site.name,
        site_hash=twin.site.hash,
    )
    samples = source_set(study, twin, seed)
    size = study.base_size(HEADLINE_CODEC)
    base = CellCodec(_METHOD).fit(_matrices(samples, size), link=cell, seed=seed)
    pool = target_set(study, worlds, *HEADLINE_CASE, seed).train
    return base.update(_matrices(pool, study.evaluation.pool), keep=few, select="high-nmse", seed=seed)


def _matrices(samples: CsiSet, count: int | None) -> CellMatrices:
    taken = CsiSet(samples.x[:count], samples.norm[:count], samples.phase[:count], samples.reference)
    return CellMatrices(taken, (), np.zeros(len(taken), dtype=bool))


def prune(folder: Path) -> None:
    """Remove the checkpoints of trainings that are over; results and finished parts stay.

    Raises:
        SiteTwinError: The disk refuses.
    """
    models = own_place(folder, "models")
    with disk_errors("removing the checkpoints of the study", folder):
        if models.is_dir():
            shutil.rmtree(models)
