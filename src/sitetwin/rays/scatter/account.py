"""What the kept diffuse paths carry, and what was left out: by surface, as a bound that takes no reflection for lost.

The power bound of a tile is what it would scatter to the user if its surface reflected all that falls on it. Shares are
shares of this bound; the reflection coefficients, which depend on the carrier, are not in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sitetwin.rays.caster import RayCaster
from sitetwin.rays.scatter.lit import LitTiles, sees
from sitetwin.rays.scatter.roughness import LAMBERT, pattern_words
from sitetwin.site import Site
from sitetwin.site.materials import Material

ACCOUNT = "diffuse_account"
"""Name of the account among the attributes of paths."""

SMOOTH = "smooth_facets"
"""Name, among the attributes of paths, of the ranges of facets that scattered nothing as tiles were chosen."""

_MOST_SAMPLED = 64  # users
_ENTRIES = 1 << 20  # (user, tile) pairs whose view is tested


@dataclass(frozen=True)
class SurfaceShare:
    """The diffuse paths of the surfaces of one material.

    Attributes:
        material: Name of the material.
        facet: One of its facets.
        scattering_coefficient: S in the trace; 1 where it was assumed.
        paths: Number of diffuse paths that were kept.
        kept: Power bound of these, 1/m2, summed over all users.
        sampled_kept: The same of the sampled users.
        sampled_seen: Power bound of all tiles that both ends see, of the sampled users.
        pattern: Pattern of the scattering in the trace, in words; empty in stores of older code.
    """

    material: str
    facet: int
    scattering_coefficient: float
    paths: int
    kept: float
    sampled_kept: float
    sampled_seen: float
    pattern: str = ""


@dataclass(frozen=True)
class DiffuseAccount:
    """Account of the diffuse paths of a trace.

    Attributes:
        users: Number of users.
        sampled_users: Number of users for whom all tiles were looked at.
        assumed: Whether no surface of the site scatters, so that all were taken for Lambertian ones that scatter alike.
        surfaces: One entry for each material with tiles that the transmitter sees.
    """

    users: int
    sampled_users: int
    assumed: bool
    surfaces: tuple[SurfaceShare, ...]

    @classmethod
    def of(cls, attributes: dict[str, Any]) -> DiffuseAccount | None:
        """Read the account from the attributes of paths, of one table or of several tiles; None if they have none."""
        stored = attributes.get(ACCOUNT)
        parts = stored if isinstance(stored, list) else [stored]
        return cls.total(
            cls(**{**part, "surfaces": tuple(SurfaceShare(**row) for row in part["surfaces"])})
            for part in parts
            if isinstance(part, dict)
        )

    @classmethod
    def total(cls, parts: Iterable[DiffuseAccount]) -> DiffuseAccount | None:
        """Sum accounts of different users of one trace; None without any."""
        known = list(parts)
        if not known:
            return None
        rows: dict[tuple[str, int, float, str], list[float]] = {}
        for row in (row for part in known for row in part.surfaces):
            sums = rows.setdefault(
                (row.material, row.facet, row.scattering_coefficient, row.pattern), [0, 0.0, 0.0, 0.0]
            )
            for at, value in enumerate((row.paths, row.kept, row.sampled_kept, row.sampled_seen)):
                sums[at] += value
        return cls(
            sum(part.users for part in known),
            sum(part.sampled_users for part in known),
            any(part.assumed for part in known),
            tuple(
                SurfaceShare(name, facet, coefficient, int(paths), kept, sampled_kept, sampled_seen, pattern)
                for (name, facet, coefficient, pattern), (paths, kept, sampled_kept, sampled_seen) in sorted(
                    rows.items()
                )
            ),
        )

    @property
    def left_out(self) -> float:
        """Share of the power bound that the kept paths leave out.

        Exact if all users were sampled, else estimated from the sampled ones. 0 if nothing scatters to them.
        """
        return self.left_out_with({})

    def left_out_with(self, coefficients: dict[int, float]) -> float:
        """The share with other scattering coefficients, by the `facet` of the entries."""
        kept = seen = 0.0
        for row in self.surfaces:
            new = coefficients.get(row.facet, row.scattering_coefficient) / row.scattering_coefficient
            kept, seen = kept + new**2 * row.sampled_kept, seen + new**2 * row.sampled_seen
        return max(0.0, 1 - kept / seen) if seen else 0.0

    def share(self, material: str) -> float:
        """Share of the kept power bound that the surfaces of a material carry."""
        whole = sum(row.kept for row in self.surfaces)
        return sum(row.kept for row in self.surfaces if row.material == material) / whole if whole else 0.0

    def left_out_of(self, material: str) -> float:
        """Share of the power bound of a material's surfaces that the kept paths leave out; as exact as `left_out`."""
        rows = [row for row in self.surfaces if row.material == material]
        seen = sum(row.sampled_seen for row in rows)
        return max(0.0, 1 - sum(row.sampled_kept for row in rows) / seen) if seen else 0.0


def account_of(
    site: Site, lit: LitTiles, caster: RayCaster, users: np.ndarray, user: np.ndarray, tile: np.ndarray
) -> dict[str, Any]:
    """Make the account of kept (user, tile) pairs, JSON-serialisable.

    Args:
        site: The site.
        lit: The tiles that scatter and that the transmitter sees.
        caster: Ray caster of the site.
        users: (U, 3) positions of the users, metres.
        user: (N,) user of each pair.
        tile: (N,) tile of each pair, an index into `surface_tiles`.
    """
    numbers: dict[Material, int] = {}  # equal materials are one, however often they are listed
    group = np.array([numbers.setdefault(m, len(numbers)) for m in site.materials], dtype=np.int64)
    names = [m.name for m in numbers]
    material, count = group[site.facet_material[lit.facet]], len(names)
    at = np.searchsorted(lit.tile, tile)
    kept = np.empty(len(at))
    for begin in range(0, len(at), _ENTRIES):
        some = slice(begin, begin + _ENTRIES)
        kept[some] = lit.take(at[some]).strengths(users[user[some]]) / np.pi
    sample = _sample(len(users), len(lit.tile))
    seen = np.zeros(count)
    for one in sample:
        strength = lit.strengths(users[one][None]) / np.pi
        before = np.flatnonzero(strength > 0)
        view = sees(caster, np.broadcast_to(users[one], (len(before), 3)), lit.centre[before], lit.facet[before])
        seen += np.bincount(material[before[view]], strength[before[view]], count)
    sampled = np.isin(user, sample)
    paths, power = np.bincount(material[at], minlength=count), np.bincount(material[at], kept, count)
    sampled_power = np.bincount(material[at[sampled]], kept[sampled], count)
    named, first = np.unique(material, return_index=True)
    return {
        "users": len(users),
        "sampled_users": len(sample),
        "assumed": lit.rough.assumed,
        "surfaces": [
            {
                "material": names[m],
                "facet": int(lit.facet[row]),
                "scattering_coefficient": float(np.sqrt(lit.rough.power[row])),
                "paths": int(paths[m]),
                "kept": float(power[m]),
                "sampled_kept": float(sampled_power[m]),
                "sampled_seen": float(max(seen[m], sampled_power[m])),
                "pattern": LAMBERT if lit.rough.assumed else pattern_words(list(numbers)[m]),
            }
            for m, row in zip(named.tolist(), first.tolist(), strict=True)
        ],
    }


def _sample(users: int, tiles: int) -> np.ndarray:
    """Evenly spaced users, all of them where they are few."""
    most = min(users, _MOST_SAMPLED, max(1, _ENTRIES // max(tiles, 1)))
    return np.unique(np.linspace(0, users - 1, most).round().astype(np.int64)) if most else np.zeros(0, np.int64)
