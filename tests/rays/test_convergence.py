"""The convergence table against exhaustive enumeration: what it says is missed, and what is."""

import csv
import io

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.rays import Convergence, Interaction, TraceSettings, convergence, discover, solve
from sitetwin.rays.convergence import spreading_power
from sitetwin.site import Site
from tests.rays.enumeration import enumerate_paths
from tests.rays.laws import Verdict
from tests.rays.shapes import box_quads, ground, quad_site

COARSE = 1000  # rays of a lattice: few enough to miss chains over small facets
LATTICES = 16
FIRST = 5  # row of six lattices, from which on the limits are meant to hold


def scattered_boxes(seed: int) -> Site:
    """A ground with small boxes on it, which a coarse lattice of rays meets only now and then."""
    rng = np.random.default_rng(seed)
    quads = [ground(60.0)]
    for _ in range(7):
        radius, angle = rng.uniform(12, 45), rng.uniform(0, 2 * np.pi)
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        wide, deep, high = rng.uniform(0.4, 2.0, 3)
        quads += box_quads((x - wide, y - deep, 0), (x + wide, y + deep, 2 * high))
    return quad_site(quads)


def one_case(seed: int) -> tuple[np.ndarray, Convergence]:
    """The true missed share after each lattice, and what the table says."""
    site, rng = scattered_boxes(100 + seed), np.random.default_rng(seed)
    transmitter = np.array([rng.uniform(-20, 20), rng.uniform(-6, 6), rng.uniform(3, 18)])
    users = np.column_stack([rng.uniform(-40, 40, (30, 2)), rng.uniform(0.5, 4, 30)])
    oracle = enumerate_paths(site, transmitter, users, 2)
    valid = sum(verdict.verdict is Verdict.VALID for found in oracle for chain, verdict in found.items() if chain)
    direct = sum(() in found for found in oracle)
    settings = TraceSettings(max_depth=2, rays_per_lattice=COARSE, seed=seed)
    table = convergence(site, transmitter, users, settings, lattices=LATTICES)
    return 1 - (table.columns()["paths"] - direct) / valid, table


@pytest.fixture(scope="module")
def cases() -> list[tuple[np.ndarray, Convergence]]:
    return [one_case(seed) for seed in range(8)]


def test_the_true_missed_share_lies_within_the_limits(cases):
    """The limits hold at 95 %; marginal paths, which the oracle may count otherwise, are far fewer than misses."""
    true = np.array([missed[FIRST:] for missed, _ in cases])
    high = np.array([table.columns()["missed_pairs_high"][FIRST:] for _, table in cases])
    assert (true > 0).mean() > 0.1  # there is something to estimate
    assert (true <= high + 1e-12).mean() >= 0.95
    assert high[:, -1].mean() < 0.2  # and the limits say something, for 30 users with some 40 paths


def test_the_estimate_is_right_on_average(cases):
    true = np.mean([missed[1:] for missed, _ in cases])
    estimated = np.mean([table.columns()["missed_pairs"][1:] for _, table in cases])
    assert 1 / 3 < estimated / true < 3


def test_more_rays_never_find_less(cases):
    for _, table in cases:
        columns = table.columns()
        assert (np.diff(columns["paths"]) >= 0).all()
        assert (np.diff(columns["chains"]) >= 0).all()
        np.testing.assert_array_equal(columns["rays"], COARSE * np.arange(1, LATTICES + 1))
        for name in ("missed_pairs", "missed_power"):
            assert (columns[name] <= columns[f"{name}_high"]).all()
            assert columns[f"{name}_high"][0] == 1.0  # one lattice knows nothing of what it missed


@pytest.mark.parametrize("slabs", [0, 2])
def test_a_row_is_what_discovery_reports(slabs):
    """Same seed, same lattices: the estimate is discovery's own, and the paths are those of a trace."""
    site = scattered_boxes(101)
    rng = np.random.default_rng(1)
    transmitter, users = np.array([3.0, 1.0, 9.0]), np.column_stack([rng.uniform(-40, 40, (30, 2)), np.full(30, 1.5)])
    settings = TraceSettings(max_depth=2, rays_per_lattice=COARSE, unseen_bound=0.999, seed=1, max_transmissions=slabs)
    chains = discover(site, transmitter, users, settings)
    row = convergence(site, transmitter, users, settings, lattices=6).rows[5]
    assert (chains.completeness.lattices, len(chains)) == (6, row.chains)
    assert row.missed_pairs == pytest.approx(chains.completeness.unseen_share)
    assert row.missed_pairs_high == pytest.approx(chains.completeness.unseen_high)
    traced = solve(site, chains, users, settings)
    assert row.paths == traced.num_paths
    assert (traced.kinds == Interaction.TRANSMISSION).any() == bool(slabs)


def test_power_behind_walls_is_weighed_with_them():
    """What `power` is asked about are the whole paths, with the slabs that they pass."""
    site = quad_site([ground(60.0), *box_quads((-4, -4, 0), (4, 4, 3))])
    users = np.array([[0.5, 1.0, 1.5], [20.0, 3.0, 1.5]])
    settings = TraceSettings(max_depth=1, rays_per_lattice=20_000, max_transmissions=1)
    asked = []

    def power(paths):
        asked.append(paths)
        return np.where((paths.kinds == Interaction.TRANSMISSION).any(axis=1), 0.0, spreading_power(paths))

    table = convergence(site, np.array([9.0, 0.0, 8.0]), users, settings, lattices=3, power=power)
    (paths,) = asked
    through = (paths.kinds == Interaction.TRANSMISSION).any(axis=1)
    assert through[paths.user_of_path == 0].all()
    assert not through.all()
    assert table.rows[-1].paths == paths.num_paths


def test_edges_and_rough_surfaces_have_no_lattices():
    for asked in ({"diffraction": True}, {"diffuse_paths": 1}):
        with pytest.raises(SiteTwinError, match="covers line of sight, reflections and transmissions only"):
            convergence(
                quad_site([ground()]), np.array([0, 0, 5.0]), np.array([[3.0, 0, 1]]), TraceSettings(1, **asked)
            )


def test_power_is_what_it_is_weighed_by(cases):
    """With all power in the line of sight nothing can be missed of it."""
    site = quad_site([ground(60.0)])
    transmitter, users = np.array([0, 0, 10.0]), np.array([[30.0, 0, 1.5], [0, 20.0, 1.5]])
    settings = TraceSettings(max_depth=1, rays_per_lattice=COARSE)
    table = convergence(
        site, transmitter, users, settings, lattices=3, power=lambda paths: (paths.depth == 0).astype(float)
    )
    assert table.rows[-1].missed_power_high == 0.0
    assert table.rows[-1].missed_pairs_high > 0.0


def test_the_stop_rule_waits_for_both_bounds(cases):
    _, table = cases[0]
    columns = table.columns()
    loose = table.stop(pairs=1.0, power=1.0)
    assert loose is not None
    assert loose.lattices == 6
    assert table.stop(pairs=1e-9) is None
    bound = float(columns["missed_power_high"][5])
    row = table.stop(power=bound)
    if row is not None:
        later = columns["missed_power_high"][row.lattices - 1 :]
        assert (later <= bound).all()


def test_the_table_is_written_as_csv(cases):
    _, table = cases[0]
    read = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert len(read) == LATTICES
    assert int(read[-1]["paths"]) == table.rows[-1].paths
    assert float(read[-1]["missed_power"]) == table.rows[-1].missed_power


@pytest.mark.parametrize(("changes", "said"), [({"lattices": 0}, "0 lattices"), ({"confidence": 1.0}, "confidence")])
def test_impossible_numbers_get_a_sentence(changes, said):
    with pytest.raises(SiteTwinError, match=said):
        convergence(quad_site([ground()]), np.array([0, 0, 5.0]), np.array([[3.0, 0, 1]]), **changes)
