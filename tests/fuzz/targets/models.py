"""Targets: city models, scenes, meshes, projects of other ray tracers, and saved sites."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

import sitetwin as st
from sitetwin.rays.referee.insite_paths import read_insite_paths
from sitetwin.rays.referee.insite_setup import read_setup
from sitetwin.site import load_site, save_site
from sitetwin.site.importers.meshes import unit_cube
from tests.fuzz.containers import json_text
from tests.fuzz.judge import Target
from tests.fuzz.targets.maps import small_site
from tests.fuzz.targets.properties import finite, plausible, sound_site
from tests.site import city_files, gltf_files, insite_files


def _city() -> list[dict[str, bytes]]:
    """A house with a hole in its roof, a tree of a template, a ground."""
    documents = []
    for epsg, version, translate in ((25832, "2.0", (500000.0, 5600000.0, 30.0)), (None, "1.0", (0.0, 0.0, 0.0))):
        city = city_files.CityWriter(epsg, version, translate)
        x, y, z = translate
        faces = city_files.box_rings((x, y, z), (x + 10, y + 8, z + 6))
        house = city_files.solid(city, faces)
        city.add(
            "house", "Building", [house], attributes={"measuredHeight": 6.0, "roofType": "flat"}, children=["part"]
        )
        part = city_files.solid(city, city_files.box_rings((x + 10, y, z), (x + 14, y + 8, z + 4)), "1.2")
        city.add("part", "BuildingPart", [part], parents=["house"])
        ground = [[(x - 20, y - 20, z), (x + 30, y - 20, z), (x + 30, y + 30, z)]]
        city.add("relief", "TINRelief", [city_files.multi(city, ground)])
        crown = city_files.multi(city, [[(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 2.0)]])
        city.document["geometry-templates"] = {
            "templates": [{**crown, "boundaries": [[[0, 1, 2]]]}],
            "vertices-templates": [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 2.0]],
        }
        place = city.vertex((x - 5, y - 5, z))
        matrix = np.eye(4).ravel().tolist()
        instance = {"type": "GeometryInstance", "template": 0, "boundaries": [place], "transformationMatrix": matrix}
        city.add("tree", "SolitaryVegetationObject", [instance])
        documents.append({"town.city.json": json_text(city.document)})
    return documents


def _city_lines() -> list[dict[str, bytes]]:
    """The same town as a text sequence, one feature a line."""
    document = json.loads(_city()[0]["town.city.json"])
    objects = document.pop("CityObjects")
    vertices = document.pop("vertices")
    head = {**document, "CityObjects": {}, "vertices": []}
    rows = [head]
    for names in (["house", "part"], ["relief"], ["tree"]):
        inner = {name: objects[name] for name in names}
        rows.append({"type": "CityJSONFeature", "id": names[0], "CityObjects": inner, "vertices": vertices})
    return [{"town.city.jsonl": b"\n".join(map(json_text, rows))}]


def _cube() -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = unit_cube()
    return vertices * 5 + np.array([0, 0, 5.0]), faces


def _obj() -> list[dict[str, bytes]]:
    vertices, faces = _cube()
    rows = ["mtllib town.mtl", "o house", "usemtl itu_brick"]
    rows += ["v " + " ".join(f"{x:g}" for x in row) for row in vertices]
    rows += ["f " + " ".join(f"{k + 1}//" for k in row) for row in faces]
    rows += ["g ground", "v -30 -30 0", "v 30 -30 0", "v 30 30 0", "v -30 30 0", "f -4 -3 -2 -1"]
    return [{"town.obj": "\n".join(rows).encode()}]


def _ply() -> list[dict[str, bytes]]:
    mesh = trimesh.Trimesh(*_cube(), process=False)
    return [{"town.ply": bytes(trimesh.exchange.ply.export_ply(mesh, encoding=kind))} for kind in ("ascii", "binary")]


def _gltf_document() -> tuple[dict[str, Any], bytes]:
    document, data = gltf_files.cube_document()
    document["nodes"] = [
        {"name": "town", "children": [1], "translation": [0.0, 5.0, 0.0]},
        {"name": "house", "mesh": 0, "scale": [5.0, 5.0, 5.0], "rotation": [0.0, 0.0, 0.0, 1.0]},
    ]
    return document, data


def _gltf() -> list[dict[str, bytes]]:
    document, data = _gltf_document()
    inner = {**document, "buffers": [{"byteLength": len(data), "uri": gltf_files.data_uri(data)}]}
    outer = {**document, "buffers": [{"byteLength": len(data), "uri": "town.bin"}]}
    return [{"town.gltf": json_text(inner)}, {"town.gltf": json_text(outer), "town.bin": data}]


def _glb() -> list[dict[str, bytes]]:
    return [{"town.glb": gltf_files.glb(*_gltf_document())}]


_SCENE = b"""<scene version="2.1.0">
<default name="thick" value="0.2"/>
<integrator type="path"/>
<bsdf type="itu-radio-material" id="mat-wall"><string name="type" value="brick"/>
<float name="thickness" value="$thick"/>
<float name="scattering_coefficient" value="0.1"/></bsdf>
<bsdf type="radio-material" id="mat-own"><float name="relative_permittivity" value="4"/>
<float name="conductivity" value="0.1"/>
</bsdf>
<shape type="ply" id="mesh-house"><string name="filename" value="meshes/house.ply"/>
<ref id="mat-wall" name="bsdf"/>
<boolean name="face_normals" value="true"/></shape>
<shape type="obj" id="mesh-shed"><string name="filename" value="shed.obj"/><transform name="to_world">
<translate x="20" y="0" z="0"/><rotate x="0" y="0" z="1" angle="30"/></transform>
<ref id="mat-wall" name="bsdf"/></shape>
<shape type="rectangle" id="mesh-ground"><transform name="to_world"><scale value="50"/>
<matrix value="1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"/>
</transform><ref id="mat-own" name="bsdf"/></shape>
</scene>
"""


def _mitsuba() -> list[dict[str, bytes]]:
    return [{"scene.xml": _SCENE, "meshes/house.ply": _ply()[1]["town.ply"], "shed.obj": _obj()[0]["town.obj"]}]


def _insite() -> list[dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        project = insite_files.write_project(Path(folder) / "project")
        return [{file.name: file.read_bytes() for file in project.iterdir()}]


_LISTING = """# <Transmitter Set: Tx: 1 BS - Point 1>
# <Receiver Set: Rx: 2 users >
# <number of receiver points>
#\t\t<phase(deg)>
3
1 2
-80.0 1e-07 1e-09
1 0 -70.5 12.0 1e-07 91.0 20.0 89.0 200.0
Tx-Rx
0.0 0.0 10.0
20.0 0.0 1.5
2 1 -80.5 112.0 1.2e-07 95.0 40.0 85.0 220.0
Tx-R-Rx
0.0 0.0 10.0
10.0 8.0 5.0
20.0 0.0 1.5
2 0
3 1
-90.0 1e-07 1e-09
1 1 -90.5 12.0 3e-07 91.0 20.0 89.0 200.0
Tx-D-Rx
0.0 0.0 10.0
5.0 5.0 5.0
30.0 3.0 1.5
"""


def _saved() -> list[dict[str, bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        save_site(small_site(), Path(folder) / "saved")
        return [{file.name: file.read_bytes() for file in (Path(folder) / "saved").iterdir()}]


def _scene(file: str) -> Callable[[Path], Any]:
    return lambda folder: st.open_site(folder / file)


_CITY = (
    b"CityObjects",
    b"Building",
    b"BuildingPart",
    b"Solid",
    b"MultiSurface",
    b"CompositeSurface",
    b"boundaries",
    b"lod",
)
_CITY += (b"semantics", b"RoofSurface", b"transform", b"scale", b"translate", b"referenceSystem", b"parents", b"Road")
_CITY += (b"GeometryInstance", b"template", b"transformationMatrix", b"CityJSONFeature", b"vertices", b"WaterBody")
_GLTF = (b"accessors", b"bufferViews", b"byteOffset", b"byteStride", b"componentType", b"count", b"children", b"mesh")
_GLTF += (
    b"sparse",
    b"matrix",
    b"translation",
    b"scale",
    b"uri",
    b"extensionsRequired",
    b"mode",
    b"indices",
    b"normalized",
)
_XML = (
    b"shape",
    b"bsdf",
    b"ref",
    b"transform",
    b"filename",
    b"cube",
    b"ply",
    b"obj",
    b"rectangle",
    b"to_world",
    b"id",
    b"type",
)
_XML += (
    b"$thick",
    b"../../etc/passwd",
    b"default",
    b"include",
    b"twosided",
    b"flip_normals",
    b"itu_concrete",
    b"sphere",
)
_INSITE = (
    b"begin_<face>",
    b"end_<face>",
    b"begin_<structure>",
    b"nVertices",
    b"Material",
    b"begin_<reference>",
    b"active",
)
_INSITE += (
    b"begin_<points>",
    b"spacing",
    b"side1",
    b"permittivity",
    b"LayeredDielectric",
    b"filename",
    b"PEC",
    b"nLayers",
)
_PLY = (
    b"element vertex",
    b"element face",
    b"property",
    b"list",
    b"uchar",
    b"float",
    b"double",
    b"end_header",
    b"format",
)

TARGETS = (
    Target("cityjson", _scene("town.city.json"), _city, _CITY, sound_site),
    Target("cityjson-lines", _scene("town.city.jsonl"), _city_lines, _CITY, sound_site),
    Target(
        "obj", _scene("town.obj"), _obj, (b"v", b"f", b"o", b"g", b"usemtl", b"itu_metal", b"-1", b"1//1"), sound_site
    ),
    Target("ply", _scene("town.ply"), _ply, _PLY, sound_site),
    Target("gltf", _scene("town.gltf"), _gltf, _GLTF, sound_site),
    Target("glb", _scene("town.glb"), _glb, _GLTF, sound_site),
    Target("mitsuba", _scene("scene.xml"), _mitsuba, _XML, sound_site),
    Target("insite", lambda folder: st.open_site(folder), _insite, _INSITE, sound_site, 0.7),
    Target("insite-setup", lambda folder: read_setup(folder), _insite, _INSITE, finite),
    Target(
        "insite-paths",
        lambda folder: read_insite_paths(folder / "run.p2m"),
        lambda: [{"run.p2m": _LISTING.encode()}],
        (b"Tx-R-Rx", b"Tx-R-R-Rx", b"Tx-D-Rx", b"Tx", b"Rx", b"#", b"phase"),
        lambda found: plausible([found.paths.length, found.paths.departure, found.power_dbm, found.phase, found.delay]),
    ),
    Target("saved-site", lambda folder: load_site(folder), _saved, (b"objects", b"hash", b"provenance"), sound_site),
)
