"""Variants: rigid buildings, right heights, flat facets, every difference listed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.site import Ellipsoid, GeometryError, Site, Vegetation, itu_material
from sitetwin.site.facets import flatness_excess


def corners(site: Site) -> np.ndarray:
    return site.vertices[site.triangles]


def building_of_triangle(site: Site) -> np.ndarray:
    return site.buildings[1][site.triangle_object]


def test_buildings_move_as_rigid_wholes_and_the_ground_stays(town: Site) -> None:
    other = town.variant(walls=GeometryError(0.5), rng=np.random.default_rng(3))
    shift = corners(other) - corners(town)
    names, _ = town.buildings
    assert len(names) == 4
    for k, name in enumerate(names):
        mine = shift[building_of_triangle(town) == k].reshape(-1, 3)
        np.testing.assert_allclose(mine, np.broadcast_to(mine[0], mine.shape), atol=1e-12)
        assert (np.abs(mine[0]).max() > 0) == (name != "ground")
        assert mine[0, 2] == 0
    assert np.array_equal(other.triangle_facet, town.triangle_facet)
    assert np.array_equal(other.facet_normal, town.facet_normal)


def test_roofs_rise_by_the_drawn_metres(town: Site) -> None:
    other = town.variant(heights=GeometryError(largest=0.8), rng=np.random.default_rng(3))
    before, after = town.object_bounds, other.object_bounds
    assert np.array_equal(after[:, 0, 2], np.where(before[:, 0, 2] > 0, after[:, 0, 2], before[:, 0, 2]))
    error = (after - before)[:, 1, 2]
    assert error[0] == 0
    assert (np.abs(error) <= 0.8).all()
    walls, roof = (town.objects.index(f"house_1-itu_{m}") for m in ("marble", "metal"))
    assert error[walls] == pytest.approx(error[roof], abs=1e-12)
    said = next(d for d in other.provenance["differences"] if d["what"] == "building heights")
    assert said["largest_m"] == pytest.approx(np.abs(error).max())
    np.testing.assert_array_equal(before[:, :, :2], after[:, :, :2])


def test_drawn_errors_have_the_asked_size() -> None:
    rng = np.random.default_rng(0)
    normal = GeometryError(0.5).draw(20_000, 2, rng)
    assert normal.std(axis=0) == pytest.approx([0.5, 0.5], rel=0.02)
    disc = np.linalg.norm(GeometryError(largest=2.0).draw(20_000, 2, rng), axis=1)
    assert disc.max() <= 2.0
    assert np.mean(disc**2) == pytest.approx(2.0, rel=0.02)  # uniform in a disc: R^2 / 2
    bounded = np.linalg.norm(GeometryError(1.0, largest=0.7).draw(1000, 2, rng), axis=1)
    assert bounded.max() <= 0.7 + 1e-12
    with pytest.raises(SiteTwinError):
        GeometryError(float("nan"))


def test_munich_planes_follow_their_vertices(munich: Site) -> None:
    site = munich
    error = GeometryError(0.5)
    other = site.variant(walls=error, heights=error, rng=np.random.default_rng(1))
    excess = flatness_excess(corners(other), other.triangle_facet, other.facet_normal, other.facet_offset)
    assert excess.max() <= 1.5
    np.testing.assert_allclose(np.linalg.norm(other.facet_normal, axis=1), 1.0, atol=1e-12)
    assert np.array_equal(other.triangle_facet, site.triangle_facet)
    ground = np.isin(site.triangle_object, site.ground_objects)
    assert np.array_equal(corners(other)[ground], corners(site)[ground])
    assert other.geometry_hash != site.geometry_hash
    assert site.variant(walls=error, heights=error, rng=np.random.default_rng(1)).hash == other.hash


def test_facets_are_merged_anew_when_a_stretch_bends_them(town: Site) -> None:
    """A facet across two buildings breaks when they grow differently."""
    from dataclasses import replace

    flat = replace(
        town,
        objects=tuple(f"part_{k}" if k else "ground" for k in range(len(town.objects))),
        triangle_facet=np.where(town.triangle_object == 0, 0, 1).astype(np.int32),
        facet_normal=np.array([[0, 0, 1.0], [0, 0, 1.0]]),
        facet_offset=np.zeros(2),
        facet_material=np.array([0, 1], dtype=np.int32),
    )
    other = flat.variant(heights=GeometryError(0.5), rng=np.random.default_rng(0))
    assert other.num_facets > 2
    excess = flatness_excess(corners(other), other.triangle_facet, other.facet_normal, other.facet_offset)
    assert excess.max() <= 1.2
    assert len(other.facet_material) == other.num_facets


def test_vertices_shared_between_buildings_do_not_tear_them(town: Site) -> None:
    from dataclasses import replace

    unique, inverse = np.unique(np.round(town.vertices, 6), axis=0, return_inverse=True)
    welded = replace(town, vertices=unique, triangles=inverse.reshape(-1)[town.triangles].astype(np.int32))
    one = welded.variant(walls=GeometryError(0.5), rng=np.random.default_rng(3))
    two = town.variant(walls=GeometryError(0.5), rng=np.random.default_rng(3))
    np.testing.assert_allclose(corners(one), corners(two), atol=1e-12)


def test_materials_and_vegetation_are_exchanged_and_listed(town: Site) -> None:
    trees = Vegetation((Ellipsoid((0, 0, 8), (3, 3, 4)),))
    green = town.variant(vegetation=trees, scatter_centres=5, rng=np.random.default_rng(0), name="green")
    assert green.name == "green"
    assert green.vegetation.num_scatter_centres == 5
    bare = green.variant(vegetation=Vegetation.none(), materials={"marble": "brick", "metal": itu_material("glass")})
    assert bare.vegetation.num_volumes == 0
    assert [m.itu for m in bare.materials] == ["concrete", "brick", "glass"]
    assert bare.materials[1].thickness == 0.1
    assert [d["what"] for d in bare.provenance["differences"]] == [
        "vegetation", "scatter centres", "vegetation", "material", "material",
    ]  # fmt: skip
    assert bare.provenance["parent"] == green.hash
    assert bare.geometry_hash == town.geometry_hash
    assert bare.hash != town.hash
    json.dumps(bare.provenance)


def test_bad_requests_are_refused(town: Site) -> None:
    with pytest.raises(SiteTwinError, match="rng"):
        town.variant(walls=GeometryError(0.5))
    with pytest.raises(SiteTwinError, match="has no material 'gold'"):
        town.variant(materials={"gold": "metal"})
    with pytest.raises(SiteTwinError, match="did you mean"):
        town.variant(materials={"marble": "marbel"})
