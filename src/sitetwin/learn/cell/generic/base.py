"""What coders without knowledge of a site share: nothing is learnt, nothing is exported as a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar, NoReturn

import torch
from jaxtyping import Complex
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.coder import CellCoder, Graph
from sitetwin.learn.csi.metrics import nmse

CHOSEN_ON = 256
"""Training matrices on which a coder's sizes are chosen."""


class SitelessCoder(CellCoder):
    """A coder whose bases are those of any site; training matrices choose sizes alone.

    Attributes:
        in_words: Its name in the midst of a sentence.
        sizes: How its report is laid out, a dataclass of numbers.
        bits: Most bits of a report.
    """

    in_words: ClassVar[str]
    sizes: Any
    bits: int

    def parameters(self) -> dict[str, Any]:
        """See `CellCoder.parameters`."""
        return {"sizes": asdict(self.sizes), "bits": self.bits}

    def arrays(self) -> Mapping[str, Tensor]:
        """See `CellCoder.arrays`: there are none."""
        return {}

    def update(self, x: Complex[Tensor, "users taps beams"], rng: torch.Generator) -> NoReturn:
        """Refuse: there is nothing that measured channels could change.

        Raises:
            SiteTwinError: Always.
        """
        raise SiteTwinError(f"{self.in_words} learns nothing from measured channels; keep this codec as it is")

    def encoder_graph(self) -> Graph:
        """Refuse: the encoder is a search.

        Raises:
            SiteTwinError: Always.
        """
        raise SiteTwinError(f"{self.in_words} is a search and no graph of matrix products; export another codec")

    def decoder_graph(self) -> Graph:
        """Refuse, as the encoder does.

        Raises:
            SiteTwinError: Always.
        """
        return self.encoder_graph()


def mean_error(coder: CellCoder, x: Complex[Tensor, "users taps beams"]) -> float:
    """Mean NMSE of a coder on matrices, linear."""
    return float(nmse(x, coder.recovered(x)).mean())
