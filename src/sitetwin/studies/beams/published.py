"""The curves of arXiv 2301.07682: its network on measured rows, on the twin, and on the twin and then measured rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.metrics import best_beams
from sitetwin.learn.beams.network import FINE_TUNING, BeamNetworks, Schedule, network_inputs
from sitetwin.site.places.placement import outdoor_mask
from sitetwin.studies.beams.config import CURVES
from sitetwin.studies.beams.methods import Bench, generator
from sitetwin.studies.beams.scores import Tally
from sitetwin.studies.beams.twin import StreetTwin

_PAPER_BEAM = 27  # counted from 0: the one that the paper takes for boresight
_TRACED = 6000  # of the published twin's users: as many as thirty networks draw
_SMALL_BATCHES = replace(Schedule(), batch=8)  # of the curve that the paper sets beside its transfer


def published_network(bench: Bench) -> Iterator[dict[str, Any]]:
    """The published network in the repetitions of the random split, each network with rows of its own."""
    inputs = network_inputs(bench.east_north)
    labels = torch.from_numpy(best_beams(bench.power))
    pools = torch.from_numpy(np.stack([split.pool for split in bench.splits]))
    test = inputs[torch.from_numpy(np.stack([split.test for split in bench.splits]))]
    count, study = len(bench.splits), bench.study

    def judged(networks: BeamNetworks) -> Tally:
        with torch.no_grad():
            answer = networks.scores(test).numpy()
        return bench.tally(lambda i, split: answer[i])

    def trained(x: torch.Tensor, y: torch.Tensor, schedule: Schedule) -> BeamNetworks:
        networks = BeamNetworks(count, len(bench.beams), generator(bench, 1))
        networks.train(x, y, schedule, generator(bench, 2))
        return networks

    for name, sizes, schedule in (
        (CURVES["real"], bench.sizes(study.network_sizes), Schedule()),
        (CURVES["real_compare_to_transfer"], bench.sizes(study.transfer_sizes), _SMALL_BATCHES),
    ):
        for size in sizes:
            rows = pools[:, :size]
            yield bench.method(name, size, judged(trained(inputs[rows], labels[rows], schedule)))
    if bench.twin is None:
        return
    twin = _published_users(bench, bench.twin)
    everything = len(bench.power)
    note = f"paper protocol, leaks: the boresight is from the labels of all {everything} rows"
    for book, azimuth in steering_angles(bench).items():
        x, y = _twin_rows(bench, twin, azimuth)
        for size in sorted({*study.network_sizes, study.twin_rows}):
            if size > study.twin_rows:
                continue
            networks = trained(x[:, :size], y[:, :size], Schedule())
            yield bench.method(CURVES[f"synth_{book}"], everything, judged(networks), n_train=size, note=note)
        for size in bench.sizes(
            study.transfer_sizes
        ):  # from the networks of all rows of the twin, the last ones trained
            tuned = networks.copy()
            tuned.train(inputs[pools[:, :size]], labels[pools[:, :size]], FINE_TUNING, generator(bench, 5))
            yield bench.method(CURVES[f"transfer_{book}"], everything, judged(tuned), n_tuned=size, note=note)


def steering_angles(bench: Bench) -> dict[str, np.ndarray]:
    """Azimuths (B,) of the twin's steered beams: those of the measured peaks, and evenly apart; radians."""
    return {"measured": bench.azimuth[bench.pattern.argmax(axis=1)], "uniform": bench.uniform}


def dft_angles(bench: Bench) -> np.ndarray:
    """Azimuths (B,) of these beams, were the codebook an oversampled DFT over all directions; radians.

    Sines lie evenly between -1 and 1 (H. Van Trees, "Optimum Array Processing", ch. 2), in the order of the measured
    peaks.
    """
    peaks = steering_angles(bench)["measured"]
    count = bench.data.sizes["beam"]
    sines = (2 * bench.beams + 1 - count) / count
    return np.arcsin(sines * np.sign(peaks[-1] - peaks[0]))


def boresight_of_paper(bench: Bench) -> float:
    """Radians from east: direction of the line from the station through the users whose best beam is the 28th."""
    best = best_beams(bench.data.power.values)
    users = bench.east_north[best == min(_PAPER_BEAM, bench.data.sizes["beam"] - 1)]
    if not len(users):
        return bench.street.axis_rad
    x, y = users.T
    side = float(np.sign(np.median(x)))
    return float(np.arctan2(side * (x @ y), side * (x @ x)))


def _published_users(bench: Bench, twin: StreetTwin) -> StreetTwin:
    """The twin at users drawn from the published lanes; where the scenario has none, on its own grid."""
    if bench.lanes is None:
        return twin
    rng = np.random.default_rng(bench.study.seed)
    users = bench.lanes[rng.permutation(len(bench.lanes))[:_TRACED]]
    return twin.at(users[outdoor_mask(twin.site, users + twin.station)])


def _twin_rows(bench: Bench, twin: StreetTwin, azimuth: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (R, n, 4) and labels (R, n) of rows drawn from the twin's users, each network its own."""
    power = twin.beam_powers(boresight_of_paper(bench), azimuth)
    lit = np.flatnonzero(power.sum(axis=1) > 0)
    if len(lit) < bench.study.twin_rows:
        raise SiteTwinError(
            f"the twin reaches {len(lit)} users of the street where the published network asks for "
            f"{bench.study.twin_rows}; check the site, or leave it out"
        )
    rng = np.random.default_rng(bench.study.seed)
    rows = np.stack([rng.choice(lit, bench.study.twin_rows, replace=False) for _ in bench.splits])
    inputs = network_inputs(twin.users)[torch.from_numpy(rows)]
    return inputs, torch.from_numpy(best_beams(power[rows.ravel()]).reshape(rows.shape))
