"""Export to Sionna RT: a Mitsuba scene file with radio materials, and a binary PLY mesh per object and material."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from sitetwin.hertz import check_carrier
from sitetwin.site.exporters.files import write_folder
from sitetwin.site.exporters.parts import part_name, parts_of, unique_name
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.materials import ITU_TABLE, Material
from sitetwin.site.site import Site

SCENE_FILE = "scene.xml"

HALF_SPACE_THICKNESS = 100.0
"""Metres of the slab that stands for a half-space. What comes back from its far side has crossed it twice: 28 dB weaker
in very dry ground at 1 GHz, the least lossy ground of the table, and gone in concrete."""

DEFAULT_CARRIER_HZ = 3.5e9

_UNFIT = re.compile("[^ -#%-~\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold, and the dollar sign, which begins a parameter in a Mitsuba file."""


def export_mitsuba(site: Site, folder: str | Path, carrier_hz: float = DEFAULT_CARRIER_HZ) -> Ledger:
    """Write a site as a scene that ``sionna.rt.load_scene(folder + "/scene.xml")`` loads unchanged.

    Each object is a shape of its own (one per material where it has several); ``merge_shapes=False`` keeps them apart
    in Sionna RT. Materials of ITU-R P.2040 become ``itu-radio-material``, others ``radio-material`` with their
    constants; water and soil of P.527, which Sionna RT does not know, get their constants at one carrier. Vertices are
    rounded to single precision, which the tracer of Sionna RT has throughout. A half-space becomes a slab of
    `HALF_SPACE_THICKNESS`; scattering lobes other than Lambert's, vegetation and the georeference are left out, because
    a scene file of Sionna RT 2 cannot express them. The same site gives the same bytes.

    Args:
        site: The site.
        folder: The folder to make; an earlier export there is replaced.
        carrier_hz: Carrier in Hz at which constants of materials unknown to Sionna RT are evaluated.

    Returns:
        The account of the export: what was written, what was changed and what the format cannot express.

    Raises:
        SiteTwinError: The carrier cannot be in hertz, the folder holds something else, or cannot be written
            (permissions, full disk).
    """
    check_carrier("carrier_hz", carrier_hz)
    ledger = Ledger()
    parts = parts_of(site)
    taken: set[str] = set()
    count = Counter(part.object for part in parts)
    names = []
    for part in parts:
        wanted = part_name(site, part, count[part.object] == 1)
        names.append(unique_name(_UNFIT.sub("_", wanted) or "object", taken))
        if names[-1] != wanted:
            ledger.note("repaired", "object name changed to one that a scene file can hold", wanted)
    used = sorted({part.material for part in parts})
    material_names = {k: unique_name(_material_name(site.materials[k]), taken) for k in used}
    lines = ['<scene version="2.1.0">']
    for k in used:
        lines += _bsdf(site.materials[k], material_names[k], carrier_hz, ledger)
    files: dict[str, bytes] = {}
    for number, (part, name) in enumerate(zip(parts, names, strict=True)):
        file = f"meshes/{number:05d}-{re.sub('[^A-Za-z0-9_-]+', '_', name)[:48]}.ply"
        files[file] = _ply(part.vertices, part.triangles)
        lines += [
            f'    <shape type="ply" id={quoteattr("mesh-" + name)}>',
            f'        <string name="filename" value="{file}"/>',
            '        <boolean name="face_normals" value="true"/>',
            f'        <ref id={quoteattr("mat-" + material_names[part.material])} name="bsdf"/>',
            "    </shape>",
        ]
    lines.append("</scene>\n")
    files[SCENE_FILE] = "\n".join(lines).encode()
    ledger.note("read", "shapes written", count=len(parts))
    ledger.note("repaired", "vertices rounded to single precision", count=sum(len(p.vertices) for p in parts))
    if site.vegetation.num_volumes:
        ledger.note("dropped", "vegetation volume: a scene of Sionna RT has none", count=site.vegetation.num_volumes)
    if site.georeference is not None:
        ledger.note("dropped", "georeference: a scene of Sionna RT has none")
    write_folder(Path(folder), files, SCENE_FILE)
    return ledger


def _material_name(material: Material) -> str:
    """A name that Sionna RT takes as it stands.

    It reads what begins with "itu_" by rules of its own, which drop the scattering, and refuses the bare name of an ITU
    material for anything else.
    """
    name = re.sub("^(?:mat-|itu[_-])+", "", _UNFIT.sub("_", material.name), flags=re.IGNORECASE) or "material"
    return f"{name}_custom" if material.itu not in ITU_TABLE and name in ITU_TABLE else name


def _bsdf(material: Material, name: str, carrier_hz: float, ledger: Ledger) -> list[str]:
    thickness = material.thickness
    if thickness is None:
        thickness = HALF_SPACE_THICKNESS
        ledger.note("assumed", f"half-space written as a slab of {thickness:g} m", material.name)
    if material.scattering_coefficient and material.scattering_pattern != "lambertian":
        ledger.note(
            "dropped", "scattering lobe: a scene file of Sionna RT scatters by Lambert's law only", material.name
        )
    numbers = {
        "thickness": thickness,
        "scattering_coefficient": material.scattering_coefficient,
        "xpd_coefficient": material.xpd_coefficient,
    }
    known = material.itu in ITU_TABLE
    if not known:
        permittivity, conductivity = material.evaluate(carrier_hz)
        numbers = {"relative_permittivity": permittivity, "conductivity": conductivity, **numbers}
    if known:
        ledger.note("read", "material whose constants Sionna RT takes at its scene's frequency", material.name)
    elif material.itu is None:
        ledger.note("assumed", "the material's own constants at every carrier", material.name)
    if material.itu is not None and not known:
        ledger.note("assumed", f"constants at {carrier_hz / 1e9:g} GHz for a medium of ITU-R P.527", material.name)
    kind = "itu-radio-material" if known else "radio-material"
    lines = [f'    <bsdf type="{kind}" id={quoteattr("mat-" + name)}>']
    if known:
        lines.append(f'        <string name="type" value="{material.itu}"/>')
    lines += [f'        <float name="{key}" value="{float(value)!r}"/>' for key, value in numbers.items()]
    return [*lines, "    </bsdf>"]


def _ply(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"element vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    faces = np.empty(len(triangles), dtype=[("size", "u1"), ("corners", "<i4", (3,))])
    faces["size"], faces["corners"] = 3, triangles
    return header.encode("ascii") + vertices.astype("<f4").tobytes() + faces.tobytes()
