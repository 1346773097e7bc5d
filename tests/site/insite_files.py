"""Wireless InSite's text files, written from scratch for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

CONCRETE = """begin_<Material> Concrete
Material 1
LayeredDielectric
diffuse_scattering_model directive_with_backscatter
fields_diffusively_scattered 0.200000
cross_polarized_power 0.400000
directive_alpha 6
directive_beta 3
directive_lambda 0.800000
nLayers 1
begin_<DielectricLayer>
conductivity 8.987e-02
permittivity 5.310000
roughness 0.000e+00
thickness 3.000e-01
end_<DielectricLayer>
end_<Material>
"""
EARTH = """begin_<Material> Wet earth
Material 1
DielectricHalfspace
begin_<DielectricLayer>
conductivity 2.0e-02
permittivity 25.0
roughness 0.000e+00
thickness 0.000e+00
end_<DielectricLayer>
end_<Material>
"""
METAL = "begin_<Material> Metal\nMaterial 2\nPEC\nend_<Material>\n"


def reference(origin: tuple[float, float] = (0.0, 0.0), above: str = "terrain") -> str:
    return (
        f"begin_<reference>\ncartesian\nlongitude {origin[1]:.9f}\nlatitude {origin[0]:.9f}\nvisible no\n{above}\n"
        "end_<reference>\n"
    )


def face(corners: Sequence[Sequence[float]] | np.ndarray, material: int = 1) -> str:
    rows = "".join(" ".join(repr(float(x)) for x in row) + "\n" for row in corners)
    return f"begin_<face>\nMaterial {material}\nnVertices {len(corners)}\n{rows}end_<face>\n"


def mesh(parts: Sequence[Sequence[str]], kind: str = "city", materials: str = CONCRETE, head: str | None = None) -> str:
    """A file; each part is a structure with one sub-structure of the given faces."""
    body = "".join(
        "begin_<structure>\nbegin_<sub_structure>\n" + "".join(part) + "end_<sub_structure>\nend_<structure>\n"
        for part in parts
    )
    head = reference() if head is None else head
    return (
        f"Format type:keyword version: 1.1.0\nbegin_<{kind}> made by hand\n{head}{materials}"
        f"begin_<structure_group>\n{body}end_<structure_group>\nend_<{kind}>\n"
    )


def house(x: float, y: float, material: int = 1, size: float = 10.0, height: float = 8.0) -> list[str]:
    """Four walls and a roof, faces outwards."""
    ring = [(x, y), (x + size, y), (x + size, y + size), (x, y + size)]
    walls = [[(*a, 0.0), (*b, 0.0), (*b, height), (*a, height)] for a, b in zip(ring, ring[1:] + ring[:1], strict=True)]
    return [face(corners, material) for corners in [*walls, [(*p, height) for p in ring]]]


GROUND = face([(-50, -50, 0), (50, -50, 0), (50, 50, 0), (-50, 50, 0)])
TRANSMITTER = (0.0, -20.0, 12.0)


def radios() -> str:
    """One transmitter, and a grid of 5 x 3 receivers 10 m apart."""
    common = "begin_<pattern>\nantenna 0\nrotation_x 0.0\nrotation_y 0.0\nrotation_z 0.0\nend_<pattern>\n"
    place = " ".join(map(str, TRANSMITTER))
    return (
        f"begin_<points> BS\nproject_id 1\nactive\nbegin_<location>\n{reference()}nVertices 1\n{place}\n"
        f"end_<location>\nis_transmitter yes\nis_receiver no\nbegin_<transmitter>\n{common}power 10.0\n"
        "end_<transmitter>\nend_<points>\n"
        f"begin_<grid> users\nproject_id 2\nactive\nbegin_<location>\n{reference()}side1 41.0\nside2 20.0\n"
        "spacing 10.0\nnVertices 1\n-20.0 -30.0 1.5\nend_<location>\nis_transmitter no\nis_receiver yes\n"
        f"begin_<receiver>\n{common}end_<receiver>\nend_<grid>\n"
    )


def setup(
    features: Sequence[tuple[str, str]] = (("town.city", "active"), ("ground.ter", "active")), diffuse: str = "no"
) -> str:
    named = "".join(
        f"begin_<feature>\nfeature {k}\n{file.split('.')[-1]}\n{state}\nfilename C:\\run\\{file}\nend_<feature>\n"
        for k, (file, state) in enumerate(features)
    )
    return (
        "begin_<project> town\nbegin_<studyarea> area\nactive\n"
        f"begin_<diffuse_scattering>\nenabled {diffuse}\ndiffuse_reflections 2\nend_<diffuse_scattering>\n"
        "begin_<model>\nx3d\nmax_reflections 2\nmax_transmissions 0\n"
        f"max_wedge_diffractions 0\nend_<model>\nend_<studyarea>\n{named}"
        "begin_<txrx_sets>\nfilename ./town.txrx\nend_<txrx_sets>\n"
        "begin_<antenna> Isotropic\nantenna 0\ntype isotropic\npolarization vertical\nend_<antenna>\n"
        "begin_<Waveform> Sinusoid\nwaveform 0\nCarrierFrequency 3500000000.0\nend_<Waveform>\nend_<project>\n"
    )


def write_project(folder: Path) -> Path:
    """Two houses on a ground, one transmitter, 15 receivers."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "town.city").write_text(mesh([[*house(-15, 0), *house(5, 0, 2)]], materials=CONCRETE + METAL))
    (folder / "ground.ter").write_text(mesh([[GROUND]], "terrain", EARTH, reference(above="sealevel")))
    (folder / "town.txrx").write_text(radios())
    (folder / "town.setup").write_text(setup())
    return folder
