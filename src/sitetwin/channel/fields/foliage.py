"""Loss through leaves: Recommendation ITU-R P.833-10 and the older fits, as decibels per depth of foliage.

All models are empirical fits of excess loss against the depth of leaves along the path. The depths of all canopies on a
path are added before a model is applied (every model saturates or bends with depth, and was fitted to the whole depth).
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays.paths import Paths

Season = Literal["summer", "winter"]
SEASONS = ("summer", "winter")
LEAVES = "in summer deciduous trees bear leaves, in winter they are bare"
"""What the seasons mean."""

WOODLAND_SITES = {"mulhouse": (1.15, 0.43), "st_petersburg": (1.37, 0.42), "rio": (0.18, 0.752)}
"""P.833-10, section 2.1: (A1 dB, alpha) of ``A_m = A1 f_MHz^alpha``."""

LEAFLESS_SHARE = 1 / 1.2
"""dB/m without leaves over dB/m with leaves: "some 20 % more" in leaf near 1 GHz (P.833-10, section 2.1)."""


_Depth = Float[Tensor, "*depths"]


@runtime_checkable
class FoliageModel(Protocol):
    """Loss in dB as a function of depth (m), frequency (Hz) and whether leaves are on."""

    name: str

    def __call__(self, depth: _Depth, frequency_hz: float, in_leaf: bool = True) -> _Depth:
        """(...) depth in metres to (...) loss in dB, zero at depth zero."""
        ...


def _domain(name: str, frequency_hz: float, low_hz: float, high_hz: float) -> None:
    if not low_hz <= frequency_hz <= high_hz:
        warnings.warn(
            f"foliage model '{name}' was fitted from {low_hz / 1e9:g} to {high_hz / 1e9:g} GHz and is extrapolated to "
            f"{frequency_hz / 1e9:g} GHz",
            SiteTwinWarning,
            stacklevel=3,
        )


def _depth_domain(name: str, depth: Tensor, limit: float) -> None:
    if depth.numel() and float(depth.detach().max()) > limit:
        warnings.warn(
            f"foliage model '{name}' was fitted to depths up to {limit:g} m and is extrapolated to "
            f"{float(depth.detach().max()):.0f} m",
            SiteTwinWarning,
            stacklevel=3,
        )


def _power(depth: Tensor, exponent: float) -> Tensor:
    """``depth ** exponent`` with a finite gradient at zero depth."""
    safe = torch.where(depth > 0, depth, torch.ones_like(depth))
    return torch.where(depth > 0, safe**exponent, torch.zeros_like(depth))


class Woodland:
    """ITU-R P.833-10, section 2.1: ``A = A_m (1 - exp(-d gamma / A_m))``.

    ``gamma = 0.2 f_GHz`` dB/m between 1 and 30 GHz (log-log line of Figure 2, vertical polarisation; the same line down
    to 30 MHz has exponent ``log(10) / log(33.3)``) and ``A_m = A1 f_MHz^alpha`` dB, the most that a path loses
    before what goes around the trees takes over. Without leaves gamma is divided by 1.2.

    Args:
        site: Where A_m was fitted: "st_petersburg" (105.9 to 2117.5 MHz), "mulhouse" (900 to 2200 MHz) or "rio"
            (900 to 1800 MHz).
    """

    def __init__(self, site: str = "st_petersburg") -> None:
        if site not in WOODLAND_SITES:
            raise SiteTwinError(f"woodland fit '{site}' is unknown; choose one of {', '.join(WOODLAND_SITES)}")
        self.site = site
        self.name = f"woodland-{site}"

    def specific_db_per_m(self, frequency_hz: float) -> float:
        """Gamma in leaf, dB/m."""
        f = frequency_hz / 1e9
        return 0.2 * f if f >= 1 else 0.2 * f ** (math.log(10) / math.log(1 / 0.03))

    def limit_db(self, frequency_hz: float) -> float:
        """A_m, dB."""
        a1, alpha = WOODLAND_SITES[self.site]
        return a1 * (frequency_hz / 1e6) ** alpha

    def __call__(self, depth: _Depth, frequency_hz: float, in_leaf: bool = True) -> _Depth:
        """Loss in dB; warns outside 30 MHz to 30 GHz."""
        _domain(self.name, frequency_hz, 30e6, 30e9)
        gamma = self.specific_db_per_m(frequency_hz) * (1.0 if in_leaf else LEAFLESS_SHARE)
        limit = self.limit_db(frequency_hz)
        return -limit * torch.expm1(-depth * gamma / limit)


class Weissberger:
    """Weissberger's modified exponential decay, 230 MHz to 95 GHz, in-leaf, depths to 400 m.

    ``0.45 f_GHz^0.284 d`` below 14 m and ``1.33 f_GHz^0.284 d^0.588`` above (they meet within 0.3 % at 14 m). Made
    for dry, dense, in-leaf trees in temperate climates and known for low values; without leaves it is divided by 1.2
    like the woodland model.
    """

    name = "weissberger"

    def __call__(self, depth: _Depth, frequency_hz: float, in_leaf: bool = True) -> _Depth:
        """Loss in dB; warns outside 230 MHz to 95 GHz or beyond 400 m."""
        _domain(self.name, frequency_hz, 230e6, 95e9)
        _depth_domain(self.name, depth, 400.0)
        f = (frequency_hz / 1e9) ** 0.284 * (1.0 if in_leaf else LEAFLESS_SHARE)
        return torch.where(depth < 14.0, 0.45 * f * depth, 1.33 * f * _power(depth, 0.588))


class FituR:
    """FITU-R (Al-Nuaimi and Stephens, 1998).

    ``0.39 f_MHz^0.39 d^0.25`` in leaf, ``0.37 f_MHz^0.18 d^0.59`` out of leaf.
    """

    name = "fitu-r"

    def __call__(self, depth: _Depth, frequency_hz: float, in_leaf: bool = True) -> _Depth:
        """Loss in dB; warns outside 10 to 40 GHz or beyond 400 m."""
        _domain(self.name, frequency_hz, 10e9, 40e9)
        _depth_domain(self.name, depth, 400.0)
        f = frequency_hz / 1e6
        return 0.39 * f**0.39 * _power(depth, 0.25) if in_leaf else 0.37 * f**0.18 * _power(depth, 0.59)


class Cost235:
    """COST 235, 9.6 to 57.6 GHz, to 200 m.

    ``15.6 f_MHz^-0.009 d^0.26`` in leaf, ``26.6 f_MHz^-0.2 d^0.5`` out of leaf.
    """

    name = "cost235"

    def __call__(self, depth: _Depth, frequency_hz: float, in_leaf: bool = True) -> _Depth:
        """Loss in dB; warns outside 9.6 to 57.6 GHz or beyond 200 m."""
        _domain(self.name, frequency_hz, 9.6e9, 57.6e9)
        _depth_domain(self.name, depth, 200.0)
        f = frequency_hz / 1e6
        return 15.6 * f**-0.009 * _power(depth, 0.26) if in_leaf else 26.6 * f**-0.2 * _power(depth, 0.5)


class NonzeroGradient:
    """Maximum attenuation or "non-zero gradient" (NZG) model of ITU-R P.833-3 to -5, 5 to 60 GHz.

    ``A = R_inf d + k (1 - exp(-(R_0 - R_inf) d / k))``: specific attenuation R_0 = a f at first and R_inf = b / f^c in
    the end, dB/m, with ``k = k_0 - 10 log10(A_0 (1 - exp(-A_min / A_0)) (1 - exp(-R_f f)))`` dB and f in GHz. At
    3 GHz in leaf and at 4.5 GHz out of leaf R_0 falls below R_inf, so that the fit means nothing much below 5 GHz.

    Args:
        illuminated_area: A_min, m2: the part of the foliage that both antennas' beams light. By default it is 2 m2, a
            beam of about 1.6 m diameter; 10 m2 takes 5 dB from the loss of a deep canopy at 28 GHz.

    Raises:
        SiteTwinError: The area is not positive and finite.
    """

    name = "nzg"
    _IN_LEAF = (0.2, 1.27, 0.63, 6.57, 0.0002, 10.0)
    _BARE = (0.16, 2.59, 0.85, 12.6, 2.1, 10.0)

    def __init__(self, illuminated_area: float = 2.0) -> None:
        if not 0 < illuminated_area < math.inf:
            raise SiteTwinError(f"an illuminated area of {illuminated_area} m2 is not positive and finite")
        self.illuminated_area = illuminated_area

    def constants(self, frequency_hz: float, in_leaf: bool = True) -> tuple[float, float, float]:
        """R_0 and R_inf in dB/m, and k in dB."""
        a, b, c, k0, rf, a0 = self._IN_LEAF if in_leaf else self._BARE
        f = frequency_hz / 1e9
        lit = -a0 * math.expm1(-self.illuminated_area / a0) * -math.expm1(-rf * f)
        return a * f, b / f**c, k0 - 10 * math.log10(lit)

    def __call__(self, depth: _Depth, frequency_hz: float, in_leaf: bool = True) -> _Depth:
        """Loss in dB; warns outside 5 to 60 GHz."""
        _domain(self.name, frequency_hz, 5e9, 60e9)
        first, last, k = self.constants(frequency_hz, in_leaf)
        return last * depth - k * torch.expm1(-depth * (first - last) / k)


def default_model(frequency_hz: float) -> FoliageModel:
    """Woodland of P.833-10 up to 6 GHz, the non-zero gradient model up to 60 GHz, Weissberger above.

    The woodland's gamma is linear in f: at 60 GHz it would say an absurd 12 dB/m. At 6 GHz it and the non-zero
    gradient model agree within a decibel over a crown of 10 m. Weissberger is a low bound.
    """
    if frequency_hz <= 6e9:
        return Woodland()
    return NonzeroGradient() if frequency_hz <= 60e9 else Weissberger()


MODELS = {
    "woodland": Woodland,
    "nzg": NonzeroGradient,
    "weissberger": Weissberger,
    "fitu-r": FituR,
    "cost235": Cost235,
}


def foliage_model(name: str | FoliageModel, frequency_hz: float) -> FoliageModel:
    """Return a model by its name ("default" included), or the given model.

    Raises:
        SiteTwinError: The name is unknown.
    """
    if not isinstance(name, str):
        return name
    if name == "default":
        return default_model(frequency_hz)
    if name not in MODELS:
        raise SiteTwinError(f"foliage model '{name}' is unknown; choose default, {', '.join(MODELS)}")
    return MODELS[name]()


def volumes_in_leaf(vegetation: Any, season: Season) -> Bool[np.ndarray, " volumes"]:
    """Return which canopies bear leaves: all in summer, all except the deciduous ones in winter.

    Args:
        vegetation: The site's `Vegetation`; the `leaf_cycle` of a volume decides.
        season: "summer" or "winter".

    Returns:
        (V,) bool.

    Raises:
        SiteTwinError: The season is unknown.
    """
    if season not in SEASONS:
        raise SiteTwinError(f"season '{season}' is unknown; choose summer or winter")
    if season == "summer":
        return np.ones(len(vegetation.leaf_cycle), dtype=bool)
    return np.array([cycle != "deciduous" for cycle in vegetation.leaf_cycle], dtype=bool)


def vegetation_depth(paths: Paths, chosen: Bool[np.ndarray, " volumes"]) -> Float[np.ndarray, " paths"]:
    """Return the length of each path inside chosen volumes, metres.

    Args:
        paths: P paths with their crossings.
        chosen: (V,) bool, whether each volume is chosen.

    Returns:
        (P,) float64, metres.

    Raises:
        SiteTwinError: A crossing names a canopy that the site does not have.
    """
    chord = paths.crossing_exit - paths.crossing_entry
    if len(chord) and int(paths.crossing_volume.max()) >= len(chosen):
        raise SiteTwinError(
            f"the paths cross canopy {int(paths.crossing_volume.max())} but the site has {len(chosen)}; "
            "use the site that the paths were traced in"
        )
    row = np.repeat(np.arange(paths.num_paths), np.diff(paths.crossing_offsets))
    counts = chosen[paths.crossing_volume] if len(chord) else np.zeros(0, dtype=bool)
    depth = np.bincount(row, weights=np.where(counts, chord, 0.0), minlength=paths.num_paths)
    return depth.astype(np.float64, copy=False)  # without any crossing NumPy counts in whole numbers
