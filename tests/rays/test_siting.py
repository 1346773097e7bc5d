"""The roof edge that sees most: against the exact lines of sight, and better than its neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.rays.siting import best_roof_edge, visible
from sitetwin.site import user_grid
from sitetwin.site.places.roofs import roof_places
from sitetwin.site.places.sight import sees
from tests.site.conftest import block, make_town


def test_the_best_edge_sees_as_much_as_any_other() -> None:
    town = make_town(
        [
            ("low", block(-60, -20, -40, 20, 8.0), 1),
            ("high", block(30, -20, 50, 20, 25.0), 1),
            ("screen", block(-10, -30, -8, 30, 15.0), 1),
        ]
    )
    users, _ = user_grid((-35, -45, 25, 45), 5.0, 1.5, town)
    pose, share = best_roof_edge(town, users, ["low", "high"], spacing=4.0)
    places = [np.array(p.position) for name in ("low", "high") for p in roof_places(town, name, 4.0)]
    shares = [sees(town, place, users).mean() for place in places]
    assert share == pytest.approx(max(shares), abs=2 / len(users))  # single precision may differ at a rim
    assert np.mean(visible(town, np.array(pose.position), users)) == share
    assert pose.position[2] == 27.0
    assert pose.pitch > 0  # it looks down
    with pytest.raises(SiteTwinError, match="no users"):
        best_roof_edge(town, users[:0], ["low"])
    with pytest.raises(SiteTwinError, match="no building"):
        best_roof_edge(town, users, ["castle"])
