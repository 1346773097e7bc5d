"""Kernels and neurons of the two networks, which the paper leaves out: chosen on validation users, and written down."""

from __future__ import annotations

import torch

from sitetwin.learn import ChannelCorrector, MlpCorrector, MlpSize, UNetCorrector, UNetSize, channel_scores
from sitetwin.studies.precoding.config import PrecodingStudy
from sitetwin.studies.precoding.networks import SeedChannels, Sides, split_sides
from sitetwin.studies.precoding.results import SizeTried

CHOSEN_ON = "random"
"""Split on which sizes are chosen."""


def choose_sizes(
    study: PrecodingStudy, channels: SeedChannels, seed: int
) -> tuple[list[SizeTried], dict[str, ChannelCorrector]]:
    """Train every size on training users of the random split, and compare them on its validation users.

    Args:
        study: The configuration, with the sizes to choose from.
        channels: Channels of the seed and carrier on which sizes are chosen. The test users are not looked at.
        seed: The seed.

    Returns:
        Each size with its NMSE on validation users; of each network the best is marked as chosen. And the two chosen
        networks as they were trained here, by the names of `correctors`.
    """
    sides = split_sides(study, channels, CHOSEN_ON, seed)
    trained = study.evaluation
    unets: list[UNetCorrector | MlpCorrector] = [UNetCorrector(trained.unet, size=one) for one in trained.unet_sizes]
    mlps: list[UNetCorrector | MlpCorrector] = [MlpCorrector(trained.mlp, size=one) for one in trained.mlp_sizes]
    tried: list[SizeTried] = []
    chosen: dict[str, ChannelCorrector] = {}
    for networks in (unets, mlps):
        found = _best_marked([_tried(sides, one, seed) for one in networks])
        chosen |= {said.network: one for said, one in zip(found, networks, strict=True) if said.chosen}
        tried += found
    return tried, chosen


def chosen_unet(tried: list[SizeTried]) -> UNetSize:
    """Kernels of the U-Net that was chosen."""
    best = _chosen(tried, "U-Net")
    return UNetSize(tuple(best.widths), best.kernel_size or 3)


def chosen_mlp(tried: list[SizeTried]) -> MlpSize:
    """Neurons of the perceptron that was chosen."""
    return MlpSize(tuple(_chosen(tried, "MLP").widths))


def _chosen(tried: list[SizeTried], network: str) -> SizeTried:
    return next(one for one in tried if one.network == network and one.chosen)


def _tried(sides: Sides, corrector: UNetCorrector | MlpCorrector, seed: int) -> SizeTried:
    corrector.fit(sides.train, torch.Generator().manual_seed(seed), sides.validation)
    other, size = sides.validation, corrector.size
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
