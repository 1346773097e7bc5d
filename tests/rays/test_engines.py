"""Both engines behind one interface: the same paths, and a sentence for what one cannot do."""

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceSettings, load_paths, summarise, trace, trace_to_store
from sitetwin.rays.compare import match_paths
from sitetwin.site import Ellipsoid, Vegetation
from tests.rays.shapes import box_quads, ground, quad_site

SETTINGS = TraceSettings(max_depth=2, rays_per_lattice=100_000)
TRANSMITTER = np.array([-10.0, 1.0, 9.0])


@pytest.fixture(scope="module")
def site():
    return quad_site([ground(60.0), *box_quads((-30, 8, 0), (20, 20, 15)), *box_quads((-20, -22, 0), (30, -9, 11))])


@pytest.fixture(scope="module")
def users():
    rng = np.random.default_rng(2)
    return np.column_stack([rng.uniform(-12, 18, 30), rng.uniform(-7, 6, 30), np.full(30, 1.5)])


@pytest.fixture(scope="module")
def theirs(site, users):
    told = []
    paths = trace(site, TRANSMITTER, users, SETTINGS, told.append, engine="sionna")
    assert told[-1] == 1.0
    return paths


def test_the_engines_find_the_same_paths(site, users, theirs):
    ours = trace(site, TRANSMITTER, users, SETTINGS)
    match = match_paths(ours, theirs)
    assert len(match.a) >= 0.99 * max(ours.num_paths, theirs.num_paths)
    np.testing.assert_allclose(ours.length[match.a], theirs.length[match.b], atol=1e-9)
    assert (ours.attributes["engine"], theirs.attributes["engine"]) == ("sitetwin dense", "sionna-rt")


def test_a_store_by_the_other_engine(site, users, theirs, tmp_path):
    trace_to_store(tmp_path / "p", site, TRANSMITTER, users, SETTINGS, 30, engine="sionna")
    loaded = load_paths(tmp_path / "p")
    np.testing.assert_array_equal(loaded.facets, theirs.facets)
    np.testing.assert_array_equal(loaded.length, theirs.length)
    assert summarise(tmp_path / "p").unseen_share is None
    trace_to_store(tmp_path / "p", site, TRANSMITTER, users, SETTINGS, 30, engine="sionna")  # nothing is left to do
    with pytest.raises(SiteTwinError, match=r"engine \(.sionna. there"):
        trace_to_store(tmp_path / "p", site, TRANSMITTER, users, SETTINGS, 30)


def test_what_it_cannot_do_is_said(site, users, tmp_path):
    import dataclasses

    wooded = dataclasses.replace(site, vegetation=Vegetation((Ellipsoid((0, 0, 5), (2, 2, 2)),)))
    with pytest.raises(SiteTwinError, match="knows no vegetation"):
        trace(wooded, TRANSMITTER, users, SETTINGS, engine="sionna")
    with pytest.raises(SiteTwinError, match="knows no vegetation"):
        trace_to_store(tmp_path / "p", wooded, TRANSMITTER, users, SETTINGS, engine="sionna")
    assert not (tmp_path / "p").exists()
    with pytest.raises(SiteTwinError, match="no engine 'other'; choose sitetwin or sionna"):
        trace(site, TRANSMITTER, users, SETTINGS, engine="other")


@pytest.mark.parametrize("wanted", [{"diffraction": True}, {"max_transmissions": 1}, {"diffuse_paths": 2}])
def test_mechanisms_it_is_not_asked_for_are_refused(site, users, tmp_path, wanted):
    from dataclasses import replace

    settings = replace(SETTINGS, **wanted)
    with pytest.raises(SiteTwinError, match="line of sight and reflections only"):
        trace(site, TRANSMITTER, users, settings, engine="sionna")
    with pytest.raises(SiteTwinError, match="line of sight and reflections only"):
        trace_to_store(tmp_path / "p", site, TRANSMITTER, users, settings, engine="sionna")
    assert not (tmp_path / "p").exists()
