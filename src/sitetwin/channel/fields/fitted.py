"""Constants of materials that were found at one frequency, and fields that are asked of another one."""

from __future__ import annotations

import warnings
from typing import Any

from sitetwin.errors import SiteTwinWarning

_APART = 0.1  # share of a frequency: conductivities of ITU-R P.2040 change by a tenth over it
_CONSTANTS = ("relative_permittivity", "conductivity")


def say_fitted(site: Any, frequency_hz: float) -> None:
    """Warn where constants of a site's materials were found at another frequency than that of the fields.

    Building materials follow the frequency (ITU-R P.2040), and constants do not.

    Args:
        site: The site; its provenance says where values come from.
        frequency_hz: Frequency of the fields, Hz.
    """
    provenance = getattr(site, "provenance", {})  # plain geometries have none
    entries = [e for e in provenance.get("differences", ()) if e.get("what") == "material values"]
    if not entries:
        return
    known = {m.name: m for m in site.materials}
    elsewhere: dict[str, float] = {}
    for entry in entries:
        material, carrier, after = known.get(entry["material"]), entry.get("carrier_hz"), entry["after"]
        if material is None or carrier is None or abs(frequency_hz - carrier) <= _APART * carrier:
            continue
        if any(after.get(name) is not None and after[name] == getattr(material, name) for name in _CONSTANTS):
            elsewhere[material.name] = float(carrier)
    if not elsewhere:
        return
    found = " and ".join(f"{hertz / 1e9:g} GHz" for hertz in sorted(set(elsewhere.values())))
    names = ", ".join(sorted(elsewhere)[:3]) + (", ..." if len(elsewhere) > 3 else "")
    warnings.warn(
        f"the constants of {len(elsewhere)} materials ({names}) were found at {found} and are used at "
        f"{frequency_hz / 1e9:g} GHz: those of buildings follow the frequency (ITU-R P.2040) and these do not; "
        "calibrate at this carrier too",
        SiteTwinWarning,
        stacklevel=3,
    )
