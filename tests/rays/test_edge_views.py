"""What diffracted waves may meet next, where it is found by sampling: small facets are found as large ones are."""

import numpy as np
import pytest

from sitetwin.rays import Interaction, TraceSettings, edges, trace
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.cells import CellGrid, CellUsers
from sitetwin.rays.edge_scene import EdgeScene
from sitetwin.rays.edge_views import SETS, facets_from_cells, facets_in_sight
from sitetwin.site import Site
from tests.rays.shapes import box_quads, ground, quad_site

MAST = np.array([-6.0, 0.5, 11.0])


def plate(x: float, y: float, z: float, side: float) -> list[tuple[float, float, float]]:
    """An upright square."""
    return [(x, y, z), (x + side, y, z), (x + side, y, z + side), (x, y, z + side)]


def plates(side: float) -> Site:
    """A house, and beside it rows of plates in the air that hide nothing from each other, with 20 more underground."""
    rng = np.random.default_rng(3)
    front = [plate(x, 31.0, z, side) for x in range(-28, 30, 6) for z in (2, 5, 8)]
    buried = [plate(*rng.uniform((-20, -20, -9), (20, 20, -3)), side) for _ in range(20)]
    return quad_site([ground(60.0), *box_quads((-3, -4, 0), (3, 4, 8)), *front, *buried])


def users() -> np.ndarray:
    rng = np.random.default_rng(4)
    return np.column_stack([rng.uniform(-25, 25, 40), rng.uniform(8, 25, 40), np.full(40, 1.5)])


def test_facets_in_sight_are_those_that_nothing_hides() -> None:
    """From every cell each plate above the ground, in every set, however small it looks; below the ground none."""
    site = plates(0.05)
    scene, cells = EdgeScene(site, RayCaster(site), MAST), CellUsers.of(users(), CellGrid.over(users()))
    place, facet, sets = facets_in_sight(scene, cells, np.arange(site.num_facets), 0)
    above, below = np.arange(7, site.num_facets - 20), np.arange(site.num_facets - 20, site.num_facets)
    for cell in range(len(cells.cells)):
        here = place == cell
        assert set(above) <= set(facet[here])
        assert not set(below) & set(facet[here])
        assert (sets[here & np.isin(facet, above)] == (1 << SETS) - 1).all()
        assert 1 not in facet[here]  # the house's floor
    by_chance = facets_from_cells(scene, cells, 0)[1]
    assert np.isin(above, by_chance).mean() < 0.2


def test_what_is_wanted_alone_is_looked_for() -> None:
    site = plates(0.5)
    scene, cells = EdgeScene(site, RayCaster(site), MAST), CellUsers.of(users(), CellGrid.over(users()))
    facet = facets_in_sight(scene, cells, np.array([8, 11]), 0)[1]
    assert set(facet) == {8, 11}
    assert len(facets_in_sight(scene, cells, np.zeros(0, np.int64), 0)[0]) == 0


def test_sampling_finds_what_trying_everything_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plates of 0.7 m at some 20 m: of the paths that they reflect after the edge, nearly all."""
    site = plates(0.7)
    settings = TraceSettings(max_depth=2, diffraction=True, reflections_before=0, rays_per_lattice=20_000)
    found = []
    for most in (edges._TRY_ALL_PAIRS, 0):
        monkeypatch.setattr(edges, "_TRY_ALL_PAIRS", most)
        paths = trace(site, MAST, users(), settings)
        after = (paths.kinds[:, 0] == Interaction.DIFFRACTION) & (paths.facets[:, 1] >= 7)
        found.append(int(after.sum()))
    assert found[0] > 100
    assert found[1] >= 0.98 * found[0]
