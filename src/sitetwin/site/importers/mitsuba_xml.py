"""Read Mitsuba scene files as Sionna RT writes and understands them: shapes, transforms, radio materials.

Nothing in the file is executed and no plugin is loaded: only the shape and material types named here are accepted.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.account import LEFT_OUT
from sitetwin.site.materials import Material, itu_material
from sitetwin.site.xml import parse_xml

LARGEST_SCENE_FILE = 64 * 2**20
"""Bytes; Sionna RT's own city scenes have under 2 MB of XML."""

MOST_SHAPES = 2**17
"""Shapes of one scene. Sionna RT's own city scenes have some thousands; this many cubes take ten seconds to build."""

DEFAULT_THICKNESS = 0.1
"""Metres; what Sionna RT assumes for a slab whose thickness is not given."""

_LONGEST_VALUE = 4096  # characters of a value with parameters

SHAPE_TYPES = ("ply", "obj", "cube", "rectangle")
_IGNORED = {"integrator", "sensor", "emitter", "film", "sampler", "rfilter", "medium", "texture", "default"}


@dataclass(frozen=True)
class Shape:
    """One shape of a scene file.

    Attributes:
        name: Object name (the shape's id without "mesh-").
        kind: One of `SHAPE_TYPES`.
        filename: Mesh file relative to the scene file, or None for a cube or rectangle.
        to_world: (4, 4) float64 matrix.
        flip: Whether the faces are turned around.
        material: Name of the material, a key of `Scene.materials`.
    """

    name: str
    kind: str
    filename: str | None
    to_world: np.ndarray
    flip: bool
    material: str


@dataclass(frozen=True)
class Scene:
    """A scene file: its shapes in file order, the materials in use, and what was assumed while reading.

    `thickness_assumed` names the materials whose thickness the file does not give.
    """

    shapes: tuple[Shape, ...]
    materials: dict[str, Material]
    assumptions: tuple[str, ...]
    thickness_assumed: tuple[str, ...] = ()


def parse_scene(data: bytes, where: str) -> Scene:
    """Read a Mitsuba scene file.

    Args:
        data: Content of the XML file.
        where: Name of the file, for messages.

    Raises:
        SiteTwinError: The file is too large, is not well-formed XML, declares a document type or entities, includes
            other scene files, has no shape or more than `MOST_SHAPES`, or uses a shape or material type that is not
            known here.
    """
    root = parse_xml(data, f"scene file '{where}'", LARGEST_SCENE_FILE)
    if root.tag != "scene":
        raise SiteTwinError(f"'{where}' is not a Mitsuba scene: its outermost element is <{root.tag}>, not <scene>")
    defaults = {d.get("name", ""): d.get("value", "") for d in root.iter("default")}
    for element in root.iter():
        for key, value in element.attrib.items():
            if "$" in value:
                element.set(key, _substitute(value, defaults, where))
    return _Reader(where).read(root)


def _substitute(value: str, defaults: dict[str, str], where: str) -> str:
    """Mitsuba's ``$name`` parameters, from the file's <default> elements."""

    def look_up(match: re.Match[str]) -> str:
        if match[1] not in defaults:
            raise SiteTwinError(f"scene file '{where}' uses the parameter ${match[1]} without a <default> for it")
        return defaults[match[1]]

    longest = max((len(text) for text in defaults.values()), default=0)
    if len(value) + longest * value.count("$") > _LONGEST_VALUE:
        raise SiteTwinError(
            f"scene file '{where}' makes a value of more than {_LONGEST_VALUE} characters from its <default> elements; "
            "write the value out"
        )
    return re.sub(r"\$(\w+)", look_up, value)


class _Reader:
    """State while one scene file is read."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.materials: dict[str, Material] = {}
        self.assumptions: list[str] = []
        self.thickness_assumed: list[str] = []

    def read(self, root: ET.Element) -> Scene:
        shapes, names = [], set()
        for element in root:
            if element.tag == "bsdf":
                self._material(element)
            elif element.tag not in _IGNORED and element.tag != "shape":
                self._refuse(f"has the element <{element.tag}>, which is not understood; export a plain scene")
        ignored = Counter(e.tag for e in root if e.tag in _IGNORED and e.tag != "default")
        self.assumptions += [f"<{tag}> elements are {LEFT_OUT}: {count}" for tag, count in ignored.items()]
        elements = root.findall("shape")
        if len(elements) > MOST_SHAPES:
            self._refuse(f"has {len(elements)} shapes, more than {MOST_SHAPES}; join those of one material")
        for number, element in enumerate(elements):
            shape = self._shape(element, number)
            if shape.name in names:
                self._refuse(f"has two shapes named '{shape.name}'; give each its own id")
            names.add(shape.name)
            shapes.append(shape)
        if not shapes:
            self._refuse("has no shape; add at least one mesh")
        used = {s.material for s in shapes}
        materials = {name: m for name, m in self.materials.items() if name in used}
        thin = tuple(name for name in self.thickness_assumed if name in used)
        return Scene(tuple(shapes), materials, tuple(self.assumptions), thin)

    def _refuse(self, what: str) -> NoReturn:
        raise SiteTwinError(f"scene file '{self.where}' {what}")

    def _shape(self, element: ET.Element, number: int) -> Shape:
        name = element.get("id") or element.get("name") or f"shape-{number}"
        name = name.removeprefix("mesh-")
        kind = element.get("type", "")
        if kind not in SHAPE_TYPES:
            self._refuse(f"has the shape '{name}' of type '{kind}'; only {', '.join(SHAPE_TYPES)} are supported")
        filename = None
        if kind in ("ply", "obj"):
            node = element.find("string[@name='filename']")
            filename = node.get("value") if node is not None else None
            if not filename:
                self._refuse(f"has the shape '{name}' without a mesh file name")
        flips = [b.get("value", "").lower() == "true" for b in element.findall("boolean[@name='flip_normals']")]
        return Shape(name, kind, filename, self._to_world(element, name), any(flips), self._material_of(element, name))

    def _material_of(self, element: ET.Element, shape: str) -> str:
        inner = element.find("bsdf")
        if inner is not None:
            return self._material(inner)
        for reference in element.findall("ref"):
            identifier = reference.get("id", "")
            if _plain(identifier) in self.materials:
                return _plain(identifier)
            self._refuse(f"refers to the material '{identifier}' in shape '{shape}' but does not define it")
        self._refuse(f"gives the shape '{shape}' no material; add a <ref id=\"...\"/> to a radio material")

    def _material(self, element: ET.Element) -> str:
        """Read a <bsdf> by Sionna RT's rules and return its name."""
        identifier = element.get("id") or element.get("name") or ""
        kind, name = element.get("type", ""), _plain(identifier)
        if not name:
            self._refuse(f"has a <bsdf> of type '{kind}' without an id; name it, e.g. 'itu_concrete'")
        if name in self.materials:
            self._refuse(f"defines the material '{name}' twice")
        by_name = name.startswith(("itu_", "itu-"))
        if not by_name and kind not in ("itu-radio-material", "radio-material"):
            self._refuse(
                f"has the material '{identifier}' of unknown type '{kind}'; name it after ITU-R P.2040, e.g. "
                "'itu_concrete', or make it an itu-radio-material or radio-material"
            )
        thickness = self._number(element, "thickness", name)
        if thickness is None:
            thickness = DEFAULT_THICKNESS
            self.thickness_assumed.append(name)
            self.assumptions.append(f"material '{name}': slab thickness {thickness:g} m assumed, none is given")
        pattern = element.find("string[@name='scattering_pattern']")
        options: dict[str, Any] = {
            "thickness": thickness,
            "scattering_coefficient": self._number(element, "scattering_coefficient", name) or 0.0,
            "xpd_coefficient": self._number(element, "xpd_coefficient", name) or 0.0,
            "scattering_pattern": pattern.get("value", "") if pattern is not None else "lambertian",
        }
        for key, ours in (("alpha_r", "alpha_r"), ("alpha_i", "alpha_i"), ("lambda_", "forward_share")):
            value = self._number(element, key, name)
            if value is not None:
                options[ours] = value if key == "lambda_" else self._whole(value, key, name)
        if by_name or kind == "itu-radio-material":
            given = element.find("string[@name='type']")
            itu = given.get("value", "") if given is not None else name[4:] if by_name else ""
            self.materials[name] = self._checked(lambda: Material(name=name, itu=itu_material(itu).itu, **options))
        else:
            eps = self._number(element, "relative_permittivity", name)
            sigma = self._number(element, "conductivity", name)
            if eps is None or sigma is None:
                self.assumptions.append(f"material '{name}': missing constants taken as those of vacuum")
            options["relative_permittivity"] = 1.0 if eps is None else eps
            options["conductivity"] = 0.0 if sigma is None else sigma
            self.materials[name] = self._checked(lambda: Material(name=name, **options))
        return name

    def _checked(self, make: Callable[[], Material]) -> Material:
        """A material, or its refusal with the name of the scene file."""
        try:
            return make()
        except SiteTwinError as error:
            raise SiteTwinError(f"scene file '{self.where}': {error}") from error

    def _whole(self, value: float, key: str, name: str) -> int:
        if not value.is_integer():
            self._refuse(f"gives the material '{name}' the {key} {value:g}, which is no whole number")
        return int(value)

    def _number(self, element: ET.Element, key: str, name: str) -> float | None:
        node = element.find(f"float[@name='{key}']")
        if node is None:
            node = element.find(f"integer[@name='{key}']")
        if node is None:
            return None
        try:
            value = float(node.get("value", ""))
        except ValueError:
            self._refuse(f"gives the material '{name}' the {key} '{node.get('value')}', which is no number")
        return value

    def _to_world(self, element: ET.Element, shape: str) -> np.ndarray:
        """Product of a shape's transforms, the first one applied first."""
        matrix = np.eye(4)
        with np.errstate(all="ignore"):  # what overflows is refused below
            for transform in element.findall("transform"):
                for step in transform:
                    matrix = self._step(step, shape) @ matrix
        if not np.isfinite(matrix).all():
            self._refuse(f"gives the shape '{shape}' a transform with NaN or infinity")
        return matrix

    def _step(self, step: ET.Element, shape: str) -> np.ndarray:
        try:
            if step.tag == "matrix":
                numbers = [float(w) for w in re.split(r"[,\s]+", step.get("value", "").strip())]
                size = math.isqrt(len(numbers))
                matrix = np.eye(4)
                matrix[:size, :size] = np.reshape(numbers, (size, size))
                if size not in (3, 4) or (size == 4 and not np.array_equal(matrix[3], [0, 0, 0, 1])):
                    raise ValueError("not affine")
                return matrix
            if step.tag == "translate":
                matrix = np.eye(4)
                matrix[:3, 3] = _vector(step, 0.0)
                return matrix
            if step.tag == "scale":
                return np.diag([*_vector(step, 1.0), 1.0])
            if step.tag == "rotate":
                return _rotation(_vector(step, 0.0), math.radians(float(step.get("angle", ""))))
        except (ValueError, OverflowError) as error:
            self._refuse(f"gives the shape '{shape}' a malformed <{step.tag}> ({error})")
        self._refuse(f"gives the shape '{shape}' the transform <{step.tag}>; use translate, rotate, scale or matrix")


def _plain(identifier: str) -> str:
    return identifier.removeprefix("mat-")


def _vector(step: ET.Element, missing: float) -> list[float]:
    """Three numbers, given as value="x, y, z", value="s" or x=, y=, z=."""
    if step.get("value") is not None:
        numbers = [float(w) for w in re.split(r"[,\s]+", step.get("value", "").strip())]
        if len(numbers) == 1:
            numbers *= 3
        if len(numbers) != 3:
            raise ValueError("not a vector")
        return numbers
    return [float(step.get(axis, missing)) for axis in "xyz"]


def _rotation(axis: list[float], angle: float) -> np.ndarray:
    """Rotation matrix by Rodrigues' formula; `angle` in radians. Mitsuba itself distorts for other than unit axes."""
    x, y, z = axis
    if abs(math.sqrt(x * x + y * y + z * z) - 1.0) > 1e-4:
        raise ValueError("the axis is no unit vector")
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    matrix = np.eye(4)
    matrix[:3, :3] += math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)
    return matrix
