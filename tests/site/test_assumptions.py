"""What follows from assumed materials: the decibels by closed forms, the sentences by what the source says."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.channel import Surfaces
from sitetwin.errors import SiteTwinError
from sitetwin.face.places import open_site
from sitetwin.site import Material, Site, itu_material, load_scene, load_site, save_site
from sitetwin.site.assumption_effects import assumption_effects, passage_loss_db, reflection_db
from sitetwin.site.maps import MapOptions, MaterialRules, load_rules
from sitetwin.site.materials import ITU_TABLE
from tests.site.city_files import CityWriter, courtyard_house

MAP = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": f"way/{k}",
            "properties": {"building": "yes", "height": "9"},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[x, 48.0], [x + 2e-4, 48.0], [x + 2e-4, 48.0001], [x, 48.0001], [x, 48.0]]],
            },
        }
        for k, x in enumerate((11.0, 11.0004))
    ],
}


def town(folder: Path, rules: MaterialRules | None = None) -> Site:
    (folder / "town.geojson").write_text(json.dumps(MAP))
    return open_site(folder / "town.geojson", options=MapOptions(rules=rules or MaterialRules.default()))


@given(
    st.floats(1.0, 20.0), st.floats(0.0, 1.0), st.floats(1e-3, 0.5), st.floats(1e9, 1e11)
)  # fmt: skip
def test_a_passage_costs_what_the_layer_takes(eps: float, sigma: float, thickness: float, carrier: float) -> None:
    """At normal incidence: Airy's sum over all internal reflections of a layer in air."""
    n = np.sqrt(eps - 1j * sigma / (2 * math.pi * carrier * 8.8541878188e-12))
    r, turn = (1 - n) / (1 + n), np.exp(-2j * math.pi * carrier / 299_792_458.0 * n * thickness)
    t = (1 - r**2) * turn / (1 - (r * turn) ** 2)
    loss = passage_loss_db(Material("m", None, eps, sigma, thickness), carrier)
    if abs(t) < 1e-15:
        assert loss > 290
    else:
        assert loss == pytest.approx(-20 * math.log10(abs(t)), abs=1e-6)


@given(
    st.sampled_from([*ITU_TABLE]), st.none() | st.floats(1e-3, 0.5), st.sampled_from([1e9, 3.5e9, 28e9, 60e9])
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::sitetwin.errors.SiteTwinWarning")
def test_decibels_are_those_of_the_fields(itu: str, thickness: float | None, carrier: float) -> None:
    material = itu_material(itu, thickness)
    surfaces, index = Surfaces.of([material], carrier), torch.zeros(1, dtype=torch.int64)
    passed, _ = surfaces.transmission(torch.ones(1).double(), index)
    te, tm = surfaces.reflection(torch.tensor([math.sqrt(0.5)], dtype=torch.float64), index)
    mean = 0.5 * float(te.abs().square() + tm.abs().square())
    assert 10 ** (-passage_loss_db(material, carrier) / 20) == pytest.approx(float(passed.abs()), rel=1e-9, abs=1e-14)
    assert 10 ** (reflection_db(material, carrier) / 10) == pytest.approx(mean, rel=1e-9, abs=1e-14)


def test_what_lets_nothing_through_and_what_reflects_all() -> None:
    assert passage_loss_db(itu_material("concrete"), 3.5e9) == math.inf
    assert reflection_db(itu_material("metal"), 3.5e9) == pytest.approx(0, abs=0.01)
    assert reflection_db(Material("air", None, 1.0, 0.0), 3.5e9) < -200


def test_walls_of_a_map_against_glass(tmp_path: Path) -> None:
    site = town(tmp_path)
    (thickness, ground) = assumption_effects(site, 28e9)
    losses = [float(x) for x in re.findall(r"costs? ([\d.]+) dB", thickness)]
    wall, pane = (passage_loss_db(itu_material(*m), 28e9) for m in (("concrete", 0.2), ("glass", 0.006)))
    assert losses == pytest.approx([wall, pane], abs=0.05)
    assert wall - pane > 80
    assert "'concrete' of 0.2 m" in thickness
    assert (
        f"for 'paving' (concrete): at 28 GHz it reflects {reflection_db(itu_material('concrete'), 28e9):.1f}" in ground
    )
    assert len(assumption_effects(site, transmissions=False)) == 1
    assert "at 3.5 and 28 GHz" in assumption_effects(site)[0]
    save_site(site, tmp_path / "saved")
    assert assumption_effects(load_site(tmp_path / "saved"), 28e9) == [thickness, ground]


def test_what_a_user_has_set_is_assumed_no_more(tmp_path: Path) -> None:
    site = town(tmp_path)
    concrete = next(m for m in site.materials if m.name == "concrete")
    for known in (replace(concrete, thickness=0.1), itu_material("brick", 0.3)):
        assert not any("thick" in line for line in assumption_effects(site.variant(materials={"concrete": known})))
    same = site.variant(materials={"concrete": "brick"})  # of the same assumed thickness
    assert any("'concrete' of 0.2 m" in line for line in assumption_effects(same))
    soil = site.variant(materials={"paving": itu_material("wet_ground")})
    assert not any("ground that" in line for line in assumption_effects(soil))
    own = tmp_path / "own.toml"
    own.write_text(MaterialRules.default().to_toml())
    assert assumption_effects(town(tmp_path, load_rules(own))) == []


def test_every_importer_says_what_it_assumed(tmp_path: Path) -> None:
    corners = "v 0 0 0\nv 9 0 0\nv 9 0 5\nv 0 0 5\n"
    faces = "usemtl Facade\nf 1 2 3 4\nusemtl itu_glass\nf 1 3 4\nusemtl itu_wet_ground\nf 1 2 4\n"
    (tmp_path / "a.obj").write_text(corners + faces)
    thickness, substance = assumption_effects(load_scene(tmp_path / "a.obj"), 3.5e9)
    assert "'Facade' of 0.1 m costs" in thickness
    assert "'glass' of 0.1 m costs" in thickness
    assert "wet" not in thickness
    assert substance.startswith("'Facade' of unknown make is concrete here: at 3.5 GHz it reflects")
    city = CityWriter()
    city.add("h", "Building", [courtyard_house(city)])
    (tmp_path / "h.city.json").write_text(json.dumps(city.document))
    thickness, ground = assumption_effects(load_scene(tmp_path / "h.city.json"), 3.5e9)
    assert "'concrete' of 0.2 m costs" in thickness
    assert "'paving'" in ground
    (tmp_path / "scene.xml").write_text(
        '<scene version="2.1.0"><bsdf type="twosided" id="mat-itu_glass"><bsdf type="diffuse"/></bsdf>'
        '<bsdf type="itu-radio-material" id="w"><string name="type" value="brick"/>'
        '<float name="thickness" value="0.2"/></bsdf><shape type="rectangle" id="a"><ref id="mat-itu_glass"/></shape>'
        '<shape type="rectangle" id="b"><ref id="w"/></shape></scene>'
    )
    (told,) = assumption_effects(load_scene(tmp_path / "scene.xml"), 3.5e9)
    assert "'itu_glass' of 0.1 m costs" in told
    assert "'w'" not in told


def test_scattering_that_has_no_effect(tmp_path: Path) -> None:
    smooth = town(tmp_path)
    rough = smooth.variant(materials={"concrete": itu_material("concrete", 0.2, scattering_coefficient=0.3)})
    (idle,) = assumption_effects(smooth, transmissions=False, diffuse=True)[1:]
    assert "diffuse paths carry no power" in idle
    assert "9 % of the reflected power, and take 0.4 dB" in idle
    (without,) = assumption_effects(rough, transmissions=False, diffuse=False)[1:]
    assert "have no effect, as of 'concrete' (0.3): reflections keep all their power" in without
    (both,) = assumption_effects(rough, transmissions=False, diffuse=True)[1:]
    assert "as 'concrete' (0.3) of coefficient S: their reflections keep sqrt(1 - S^2) of the amplitude" in both
    assert len(assumption_effects(smooth, transmissions=False, diffuse=False)) == 1  # of the ground alone


@pytest.mark.parametrize("carrier", [0.0, -1.0, math.nan, []])
def test_impossible_carriers(tmp_path: Path, carrier: float | list[float]) -> None:
    with pytest.raises(SiteTwinError, match="give positive numbers"):
        assumption_effects(town(tmp_path), carrier)
