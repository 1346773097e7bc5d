"""Codecs of local and global Karhunen-Loeve transforms, see `sitetwin.learn.csi.mixture`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import torch
from jaxtyping import Complex
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.base import CsiCodec, needed
from sitetwin.learn.csi.codec import Budget, Code, Costs
from sitetwin.learn.csi.data import CsiData
from sitetwin.learn.csi.mixture import KltConfig, Mixture, fit_mixture
from sitetwin.learn.model_files import ModelFile


class KltCodec(CsiCodec):
    """The mixture of local KLTs: the index of the best subspace, and the coefficients in it.

    Args:
        config: How the mixture is fitted.
        budget: Feedback budget; the index is paid for out of it.

    A code holds the coefficients in its values and the zone in its index.
    """

    kind: ClassVar[str] = "klt"

    def __init__(self, config: KltConfig | None = None, budget: Budget | None = None) -> None:
        super().__init__(budget)
        self.config = config or KltConfig()
        self._mixture: Mixture | None = None

    @property
    def mixture(self) -> Mixture:
        """The fitted subspaces.

        Raises:
            SiteTwinError: The codec is not fitted yet.
        """
        if self._mixture is None:
            raise SiteTwinError("the KLT is not fitted yet; call fit, or load one")
        return self._mixture

    @property
    def front(self) -> Complex[Tensor, "size front"]:
        """Common principal directions of the training set."""
        return self.mixture.front

    @property
    def bases(self) -> Complex[Tensor, "zones front rank"]:
        """One basis for each zone, in the coordinates of the front-end."""
        return self.mixture.bases

    @property
    def zones(self) -> int:
        """Number of zones."""
        return self.mixture.zones

    @property
    def rank(self) -> int:
        """Complex coefficients per report."""
        return self.mixture.rank

    def costs(self) -> Costs:
        """Both sides hold the front-end and all bases; the user equipment projects on every zone."""
        return self.mixture.costs()

    def update(
        self, data: CsiData, rng: torch.Generator | None = None, weight: float = 3.0, new_zones: int = 0
    ) -> KltCodec:
        """Return a codec into which a few measured matrices are folded, in closed form (`Mixture.update`).

        Args:
            data: Measured matrices.
            rng: Not used, because the update has no random numbers.
            weight: Weight of a measured sample against a twin sample.
            new_zones: Zones to replace; 0 for none.

        Returns:
            A new codec with the same number of zones and coefficients, hence the same feedback.

        Raises:
            SiteTwinError: The weight is not positive, or more new zones than zones or samples are asked for.
        """
        mixture = self.mixture.update(self._matrices(data), weight, new_zones)
        return self._with(mixture)

    def training_matrices(self) -> Complex[Tensor, "samples taps beams"]:
        """The samples that updates need, without what the common front-end leaves out."""
        return (self.mixture.samples @ self.mixture.front.T).unflatten(1, self.mixture.shape)

    def _with(self, mixture: Mixture) -> KltCodec:
        codec = KltCodec(mixture.config, mixture.budget)
        codec._mixture, codec.shape, codec.facts = mixture, mixture.shape, self.facts
        return codec

    def _fit(self, x: Tensor, rng: torch.Generator | None) -> None:
        self._mixture = fit_mixture(x, needed(rng, self.kind), self.config, self.budget)

    def _encode(self, x: Tensor) -> Code:
        return self.mixture.encode(x)

    def _report(self) -> tuple[int, int | None]:
        return self.mixture.reals, self.zones

    def _decode(self, code: Code) -> Tensor:
        return self.mixture.decode(code)

    def _parameters(self) -> Mapping[str, Any]:
        return {"config": asdict(self.config)}

    def _arrays(self) -> Mapping[str, Tensor]:
        m = self.mixture
        return {"front": m.front, "bases": m.bases, "samples": m.samples, "weights": m.weights}

    @classmethod
    def _restored(cls, file: ModelFile, budget: Budget, shape: tuple[int, int]) -> KltCodec:
        mixture = Mixture(
            front=file.array("front", "size front", torch.complex64),
            bases=file.array("bases", "zones front rank", torch.complex64),
            budget=budget,
            shape=shape,
            config=file.parameter("config", KltConfig),
            samples=file.array("samples", "samples front", torch.complex64),
            weights=file.array("weights", "samples", torch.float32),
        )
        if len(mixture.front) != shape[0] * shape[1] or not (mixture.zones and mixture.rank):
            raise file.refusal("its subspaces are not of the size of the matrices")
        if mixture.rank > budget.complex_coefficients(mixture.zones, mixture.config.phase == "reference"):
            raise file.refusal("its code is larger than its budget")
        codec = cls()
        codec.config, codec.budget, codec._mixture = mixture.config, budget, mixture
        return codec


class GlobalKltCodec(KltCodec):
    """One subspace for the whole site: the linear bound (Eckart-Young), a control for the mixture.

    Args:
        budget: Feedback budget.
    """

    kind: ClassVar[str] = "global klt"

    def __init__(self, budget: Budget | None = None) -> None:
        super().__init__(KltConfig(zones=1, polish=1, neighbours=1), budget)

    def _fit(self, x: Tensor, rng: torch.Generator | None) -> None:
        self._mixture = fit_mixture(x, rng or torch.Generator(), self.config, self.budget)
