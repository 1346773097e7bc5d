"""What diffracted waves may meet next, where it is found by sampling: small facets are found as large ones are."""

import numpy as np

from sitetwin.rays.caster import RayCaster
from sitetwin.rays.cells import CellGrid, CellUsers
from sitetwin.rays.edges.scene import EdgeScene
from sitetwin.rays.edges.views import SETS, facets_from_cells, facets_in_sight, sides_struck
from sitetwin.site import Site
from tests.rays.shapes import box_quads, ground, quad_site

MAST = np.array([-6.0, 0.5, 11.0])


def plate(x: float, y: float, z: float, side: float) -> list[tuple[float, float, float]]:
    """An upright square."""
    return [(x, y, z), (x + side, y, z), (x + side, y, z + side), (x, y, z + side)]


def plates(side: float) -> Site:
    """A house, and beside it rows of plates in the air that hide nothing from each other, with 20 more underground."""
    rng = np.random.default_rng(3)
    front = [plate(x, 31.0, z, side) for x in range(-16, 18, 2) for z in (1, 2, 3, 4)]
    buried = [plate(*rng.uniform((-20, -20, -9), (20, 20, -3)), side) for _ in range(20)]
    return quad_site([ground(60.0), *box_quads((-3, -4, 0), (3, 4, 8)), *front, *buried])


def users() -> np.ndarray:
    rng = np.random.default_rng(4)
    return np.column_stack([rng.uniform(-12, 12, 40), rng.uniform(8, 25, 40), np.full(40, 1.5)])


def test_facets_in_sight_are_those_that_nothing_hides() -> None:
    """From every cell each plate above the ground, in every set, however small it looks; below the ground none."""
    site = plates(0.05)
    scene, cells = EdgeScene(site, RayCaster(site), MAST), CellUsers.of(users(), CellGrid.over(users()))
    place, facet, sets = facets_in_sight(scene, cells, np.ones((site.num_facets, 2), bool), 0)
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
    sides = np.zeros((site.num_facets, 2), bool)
    assert len(facets_in_sight(scene, cells, sides, 0)[0]) == 0
    users_before = site.facet_normal[8, 1] < 0  # the plates stand north of all users
    sides[[8, 11], 0 if users_before else 1] = True
    sides[[9, 10], 1 if users_before else 0] = True
    assert set(facets_in_sight(scene, cells, sides, 0)[1]) == {8, 11}


def test_the_sides_struck_are_those_where_the_wedges_are() -> None:
    site = plates(0.5)
    scene = EdgeScene(site, RayCaster(site), MAST)
    wedges = site.wedges
    house = np.flatnonzero((np.abs(wedges.start[:, 1]) < 5) & (wedges.start[:, 2] > 0) & (wedges.end[:, 2] > 0))
    sides = sides_struck(scene, house, np.full(len(house), 8))
    assert sides[8].tolist() == ([True, False] if site.facet_normal[8, 1] < 0 else [False, True])
    assert not np.delete(sides, 8, axis=0).any()
