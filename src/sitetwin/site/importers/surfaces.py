"""Turn named surfaces of a mesh file into the objects and materials of a site, and record what was assumed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from sitetwin.site.assumed import What
from sitetwin.site.importers.mitsuba_xml import DEFAULT_THICKNESS
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.materials import GROUNDS, ITU_TABLE, Material

DEFAULT_MATERIAL = "concrete"
"""Row of ITU-R P.2040 for a material whose name says nothing."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles of one object and one material.

    Attributes:
        owner: Number of the object in the file, because two objects may have the same name.
        object: Name of the object.
        material: Name of the material, "" where none is given.
        vertices: (V, 3) float64, in the file's own axes and unit.
        triangles: (T, 3) int64.
        constants: Radio constants, where the file has them.
    """

    owner: int
    object: str
    material: str
    vertices: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "triangles 3"]
    constants: Material | None = None


@dataclass(frozen=True, eq=False)
class NamedParts:
    """Objects and materials of some surfaces, as `name_parts` makes them.

    Attributes:
        part: (S,) index into `objects` of each surface.
        objects: Names of the objects, all different.
        object_material: Index into `materials` of each object.
        materials: The materials.
        assumed: What was assumed of which material.
    """

    part: tuple[int, ...]
    objects: tuple[str, ...]
    object_material: tuple[int, ...]
    materials: tuple[Material, ...]
    assumed: tuple[tuple[Material, What], ...]


def name_parts(surfaces: Sequence[Surface], ledger: Ledger) -> NamedParts:
    """Give every object and material of a file a name of its own, and every material its constants.

    An object with several materials becomes several objects, called ``X-part_<material>``. Objects that share a name
    are numbered.
    """
    materials: dict[str, Material] = {}
    assumed: list[tuple[Material, What]] = []
    chosen: dict[tuple[str, Material | None], str] = {}
    for surface in surfaces:
        key = (surface.material, surface.constants)
        if key not in chosen:
            material = surface.constants or radio_material(surface.material, ledger)
            chosen[key] = _add_material(materials, material)
            if surface.constants is None:
                assumed += _assumed(surface.material, materials[chosen[key]])
    of_owner: dict[int, dict[str, None]] = {}
    for surface in surfaces:
        of_owner.setdefault(surface.owner, {})[chosen[surface.material, surface.constants]] = None
    order = {name: k for k, name in enumerate(materials)}
    taken: dict[str, int] = {}
    rows: dict[tuple[int, str], int] = {}
    objects: list[str] = []
    object_material: list[int] = []
    for surface in surfaces:
        material_name = chosen[surface.material, surface.constants]
        if (surface.owner, material_name) in rows:
            continue
        several = len(of_owner[surface.owner]) > 1
        wanted = f"{surface.object}-part_{material_name}" if several else surface.object
        rows[surface.owner, material_name] = len(objects)
        objects.append(_numbered(wanted, taken))
        object_material.append(order[material_name])
    part = tuple(rows[s.owner, chosen[s.material, s.constants]] for s in surfaces)
    return NamedParts(part, tuple(objects), tuple(object_material), tuple(materials.values()), tuple(assumed))


def radio_material(name: str, ledger: Ledger) -> Material:
    """Return the material that a name stands for.

    Names of ITU-R P.2040 are known in any case, with a prefix ``mat-`` or ``itu_`` and with a number that a modelling
    program appended (``itu_brick.001``). Every other name becomes concrete. Mesh files give no thickness, so Sionna
    RT's 0.1 m is assumed, and soils are half-spaces. All these assumptions are recorded.
    """
    plain = _plain(name)
    itu = plain if plain in ITU_TABLE else DEFAULT_MATERIAL
    if plain != itu:
        what = "material without radio constants" if name else "surface without a material"
        ledger.note("assumed", f"{what} taken for {DEFAULT_MATERIAL}", name)
    thickness = None if itu in GROUNDS else DEFAULT_THICKNESS
    if thickness is not None:
        ledger.note("assumed", f"slab thickness {thickness:g} m, none is given", name or itu)
    return Material(name=itu if plain == itu or not name else name, itu=itu, thickness=thickness)


def _plain(name: str) -> str:
    """The name without what modelling programs and Sionna RT add to it."""
    return re.sub(r"^(?:mat-)?(?:itu[_-])?|\.\d+$", "", name.strip().lower()).replace(" ", "_").replace("-", "_")


def _assumed(name: str, material: Material) -> Iterator[tuple[Material, What]]:
    """What `radio_material` has assumed of a material."""
    if material.thickness is not None:
        yield material, "thickness"
    if _plain(name) not in ITU_TABLE:
        yield material, "substance"


def _add_material(materials: dict[str, Material], material: Material) -> str:
    """Name under which a material is in the table: numbered where another one has its name."""
    name, count = material.name, 1
    while name in materials and replace(materials[name], name=material.name) != material:
        count += 1
        name = f"{material.name} ({count})"
    materials[name] = replace(material, name=name)
    return name


def _numbered(name: str, taken: dict[str, int]) -> str:
    count = taken.get(name, 0)
    found = name
    while found in taken:
        count += 1
        found = f"{name} ({count + 1})"
    taken[name] = count
    taken.setdefault(found, 0)
    return found
