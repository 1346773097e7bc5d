"""Read CityJSON 1.0, 1.1 and 2.0 files and CityJSON text sequences: city objects with unchecked geometries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.importers.blocks import clip, read_file
from sitetwin.site.importers.gltf import load_json
from sitetwin.site.importers.reference import ReferenceSystem, parse_reference

MOST_FEATURES = 2**20
"""Lines of a sequence of CityJSON, one for each feature."""

LARGEST_CITYJSON = 2**29
"""Bytes."""

_FARTHEST = 1e9
_VERSIONS = ("1.0", "1.1", "2.0")


@dataclass(frozen=True, eq=False)
class CityObject:
    """One city object.

    Attributes:
        key: Identifier of the object.
        kind: Type of the object, such as "BuildingPart".
        attributes: Attributes of the object, texts and numbers only.
        parents: Identifiers of the objects that this object is a part of.
        geometries: Geometries of the object, unchecked.
        vertices: (V, 3) float64, coordinates that the geometries refer to, in the file's reference system.
    """

    key: str
    kind: str
    attributes: dict[str, str | float]
    parents: tuple[str, ...]
    geometries: tuple[dict[str, Any], ...]
    vertices: np.ndarray


@dataclass(frozen=True, eq=False)
class City:
    """One file.

    Attributes:
        where: Name of the file, for messages.
        data: Content of the file.
        objects: City objects of the file by identifier, in file order.
        reference: The file's reference system, or None.
        templates: Geometries that instances refer to.
        template_vertices: (V, 3) float64, coordinates that the templates refer to.
        cuts: Triangles of the templates that were needed so far, by their numbers.
        copied: Number of triangles that instances have made so far.
    """

    where: str
    data: bytes
    objects: dict[str, CityObject]
    reference: ReferenceSystem | None
    templates: tuple[dict[str, Any], ...]
    template_vertices: np.ndarray
    cuts: dict[int, Any] = field(default_factory=dict)
    copied: list[int] = field(default_factory=lambda: [0])

    def refuse(self, what: str, mend: str = "export it again") -> NoReturn:
        """Raise the error for a fault in the file."""
        _refuse(self.where, what, mend)


def read_city(path: Path) -> City:
    """Read a file: one JSON object, or a text sequence with a header and one feature per line.

    Raises:
        SiteTwinError: The file is missing, too large, not CityJSON of version 1.0, 1.1 or 2.0, or its tables are
            malformed.
    """
    data, where = read_file(path, LARGEST_CITYJSON), str(path)
    documents = list(_documents(data, where))
    head = documents[0]
    if head.get("type") != "CityJSON":
        _refuse(where, "is no CityJSON file", "GeoJSON and other formats have importers of their own")
    version = str(head.get("version"))[:3]
    if version not in _VERSIONS:
        _refuse(where, f"is CityJSON of version {clip(version)}, not {', '.join(_VERSIONS)}", "upgrade it with cjio")
    scale, translate = _transform(head, where)
    objects: dict[str, CityObject] = {}
    for number, document in enumerate(documents):
        if number and document.get("type") != "CityJSONFeature":
            _refuse(where, f"has a line {number + 1} that is no CityJSONFeature", "export the sequence again")
        with np.errstate(all="ignore"):  # what overflows is refused at once
            vertices = _points(document.get("vertices", []), where) * scale + translate
        check_range(vertices, where)
        for key, entry in _dictionary(document.get("CityObjects", {}), "CityObjects", where).items():
            if key in objects:
                _refuse(where, f"has two objects '{clip(key)}'", "give each its own identifier")
            objects[key] = _object(key, entry, vertices, where)
    templates = _dictionary(head.get("geometry-templates", {}), "geometry-templates", where)
    return City(
        where,
        data,
        objects,
        _reference(head, where),
        _geometries(templates.get("templates", []), where),
        _points(templates.get("vertices-templates", []), where),
    )


def check_range(points: np.ndarray, where: str) -> None:
    """Refuse coordinates that are impossible in every reference system of the earth.

    Raises:
        SiteTwinError: A coordinate is NaN, infinite or beyond a million kilometres.
    """
    if points.size and not np.abs(points).max() <= _FARTHEST:
        _refuse(where, f"has a transform that takes a vertex beyond {_FARTHEST:g} or to infinity", "repair the file")


def _documents(data: bytes, where: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file: the whole, or one a line where the first line is one already."""
    first, _, rest = data.strip().partition(b"\n")
    try:
        head = load_json(first, where, LARGEST_CITYJSON)
    except SiteTwinError:
        if not rest:
            raise
        yield load_json(data, where, LARGEST_CITYJSON)
        return
    yield head
    if rest.count(b"\n") > MOST_FEATURES:
        _refuse(where, f"has more than {MOST_FEATURES} lines", "cut it into smaller files")
    for number, line in enumerate(rest.splitlines(), start=2):
        if line.strip():
            yield load_json(line, f"{where}, line {number}", LARGEST_CITYJSON)


def _transform(head: dict[str, Any], where: str) -> tuple[np.ndarray, np.ndarray]:
    """Scale and translation of the vertices; none in a plain file of version 1.0."""
    if "transform" not in head:
        return np.ones(3), np.zeros(3)
    entry = _dictionary(head["transform"], "transform", where)
    return _points([entry.get("scale")], where)[0], _points([entry.get("translate")], where)[0]


def _points(values: Any, where: str) -> np.ndarray:
    """(V, 3) float64 from a list of triples."""
    if not isinstance(values, list):
        _refuse(where, "has vertices that are no list")
    if not values:
        return np.zeros((0, 3))
    try:
        array = np.array(values)
    except (ValueError, OverflowError, MemoryError):
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "iuf":
        _refuse(where, "has a vertex, scale or translation that is not three numbers")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        _refuse(where, "has a vertex that is infinite", "repair the file")
    return array


def _object(key: str, entry: Any, vertices: np.ndarray, where: str) -> CityObject:
    entry = _dictionary(entry, f"object '{clip(key)}'", where)
    attributes = entry.get("attributes") or {}
    plain: dict[str, str | float] = {}
    for name, value in _dictionary(attributes, f"attributes of '{clip(key)}'", where).items():
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            plain[name] = value
    parents = entry.get("parents") or []
    if not isinstance(parents, list):
        _refuse(where, f"has an object '{clip(key)}' whose parents are no list")
    return CityObject(
        key,
        str(entry.get("type", "")),
        plain,
        tuple(str(parent) for parent in parents),
        _geometries(entry.get("geometry") or [], where),
        vertices,
    )


def _geometries(values: Any, where: str) -> tuple[dict[str, Any], ...]:
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        _refuse(where, "has a list of geometries that is malformed")
    return tuple(values)


def _dictionary(value: Any, what: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(where, f"has a malformed '{what}'")
    return value


def _reference(head: dict[str, Any], where: str) -> ReferenceSystem | None:
    """The reference system: a URL in versions 1.1 and 2.0, a URN in 1.0."""
    metadata = head.get("metadata")
    text = metadata.get("referenceSystem") if isinstance(metadata, dict) else None
    return None if text is None or text == "" else parse_reference(str(text), where)


def _refuse(where: str, what: str, mend: str = "export it again") -> NoReturn:
    raise SiteTwinError(f"'{where}' {what}; {mend}")
