"""Read text meshes of Wireless InSite: cities (.city), terrain (.ter), objects (.object), floor plans (.flp)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sitetwin.errors import SiteTwinError
from sitetwin.site.importers.blocks import Block, Source, clip, parse_blocks
from sitetwin.site.importers.polygons import triangulate
from sitetwin.site.materials import Material

KINDS = {".city": "city", ".ter": "terrain", ".object": "object", ".flp": "floorplan"}
"""Suffix of a file and the tag of its outermost block."""

_MOST_CORNERS = 10_000
_METAL_CONDUCTIVITY = 1e7  # S/m, of the metal of ITU-R P.2040-4
_PATTERNS = {"lambertian": "lambertian", "directive": "directive", "directive_with_backscatter": "backscattering"}
_LOBES = {
    "lambertian": (),
    "directive": (("directive_alpha", "alpha_r"),),
    "backscattering": (
        ("directive_alpha", "alpha_r"),
        ("directive_beta", "alpha_i"),
        ("directive_lambda", "forward_share"),
    ),
}
_EXPONENTS = ("directive_alpha", "directive_beta")
_UNSAID = {"directive_alpha": 4.0, "directive_beta": 4.0, "directive_lambda": 0.75}
"""What a material that InSite makes has before anybody changes it."""


@dataclass(frozen=True, eq=False)
class Face:
    """One polygon of a mesh.

    Attributes:
        corners: (n, 3) float64, metres, in order around.
        material: Number of the polygon's material in the file.
        part: Index of the polygon's sub-structure among those of the file.
        line: Number of the line where the polygon begins.
    """

    corners: Float[np.ndarray, "corners 3"]
    material: int
    part: int
    line: int


@dataclass(frozen=True, eq=False)
class InsiteMesh:
    """One file.

    Attributes:
        kind: "city", "terrain", "object" or "floorplan".
        faces: Polygons of the file, in file order.
        parts: Label of the structure and sub-structure of each part, "" where the file gives none.
        materials: Materials in use, by their numbers.
        latitude: Latitude of the local origin, WGS84 degrees; 0 with a longitude of 0 says that none is set.
        longitude: Longitude of the local origin, WGS84 degrees.
        above_terrain: Whether heights count from the terrain instead of from sea level.
        assumptions: What was assumed about the materials.
    """

    kind: str
    faces: tuple[Face, ...]
    parts: tuple[str, ...]
    materials: dict[int, Material]
    latitude: float
    longitude: float
    above_terrain: bool
    assumptions: tuple[str, ...]


def parse_mesh(data: bytes, where: str) -> InsiteMesh:
    """Read one mesh file.

    Args:
        data: Content of the file.
        where: Name of the file, for messages.

    Raises:
        SiteTwinError: The file is truncated or malformed, or holds a material or coordinates that are not understood.
    """
    source = Source(where)
    root = parse_blocks(data, where)
    bodies = [child for child in root.children if child.tag in KINDS.values()]
    if len(bodies) != 1 or len(root.children) != 1:
        found = ", ".join(sorted({f"<{child.tag}>" for child in root.children})) or "no block"
        raise SiteTwinError(
            f"'{where}' holds {clip(found)} where one of {', '.join(f'<{k}>' for k in KINDS.values())} is due; "
            "give a city, terrain, object or floor plan file"
        )
    body = bodies[0]
    latitude, longitude, above_terrain = _reference(source, body)
    faces, parts = _faces(source, body)
    materials, assumptions = _materials(source, body, faces)
    return InsiteMesh(
        body.tag, tuple(faces), tuple(parts), materials, latitude, longitude, above_terrain, tuple(assumptions)
    )


def _reference(source: Source, body: Block) -> tuple[float, float, bool]:
    """Origin of the local frame, and whether heights count from the terrain."""
    references = body.named("reference")
    if not references:
        return 0.0, 0.0, False
    reference = references[0]
    if not reference.has("cartesian"):
        source.refuse(
            reference.line, "the coordinates are not cartesian", "save the file in local cartesian coordinates"
        )
    angles = []
    for key, largest in (("latitude", 90.0), ("longitude", 360.0)):
        line, text = source.need(reference, key)
        angle = source.number(line, text, f"the {key} of the origin")
        if abs(angle) > largest:
            source.refuse(line, f"the {key} of the origin is {angle:g} degrees", "correct it")
        angles.append(angle)
    return angles[0], angles[1], reference.has("terrain")


def _faces(source: Source, body: Block) -> tuple[list[Face], list[str]]:
    faces: list[Face] = []
    parts: list[str] = []
    for structure in body.walk("structure"):
        for part in structure.named("sub_structure"):
            for block in part.named("face"):
                line, text = source.need(block, "Material")
                number = source.count(line, text, "the number of the material", 10**9)
                points = source.points(block, _MOST_CORNERS)
                if len(points) < 3:
                    source.refuse(block.line, f"a face has {len(points)} corners", "a surface needs at least three")
                faces.append(Face(np.array(points), number, len(parts), block.line))
            parts.append(" ".join(label for label in (structure.label, part.label) if label))
    if not faces:
        raise SiteTwinError(f"'{source.where}' has no face; export a file with at least one surface")
    return faces, parts


def _materials(source: Source, body: Block, faces: list[Face]) -> tuple[dict[int, Material], list[str]]:
    blocks: dict[int, Block] = {}
    for block in body.named("Material"):
        line, text = source.need(block, "Material")
        number = source.count(line, text, "the number of the material", 10**9)
        if number in blocks:
            source.refuse(line, f"there are two materials number {number}", "give each its own number")
        blocks[number] = block
    materials: dict[int, Material] = {}
    assumptions: list[str] = []
    for face in faces:
        if face.material in materials:
            continue
        if face.material not in blocks:
            source.refuse(face.line, f"the face is of material {face.material}, which the file lacks", "add it")
        block = blocks[face.material]
        try:
            materials[face.material] = _material(source, block, body.tag == "terrain", assumptions)
        except SiteTwinError as error:
            if str(error).startswith(f"'{source.where}'"):
                raise
            source.refuse(block.line, str(error), "correct the material")
    return materials, assumptions


def _material(source: Source, block: Block, is_ground: bool, assumptions: list[str]) -> Material:
    """The radio material of a block.

    Raises:
        SiteTwinError: It is of a kind that has no plane-wave reflection of its own here, or a constant is refused.
    """
    name = block.label.strip() or f"material {block.statements[0][1].split()[-1]}"
    if block.has("PEC"):
        assumptions.append(f"material '{name}': a perfect conductor is a metal of {_METAL_CONDUCTIVITY:g} S/m")
        scattering = _scattering(source, block, name, assumptions)
        return Material(name, relative_permittivity=1.0, conductivity=_METAL_CONDUCTIVITY, **scattering)
    half_space, layered = block.has("DielectricHalfspace"), block.has("LayeredDielectric")
    layers = block.named("DielectricLayer")
    if not (half_space or layered) or len(layers) != 1:
        source.refuse(
            block.line,
            f"the material '{clip(name)}' is neither a conductor (PEC), nor a half-space, nor one dielectric layer",
            "replace it by one of these in InSite",
        )
    constants = {}
    for key in ("permittivity", "conductivity", "roughness", "thickness"):
        found = layers[0].get(key)
        if found is None and key in ("permittivity", "conductivity"):
            source.need(layers[0], key)
        constants[key] = source.number(*found, f"the {key} of '{clip(name)}'") if found else 0.0
    if constants["roughness"]:
        assumptions.append(f"material '{name}': its roughness of {constants['roughness']:g} m is left out")
    thickness = None if half_space else constants["thickness"]
    if is_ground and thickness is not None:
        assumptions.append(f"material '{name}': the ground is a half-space, not a layer of {thickness:g} m")
        thickness = None
    return Material(
        name,
        relative_permittivity=constants["permittivity"],
        conductivity=constants["conductivity"],
        thickness=thickness,
        **_scattering(source, block, name, assumptions),
    )


def _scattering(source: Source, block: Block, name: str, assumptions: list[str]) -> dict[str, Any]:
    """Diffuse scattering of a material, by the attributes of `Material`; empty where it scatters nothing.

    The lobes are those of Degli-Esposti et al. 2007 in both programs: alpha is the exponent of the lobe around the
    mirror's direction, beta that of the lobe back to the source, lambda the weight of the former.
    """
    _, model = block.get("diffuse_scattering_model") or (block.line, "none")
    if model not in _PATTERNS:
        if model != "none":
            assumptions.append(
                f"material '{name}': its diffuse scattering model '{clip(model)}' is not known, it scatters nothing"
            )
        return {}
    pattern = _PATTERNS[model]
    values: dict[str, Any] = {"scattering_pattern": pattern}
    for key, attribute in (
        ("fields_diffusively_scattered", "scattering_coefficient"),
        ("cross_polarized_power", "xpd_coefficient"),
        *_LOBES[pattern],
    ):
        found = block.get(key)
        value = source.number(*found, key) if found else _UNSAID.get(key, 0.0)
        if key in _EXPONENTS:
            if value != int(value):
                source.refuse(found[0] if found else block.line, f"{key} is {value:g}, no whole number", "round it")
            value = int(value)
        values[attribute] = value
        if not found and key in _UNSAID:
            assumptions.append(
                f"material '{name}': {key} is not given, {_UNSAID[key]:g} is taken, InSite's own default"
            )
    if not values["scattering_coefficient"]:
        return {}
    options = block.get("reflection_coefficient_options")
    if options is not None and options[1] == "do_not_use":
        assumptions.append(
            f"material '{name}': what it scatters is a share of what a smooth surface would reflect, in InSite "
            "(reflection_coefficient_options do_not_use) of what falls on it"
        )
    return values


def triangles_of(
    faces: list[Face], where: str
) -> tuple[Float[np.ndarray, "triangles 3 3"], Int[np.ndarray, " triangles"]]:
    """Cut polygons into triangles.

    Args:
        faces: The polygons.
        where: Name of the polygons' file, for messages.

    Returns:
        (T, 3, 3) float64 corners in metres, and (T,) int64 the polygon of each triangle.

    Raises:
        SiteTwinError: A polygon crosses itself.
    """
    corners: list[np.ndarray] = []
    owner: list[np.ndarray] = []
    size = np.array([len(face.corners) for face in faces])
    three = np.flatnonzero(size == 3)
    if len(three):
        corners.append(np.stack([faces[k].corners for k in three]))
        owner.append(three)
    done = size == 3
    four = np.flatnonzero(size == 4)
    if len(four):
        quads = np.stack([faces[k].corners for k in four])
        convex = _convex(quads)
        corners.append(quads[convex][:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 3))
        owner.append(np.repeat(four[convex], 2))
        done[four[convex]] = True
    for k in np.flatnonzero(~done):
        rows = triangulate(faces[k].corners)
        if rows is None:
            Source(where).refuse(
                faces[k].line, "the outline of this face crosses itself", "redraw it without crossings"
            )
        corners.append(faces[k].corners[rows])
        owner.append(np.full(len(rows), k))
    joined, face = np.concatenate(corners), np.concatenate(owner).astype(np.int64)
    order = np.argsort(face, kind="stable")
    return joined[order], face[order]


def _convex(quads: np.ndarray) -> np.ndarray:
    """(Q,) bool: each corner of a quadrilateral (Q, 4, 3) turns the same way, none by less than a milliradian."""
    step = np.roll(quads, -1, axis=1) - quads
    turn = np.cross(step, np.roll(step, -1, axis=1))
    normal = np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])
    scale = np.linalg.norm(step, axis=2)
    sine = np.einsum("qkc,qc->qk", turn, normal)
    size = scale * np.roll(scale, -1, axis=1) * np.linalg.norm(normal, axis=1)[:, None]
    return (sine > 1e-3 * size).all(axis=1) & (size > 0).all(axis=1)


def ring_of(face: Face) -> tuple[tuple[float, ...], ...]:
    """Return the corners of a face, the lowest first, so that copies that face the same way are equal."""
    rows = [tuple(row) for row in face.corners.tolist()]
    first = min(range(len(rows)), key=lambda k: (rows[k], rows[(k + 1) % len(rows)]))
    return (*rows[first:], *rows[:first])
