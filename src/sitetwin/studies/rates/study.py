"""The study of rates: codecs of a twin and all that they must beat, at equal bits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel import OfdmGrid, Radio
from sitetwin.channel.antennas.arrays import AntennaArray
from sitetwin.channel.statistical import MODELS, statistical_responses
from sitetwin.channel.synthesis import delay_angle_from_response
from sitetwin.learn import prepare
from sitetwin.learn.cell.methods import CODEC_KINDS, METHODS, REALS
from sitetwin.learn.finite import check_finite
from sitetwin.studies.csi.data import PHASE_REFERENCE, TargetSet, delay_angle_matrices, source_set, target_set
from sitetwin.studies.csi.registry import Case
from sitetwin.studies.csi.worlds import Worlds, build_worlds, check_cells, describe
from sitetwin.studies.frame import Progress, claim_folder, read_part, silent, versions, write_part, write_results
from sitetwin.studies.rates.config import MEASURED, SHUFFLED, TARGET, TWIN, WRONG_SITE, RatesStudy, trains_by_epochs
from sitetwin.studies.rates.opponents import Opponent, opponents
from sitetwin.studies.rates.results import SCHEMA, RatesResults
from sitetwin.studies.rates.scores import noisy, shuffled_angles, user_scores
from sitetwin.studies.rates.summary import Found, means, pairs, table, worth
from sitetwin.studies.records import checked_record

_LIBRARIES = ("numpy", "torch", "mitsuba", "drjit", "sionna-rt")
_STATISTICAL = ("sionna-no-rt",)  # draws statistical channels
_ROOMS = ("backend.py", "compiled.py", "site", "rays", "channel", "store", "learn", "studies/csi", "studies/rates")
_BATCH = 2048
_NOTES = (
    "All worlds are simulated; targets stand for reality and are called synthetic.",
    "A report holds no more than the bits of its column; those that a codec leaves over are lost.",
    "Norm and common phase of a matrix are not fed back. NMSE is 10 log10 of the mean over users.",
    "Noise lies on each subcarrier and antenna of a user's estimate; the kept delay taps hold their share of it. "
    "Errors count against the channel without noise.",
)
_OF_SITELESS = "Codecs of the source 'none' know no site: training matrices decide the split of their bits alone."
_OF_REALS = f"'{REALS} reals' sends as many real numbers as they are, the published unit"
_OF_ETYPE2 = (
    "The codebook 'etype2' sends the delay and the phase of its strongest coefficient too, which the standard lets "
    "go: its rates would be had with fewer bits, its NMSE would not."
)
_OF_MEASURED = (
    "'refined' is the twin's codec updated with {count} matrices of the target's training users, chosen at random; "
    "'shuffled' is its control, updated with the same ones after their angles were exchanged among them. Networks, and "
    "codecs without an update, have neither."
)
_OF_STATISTICS = (
    "Of statistical channels the angles and delays are those of 3GPP TR 38.901 for the same link, before an array of "
    "any heading; users stand outdoors."
)


def run_rates_study(study: RatesStudy, folder: str | Path, progress: Progress = silent) -> Path:
    """Run the study into a folder, or finish one that was interrupted there.

    Args:
        study: The configuration.
        folder: Folder for configuration.json, results.json, run.json and the finished parts.
        progress: Is told the stage and the share of it that is done.

    Returns:
        Path of results.json.

    Raises:
        SiteTwinError: The folder holds another study or one that other code began, it cannot be written, the cell is
            impossible, or a statistical source is asked for and Sionna's physical layer is missing.
    """
    folder, started = Path(folder), time.perf_counter()
    check_cells(study.csi)
    for model in study.sources:
        if model in MODELS:
            _statistical(study, model, 1, 0)  # its refusals, before anything is traced
    key = claim_folder(folder, study, _ROOMS)
    worlds = build_worlds(study.csi, progress)
    seconds: dict[str, Any] = {"worlds": time.perf_counter() - started}
    found: list[Found] = []
    places: list[Found] = []
    seeds = study.csi.evaluation.seeds
    costs: list[dict[str, Any]] = []
    test_users = 0
    for number, seed in enumerate(seeds):
        part = folder / "parts" / f"seed-{seed}.json"
        kept = read_part(part, key)
        if kept is None:
            begun = time.perf_counter()
            run = _SeedRun(study, worlds, seed)
            kept = run.found(lambda share, number=number: progress("fit and test", (number + share) / len(seeds)))
            kept["seconds"] = {**run.seconds, "all": time.perf_counter() - begun}
            write_part(part, key, kept)
        found += kept["rows"]
        places += kept["places"]
        test_users = kept["test_users"]
        seconds[f"seed {seed}"] = kept["seconds"]
        costs = costs or kept["costs"]
    progress("fit and test", 1.0)
    rows = table(one for one in found if one["noise_snr_db"] is None and one["bits"] in (None, *study.bits))
    document = {
        "schema_name": SCHEMA,
        "title": f"Codecs at equal bits: {study.csi.site.scene}",
        "profile": study.profile,
        "configuration": study.model_dump(mode="json"),
        "configuration_hash": study.hash(),
        "seeds": list(seeds),
        "versions": versions(*_LIBRARIES, *(_STATISTICAL if any(one in MODELS for one in study.sources) else ())),
        "worlds": describe(worlds),
        "test_users": test_users,
        "rows": rows,
        "places": table(places),
        "noise": table(one for one in found if one["bits"] == study.noise_bits),
        "pairs": pairs(study, found),
        "costs": costs,
        "worth": worth(rows),
        "notes": [*_NOTES, *_own_notes(study)],
    }
    return write_results(folder, checked_record(RatesResults, document), {"seconds": seconds})


def _own_notes(study: RatesStudy) -> list[str]:
    """What this configuration adds to the notes."""
    notes = [
        f"Every codec that learns has {study.train_size} training matrices. Rates: maximum-ratio transmission at a "
        f"mean SNR of {study.rate_snr_db:g} dB with perfect CSI, and zero-forcing to {study.groups} users at once, "
        "each with that SNR and its share of the power.",
    ]
    if any(not METHODS[method].learns for method in study.methods):
        notes.append(_OF_SITELESS)
    if any(method == "omp" or method in CODEC_KINDS for method in study.methods):
        eight = f": of 'omp' {REALS // 4} atoms of four numbers each" if "omp" in study.methods else ""
        notes.append(f"{_OF_REALS}{eight}.")
    if "etype2" in study.methods:
        notes.append(_OF_ETYPE2)
    if any(source in MODELS for source in study.sources):
        notes.append(_OF_STATISTICS)
    if set(MEASURED) & set(study.sources):
        notes.append(_OF_MEASURED.format(count=study.measured))
    if study.epochs is not None and any(trains_by_epochs(method) for method in study.methods):
        notes.append(f"Networks were trained for {study.epochs} epochs, not to their end.")
    return notes


class _SeedRun:
    """All fits and tests of one seed."""

    def __init__(self, study: RatesStudy, worlds: Worlds, seed: int) -> None:
        self.study, self.worlds, self.seed, self.seconds = study, worlds, seed, {}
        evaluation = study.csi.evaluation
        self.cases: dict[Case, TargetSet] = {
            case: target_set(study.csi, worlds, *case, seed) for case in evaluation.cases
        }
        self.shared: dict[str, Tensor] = {}
        for source in study.sources:
            if source in MODELS:
                self.shared[source] = _statistical(study, source, study.train_size, seed)
            elif source in (TWIN, WRONG_SITE):
                world = worlds.worlds["twin" if source == TWIN else "wrong_site"]
                self.shared[source] = source_set(study.csi, world, seed).x[: study.train_size]

    seconds: dict[str, float]

    def found(self, tell: Any) -> dict[str, Any]:
        """Figures of every opponent in every case, and the costs."""
        rows: list[Found] = []
        costs: list[dict[str, Any]] = []
        first, count = next(iter(self.cases)), len(self.study.methods)
        for number, method in enumerate(self.study.methods):
            begun = time.perf_counter()
            trainings = list(self._trainings(method))
            for done, (sources, cases) in enumerate(trainings):
                for opponent in opponents(self.study, sources, self.seed, (method,)):
                    costs += _cost(opponent) if first in cases else []
                    for case in cases:
                        for one in (opponent, *self._refined(opponent, case)):
                            rows += self._tested(one, case, self.cases[case])
                tell((number + (done + 1) / len(trainings)) / count)
            self.seconds[method] = time.perf_counter() - begun
        places = [self._of_place(case, data) for case, data in self.cases.items()]
        return {"rows": rows, "places": places, "costs": costs, "test_users": len(self.cases[first].test)}

    def _refined(self, opponent: Opponent, case: Case) -> Iterator[Opponent]:
        """The twin's codec updated with a few matrices of the target, and with shuffled ones."""
        if opponent.source != TWIN:
            return
        rng = torch.Generator().manual_seed(self.seed)
        for source in (one for one in MEASURED if one in self.study.sources):
            x = self.cases[case].train.x[: self.study.measured]
            found = opponent.refined(source, shuffled_angles(x, rng) if source == SHUFFLED else x)
            if found is not None:
                yield found

    def _of_place(self, case: Case, data: TargetSet) -> Found:
        """Figures of the twin's own matrix at each test user's true place, in the true phase, without a report."""
        world, users = self.worlds.worlds["twin"], data.users.test_users.numpy()
        found, known = torch.zeros_like(data.test.x), world.covered[users]
        found[torch.from_numpy(known)] = prepare(
            delay_angle_matrices(self.study.csi, world, users[known]), PHASE_REFERENCE
        ).x
        phase = torch.sgn((found.conj() * data.test.x).sum((1, 2), keepdim=True))
        scores = user_scores(data.test.x, phase * found, self.study.rate_snr_db, self.study.groups)
        labels = {"method": "place", "source": TWIN, "bits": 0, "noise_snr_db": None, "used_bits": 0.0}
        return {"seed": self.seed, "target": case[0], "split": case[1], **labels, **means(scores)}

    def _trainings(self, method: str) -> Iterator[tuple[dict[str, Tensor], list[Case]]]:
        """Training matrices by source, and the cases that they serve: those of a target serve its own case alone.

        Methods that know no site split their bits on what all cases have in common, else on each case's own matrices.
        """
        if self.shared:
            yield self.shared, list(self.cases)
        if TARGET in self.study.sources and (METHODS[method].learns or not self.shared):
            for case, data in self.cases.items():
                yield {TARGET: data.train.x[: self.study.train_size]}, [case]

    def _tested(self, opponent: Opponent, case: Case, data: TargetSet) -> list[Found]:
        """The opponent on the case's test users, with noise too where the study asks for it."""
        study, rows = self.study, []
        noises: list[float | None] = [None]
        if opponent.bits == study.noise_bits:
            noises += study.noise_snr_db
        for snr in noises:
            x = data.test.x
            seen = x
            if snr is not None:
                rng = torch.Generator().manual_seed(self.seed)
                seen = noisy(x, snr, study.csi.link.subcarriers, rng)
            scores, used = self._scores(opponent, x, seen)
            check_finite(scores["nmse"], f"the NMSE with {opponent.method}")
            row: Found = {
                "seed": self.seed,
                "target": case[0],
                "split": case[1],
                "method": opponent.method,
                "source": opponent.source,
                "bits": opponent.bits,
                "noise_snr_db": snr,
                "used_bits": used,
                **means(scores),
            }
            if len(study.csi.evaluation.seeds) == 1 and snr is None:
                row["errors"] = [float(f"{e:.6g}") for e in scores["nmse"].tolist()]
                row["blocks"] = data.users.test_block.tolist()
            rows.append(row)
        return rows

    def _scores(self, opponent: Opponent, x: Tensor, seen: Tensor) -> tuple[dict[str, Tensor], float]:
        """Figures of each user, and the bits of a report."""
        parts, used = [], 0.0
        for estimate in seen.split(_BATCH):
            back, bits = opponent.recover(estimate)
            used += bits * len(estimate) / len(seen)
            parts.append(back)
        return user_scores(x, torch.cat(parts), self.study.rate_snr_db, self.study.groups), used


def _cost(opponent: Opponent) -> list[dict[str, Any]]:
    if opponent.bits is None:
        return []
    costs = {**opponent.costs}
    if "bytes_ue" in costs:
        costs["download_bits"] = 8 * costs["bytes_ue"]
    return [{"method": opponent.method, "source": opponent.source, "bits": opponent.bits, **costs}]


def _statistical(study: RatesStudy, model: str, users: int, seed: int) -> Tensor:
    """Prepared matrices of a statistical model for the link of the cell."""
    link = study.csi.link
    radio = Radio(AntennaArray.ula(link.antennas))
    grid = OfdmGrid(link.carrier_hz, link.subcarriers, link.subcarrier_spacing_hz)
    parts = []
    for begin in range(0, users, _BATCH):
        count = min(_BATCH, users - begin)
        own = int(np.random.default_rng([seed, begin]).integers(1 << 31))
        h = statistical_responses(model, grid, radio, count, own)
        parts.append(delay_angle_from_response(h, radio, link.taps)[:, 0].transpose(1, 2))
    return prepare(torch.cat(parts), PHASE_REFERENCE).x
