"""The study of fidelity: codecs of twins that differ from the truth in one thing each, tested on the truth."""

from __future__ import annotations

import re
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel import OfdmGrid
from sitetwin.errors import SiteTwinError
from sitetwin.learn import spatial_blocks
from sitetwin.learn.cell.link import CellLink
from sitetwin.learn.cell.methods import METHODS
from sitetwin.learn.csi.metrics import nmse
from sitetwin.learn.finite import check_finite
from sitetwin.studies.csi.worlds import check_cells, station_radio
from sitetwin.studies.fidelity.config import Difference, FidelityStudy
from sitetwin.studies.fidelity.kinds import PERFECT
from sitetwin.studies.fidelity.results import SCHEMA, FidelityResults
from sitetwin.studies.fidelity.summary import Found, rows_of
from sitetwin.studies.fidelity.twins import Truth, Twin, make_twin, trace_truth, training_users
from sitetwin.studies.frame import Progress, claim_folder, read_part, silent, versions, write_part, write_results
from sitetwin.studies.records import checked_record

_LIBRARIES = ("numpy", "torch", "mitsuba", "drjit")
_ROOMS = ("backend.py", "compiled.py", "site", "rays", "channel", "store", "learn", "studies/csi", "studies/fidelity")
_BATCH = 2048
_NOTES = (
    "The truth is simulated too: the site with its trees, which attenuate and scatter, and all paths of our own "
    "tracer. What this tracer leaves out of all worlds, such as diffraction, is not judged.",
    "Each twin differs from the truth in the one thing that its name says, but for two: the plain twin has all that is "
    "usually wrong at once, and the wrong site is another city.",
    "All codecs of a seed are tested on the same users of the truth, who never train. A cost is the NMSE of a twin's "
    "codec less that of the perfect twin's; the perfect twin's own cost is 0 by construction.",
    "Intervals are over blocks of space, with all that all seeds tested in a block. They hold the chance of where "
    "users stand; how much the draws of an error matter is told by the costs of single seeds.",
    "Norm and common phase of a matrix are not fed back. NMSE is 10 log10 of the mean over users.",
)
_OF_SITELESS = (
    "{methods}: no site is known to it; a twin decides the split of its bits alone. It is the control: what it costs "
    "is no fault of a twin's geometry."
)


def run_fidelity_study(study: FidelityStudy, folder: str | Path, progress: Progress = silent) -> Path:
    """Run the study into a folder, or finish one that was interrupted there.

    Args:
        study: The configuration.
        folder: Folder for configuration.json, results.json, run.json and the finished parts, one for each twin and
            seed.
        progress: Is told the stage and the share of it that is done.

    Returns:
        Path of results.json.

    Raises:
        SiteTwinError: The folder holds another study or one that other code began, it cannot be written, the cell is
            impossible, or the truth has too few users.
    """
    folder = Path(folder)
    check_cells(study.csi)
    key = claim_folder(folder, study, _ROOMS)
    run, seeds, twins = _Run(study, progress), study.csi.evaluation.seeds, study.twins
    found: list[Found] = []
    left_out: list[dict[str, Any]] = []
    seconds: dict[str, float] = {}
    of_truth: dict[int, dict[str, Any]] = {}
    for place, seed in enumerate(seeds):
        for number, difference in enumerate(twins):
            progress("twins", (place + number / len(twins)) / len(seeds))
            part = folder / "parts" / f"seed-{seed}-{re.sub('[^a-z0-9.]+', '-', difference.name.lower())}.json"
            kept = read_part(part, key)
            if kept is None:
                begun = time.perf_counter()
                kept = run.found(difference, seed)
                kept["seconds"] = time.perf_counter() - begun
                write_part(part, key, kept)
            seconds[f"seed {seed}, {difference.name}"] = kept["seconds"]
            if difference.kind == PERFECT:
                of_truth[seed] = kept["truth"]
            if kept["left_out"] is not None:
                left_out.append({"name": difference.name, "seed": seed, "why": kept["left_out"]})
            found += [Found(difference, row["method"], seed, row["errors"], row["used_bits"]) for row in kept["rows"]]
    progress("twins", 1.0)
    document = {
        "schema_name": SCHEMA,
        "title": f"How true a twin must be: {study.csi.site.scene}",
        "profile": study.profile,
        "configuration": study.model_dump(mode="json"),
        "configuration_hash": study.hash(),
        "seeds": list(seeds),
        "versions": versions(*_LIBRARIES),
        "truth": {name: value for name, value in of_truth[seeds[0]].items() if name != "blocks"},
        "test_users": study.csi.evaluation.test_users,
        "bits": study.bits,
        "rows": rows_of(found, {seed: kept["blocks"] for seed, kept in of_truth.items()}),
        "left_out": left_out,
        "notes": [*_NOTES, *_own_notes(study)],
    }
    return write_results(folder, checked_record(FidelityResults, document), {"seconds": seconds})


def _own_notes(study: FidelityStudy) -> list[str]:
    """What this configuration adds to the notes."""
    csi = study.csi
    notes = [
        f"Every codec has {study.train_size} training matrices of its twin, of users anywhere in the cell; users stand "
        f"{csi.site.spacing:g} m apart. Paths of the truth have at most {csi.max_depth} reflections.",
        "Errors of walls and heights, and the direction in which the station is off, are drawn anew for each of the "
        f"{len(csi.evaluation.seeds)} seeds; a larger strength is the same draw, larger.",
    ]
    siteless = [method for method in study.methods if not METHODS[method].learns]
    if siteless:
        notes.append(_OF_SITELESS.format(methods=", ".join(siteless)))
    return notes


class _Run:
    """The truth, traced when it is first needed, and the codecs of its twins."""

    def __init__(self, study: FidelityStudy, progress: Progress) -> None:
        self.study, self.progress = study, progress

    @cached_property
    def truth(self) -> Truth:
        return trace_truth(self.study, self.progress)

    def found(self, difference: Difference, seed: int) -> dict[str, Any]:
        """Errors of all codecs of one twin; or why there is none."""
        study, tested = self.study, self.tested(seed)
        try:
            twin = make_twin(study, self.truth, difference, seed, self.progress)
            users = training_users(twin, tested, difference.kind == "wrong site", study.train_size, seed)
        except SiteTwinError as error:
            if difference.kind == PERFECT:
                raise SiteTwinError(
                    f"the truth cannot be trained on: {error}; use a larger area or a finer grid"
                ) from error
            return {"rows": [], "left_out": str(error)}
        x = twin.matrices(users)
        test = Twin(study.csi, self.truth.world, self.truth.world.covered).matrices(tested)
        rows = [{"method": method, **self._scored(method, difference, x, test, seed)} for method in study.methods]
        content: dict[str, Any] = {"rows": rows, "left_out": None}
        if difference.kind == PERFECT:
            content["truth"] = self._described(tested)
        return content

    def tested(self, seed: int) -> np.ndarray:
        """Test users of a seed, in ascending order.

        Raises:
            SiteTwinError: The truth has too few.
        """
        covered, count = np.flatnonzero(self.truth.world.covered), self.study.csi.evaluation.test_users
        if len(covered) < count:
            raise SiteTwinError(
                f"the truth has {len(covered)} users with a path but the study tests {count}; use a larger area or a "
                "finer grid"
            )
        return np.sort(np.random.default_rng([seed, 1]).choice(covered, size=count, replace=False))

    def _scored(self, method: str, difference: Difference, x: Tensor, test: Tensor, seed: int) -> dict[str, Any]:
        """NMSE of each test user with a codec that is fitted to the twin's matrices, and the bits of a report."""
        coder = METHODS[method].fit_for(self.link)(x, self.study.bits, torch.Generator().manual_seed(seed))
        parts, used = [], 0
        for part in test.split(_BATCH):
            payload, bits = coder.encode(part)
            parts.append(coder.decode(payload, bits))
            used += int(bits.sum())
        errors = nmse(test, torch.cat(parts))
        check_finite(errors, f"the NMSE with {method} of the twin '{difference.name}'")
        return {"errors": [float(f"{error:.6g}") for error in errors.tolist()], "used_bits": used / len(test)}

    @property
    def link(self) -> CellLink:
        """The link that all codecs are made for: a twin that is turned, or has other elements, does not know it."""
        link = self.study.csi.link
        grid = OfdmGrid(link.carrier_hz, link.subcarriers, link.subcarrier_spacing_hz)
        return CellLink.of_radio(station_radio(self.study.csi, self.study.csi.site.yaw_deg), grid, link.taps)

    def _described(self, tested: np.ndarray) -> dict[str, Any]:
        """What the results say of the truth, and the blocks of its test users."""
        world, evaluation = self.truth.world, self.study.csi.evaluation
        blocks = spatial_blocks(torch.from_numpy(self.truth.users), evaluation.block_m)
        return {
            "scene": world.site.name,
            "site_hash": world.site.hash,
            "canopies": world.site.vegetation.num_volumes,
            "scatter_centres": world.site.vegetation.num_scatter_centres,
            "reflections": self.study.csi.max_depth,
            "users": len(self.truth.users),
            "without_path": int((~world.covered).sum()),
            "completeness": world.paths.attributes["completeness"],
            "blocks": blocks[torch.from_numpy(tested)].tolist(),
        }
