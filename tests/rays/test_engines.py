"""Both engines behind one interface: the same paths, and a sentence for what one cannot do."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from sitetwin.channel import path_gains
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays import TraceJob, TraceSettings, load_paths, summarise, trace
from sitetwin.rays.paths import Interaction
from sitetwin.rays.positions import checked_positions, checked_transmitters
from sitetwin.rays.referee import scope as reference_scope
from sitetwin.rays.referee.compare import match_paths
from sitetwin.site import Ellipsoid, Vegetation
from sitetwin.site.materials import itu_material
from tests.rays.shapes import box_quads, ground, quad_site

SETTINGS = TraceSettings(max_depth=2, rays_per_lattice=100_000)
TRANSMITTER = np.array([-10.0, 1.0, 9.0])


@pytest.fixture(scope="module", autouse=True)
def small_tables():
    """Sionna RT's table is as large as it is for cities; a few surfaces need less, and less time."""
    full = reference_scope.reference_settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            reference_scope,
            "reference_settings",
            lambda asked: replace(full(asked), max_num_paths=2_000_000, samples=500_000),
        )
        yield


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
    TraceJob(site, TRANSMITTER, users, SETTINGS, 30, engine="sionna").run(tmp_path / "p")
    loaded = load_paths(tmp_path / "p")
    np.testing.assert_array_equal(loaded.facets, theirs.facets)
    np.testing.assert_array_equal(loaded.length, theirs.length)
    assert summarise(tmp_path / "p").unseen_share is None
    TraceJob(site, TRANSMITTER, users, SETTINGS, 30, engine="sionna").run(tmp_path / "p")  # nothing is left to do
    with pytest.raises(SiteTwinError, match=r"engine \(.sionna. there"):
        TraceJob(site, TRANSMITTER, users, SETTINGS, 30).run(tmp_path / "p")


def test_what_it_cannot_do_is_said(site, users, tmp_path):
    wooded = replace(site, vegetation=Vegetation((Ellipsoid((0, 0, 5), (2, 2, 2)),)))
    with pytest.raises(SiteTwinError, match="knows no vegetation"):
        trace(wooded, TRANSMITTER, users, SETTINGS, engine="sionna")
    with pytest.raises(SiteTwinError, match="knows no vegetation"):
        TraceJob(wooded, TRANSMITTER, users, SETTINGS, engine="sionna").run(tmp_path / "p")
    assert not (tmp_path / "p").exists()
    with pytest.raises(SiteTwinError, match="no engine 'other'; choose sitetwin or sionna"):
        trace(site, TRANSMITTER, users, SETTINGS, engine="other")


def test_diffuse_paths_are_refused_with_the_reason(site, users, tmp_path):
    settings = TraceSettings(max_depth=1, diffuse_paths=4)
    with pytest.raises(SiteTwinError, match="engine sionna scatters at a random point"):
        trace(site, TRANSMITTER, users, settings, engine="sionna")
    with pytest.raises(SiteTwinError, match="engine sionna scatters at a random point"):
        TraceJob(site, TRANSMITTER, users, settings, engine="sionna").run(tmp_path / "p")
    assert not (tmp_path / "p").exists()


@pytest.fixture(scope="module")
def glazed():
    """Two panes of glass beside an opaque house on open ground."""
    glass, brick = itu_material("glass", 0.006), itu_material("brick")
    panes = [[(x, -7, 0), (x, 7, 0), (x, 7, 9), (x, -7, 9)] for x in (2.0, 6.0)]
    return quad_site([ground(60.0), *box_quads((-30, 8, 0), (20, 20, 15)), *panes], [brick] * 7 + [glass] * 2)


@pytest.fixture(scope="module")
def both(glazed):
    """All kinds of paths of both engines; users keep clear of the panes and stand behind the house too."""
    rng = np.random.default_rng(5)
    places = np.array([[-6.0, 0, 1.5], [4, 0, 1.5], [12, 0, 1.5], [-4, 27, 1.5], [25, 15, 1.5]])
    users = np.repeat(places, 4, axis=0) + rng.uniform(-1.5, 1.5, (20, 3)) * [1, 1, 0.3]
    settings = TraceSettings(max_depth=2, max_transmissions=2, diffraction=True, rays_per_lattice=100_000)
    ours = trace(glazed, TRANSMITTER, users, settings)
    with pytest.warns(SiteTwinWarning, match="diffracted paths of Sionna RT were dropped"):
        theirs = trace(glazed, TRANSMITTER, users, settings, engine="sionna")
    return users, settings, ours, theirs


def test_the_engines_find_the_same_diffracted_and_transmitted_paths(glazed, both):
    _, _, ours, theirs = both
    match = match_paths(ours, theirs)
    # What the ground was cut at is no edge of the site's; the other engine does not know that.
    edges = theirs.kinds[match.only_b] == Interaction.DIFFRACTION
    at_rim = edges & glazed.wedges.rim[np.where(edges, theirs.facets[match.only_b], 0)]
    assert at_rim.any(axis=1).all()
    bent, through = ((ours.kinds == kind).sum(axis=1) for kind in (Interaction.DIFFRACTION, Interaction.TRANSMISSION))
    assert set(through) == {0, 1, 2}
    assert through[match.only_a].max(initial=0) == 0
    assert (bent[match.a] > 0).sum() > 0.87 * (bent > 0).sum() > 100  # 148 of 169; with the rims it was 205 of 226
    np.testing.assert_array_equal(ours.facets[match.a], theirs.facets[match.b])
    np.testing.assert_allclose(ours.vertices[match.a], theirs.vertices[match.b], atol=1e-9)
    np.testing.assert_allclose(ours.length[match.a], theirs.length[match.b], atol=1e-9)


def test_edges_that_are_none_are_dropped_and_counted(both):
    """The feet of the walls are free edges of a house's own mesh; on the ground they are concave corners."""
    theirs = both[3]
    assert theirs.attributes["dropped_at_no_wedge"] > 10
    assert (theirs.facets[theirs.kinds > 0] >= 0).all()
    edges = theirs.vertices[theirs.kinds == Interaction.DIFFRACTION]
    assert edges[np.abs(edges[:, :2]).max(axis=1) < 59, 2].min() > 0.01  # the ground's own rim is an edge


def test_both_engines_paths_have_the_same_gains(both, glazed):
    _, _, ours, theirs = both
    match = match_paths(ours, theirs)
    gains = [path_gains(paths, glazed, 3.5e9, dtype=torch.complex128).values.ravel() for paths in (ours, theirs)]
    np.testing.assert_allclose(gains[0][match.a], gains[1][match.b], rtol=1e-6)
    slabs = replace(glazed, materials=tuple(itu_material(m.name, 0.2) for m in glazed.materials))
    with pytest.raises(SiteTwinError, match="was opaque when the paths were traced"):
        path_gains(theirs, slabs, 3.5e9)


def test_only_shadow_paths_where_only_they_are_asked_for(both, glazed):
    users, settings, _, _ = both
    settings = replace(settings, lit_region=False, max_transmissions=0)
    ours = trace(glazed, TRANSMITTER, users, settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SiteTwinWarning)
        theirs = trace(glazed, TRANSMITTER, users, settings, engine="sionna")
    match = match_paths(ours, theirs)
    assert len(match.only_b) == 0
    assert ((ours.kinds[match.a] == Interaction.DIFFRACTION).any(axis=1)).sum() > 20


def test_a_store_of_all_that_the_other_engine_finds(both, glazed, tmp_path):
    users, settings, _, theirs = both
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SiteTwinWarning)
        TraceJob(glazed, TRANSMITTER, users, settings, 20, engine="sionna").run(tmp_path / "p")
    loaded = load_paths(tmp_path / "p")
    np.testing.assert_array_equal(loaded.kinds, theirs.kinds)
    np.testing.assert_array_equal(loaded.facets, theirs.facets)
    assert loaded.attributes["dropped_at_no_wedge"] == theirs.attributes["dropped_at_no_wedge"]


def test_diffracted_paths_keep_to_the_reflections_asked_for(both, glazed):
    users, settings, _, _ = both
    settings = replace(settings, max_depth=3, max_transmissions=0, reflections_before=0, reflections_after=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SiteTwinWarning)
        theirs = trace(glazed, TRANSMITTER, users[::4], settings, engine="sionna")
    at = np.nonzero(theirs.kinds == Interaction.DIFFRACTION)
    assert set(at[1]) == {0}
    assert set(theirs.depth[at[0]]) == {1, 2}


def test_paths_and_jobs_keep_their_positions_when_the_callers_arrays_change(site, users):
    places, transmitter = users.copy(), TRANSMITTER.copy()
    paths = trace(site, transmitter, places, TraceSettings(max_depth=0))
    job = TraceJob(site, transmitter, places)
    places[:], transmitter[:] = 99.0, 99.0
    np.testing.assert_array_equal(paths.users, users)
    np.testing.assert_array_equal(paths.transmitter, TRANSMITTER)
    np.testing.assert_array_equal(job.users, users)
    np.testing.assert_array_equal(job.transmitters, TRANSMITTER[None])


@pytest.mark.parametrize("wrong", ["abc", [[1.0, 2.0, 3.0], [1.0, 2.0]], [[1.0, 2.0, "high"]]])
def test_positions_that_are_no_numbers_are_refused(wrong):
    with pytest.raises(SiteTwinError, match="not an array of numbers"):
        checked_positions(TRANSMITTER, wrong)
    with pytest.raises(SiteTwinError, match="not an array of numbers"):
        checked_transmitters(wrong)
