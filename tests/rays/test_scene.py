"""The site of a store of paths is found again, or it is said truly why not."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import sitetwin as st
from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceJob, TraceSettings
from sitetwin.rays.jobs.scene import SCENE, site_of_paths
from sitetwin.site import load_site, save_site
from sitetwin.site.latlon import with_georeference
from sitetwin.site.materials import Material
from tests.rays.shapes import box_quads, ground, quad_site

USERS = np.array([[20.0, 0.0, 1.5], [0.0, 20.0, 1.5]])


def town(height=10.0):
    return quad_site([ground(50.0), *box_quads((-5, -5, 0), (5, 5, height))])


def traced(folder, transmitters=(0.0, 0.0, 25.0)):
    save_site(town(), folder / "sites" / "town")
    site = st.open_site(folder / "sites" / "town")
    TraceJob(site, transmitters, USERS, TraceSettings(max_depth=1)).run(folder / "runs" / "paths")
    return folder / "runs" / "paths"


def test_a_saved_site_is_found_also_after_all_was_moved_together(tmp_path):
    store = traced(tmp_path / "here")
    assert site_of_paths(store).hash == town().hash
    assert json.loads((store / SCENE).read_text()) == {"site": "../../sites/town"}
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert st.site_of_paths(tmp_path / "there" / "runs" / "paths").hash == town().hash


def test_a_site_that_was_saved_after_it_was_made_is_found(tmp_path):
    site = town()
    TraceJob(site, (0, 0, 25), USERS, TraceSettings(max_depth=0)).run(tmp_path / "before")
    save_site(site, tmp_path / "town")
    TraceJob(site, (0, 0, 25), USERS, TraceSettings(max_depth=0)).run(tmp_path / "after")
    assert not (tmp_path / "before" / SCENE).exists()
    assert site_of_paths(tmp_path / "after").hash == site.hash
    changed = replace(site, name="renamed", provenance={"note": "changed in memory"})
    TraceJob(changed, (0, 0, 25), USERS, TraceSettings(max_depth=0)).run(tmp_path / "changed")
    assert not (tmp_path / "changed" / SCENE).exists()


def test_a_site_that_is_gone_or_has_changed_is_said_to_be_so(tmp_path):
    store, place = traced(tmp_path), tmp_path / "sites" / "town"
    site = load_site(place)
    save_site(town(12.0), place, force=True)
    with pytest.raises(SiteTwinError, match=r"has another geometry .* trace again"):
        site_of_paths(store)
    brick = Material.from_dict({**site.materials[0].to_dict(), "thickness": 0.31})
    save_site(replace(site, materials=(brick, *site.materials[1:])), place, force=True)
    with pytest.raises(SiteTwinError, match=r"has the geometry of the paths .*other materials"):
        site_of_paths(store)
    shutil.rmtree(place)
    with pytest.raises(SiteTwinError, match="where nothing is now"):
        site_of_paths(store)
    (store / SCENE).write_text("[]")
    with pytest.raises(SiteTwinError, match="damaged"):
        site_of_paths(store)


def test_channels_of_several_transmitters(tmp_path):
    folder = traced(tmp_path, [(0.0, 0.0, 25.0), (30.0, 30.0, 9.0)])
    site = st.site_of_paths(folder)
    for quantity in ("cfr", "delay-angle"):
        made = st.channels_to_store(tmp_path / quantity, folder, site, carrier_hz=3.5e9, quantity=quantity)
        assert made.sizes["transmitter"] == 2
        for number in range(2):
            own = st.channels(folder / f"tx{number:03d}", site, carrier_hz=3.5e9, quantity=quantity)
            np.testing.assert_array_equal(made[number].values, own.values)
    gains = st.channels_to_store(tmp_path / "gains", folder, site, carrier_hz=3.5e9, quantity="gains")
    singles = [st.gains(st.load_paths(folder / f"tx{n:03d}"), site, carrier_hz=3.5e9).numpy() for n in range(2)]
    np.testing.assert_array_equal(gains.values, np.concatenate(singles))
    assert (gains["transmitter"].values == np.repeat([0, 1], [len(one) for one in singles])).all()
    with pytest.raises(SiteTwinError, match=r"holds 2 stores .* such as"):
        st.load_paths(folder)


@pytest.mark.parametrize("georeferenced", [True, False])
def test_a_site_replaces_none_of_another_place_unasked(tmp_path, georeferenced):
    def made(height, latitude, digest):
        site = replace(town(height), provenance={"source": {"kind": "mesh", "files": [{"sha256": digest}]}})
        return with_georeference(site, latitude, 11.0) if georeferenced else site

    folder, first = tmp_path / "town", made(10.0, 48.0, "a")
    save_site(first, folder)
    save_site(made(11.0, 48.0001, "a"), folder)
    other = made(10.0, 49.0, "b")
    with pytest.raises(SiteTwinError, match=r"holds a site of another place .*--force"):
        save_site(other, folder)
    assert load_site(folder).bounds[1, 2] == 11.0
    save_site(other, folder, force=True)
    assert load_site(folder).hash == other.hash
