"""A site on disk comes back the same, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.site import (
    Cylinder,
    GeometryError,
    Georeference,
    Site,
    Vegetation,
    build_site,
    load_site,
    plant_street_trees,
    save_site,
)


@pytest.fixture
def rich(town: Site) -> Site:
    """A site with everything on it."""
    from dataclasses import replace

    rng = np.random.default_rng(0)
    planted = plant_street_trees(town, rng, (-80, -60, 80, 80), 10.0)
    other = planted.variant(walls=GeometryError(0.3), scatter_centres=3, rng=rng)
    return replace(other, georeference=Georeference(48.137, 11.575, "EGM2008"))


def test_round_trip(rich: Site, tmp_path: Path) -> None:
    folder = save_site(rich, tmp_path / "deep" / "site")
    again = load_site(folder)
    assert again.hash == rich.hash
    assert again.name == rich.name
    assert again.georeference == rich.georeference
    assert again.materials == rich.materials
    assert again.vegetation.volumes == rich.vegetation.volumes
    assert np.array_equal(again.vertices, rich.vertices)
    assert [p.name for p in folder.parent.iterdir()] == ["site"]  # nothing left beside it


def test_trunks_are_kept_and_change_the_hash_but_not_the_geometry(town: Site, tmp_path: Path) -> None:
    trunk, crown = (Cylinder((60, 60), 0.2, 0.0, 3.0, part=part) for part in ("trunk", "crown"))
    wooden, leafy = (town.variant(vegetation=Vegetation((volume,))) for volume in (trunk, crown))
    again = load_site(save_site(wooden, tmp_path / "s"))
    assert again.vegetation.volumes == (trunk,)
    assert again.hash == wooden.hash != leafy.hash
    assert wooden.geometry_hash == leafy.geometry_hash


def test_replaced_in_one_step(rich: Site, town: Site, tmp_path: Path) -> None:
    save_site(rich, tmp_path / "s")
    save_site(town, tmp_path / "s")
    assert load_site(tmp_path / "s").hash == town.hash
    assert len(list(tmp_path.iterdir())) == 1


def test_a_foreign_folder_is_not_overwritten(town: Site, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SiteTwinError, match="other than a site"):
        save_site(town, tmp_path)
    with pytest.raises(SiteTwinError, match="no saved site"):
        load_site(tmp_path)


@pytest.mark.parametrize("keep", [0, 10, 0.3, 0.9, -1])
@pytest.mark.parametrize("file", ["arrays.npz", "site.json"])
def test_truncated_files_are_refused(rich: Site, tmp_path: Path, file: str, keep: float) -> None:
    path = save_site(rich, tmp_path / "s") / file
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(SiteTwinError):
        load_site(tmp_path / "s")


def test_changed_content_is_refused(rich: Site, tmp_path: Path) -> None:
    path = save_site(rich, tmp_path / "s") / "site.json"
    description = json.loads(path.read_text())
    description["materials"][0]["thickness"] = 0.7
    path.write_text(json.dumps(description))
    with pytest.raises(SiteTwinError, match="hash"):
        load_site(tmp_path / "s")
    description["format"] = "other"
    path.write_text(json.dumps(description))
    with pytest.raises(SiteTwinError, match="does not describe"):
        load_site(tmp_path / "s")


def test_pickles_are_refused(town: Site, tmp_path: Path) -> None:
    folder = save_site(town, tmp_path / "s")
    np.savez(folder / "arrays.npz", vertices=np.array([{"a": 1}], dtype=object))
    with pytest.raises(SiteTwinError, match=r"arrays\.npz"):
        load_site(folder)


def test_broken_meshes_are_refused(town: Site) -> None:
    def build(vertices=town.vertices, triangles=town.triangles, owner=town.triangle_object) -> Site:
        return build_site("x", vertices, triangles, owner, town.objects, [0] * len(town.objects), town.materials)

    for wrong, says in (
        ({"vertices": np.where(town.vertices == 10.0, np.nan, town.vertices)}, "NaN"),
        ({"vertices": town.vertices * 1e6}, "local frame"),
        ({"triangles": town.triangles + 1}, "vertex outside"),
        ({"owner": town.triangle_object + 1}, "object outside"),
        ({"triangles": np.zeros((0, 3)), "owner": np.zeros(0)}, "no triangle"),
        ({"vertices": town.vertices * 0}, "zero area"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            build(**wrong)
