"""Say what follows from materials that were assumed, and from their scattering, in decibels and sentences."""

from __future__ import annotations

import cmath
import math
import warnings
from collections.abc import Iterable, Sequence

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.hertz import check_carrier
from sitetwin.site.assumed import assumed_materials, material_areas
from sitetwin.site.earth_surface import SPEED_OF_LIGHT, VACUUM_PERMITTIVITY
from sitetwin.site.materials import Material, itu_material
from sitetwin.site.site import Site

CARRIERS_HZ = (3.5e9, 28e9)
"""Carriers of examples, where none was chosen yet."""

_GLASS = itu_material("glass", 0.006)
_ROUGH = 0.3  # of the scattering coefficients that were fitted to buildings, 0.1 to 0.6, one in the middle
_MOST_DB = 200.0
_LISTED = 3


def assumption_effects(
    site: Site,
    carrier_hz: float | Sequence[float] = CARRIERS_HZ,
    *,
    transmissions: bool = True,
    diffuse: bool | None = None,
) -> list[str]:
    """Say what follows from what is assumed of a site's materials: one sentence for each kind of assumption.

    - Thickness of slabs: what one straight passage costs, beside a pane of glass.
    - What unknown surfaces and unknown ground are made of: what they reflect, beside what others would.
    - Scattering: what reflections keep; that no surface scatters although diffuse paths are traced, or that
      coefficients have no effect because none are.

    Args:
        site: The site.
        carrier_hz: Carrier or carriers of the decibels, Hz.
        transmissions: Whether waves pass slabs.
        diffuse: Whether diffuse paths are traced; None says nothing of scattering.

    Returns:
        The sentences; none where nothing was assumed, as in sites whose materials were set by hand.

    Raises:
        SiteTwinError: A carrier is not positive, or cannot be in hertz.

    Example:
        >>> from sitetwin.site import open_site
        >>> assumption_effects(open_site("floor_wall"), 28e9)
        []
    """
    carriers = [float(c) for c in (carrier_hz if isinstance(carrier_hz, Sequence) else [carrier_hz])]
    if not carriers or not all(math.isfinite(c) and c > 0 for c in carriers):
        raise SiteTwinError(f"carriers are {carriers} Hz; give positive numbers")
    for carrier in carriers:
        check_carrier("carrier_hz", carrier)
    return [
        *(thickness_effects(site, carriers) if transmissions else []),
        *_substance(site, carriers),
        *_ground(site, carriers),
        *([] if diffuse is None else scattering_effects(site, diffuse=diffuse)),
    ]


def thickness_effects(site: Site, carriers: Sequence[float] = CARRIERS_HZ) -> list[str]:
    """Say what a passage through slabs of assumed thickness costs at some carriers, Hz; as `assumption_effects`."""
    found = assumed_materials(site, "thickness")
    if not found:
        return []
    listed = [
        f"'{m.name}' of {m.thickness:g} m costs {_at_carriers(passage_loss_db(m, f) for f in carriers)}"
        for m, _ in found[:_LISTED]
    ]
    more = f", {len(found) - len(listed)} more are assumed" if len(found) > len(listed) else ""
    return [
        f"how thick slabs are is assumed, and what passes them hangs on it: at {_ghz(carriers)} one passage straight "
        f"through {', '.join(listed)}{more}; a pane of glass of {_GLASS.thickness:g} m would cost "
        f"{_at_carriers(passage_loss_db(_GLASS, f) for f in carriers)}. Where surfaces are thinner in truth, paths to "
        "users behind them are too weak by decibels of this order; give what is known with rules of materials for "
        "maps, or with site.variant(materials=...)"
    ]


def _substance(site: Site, carriers: Sequence[float]) -> list[str]:
    found = assumed_materials(site, "substance")
    if not found:
        return []
    names = ", ".join(f"'{m.name}'" for m, _ in found[:_LISTED])
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    own = found[0][0]
    return [
        f"{names}{more} of unknown make is {own.itu} here: at {_ghz(carriers)} it reflects "
        f"{_at_carriers(reflection_db(own, f) for f in carriers)} at 45 degrees, where a pane of glass of "
        f"{_GLASS.thickness:g} m reflects {_at_carriers(reflection_db(_GLASS, f) for f in carriers)} and metal 0 dB; "
        "say what it is with site.variant(materials=...)"
    ]


def _ground(site: Site, carriers: Sequence[float]) -> list[str]:
    found = assumed_materials(site, "ground")
    if not found:
        return []
    own, soil = found[0][0], itu_material("moist_soil")
    known_by = f"'{own.name}' ({own.itu})" if own.itu != own.name else f"'{own.name}'"
    return [
        f"ground that the source says nothing of is taken for {known_by}: at {_ghz(carriers)} it reflects "
        f"{_at_carriers(reflection_db(own, f) for f in carriers)} at 45 degrees, where moist soil reflects "
        f"{_at_carriers(reflection_db(soil, f) for f in carriers)}"
    ]


def scattering_effects(site: Site, *, diffuse: bool) -> list[str]:
    """Say what scattering coefficients and diffuse paths do to each other and to reflections.

    Args:
        site: The site.
        diffuse: Whether diffuse paths are traced.

    Returns:
        One sentence, or none.
    """
    used = [m for m, area in zip(site.materials, material_areas(site), strict=True) if area > 0]
    rough = sorted((m for m in used if m.scattering_coefficient), key=lambda m: -m.scattering_coefficient)
    if diffuse and not rough:
        share, loss = 100 * _ROUGH**2, -10 * math.log10(1 - _ROUGH**2)
        return [
            "no surface of the site scatters, all scattering coefficients are 0: diffuse paths carry no power. A "
            f"coefficient of {_ROUGH:g} would give them {share:.0f} % of the reflected power, and take {loss:.1f} dB "
            "from each reflection"
        ]
    names = ", ".join(f"'{m.name}' ({m.scattering_coefficient:g})" for m in rough[:_LISTED])
    if rough and not diffuse:
        return [
            f"no diffuse paths are traced, so that scattering coefficients have no effect, as of {names}: reflections "
            "keep all their power"
        ]
    if rough:
        return [
            f"surfaces scatter, as {names} of coefficient S: their reflections keep sqrt(1 - S^2) of the amplitude, "
            "and diffuse paths carry of the rest what the kept tiles scatter"
        ]
    return []


def passage_loss_db(material: Material, carrier_hz: float) -> float:
    """Return what one passage straight through a slab costs, dB; infinite for a half-space."""
    return _loss_db(abs(_layer(material, carrier_hz, 1.0)[1][0]) ** 2)


def reflection_db(material: Material, carrier_hz: float) -> float:
    """Return the power that a surface reflects at 45 degrees, the mean of both polarisations, dB."""
    te, tm = _layer(material, carrier_hz, math.sqrt(0.5))[0]
    return -_loss_db(0.5 * (abs(te) ** 2 + abs(tm) ** 2))


def _layer(material: Material, carrier_hz: float, cosine: float) -> tuple[list[complex], list[complex]]:
    """What a surface in air reflects and lets through, TE and TM: Recommendation ITU-R P.2040-4, section 2.2.2.

    `sitetwin.channel.fields.reflection` has it for tensors; these few numbers are wanted before that room is entered.
    """
    with warnings.catch_warnings():  # whoever computes fields at this carrier is told
        warnings.simplefilter("ignore", SiteTwinWarning)
        permittivity, conductivity = material.evaluate(carrier_hz)
    eta = complex(permittivity, -conductivity / (2 * math.pi * carrier_hz * VACUUM_PERMITTIVITY))
    inner = cmath.sqrt(eta - (1 - cosine * cosine))
    inner = -inner if inner.imag > 0 else inner  # the wave that decays
    turn = 0j
    if material.thickness is not None:
        turn = cmath.exp(-2j * math.pi * carrier_hz / SPEED_OF_LIGHT * material.thickness * inner)
    single = [(cosine - inner) / (cosine + inner), (eta * cosine - inner) / (eta * cosine + inner)]
    reflected = [r * (1 - turn * turn) / (1 - (r * turn) ** 2) for r in single]
    return reflected, [(1 - r * r) * turn / (1 - (r * turn) ** 2) for r in single]


def _loss_db(share: float) -> float:
    return -10 * math.log10(share) if share > 0 else math.inf


def _at_carriers(values: Iterable[float]) -> str:
    return " and ".join(f"over {_MOST_DB:g} dB" if v > _MOST_DB else f"{v + 0.0:.1f} dB" for v in values)


def _ghz(carriers: Sequence[float]) -> str:
    return " and ".join(f"{c / 1e9:g}" for c in carriers) + " GHz"
