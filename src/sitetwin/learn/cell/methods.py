"""The methods by which a codec of a cell can be fitted, by name, and the coders that files can hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.coder import CellCoder, Fit
from sitetwin.learn.cell.fixed_rate import FixedRateCoder
from sitetwin.learn.cell.generic.etype2 import EnhancedType2Coder, etype2
from sitetwin.learn.cell.generic.omp import OmpCoder, fit_omp
from sitetwin.learn.cell.hybrid_coder import HybridCoder, hybrid_fit
from sitetwin.learn.cell.link import CellLink
from sitetwin.learn.csi.adaptive import AdaptiveCodec
from sitetwin.learn.csi.base import CsiCodec
from sitetwin.learn.csi.codec import Budget
from sitetwin.learn.csi.controls import TwinLookupCodec
from sitetwin.learn.csi.csinet import CsiNetPlus
from sitetwin.learn.csi.klt import GlobalKltCodec, KltCodec
from sitetwin.learn.csi.mixer import MixerCodec

REALS = 32
"""Real numbers of a report of equal length: the published M."""

CODEC_KINDS: dict[str, type[CsiCodec]] = {
    "klt": KltCodec,
    "global-klt": GlobalKltCodec,
    "lookup": TwinLookupCodec,
    "adaptive": AdaptiveCodec,
    "csinet+": CsiNetPlus,
    "mixer": MixerCodec,
}
"""Methods whose reports hold `REALS` numbers or an index, by name."""

CODERS: dict[str, type[CellCoder]] = {
    coder.kind: coder for coder in (FixedRateCoder, OmpCoder, EnhancedType2Coder, HybridCoder)
}
"""Coders that files can hold, by kind."""


def fit_of(codec: CsiCodec) -> Fit:
    """How a codec that is not fitted becomes a coder; the bits are those of its budget."""

    def fit(x: Tensor, bits: int, rng: torch.Generator) -> CellCoder:
        if bits != codec.budget.bits:
            raise SiteTwinError(
                f"the codec has {codec.budget.bits} bits for a report and {bits} are asked for; give it the budget, "
                "as KltCodec(budget=Budget(reals=32, bits_per_real=6))"
            )
        return FixedRateCoder.fit(codec, x, rng)

    return fit


@dataclass(frozen=True)
class Method:
    """A way to fit a coder.

    Attributes:
        fit: Makes a coder of training matrices, the bits of one report and random numbers.
        multiple: The bits of a report are a multiple of this number.
        learns: Whether training matrices decide more than sizes: a coder that knows no site does not learn.
        of_array: Gives what makes it for an array's rows, columns and ports, where the coder must know these; `fit` is
            then that of one row of antennas.
        linked: Whether `fit` takes the link, too, as ``link=``.
    """

    fit: Callable[..., CellCoder]
    multiple: int = 1
    learns: bool = True
    of_array: Callable[[int, int, int], Fit] | None = None
    linked: bool = False

    def fit_for(self, link: CellLink) -> Fit:
        """How a coder for the array of a link is made."""
        if self.linked:
            return partial(self.fit, link=link)
        if self.of_array is None:
            return self.fit
        rows, columns = link.array["rows_columns"]
        return self.of_array(rows, columns, len(link.array["port_slants_deg"]))


def _by_kind(kind: type[CsiCodec]) -> Fit:
    def fit(x: Tensor, bits: int, rng: torch.Generator) -> CellCoder:
        return FixedRateCoder.fit(kind(budget=Budget(REALS, bits // REALS)), x, rng)

    return fit


TRAINED = {"adaptive": AdaptiveCodec, "csinet+": CsiNetPlus, "mixer": MixerCodec}
"""Methods that are trained epoch by epoch."""


def trained_for(method: str, bits: int, epochs: int) -> CsiCodec:
    """A codec of a method that trains for so many epochs; its learning rate falls at the same shares of them.

    Args:
        method: Name of a method of `TRAINED`.
        bits: Bits of one report, a multiple of `REALS`.
        epochs: Passes over the training matrices.

    Raises:
        SiteTwinError: The method is not trained by epochs, or bits or epochs are none.
    """
    if method not in TRAINED:
        raise SiteTwinError(
            f"the method '{method}' is not trained by epochs; leave them out, or choose {' or '.join(TRAINED)}"
        )
    if epochs < 1 or bits < REALS or bits % REALS:
        raise SiteTwinError(
            f"a codec of {bits} bits that trains for {epochs} epochs is none; give a multiple of {REALS} bits and at "
            "least one epoch"
        )
    kind = TRAINED[method]
    codec = kind(budget=Budget(REALS, bits // REALS))
    usual = codec.schedule
    whole = usual.total_epochs(5120)
    falls = tuple(round(milestone * epochs / whole) for milestone in usual.milestones)
    codec.schedule = replace(
        usual, epochs=epochs, steps=None, milestones=falls, score_epochs=min(usual.score_epochs, epochs)
    )
    return codec


METHODS: dict[str, Method] = {
    **{name: Method(_by_kind(kind), REALS) for name, kind in CODEC_KINDS.items()},
    "omp": Method(fit_omp, learns=False),
    "etype2": Method(etype2(), learns=False, of_array=etype2),
    "hybrid": Method(hybrid_fit("hybrid"), linked=True),
    "hybrid-light": Method(hybrid_fit("hybrid-light"), linked=True),
    "klt-entropy": Method(hybrid_fit("klt-entropy"), linked=True),
    "paths": Method(hybrid_fit("paths"), learns=False, linked=True),
}
"""Methods by name. A new one needs an entry here, and its coder one in `CODERS`."""
