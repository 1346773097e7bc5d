"""Which tiles scatter to a user: those that carry most power, with an account of what was left out."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sitetwin.channel import AntennaArray, FieldOptions, Radio, path_gains
from sitetwin.channel.fields.scattering import lobe_integral as lobe_integral_of_fields
from sitetwin.cli import app as cli
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays import DiffuseAccount, Interaction, TraceJob, TraceSettings, load_paths, summarise, trace
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.scatter.diffuse import diffuse_pairs
from sitetwin.rays.scatter.lit import LitTiles
from sitetwin.rays.scatter.roughness import Roughness, lobe_integral
from sitetwin.rays.scatter.tiles import surface_tiles
from sitetwin.site import Site
from sitetwin.site.io import save_site
from sitetwin.site.materials import Material
from tests.rays.shapes import box_quads, ground, quad_site

F = 3.5e9
FREE = (299_792_458.0 / F / (4 * math.pi)) ** 2
METAL = Material("metal", relative_permittivity=1.0, conductivity=1e12)
BOTH = Radio(AntennaArray.ula(1, polarisation="VH"))
TX, USERS = np.array([-14.0, 2.0, 9.0]), np.array([[12.0, -3.0, 1.5], [3.0, 5.0, 1.5], [-8.0, -5.0, 2.0]])
PATTERNS = [
    {},
    {"scattering_pattern": "directive", "alpha_r": 5},
    {"scattering_pattern": "backscattering", "alpha_r": 3, "alpha_i": 8, "forward_share": 0.6},
]


def rough(name: str, s: float, **options) -> Material:
    return replace(METAL, name=name, scattering_coefficient=s, **options)


def street(floor: Material, wall: Material) -> Site:
    """A ground and two blocks along a street."""
    quads = [ground(40.0), *box_quads((-30, 8, 0), (20, 20, 15)), *box_quads((-20, -22, 0), (30, -9, 11))]
    return quad_site(quads, [floor, *[wall] * 12])


def wanted(most: int, tile: float = 6.0) -> TraceSettings:
    return TraceSettings(max_depth=1, rays_per_lattice=2000, unseen_bound=0.5, diffuse_paths=most, diffuse_tile_m=tile)


def diffuse_power(site: Site, paths) -> tuple[np.ndarray, np.ndarray]:
    """Power that one port sends and both polarisations of the user catch, over free space's, of the diffuse paths."""
    power = path_gains(paths, site, F, BOTH, BOTH, dtype=torch.complex128).power[:, :, 0].sum(1).numpy() / FREE
    rows = (paths.kinds == Interaction.DIFFUSE).any(axis=1)
    return power[rows], paths.facets[rows, 0]


@pytest.mark.parametrize("alpha", [1.0, 2.0, 7.0, 100.0])
def test_lobes_are_normalised_as_in_the_fields(alpha):
    cosine = np.linspace(0.01, 1, 40)
    ours = lobe_integral(np.full(40, alpha), cosine)
    theirs = lobe_integral_of_fields(torch.full((40,), alpha).double(), torch.from_numpy(cosine))
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12)


@pytest.mark.parametrize("options", PATTERNS)
def test_the_bound_is_the_power_where_all_is_reflected(options):
    """A metal street: each path's power is its bound, and the account's sums are those of the fields."""
    site = street(rough("floor", 0.4, **options), rough("wall", 0.8))
    paths = trace(site, TX, USERS, wanted(5000))
    power, facet = diffuse_power(site, paths)
    lit = LitTiles.of(site, RayCaster(site), TX, 6.0)
    rows = (paths.kinds == Interaction.DIFFUSE).any(axis=1)
    tile = surface_tiles(site, 6.0).find(paths.facets[rows, 0], paths.vertices[rows, 0])
    at = np.searchsorted(lit.tile, tile)
    bound = lit.take(at).strengths(USERS[paths.user_of_path[rows]]) / np.pi
    np.testing.assert_allclose(power, bound, rtol=2e-3)
    account = DiffuseAccount.of(paths.attributes)
    assert account.left_out == pytest.approx(0.0, abs=1e-12)
    assert account.share("floor") == pytest.approx(power[facet == 0].sum() / power.sum(), rel=1e-3)


@pytest.mark.parametrize("options", PATTERNS)
@pytest.mark.parametrize("most", [1, 10, 40])
def test_the_share_left_out_is_that_of_a_run_that_keeps_all(options, most):
    site = street(rough("floor", 0.2), rough("wall", 0.6, **options))
    kept, facet = diffuse_power(site, trace(site, TX, USERS, wanted(most)))
    every, facets = diffuse_power(site, trace(site, TX, USERS, wanted(5000)))
    account = DiffuseAccount.of(trace(site, TX, USERS, wanted(most)).attributes)
    assert account.sampled_users == account.users == 3
    assert account.left_out == pytest.approx(1 - kept.sum() / every.sum(), abs=2e-3)
    for name, mine, all_ in (("floor", facet == 0, facets == 0), ("wall", facet > 0, facets > 0)):
        assert account.left_out_of(name) == pytest.approx(1 - kept[mine].sum() / every[all_].sum(), abs=2e-3)
        assert sum(row.paths for row in account.surfaces if row.material == name) == np.count_nonzero(mine)


@pytest.mark.parametrize("tile", [2.0, 6.0])
def test_a_surface_that_does_not_scatter_takes_no_place(tile):
    """The fault of a real street: all places went to a ground that scatters nothing."""
    smooth = trace(street(rough("floor", 0.0), rough("wall", 0.5)), TX, USERS, wanted(30, tile))
    assert (smooth.facets[(smooth.kinds == Interaction.DIFFUSE).any(axis=1), 0] > 0).all()
    assert [row.material for row in DiffuseAccount.of(smooth.attributes).surfaces] == ["wall"]
    assert smooth.attributes["smooth_facets"] == [[0, 1]]
    none = trace(street(rough("floor", 0.0), rough("wall", 0.0)), TX, USERS, wanted(30, tile))
    alike = trace(street(rough("floor", 0.5), rough("wall", 0.5)), TX, USERS, wanted(30, tile))
    np.testing.assert_array_equal(none.facets, alike.facets)  # as before: tiles of equal Lambertian surfaces
    assert DiffuseAccount.of(none.attributes).assumed
    assert not DiffuseAccount.of(alike.attributes).assumed


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.9]), min_size=2, max_size=2).filter(any),
    st.sampled_from(PATTERNS),
    st.integers(1, 12),
)
def test_no_choice_of_as_many_visible_tiles_carries_more(s, options, most):
    """The kept tiles carry what the strongest visible ones do, and no less than those that geometry alone takes."""
    site = street(rough("floor", s[0]), rough("wall", s[1], **options))
    every, _ = diffuse_power(site, trace(site, TX, USERS[:1], wanted(5000, 9.0)))
    kept, _ = diffuse_power(site, trace(site, TX, USERS[:1], wanted(most, 9.0)))
    best = np.sort(every)[::-1][:most].sum()
    assert kept.sum() == pytest.approx(best, rel=5e-3)
    equal = street(rough("floor", 0.5), rough("wall", 0.5))
    geometric = trace(equal, TX, USERS[:1], wanted(most, 9.0))
    by_geometry, _ = diffuse_power(site, replace(geometric, attributes={"settings": geometric.attributes["settings"]}))
    assert kept.sum() >= by_geometry.sum() * (1 - 5e-3)


def test_pruning_by_boxes_loses_nothing_of_lobes():
    """Users far apart and close together over surfaces of all patterns: the same tiles as for each user alone."""
    site = street(rough("floor", 0.3, **PATTERNS[1]), rough("wall", 0.5, **PATTERNS[2]))
    caster, rng = RayCaster(site), np.random.default_rng(8)
    users = np.concatenate(
        [rng.uniform((-38, -7, 0.3), (38, 7, 25), (20, 3)), rng.uniform((0, 0, 0.2), (5, 5, 1), (20, 3))]
    )
    user, tile = diffuse_pairs(site, caster, TX, users, 2, 2.0)
    for u in range(len(users)):
        np.testing.assert_array_equal(tile[user == u], diffuse_pairs(site, caster, TX, users[u : u + 1], 2, 2.0)[1])


def test_the_bound_of_a_large_lambertian_plate_in_closed_form():
    """Both ends at height h: the integral of ``S^2 h^2 / (pi d^6)`` over the plate is ``S^2 / (2 h^2)``."""
    height, site = 5.0, quad_site([ground(60.0)], [rough("plate", 0.6)])
    paths = trace(site, np.array([0, 0, height]), np.array([[0.01, 0, height]]), wanted(20_000, 2.0))
    (row,) = DiffuseAccount.of(paths.attributes).surfaces
    assert row.kept == pytest.approx(0.6**2 / (2 * height**2), rel=0.01)


def test_the_choice_is_reciprocal_and_turns_with_the_scene():
    """Lambertian tiles: the ends may change places. Any scene may be turned and moved."""
    site = street(rough("floor", 0.4), rough("wall", 0.7))
    caster = RayCaster(site)
    one, other = (diffuse_pairs(site, caster, a, b[None], 25, 4.0)[1] for a, b in ((TX, USERS[0]), (USERS[0], TX)))
    np.testing.assert_array_equal(one, other)
    lobed = street(rough("floor", 0.4, **PATTERNS[2]), rough("wall", 0.7, **PATTERNS[1]))
    turn, shift = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), np.array([30.0, -20.0, 0.0])
    corners = lobed.vertices.reshape(-1, 4, 3) @ turn.T + shift
    moved = quad_site(corners.tolist(), list(lobed.materials))
    accounts = [
        DiffuseAccount.of(trace(site, tx, users, wanted(15)).attributes)
        for site, tx, users in ((lobed, TX, USERS), (moved, turn @ TX + shift, USERS @ turn.T + shift))
    ]
    for row, twin in zip(accounts[0].surfaces, accounts[1].surfaces, strict=True):
        assert (row.paths, row.material) == (twin.paths, twin.material)
        assert row.kept == pytest.approx(twin.kept, rel=1e-6)
        assert row.sampled_seen == pytest.approx(twin.sampled_seen, rel=1e-6)


def test_fields_know_what_the_trace_left_out():
    floor, wall = rough("floor", 0.0), rough("wall", 0.5)
    site = street(floor, wall)
    paths = trace(site, TX, USERS, wanted(20))
    path_gains(paths, site, F)
    raised = street(rough("floor", 0.3), wall)
    with pytest.raises(SiteTwinError, match=r"surfaces of 'floor' scatter \(S = 0.3\) but scattered nothing in the tr"):
        path_gains(paths, raised, F)
    path_gains(paths, raised, F, options=FieldOptions(diffuse=False))  # nothing scatters then, nothing is missing
    path_gains(paths, street(floor, rough("other", 0.9)), F)  # all that was chosen scatters more, in proportion
    mixed = trace(street(rough("floor", 0.9), rough("wall", 0.05)), TX, USERS, wanted(20))
    with pytest.warns(SiteTwinWarning, match="of the diffuse power is left out now"):
        path_gains(mixed, street(rough("floor", 0.05), rough("wall", 0.9)), F)


def test_stores_sum_their_tiles_up_and_are_of_one_scattering(tmp_path):
    site, users = street(rough("floor", 0.4), rough("wall", 0.7)), np.repeat(USERS, 3, axis=0)
    (store,) = TraceJob(site, TX, users, wanted(6), tile_users=4).run(tmp_path / "p")
    whole = DiffuseAccount.of(trace(site, TX, users, wanted(6)).attributes)
    for found in (summarise(store.path).diffuse, DiffuseAccount.of(load_paths(store.path).attributes)):
        assert found.users == found.sampled_users == 9
        assert found.left_out == pytest.approx(whole.left_out, abs=1e-12)
        assert [row.paths for row in found.surfaces] == [row.paths for row in whole.surfaces]
    load_paths(store.path).save(tmp_path / "again", tile_users=3)
    again = summarise(tmp_path / "again").diffuse
    assert again == found
    json.dumps(load_paths(store.path).attributes)
    with pytest.raises(SiteTwinError):
        TraceJob(street(rough("floor", 0.8), rough("wall", 0.7)), TX, users, wanted(6), tile_users=4).run(
            tmp_path / "p"
        )
    double = street(rough("floor", 0.2), rough("wall", 0.35))
    assert Roughness.of(double).key == Roughness.of(site).key  # the choice is the same


def test_the_command_prints_the_account(tmp_path):
    site = save_site(street(rough("floor", 0.0), rough("wall", 0.7)), tmp_path / "s")
    more = ["--tx", "-14,2,9", "--area=-10,-6,10,6", "--spacing", "4", "--depth", "1", "--diffuse", "3"]
    result = CliRunner().invoke(cli.app, ["trace", str(site), *more, "--out", str(tmp_path / "p")])
    assert result.exit_code == 0, result.stderr
    assert "diffuse power left out" in result.stdout
    assert "diffuse paths of 'wall'" in result.stdout
    assert "100.0% of the kept power" in " ".join(result.stdout.replace("│", " ").split())
    assert "'floor'" not in result.stdout


@pytest.mark.parametrize("pattern", PATTERNS[1:])
def test_another_pattern_than_that_of_the_trace_is_said(pattern):
    """Tiles that were chosen for Lambert's law carry less than the best of those with lobes: a fifth and more."""
    flat = street(rough("floor", 0.3), rough("wall", 0.5))
    lobed = street(rough("floor", 0.3, **pattern), rough("wall", 0.5, **pattern))
    paths = trace(flat, TX, USERS, wanted(20))
    assert paths_with_lobes_lose(paths, trace(lobed, TX, USERS, wanted(20)), lobed)
    with pytest.warns(SiteTwinWarning, match=r"'(floor|wall)' scatter otherwise .* than in the trace"):
        path_gains(paths, lobed, F)
    account = paths.attributes["diffuse_account"]
    old = {**account, "surfaces": [{k: v for k, v in row.items() if k != "pattern"} for row in account["surfaces"]]}
    assert DiffuseAccount.of({"diffuse_account": old}).surfaces[0].pattern == ""  # stores of older code are read


def paths_with_lobes_lose(paths, better, site) -> bool:
    with pytest.warns(SiteTwinWarning):
        power = diffuse_power(site, paths)[0]
    return power.sum() < diffuse_power(site, better)[0].sum()
