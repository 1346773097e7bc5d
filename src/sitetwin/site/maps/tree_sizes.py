"""Determine a tree's size and leaves from its tags, or from stated defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.lengths import parse_length
from sitetwin.site.vegetation import LEAF_CYCLES, LEAF_TYPES, Cylinder, Ellipsoid

NEEDLES = frozenset(
    {"abies", "picea", "pinus", "cedrus", "larix", "pseudolarix", "pseudotsuga", "tsuga", "taxus", "juniperus", "thuja"}
    | {"cupressus", "chamaecyparis", "cupressocyparis", "sequoia", "sequoiadendron", "metasequoia", "taxodium"}
    | {"araucaria", "cryptomeria", "calocedrus"}
)
"""Genera with needles or scales."""

SHEDDING_NEEDLES = frozenset({"larix", "metasequoia", "taxodium", "pseudolarix"})
"""Genera of conifers that stand bare in winter."""

EVERGREEN_LEAVES = frozenset(
    {"ilex", "laurus", "olea", "citrus", "eucalyptus", "ligustrum", "buxus", "ficus", "phoenix", "washingtonia"}
    | {"trachycarpus", "ceratonia", "arbutus", "acacia"}
    | {"magnolia_grandiflora", "quercus_ilex", "quercus_suber", "quercus_virginiana", "prunus_laurocerasus"}
)
"""Broadleaved genera, and single species, that keep their leaves."""

_HEIGHTS, _CROWNS, _TRUNKS = (0.5, 120.0), (0.3, 60.0), (0.02, 12.0)  # metres that are believed


@dataclass(frozen=True)
class TreeOptions:
    """What is assumed about trees where a map says nothing; lengths in metres.

    The defaults are round figures for mature trees in towns of temperate climates, by judgement and not fitted to an
    inventory.

    Attributes:
        leaf_type: Leaf type, "broadleaved" or "needleleaved", of trees without the tags leaf_type, genus and species.
        leaf_cycle: Leaf cycle, "deciduous" or "evergreen", of broadleaved trees without the tags leaf_cycle, genus and
            species. Conifers are evergreen, except larches and similar kinds.
        height: Height of a tree.
        spread: Relative standard deviation of assumed heights and crowns (logarithmic); 0 makes them all alike.
        broad_crown: Ratio of crown diameter to height of broadleaved trees.
        narrow_crown: Ratio of crown diameter to height of needleleaved trees.
        clear_stem: Share of the height that lies below the crown of broadleaved trees; half of it for needleleaved
            trees.
        trunk_share: Ratio of trunk diameter to height.
        row_spacing: Distance between the trees of a tree row.
        wood_height: Height of woods and forests.
        stem_spacing: Distance between the trunks of a wood; 0 for a wood without trunks.
        park_spacing: Distance between the trees of a park, garden or orchard in which no tree is mapped; 0 for none.
        scrub_height: Height of scrub and heath, which are dense from the ground.
        hedge_height: Height of a hedge.
        hedge_width: Width of a hedge.

    Raises:
        SiteTwinError: A number is negative or not finite, a size is 0, or a leaf attribute is unknown.
    """

    leaf_type: str = "broadleaved"
    leaf_cycle: str = "deciduous"
    height: float = 12.0
    spread: float = 0.0
    broad_crown: float = 0.52
    narrow_crown: float = 0.35
    clear_stem: float = 0.27
    trunk_share: float = 0.025
    row_spacing: float = 8.0
    wood_height: float = 15.0
    stem_spacing: float = 5.0
    park_spacing: float = 15.0
    scrub_height: float = 2.5
    hedge_height: float = 1.5
    hedge_width: float = 1.0

    def __post_init__(self) -> None:
        if self.leaf_type not in LEAF_TYPES or self.leaf_cycle not in LEAF_CYCLES:
            raise SiteTwinError(
                f"trees: leaf_type must be one of {', '.join(LEAF_TYPES)} and leaf_cycle one of "
                f"{', '.join(LEAF_CYCLES)}"
            )
        for name, value in vars(self).items():
            if isinstance(value, str):
                continue
            none_allowed = name in ("spread", "stem_spacing", "park_spacing")
            if not (math.isfinite(value) and (value > 0 or (none_allowed and value == 0))):
                raise SiteTwinError(f"trees: {name} = {value} must be finite and above 0")
        if self.clear_stem >= 1:
            raise SiteTwinError(f"trees: clear_stem = {self.clear_stem} leaves no crown; give less than 1")


@dataclass(frozen=True)
class TreeSize:
    """Size and leaves of one tree.

    Attributes:
        height: Height of the tree, metres.
        crown: Diameter of the crown, metres.
        trunk: Diameter of the trunk, metres.
        base: Height of the crown's lower end, metres.
        leaf_type: "broadleaved" or "needleleaved".
        leaf_cycle: "deciduous" or "evergreen".
    """

    height: float
    crown: float
    trunk: float
    base: float
    leaf_type: str
    leaf_cycle: str

    def volumes(self, x: float, y: float, z: float) -> tuple[Ellipsoid, Cylinder]:
        """Return an ellipsoidal crown, and the trunk below it, for a tree that stands at (x, y, z)."""
        half, kind, cycle = 0.5 * (self.height - self.base), self.leaf_type, self.leaf_cycle
        crown = Ellipsoid((x, y, z + self.base + half), (0.5 * self.crown, 0.5 * self.crown, half), 0.0, kind, cycle)
        return crown, Cylinder((x, y), 0.5 * self.trunk, z, z + self.base, kind, cycle, part="trunk")


def leaves(tags: Mapping[str, str], options: TreeOptions) -> tuple[str, str]:
    """Return leaf_type and leaf_cycle: from these tags, else from genus or species, else the default."""
    species = (tags.get("species") or tags.get("taxon") or tags.get("genus") or "").strip().lower()
    words = species.split()[:2]
    genus = (tags.get("genus", "").strip().lower().split() or words or [""])[0]
    names = {genus, "_".join(words)} - {""}
    kind = tags.get("leaf_type", "")
    if kind not in LEAF_TYPES:
        kind = "needleleaved" if names & NEEDLES else "broadleaved" if names else options.leaf_type
    cycle = tags.get("leaf_cycle", "").removeprefix("semi_").removeprefix("semi-")
    if cycle not in LEAF_CYCLES:
        if kind == "needleleaved":
            cycle = "deciduous" if names & SHEDDING_NEEDLES else "evergreen"
        else:
            cycle = "evergreen" if names & EVERGREEN_LEAVES else "deciduous" if names else options.leaf_cycle
    return kind, cycle


def tree_size(
    tags: Mapping[str, str],
    options: TreeOptions,
    ledger: Ledger,
    key: str,
    draws: tuple[float, float] = (0.0, 0.0),
) -> TreeSize:
    """Determine the size of a tree.

    The height comes from `height` or `est_height`, else from the crown, else from the options. The crown comes from
    `diameter_crown`, else from the height. The trunk comes from `circumference` or `diameter`, else from the height.
    Values that are not credible count as unknown.

    Args:
        tags: Tags of the tree.
        options: What is assumed about trees.
        ledger: Account of the import; it records the assumptions.
        key: Key of the tree's feature.
        draws: Two standard normal numbers for the spread of an assumed height and an assumed crown.
    """
    leaf_type, leaf_cycle = leaves(tags, options)
    share = options.broad_crown if leaf_type == "broadleaved" else options.narrow_crown
    height = _length(tags, ("height", "est_height"), _HEIGHTS, "tree height", ledger, key)
    crown = _length(tags, ("diameter_crown",), _CROWNS, "tree crown", ledger, key)
    if height is None and crown is not None:
        height = min(max(crown / share, 2.0), 40.0)
        ledger.note("assumed", "tree height from its crown", key)
    elif height is None:
        height = options.height * math.exp(options.spread * draws[0])
        ledger.note("assumed", "tree height: the default", key)
    if crown is None:
        crown = share * height * math.exp(options.spread * draws[1])
        ledger.note("assumed", "tree crown from its height", key)
    clear = options.clear_stem * (1.0 if leaf_type == "broadleaved" else 0.5)
    trunk = _trunk(tags, ledger, key)
    if trunk is None:
        trunk = options.trunk_share * height
        ledger.note("assumed", "trunk diameter from the tree's height", key)
    return TreeSize(height, crown, min(trunk, crown), clear * height, leaf_type, leaf_cycle)


def _length(
    tags: Mapping[str, str],
    keys: tuple[str, ...],
    believed: tuple[float, float],
    what: str,
    ledger: Ledger,
    key: str,
) -> float | None:
    for name in keys:
        if name in tags:
            value = parse_length(tags[name])
            if value is not None and believed[0] <= value <= believed[1]:
                if ";" in tags[name]:
                    ledger.note("repaired", f"{what} with several values: the largest counts", key)
                return value
            ledger.note("repaired", f"{what} that cannot be read or believed counts as unknown", key)
    return None


def _trunk(tags: Mapping[str, str], ledger: Ledger, key: str) -> float | None:
    """Trunk diameter, metres: a circumference is in metres; a bare diameter of 50 or more is in millimetres."""
    around = _length(tags, ("circumference",), (math.pi * _TRUNKS[0], math.pi * _TRUNKS[1]), "trunk", ledger, key)
    if around is not None:
        return around / math.pi
    text = tags.get("diameter", "")
    value = parse_length(text) if text else None
    if value is None:
        return None
    if text.strip().replace(".", "", 1).isdecimal() and value >= 50:
        value /= 1000
    if _TRUNKS[0] <= value <= 3.0:
        return value
    ledger.note("repaired", "trunk that cannot be read or believed counts as unknown", key)
    return None
