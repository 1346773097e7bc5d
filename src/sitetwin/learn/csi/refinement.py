"""Refinement of a twin-trained neural codec with measured matrices: naive fine-tuning and rehearsal.

Jiang and Alkhateeb, section IV-B. The mixture of KLTs needs none of this: `KltCodec.update` is its closed form.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.neural import CodecNetwork
from sitetwin.learn.csi.training import PAPER_REFINEMENT, Progress, Schedule, TrainingResult, train


@dataclass(frozen=True)
class RefinementConfig:
    """Settings of a refinement.

    Attributes:
        rehearsal: Train on the union of the twin's and the measured samples; otherwise on the measured ones alone,
            which forgets.
        frozen_batchnorm: Keep batch normalisation as pre-trained. A few dozen samples shift its statistics, which hurts
            the naive baseline for a reason that is not forgetting.
        repeats: How often each measured sample stands in the union; 1 is the plain union of the paper.
        schedule: Learning rate and length.
    """

    rehearsal: bool = True
    frozen_batchnorm: bool = False
    repeats: int = 1
    schedule: Schedule = PAPER_REFINEMENT


def refine(
    codec: CodecNetwork,
    measured: Tensor,
    generator: torch.Generator,
    config: RefinementConfig = RefinementConfig(),
    *,
    twin: Tensor | None = None,
    validation: Tensor | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    validate_last: int | None = None,
) -> tuple[CodecNetwork, TrainingResult]:
    """Return a refined copy of a trained codec; the codec itself is not changed.

    Args:
        codec: Pre-trained, usually on the twin.
        measured: (n, T, B) complex64 matrices of the target world, selected from its training users.
        generator: Order of the samples.
        config: Settings of the refinement.
        twin: (N, T, B) complex64, the pre-training samples, for rehearsal.
        validation: Validation matrices, for the history only.
        folder: Folder of the checkpoints.
        progress: Called after each epoch.
        should_stop: Asked after each epoch.
        validate_last: Validate after this many last epochs only; after all by default.

    Raises:
        SiteTwinError: Rehearsal without twin samples, no measured samples, or fewer than one repeat.
    """
    if len(measured) == 0:
        raise SiteTwinError("refinement needs at least one measured CSI matrix")
    if config.repeats < 1:
        raise SiteTwinError(f"each measured sample must be used at least once, not {config.repeats} times")
    data = measured.repeat(config.repeats, 1, 1)
    if config.rehearsal:
        if twin is None or len(twin) == 0:
            raise SiteTwinError("rehearsal needs the twin's training samples; pass them as `twin`")
        data = torch.cat([twin, data])
    refined = copy.deepcopy(codec)
    result = train(
        refined,
        data,
        config.schedule,
        generator,
        validation=validation,
        folder=folder,
        frozen_batchnorm=config.frozen_batchnorm,
        progress=progress,
        should_stop=should_stop,
        validate_last=validate_last,
    )
    return refined, result
