"""What the computation of fields may choose."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from sitetwin.channel.fields.atmosphere import Atmosphere
from sitetwin.channel.fields.canopy import CanopyScattering
from sitetwin.channel.fields.foliage import FoliageModel, Season


@dataclass(frozen=True)
class FieldOptions:
    """Choices of the field computation.

    Attributes:
        season: "summer" or "winter".
        foliage: Model of the loss in leaves by name, or a model; None lets waves pass canopies and trunks without loss.
        canopy: Parameters of the scattering by canopies.
        out_of_range: Policy for a frequency outside a material's range in P.2040-4: "clamp", "extrapolate" or "error".
        relative_permittivity: (M,) relative permittivities that replace the materials' own; gradients flow into them.
        conductivity: (M,) conductivities in S/m that replace the materials' own; gradients flow into them.
        diffraction: Model of the diffraction coefficients, "luebbers" or "sionna" (as in `diffraction_matrix`).
        atmosphere: Air and rain along the paths; None for a vacuum.
        diffuse_seed: Seed of the random phases of the tiles that scatter diffusely.
    """

    season: Season = "summer"
    foliage: str | FoliageModel | None = "default"
    canopy: CanopyScattering = field(default_factory=CanopyScattering)
    out_of_range: str = "clamp"
    relative_permittivity: Tensor | None = None
    conductivity: Tensor | None = None
    diffraction: str = "luebbers"
    atmosphere: Atmosphere | None = None
    diffuse_seed: int = 0
