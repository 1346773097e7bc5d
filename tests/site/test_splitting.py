"""Materials of their own for buildings and facets: names, what waves meet, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sitetwin.channel import FieldOptions, path_gains
from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import build_site, load_site, save_site, split_materials
from sitetwin.site.materials import Material, itu_material

CORNERS = np.array([(i, j, k) for k in (0, 1) for j in (0, 1) for i in (0, 1)], dtype=float)
FACES = np.array([(4, 5, 7, 6), (0, 1, 5, 4), (1, 3, 7, 5), (3, 2, 6, 7), (2, 0, 4, 6)])
TX = np.array([-20.0, 0.0, 4.0])
USERS = np.array([[14.0, 0.0, 1.5], [0.0, -15.0, 1.5]])


def village():
    """Two houses of concrete with roofs of metal, and the ground."""
    boxes = [np.array(low) + CORNERS * np.array((6.0, 6.0, 5.0)) for low in ((-6.0, 6.0, 0.0), (6.0, 4.0, 0.0))]
    floor = np.array([(-50.0, -50.0, 0.0), (50.0, -50.0, 0.0), (50.0, 50.0, 0.0), (-50.0, 50.0, 0.0)])
    box = np.concatenate([FACES[:, [0, 1, 2]], FACES[:, [0, 2, 3]]])
    triangles = np.concatenate([box, box + 8, [(16, 17, 18), (16, 18, 19)]])
    owner = np.array([1, 0, 0, 0, 0] * 2 + [3, 2, 2, 2, 2] * 2 + [4, 4])
    material = [0, 1, 0, 1, 2]
    materials = [itu_material("concrete"), itu_material("metal"), Material("soil", None, 5.0, 0.01)]
    names = ["house-1-wall", "house-1-roof", "house-2-wall", "house-2-roof", "ground"]
    return build_site("village", np.concatenate([*boxes, floor]), triangles, owner, names, material, materials)


def test_each_group_has_an_entry_and_waves_meet_the_same():
    site = village()
    paths = trace(site, TX, USERS, TraceSettings(max_depth=2, rays_per_lattice=20_000, unseen_bound=0.05))
    plain = path_gains(paths, site, 3.5e9).values
    for by, entries in (("material", 3), ("building", 5), ("facet", site.num_facets)):
        split = split_materials(site, by)
        assert len(split.materials) == entries
        assert len({m.name for m in split.materials}) == entries
        assert split.geometry_hash == site.geometry_hash
        for facet in range(site.num_facets):
            old, new = (s.materials[s.facet_material[facet]] for s in (site, split))
            assert replace(new, name=old.name) == old
        assert torch.equal(path_gains(paths, split, 3.5e9).values, plain)
        assert split.provenance["differences"][-1]["by"] == by
    names = {m.name for m in split_materials(site, "building").materials}
    assert names == {"concrete@house-1", "concrete@house-2", "metal@house-1", "metal@house-2", "soil"}


def test_a_tensor_reaches_one_house_alone():
    site = split_materials(village(), "building")
    paths = trace(site, TX, USERS, TraceSettings(max_depth=1, rays_per_lattice=20_000, unseen_bound=0.05))
    value = torch.tensor(8.0, dtype=torch.float64, requires_grad=True)
    options = FieldOptions(relative_permittivity={"concrete@house-1": value})
    changed = path_gains(paths, site, 3.5e9, options=options).values != path_gains(paths, site, 3.5e9).values
    touched = np.array([m.name for m in site.materials])[site.facet_material[np.maximum(paths.facets, 0)]]
    expected = ((touched == "concrete@house-1") & (paths.kinds > 0)).any(axis=1)
    np.testing.assert_array_equal(changed.flatten().numpy(), expected)
    assert expected.any()


def test_a_split_site_is_saved_and_split_again(tmp_path):
    site = split_materials(village(), "facet")
    save_site(site, tmp_path / "site")
    assert load_site(tmp_path / "site").hash == site.hash
    assert split_materials(site, "material").materials == site.materials


def test_an_unused_material_is_left_out():
    site = village()
    more = replace(site, materials=(*site.materials, itu_material("glass")))
    assert "glass" not in [m.name for m in split_materials(more, "material").materials]


def test_equal_names_become_different_ones():
    site = village()
    alike = replace(site, materials=tuple(replace(m, name="same") for m in site.materials))
    assert [m.name for m in split_materials(alike, "material").materials] == ["same", "same_2", "same_3"]


def test_an_unknown_grouping_is_refused():
    unchecked = getattr(split_materials, "__wrapped__", split_materials)  # the tests' own check of types is before it
    with pytest.raises(SiteTwinError, match="split by 'wall', which is unknown; choose material, building, facet"):
        unchecked(village(), "wall")
