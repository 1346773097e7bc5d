"""What users are coloured by, against the channel functions and closed forms."""

import math

import numpy as np
import pytest
import torch

from sitetwin.channel import AntennaArray, FieldOptions, Radio, path_gains
from sitetwin.channel.link_statistics import link_statistics
from sitetwin.rays import TraceSettings, trace
from sitetwin.rays.paths import Paths
from sitetwin.site import Ellipsoid, Site, Vegetation, load_scene, user_grid
from sitetwin.view.quantities import best_beam, path_powers, user_quantities

CARRIER = 3.5e9


@pytest.fixture(scope="module")
def street() -> tuple[Site, Paths]:
    """A street with one deciduous tree and one that keeps its needles."""
    trees = (
        Ellipsoid((5.0, 0.0, 6.0), (4.0, 4.0, 3.0)),
        Ellipsoid((-15.0, 3.0, 6.0), (2.0, 2.0, 3.0), leaf_type="needleleaved", leaf_cycle="evergreen"),
    )
    site = load_scene("simple_street_canyon").variant(vegetation=Vegetation(trees))
    users, _ = user_grid((-40.0, -8.0, 40.0, 8.0), 4.0, 1.5, site)
    return site, trace(site, np.array([-33.0, 0.0, 12.0]), users, TraceSettings(max_depth=2))


def line_of_sight(directions: np.ndarray) -> Paths:
    """One direct path to each user, in the given directions."""
    count = len(directions)
    empty = np.zeros((count, 0))
    return Paths(
        np.zeros(3), 100.0 * directions, np.arange(count + 1), empty.astype(np.uint8), empty.astype(np.int32),
        np.zeros((count, 0, 3)), np.full(count, 100.0), directions, -directions, np.zeros(count + 1, np.int64),
        np.zeros(0, np.int32), np.zeros(0), np.zeros(0),
    )  # fmt: skip


def test_quantities_are_those_of_the_channel_functions(street: tuple[Site, Paths]) -> None:
    site, paths = street
    power = path_powers(paths, site, CARRIER, Radio(), "in leaf")
    gains = path_gains(paths, site, CARRIER, options=FieldOptions(season="summer"), dtype=torch.complex128).values
    np.testing.assert_allclose(power, gains.abs().square().numpy().reshape(-1), rtol=1e-4)
    link = link_statistics(paths, power)
    found = user_quantities(paths, power, Radio(AntennaArray.ula(8)))
    reached = link.path_gain > 0
    np.testing.assert_allclose(10 ** (found["path gain"].values[reached] / 10), link.path_gain[reached])
    np.testing.assert_allclose(found["delay spread"].values, 1e9 * link.delay_spread)
    np.testing.assert_array_equal(found["line of sight"].values[reached] == 1, link.line_of_sight[reached])
    assert np.isnan(found["K-factor"].values[~link.line_of_sight]).all()
    assert np.isnan(found["path gain"].values[~reached]).all()


def test_seasons_change_only_users_with_crossings(street: tuple[Site, Paths]) -> None:
    site, paths = street
    summer, winter, none = (
        path_powers(paths, site, CARRIER, Radio(), state) for state in ("in leaf", "out of leaf", "no trees")
    )
    crossings = np.diff(paths.crossing_offsets)
    clear = crossings == 0
    np.testing.assert_array_equal(summer[clear], winter[clear])
    np.testing.assert_array_equal(summer[clear], none[clear])
    row = np.repeat(np.arange(paths.num_paths), crossings)
    deciduous = np.zeros(paths.num_paths, dtype=bool)
    deciduous[row[paths.crossing_volume == 0]] = True
    evergreen_only = ~clear & ~deciduous
    assert deciduous.any()
    assert evergreen_only.any()
    assert (winter[deciduous] > summer[deciduous]).all()
    np.testing.assert_array_equal(winter[evergreen_only], summer[evergreen_only])
    assert (none[~clear] > winter[~clear]).all()
    of_user = np.add.reduceat(~clear, paths.offsets[:-1][paths.counts > 0]) > 0
    users = [user_quantities(paths, p, Radio(AntennaArray.ula(8)))["path gain"].values for p in (summer, none)]
    changed = users[0] != users[1]
    np.testing.assert_array_equal(changed[paths.counts > 0], of_user)


def test_without_trees_is_the_trace_without_trees(street: tuple[Site, Paths]) -> None:
    site, paths = street
    bare = site.variant(vegetation=Vegetation.none())
    anew = trace(bare, paths.transmitter, paths.users, TraceSettings(max_depth=2))
    beams = Radio(AntennaArray.ula(8))
    found = user_quantities(paths, path_powers(paths, site, CARRIER, Radio(), "no trees"), beams)
    expected = user_quantities(anew, path_powers(anew, bare, CARRIER, Radio(), "in leaf"), beams)
    np.testing.assert_allclose(found["path gain"].values, expected["path gain"].values, atol=1e-4)


@pytest.mark.parametrize("yaw", [0.0, 1.1])
def test_best_beam_points_at_the_user(yaw: float) -> None:
    """A beam's direction cosine is (b - N // 2) / (N spacing): a user there is served by beam b alone."""
    size = 16
    cosine = (np.arange(size) - size // 2)[1:] / (size * 0.5)  # the first beam looks along the array, both ways
    azimuth = yaw + np.arcsin(cosine)
    directions = np.stack([np.cos(azimuth), np.sin(azimuth), np.zeros(len(azimuth))], axis=1)
    paths = line_of_sight(directions)
    found = best_beam(paths, np.ones(len(azimuth)), Radio(AntennaArray.ula(size), (yaw, 0.0, 0.0)))
    np.testing.assert_array_equal(found, np.arange(1, size))


def test_best_beam_goes_with_the_power() -> None:
    azimuths = np.array([0.0, math.asin(0.5)])
    directions = np.stack([np.cos(azimuths), np.sin(azimuths), np.zeros(2)], axis=1)
    paths = line_of_sight(directions)
    both = Paths(**{**vars(paths), "users": paths.users[:1].repeat(3, axis=0), "offsets": np.array([0, 2, 2, 2])})
    radio = Radio(AntennaArray.ula(8))
    assert best_beam(both, np.array([1.0, 0.1]), radio).tolist() == [4, -1, -1]
    assert best_beam(both, np.array([0.1, 1.0]), radio).tolist() == [6, -1, -1]
