"""Kernels and neurons of the two networks, which the paper leaves out: chosen on validation users, and written down."""

from __future__ import annotations

import torch

from sitetwin.learn import MlpCorrector, MlpSize, UNetCorrector, UNetSize, channel_scores
from sitetwin.studies.precoding.config import PrecodingStudy
from sitetwin.studies.precoding.networks import SeedChannels, Sides, split_sides
from sitetwin.studies.precoding.results import SizeTried


def choose_sizes(study: PrecodingStudy, channels: SeedChannels, seed: int) -> list[SizeTried]:
    """Train every size on training users of the random split, and compare them on its validation users.

    Args:
        study: The configuration, with the sizes to choose from.
        channels: Channels of the seed and carrier on which sizes are chosen. The test users are not looked at.
        seed: The seed.

    Returns:
        Each size with its NMSE on validation users; of each network the best is marked as chosen.
    """
    sides = split_sides(study, channels, "random", seed)
    trained = study.evaluation
    unets = [_tried(sides, one, UNetCorrector(trained.unet, size=one), seed) for one in trained.unet_sizes]
    mlps = [_tried(sides, one, MlpCorrector(trained.mlp, size=one), seed) for one in trained.mlp_sizes]
    return [*_best_marked(unets), *_best_marked(mlps)]


def chosen_unet(tried: list[SizeTried]) -> UNetSize:
    """Kernels of the U-Net that was chosen."""
    best = _chosen(tried, "U-Net")
    return UNetSize(tuple(best.widths), best.kernel_size or 3)


def chosen_mlp(tried: list[SizeTried]) -> MlpSize:
    """Neurons of the perceptron that was chosen."""
    return MlpSize(tuple(_chosen(tried, "MLP").widths))


def _chosen(tried: list[SizeTried], network: str) -> SizeTried:
    return next(one for one in tried if one.network == network and one.chosen)


def _tried(sides: Sides, size: UNetSize | MlpSize, corrector: UNetCorrector | MlpCorrector, seed: int) -> SizeTried:
    corrector.fit(sides.train, torch.Generator().manual_seed(seed), sides.validation)
    other = sides.validation
    scores = channel_scores(other.measured, corrector.predict(other.twin, other.positions), 1.0)
    return SizeTried(
        network="U-Net" if isinstance(size, UNetSize) else "MLP",
        widths=list(size.kernels if isinstance(size, UNetSize) else size.hidden),
        kernel_size=size.kernel_size if isinstance(size, UNetSize) else None,
        parameters=corrector.parameters(),
        nmse_db=scores.nmse_raw_db,
        chosen=False,
    )


def _best_marked(tried: list[SizeTried]) -> list[SizeTried]:
    best = min(tried, key=lambda one: one.nmse_db)
    return [one.model_copy(update={"chosen": one is best}) for one in tried]
