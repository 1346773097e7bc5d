"""What the computation of fields may choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, get_args

from jaxtyping import Shaped
from torch import Tensor

from sitetwin.channel.fields.atmosphere import Atmosphere
from sitetwin.channel.fields.canopy import CanopyScattering
from sitetwin.channel.fields.diffraction import DiffractionModel
from sitetwin.channel.fields.foliage import LEAVES, SEASONS, FoliageModel, Season, foliage_model
from sitetwin.channel.fields.tensors import MATERIAL_TENSORS, plain_values, requires_gradient
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths
from sitetwin.site.materials import OutOfRange

MaterialValues = Shaped[Tensor, "*materials"] | Mapping[str, Any] | None
"""A tensor with a value per material, or values by name of material; None for the materials' own."""

TENSORS = (*MATERIAL_TENSORS, "foliage_factor", "transmitter_offset", "user_offset")
"""Fields of `FieldOptions` that take tensors."""


@dataclass(frozen=True)
class FieldOptions:
    """Choices of the field computation.

    Attributes:
        season: "summer" or "winter".
        foliage: Model of the loss in leaves by name, or a model; None lets waves pass canopies and trunks without loss.
        canopy: Parameters of the scattering by canopies.
        out_of_range: Policy for a frequency outside a material's range in P.2040-4: "clamp", "extrapolate" or "error".
        relative_permittivity: Relative permittivities that replace the materials' own: a tensor (M,) with a value per
            material in the order of `site.materials`, or a mapping from names of materials to values. Gradients flow
            into tensors, here and in all that follow. `sitetwin.site.split_materials` gives buildings or facets
            materials of their own.
        conductivity: Conductivities in S/m, in the same way.
        thickness: Thicknesses of slabs in metres, in the same way; infinite for half-spaces, which stay half-spaces.
        scattering_coefficient: Scattering coefficients S, in the same way.
        xpd_coefficient: Shares K_x of the scattered power in the cross polarisation, in the same way. The gradient at
            exactly 0 or 1, where it has no bound, is given as zero.
        foliage_factor: (V,) tensor, factors on the loss in the leaves of each volume of the site's vegetation.
        transmitter_offset: (3,) tensor, metres by which the transmitter stands beside its place in the trace; see
            `sitetwin.channel.fields.moved` for what moves along and what does not.
        user_offset: (3,) tensor for all users or (U, 3), metres by which users stand beside their places in the trace.
        diffraction: Model of the diffraction coefficients, "luebbers" or "sionna" (as in `diffraction_matrix`).
        atmosphere: Air and rain along the paths; None for a vacuum.
        diffuse_seed: Seed of the random phases of the tiles that scatter diffusely.
        diffuse: Whether surfaces scatter. If they do, reflections keep ``sqrt(1 - S^2)`` of their amplitude (also those
            that edges and other mirrors make of them) and diffuse paths carry the rest; if not, reflections keep all of
            it and diffuse paths carry nothing. None means: as the paths were traced (`Paths.scatters_diffusely`).

    Raises:
        SiteTwinError: The season, the policy or the diffraction model is unknown, or `diffuse` is no truth value.
    """

    season: Season = "summer"
    foliage: str | FoliageModel | None = "default"
    canopy: CanopyScattering = field(default_factory=CanopyScattering)
    out_of_range: OutOfRange = "clamp"
    relative_permittivity: MaterialValues = None
    conductivity: MaterialValues = None
    thickness: MaterialValues = None
    scattering_coefficient: MaterialValues = None
    xpd_coefficient: MaterialValues = None
    foliage_factor: Shaped[Tensor, "*volumes"] | None = None
    transmitter_offset: Shaped[Tensor, "*xyz"] | None = None
    user_offset: Shaped[Tensor, "*xyz"] | None = None
    diffraction: str = "luebbers"
    atmosphere: Atmosphere | None = None
    diffuse_seed: int = 0
    diffuse: bool | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("season", self.season, SEASONS),
            ("policy for frequencies out of range", self.out_of_range, get_args(OutOfRange)),
            ("diffraction model", self.diffraction, get_args(DiffractionModel)),
        ):
            if value not in known:
                why = f" ({LEAVES})" if known is SEASONS else ""
                raise SiteTwinError(f"{name} '{value}' is unknown; choose one of {', '.join(known)}{why}")
        if self.diffuse is not None and not isinstance(self.diffuse, bool):
            raise SiteTwinError(f"diffuse is {self.diffuse!r}; give True, False, or None for what the paths are")

    def scatters(self, paths: Paths) -> bool:
        """Return whether surfaces scatter in the fields of these paths."""
        return paths.scatters_diffusely if self.diffuse is None else self.diffuse

    def check_at(self, carrier_hz: float) -> None:
        """Make sure that the models of leaves and air have a value at a carrier.

        Raises:
            SiteTwinError: The foliage model is unknown, or the carrier lies outside what is known of the air.
        """
        if self.foliage is not None:
            foliage_model(self.foliage, carrier_hz)
        if self.atmosphere is not None:
            self.atmosphere.gas_db_per_km(carrier_hz)

    def check_named(self) -> None:
        """Make sure that the foliage model is given by name, so that a request can tell it.

        Raises:
            SiteTwinError: It is given as an object.
        """
        if self.foliage is not None and not isinstance(self.foliage, str):
            raise SiteTwinError(
                "a request names its foliage model; give the name, or compute the gains with path_gains"
            )

    def check_storable(self) -> None:
        """Make sure that names and numbers say all that was chosen, so that a data set on disk can hold it.

        Raises:
            SiteTwinError: Parameters are given as tensors, or a foliage model as an object.
        """
        given = self.tensors()
        if {"foliage_factor", "transmitter_offset", "user_offset"} & set(given):
            raise SiteTwinError(
                f"a data set holds names and numbers, no tensors, but {list(given)[-1]} was given; make the channels "
                "in memory, or trace from the moved place"
            )
        if given:
            raise SiteTwinError(
                "a data set takes the constants of materials from the site, not from its options; give it the site "
                "that settled_site makes of them, or make the channels in memory"
            )
        self.check_named()

    def tensors(self) -> dict[str, Any]:
        """What is given of the fields in `TENSORS`, by name."""
        return {name: getattr(self, name) for name in TENSORS if getattr(self, name) is not None}

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are asked of a tensor."""
        return any(requires_gradient(value) for value in self.tensors().values())

    def check_users(self, num_users: int) -> None:
        """Check that offsets, if there is one per user, fit a number of users.

        Raises:
            SiteTwinError: The number of offsets differs from the number of users.
        """
        offset = self.user_offset
        if offset is not None and offset.ndim == 2 and len(offset) != num_users:
            raise SiteTwinError(f"user_offset is given for {len(offset)} users; there are {num_users}")

    def select_users(self, index: Shaped[Tensor, " chosen"]) -> FieldOptions:
        """The options for some users, given by their indices: of offsets that differ among users, theirs."""
        if self.user_offset is None or self.user_offset.ndim != 2:
            return self
        return replace(self, user_offset=self.user_offset[index])

    def facts(self, carrier_hz: float) -> dict[str, Any]:
        """The choices as names and numbers, JSON-serialisable, in the order in which stores hold them; tensors last.

        Args:
            carrier_hz: Carrier that decides which model "default" stands for, Hz.
        """
        air = {} if self.atmosphere is None else {"atmosphere": asdict(self.atmosphere)}
        rough = {} if self.diffuse is None else {"diffuse": self.diffuse}
        return {
            "season": self.season,
            "foliage": None if self.foliage is None else foliage_model(self.foliage, carrier_hz).name,
            "canopy": asdict(self.canopy),
            "out_of_range": self.out_of_range,
            "diffraction": self.diffraction,
            "diffuse_seed": self.diffuse_seed,
            **air,
            **rough,
            **{name: plain_values(value) for name, value in self.tensors().items()},
        }
