"""Naive fine-tuning, done as well as it can be: its learning rate is chosen on bought samples.

Batch normalisation keeps the twin's statistics, which a few dozen samples would shift. A part of the measured samples
is held out, and the rate, or no refinement at all, is what serves these best. They are paid for like the others.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.metrics import to_db
from sitetwin.learn.csi.neural import CodecNetwork
from sitetwin.learn.csi.refinement import RefinementConfig, refine
from sitetwin.learn.csi.training import mean_nmse

LEARNING_RATES = (1e-4, 3e-4, 1e-3, 3e-3)
"""Rates that are tried: the published one, and others a factor of three apart."""

NAIVE = RefinementConfig(rehearsal=False, frozen_batchnorm=True)


@dataclass(frozen=True)
class Sweep:
    """What a search for the learning rate found.

    Attributes:
        learning_rate: The chosen rate; None where the held-out samples are served best without refinement.
        validation_db: NMSE of the held-out samples by rate, dB; infinite where a training diverged.
        unrefined_db: That without refinement.
        held_out: Measured samples that were held out in the search.
    """

    learning_rate: float | None
    validation_db: dict[float, float]
    unrefined_db: float
    held_out: int


def refine_by_validation(
    codec: CodecNetwork,
    measured: Complex[Tensor, "samples taps beams"],
    generator: torch.Generator,
    config: RefinementConfig = NAIVE,
    *,
    learning_rates: tuple[float, ...] = LEARNING_RATES,
    held_out_share: float = 0.25,
) -> tuple[CodecNetwork, Sweep]:
    """Refine a trained codec at the learning rate that serves held-out measured samples best; then on all of them.

    Args:
        codec: Pre-trained, usually on the twin; it is not changed.
        measured: Measured matrices, selected from the target's training users.
        generator: Draws those held out, and the order of the samples.
        config: Settings of the refinement, whose learning rate is replaced.
        learning_rates: Rates that are tried.
        held_out_share: Share of the measured samples that is held out in the search, at least one.

    Returns:
        The refined codec, or a copy of the pre-trained one where that serves best; and what was found.

    Raises:
        SiteTwinError: Fewer than two measured samples, no rates, a share that is none, or settings of another
            refinement: with rehearsal, or with fewer than one repeat.
    """
    if len(measured) < 2:
        raise SiteTwinError("a learning rate is chosen on held-out samples; give at least two measured matrices")
    if not learning_rates or not 0 < held_out_share < 1:
        raise SiteTwinError("a sweep needs learning rates and a share of held-out samples between 0 and 1; give both")
    if config.rehearsal or config.repeats < 1:
        raise SiteTwinError(
            "naive fine-tuning knows no samples of the twin and uses each measured one at least once; give a "
            "configuration without rehearsal and with at least one repeat"
        )
    order = torch.randperm(len(measured), generator=generator)
    count = min(max(1, round(held_out_share * len(measured))), len(measured) - 1)
    held, rest = measured[order[:count]], measured[order[count:]]
    state = generator.get_state()
    found: dict[float, float] = {}
    for rate in learning_rates:
        generator.set_state(state)  # each rate sees the samples in the same order
        try:
            refined, _ = refine(codec, rest, generator, _at(config, rate))
        except SiteTwinError:  # it diverged
            found[rate] = math.inf
            continue
        error = to_db(mean_nmse(refined, held))
        found[rate] = error if math.isfinite(error) else math.inf
    unrefined = to_db(mean_nmse(codec, held))
    best = min(found, key=lambda rate: found[rate])
    generator.set_state(state)
    chosen = best if found[best] < unrefined else None
    sweep = Sweep(chosen, found, unrefined, count)
    if chosen is None:
        return copy.deepcopy(codec), sweep
    return refine(codec, measured, generator, _at(config, chosen))[0], sweep


def _at(config: RefinementConfig, rate: float) -> RefinementConfig:
    return replace(config, schedule=replace(config.schedule, learning_rate=rate))
