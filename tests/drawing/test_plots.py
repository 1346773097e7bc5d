"""The public plots draw the values that they are given, and refuse what does not fit."""

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot
from mpl_toolkits.mplot3d.art3d import Line3DCollection

from sitetwin.channel import path_gains
from sitetwin.drawing.plots import (
    plot_angular_power_spectrum,
    plot_best_server,
    plot_cdf,
    plot_coverage,
    plot_path_histogram,
    plot_power_delay_profile,
    plot_rays,
    plot_scene,
)
from sitetwin.drawing.plots.distributions import path_kinds
from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import load_scene, user_grid

MAST = np.array([-33.0, 0.0, 12.0])
GRID = np.stack([*np.meshgrid(np.arange(6.0), np.arange(4.0)), np.full((4, 6), 1.5)], axis=-1).reshape(-1, 3)


@pytest.fixture(scope="module")
def canyon():
    site = load_scene("simple_street_canyon")
    users, _ = user_grid((-20.0, -8.0, 20.0, 8.0), 8.0, 1.5, site)
    paths = trace(site, MAST, users, TraceSettings(max_depth=2))
    gains = path_gains(paths, site, 3.5e9)
    return site, paths, gains


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def power_of(gains):
    return gains.power[:, 0, 0].numpy()


def test_a_coverage_shows_each_user_at_its_place():
    values = np.arange(24.0) - 100
    values[5] = np.nan
    ax = plot_coverage(values, GRID, label="path gain (dB)", transmitters=[2.0, 1.0, 20.0], limits=(-100.0, -70.0))
    image = ax.images[-1]
    xmin, xmax, ymin, ymax = image.get_extent()
    shown = image.get_array()
    assert shown.shape == (4, 6)
    for (x, y, _), value in zip(GRID, values, strict=True):
        cell = shown[int((y - ymin) / (ymax - ymin) * 4), int((x - xmin) / (xmax - xmin) * 6)]
        assert cell is np.ma.masked if np.isnan(value) else cell == value
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("east (m)", "north (m)")
    assert image.colorbar.ax.get_ylabel() == "path gain (dB)"
    assert (image.norm.vmin, image.norm.vmax) == (-100, -70)
    assert [text.get_text() for text in ax.texts] == ["BS"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["no value"]


def test_labelled_arrays_bring_their_users_and_units():
    values = xr.DataArray(
        np.linspace(0, 1, 24),
        dims="user",
        coords={"x": ("user", GRID[:, 0]), "y": ("user", GRID[:, 1])},
        attrs={"long_name": "delay spread", "units": "s"},
    )
    assert plot_coverage(values).images[-1].colorbar.ax.get_ylabel() == "delay spread (s)"
    with pytest.raises(SiteTwinError, match="no coordinates x and y"):
        plot_coverage(values.drop_vars("x"))


def test_the_best_server_has_a_name_and_a_colour():
    serving = np.repeat([-1, 0, 2], 8)
    ax = plot_best_server(serving, GRID, names=["north", "west", "east"], transmitters=np.eye(3) * 3)
    shown = ax.images[-1].get_array()
    assert shown.compressed().tolist() == serving[serving >= 0].tolist()
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["north", "east", "no value"]
    assert {t.get_text() for t in ax.texts} == {"north", "west", "east"}
    for bad, said in (
        ({"names": ["one"]}, "1 names for 3 stations"),
        ({"names": [f"{i}" for i in range(30)]}, "colours that can be told apart"),
    ):
        with pytest.raises(SiteTwinError, match=said):
            plot_best_server(serving, GRID, **bad)
    with pytest.raises(SiteTwinError, match="whole numbers"):
        plot_best_server(serving + 0.5, GRID)


@pytest.mark.parametrize(
    ("values", "users", "more", "said"),
    [
        (np.zeros(3), GRID, {}, "do not fit 24 users"),
        (np.zeros(24), GRID[:, :1], {}, r"users have the shape \(24, 1\)"),
        (np.zeros(24), None, {}, "positions of the users are missing"),
        (np.zeros(24), GRID, {"limits": (3.0, 3.0)}, "limits of the colours"),
        (np.zeros(24), GRID, {"transmitters": np.zeros((2, 5))}, "transmitters have the shape"),
    ],
)
def test_coverages_that_do_not_fit_are_refused(values, users, more, said):
    with pytest.raises(SiteTwinError, match=said):
        plot_coverage(values, users, **more)


def test_rays_end_at_transmitter_and_user(canyon):
    site, paths, gains = canyon
    user = int(np.argmax(paths.counts))
    power = power_of(gains)
    ax = plot_rays(site, paths, user, power, floor_db=200)
    (rays,) = [c for c in ax.collections if isinstance(c, Line3DCollection)]
    lines = rays._segments3d
    rows = np.arange(paths.offsets[user], paths.offsets[user + 1])
    rows = rows[power[rows] > 0]
    assert len(lines) == len(rows)
    lengths = sorted(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in lines)
    np.testing.assert_allclose(lengths, np.sort(paths.length[rows]), rtol=1e-9)
    for line in lines:
        np.testing.assert_allclose(line[[0, -1]], [MAST, paths.users[user]])
    assert [ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel()] == ["east (m)", "north (m)", "height (m)"]
    near = plot_rays(None, paths, user, gains, floor_db=3)
    assert len(near.collections[0]._segments3d) < len(lines)
    plot_rays(site, paths, user).figure.canvas.draw()
    with pytest.raises(SiteTwinError, match="axes in space"):
        plot_rays(site, paths, user, ax=pyplot.figure().add_subplot())


def test_a_delay_profile_has_the_delays_and_powers_of_the_paths(canyon):
    _, paths, gains = canyon
    user, power = int(np.argmax(paths.counts)), power_of(gains)
    own = pyplot.figure().add_subplot()
    ax = plot_power_delay_profile(paths, power, user, floor_db=300, ax=own)
    assert ax is own
    drawn = np.concatenate([np.stack(line.get_data(), axis=1) for line in ax.lines])
    rows = np.arange(paths.offsets[user], paths.offsets[user + 1])
    rows = rows[power[rows] > 0]
    wanted = np.stack([1e9 * paths.delay[rows], 10 * np.log10(power[rows])], axis=1)
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], wanted[np.lexsort(wanted.T)])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("delay (ns)", "path gain (dB)")


@pytest.mark.parametrize("side", ["departure", "arrival"])
def test_an_angular_spectrum_has_the_directions_of_the_paths(canyon, side):
    _, paths, gains = canyon
    user, power = int(np.argmax(paths.counts)), power_of(gains)
    ax = plot_angular_power_spectrum(paths, power, user, side=side, floor_db=300)
    azimuth, elevation = np.radians(np.asarray(ax.collections[0].get_offsets())).T
    drawn = np.stack([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)], 1)
    rows = np.arange(paths.offsets[user], paths.offsets[user + 1])
    rows = rows[np.argsort(power[rows], kind="stable")]
    rows = rows[power[rows] > 0]
    found = {tuple(v) for v in np.round(drawn, 6) + 0.0}
    assert found == {tuple(v) for v in np.round(getattr(paths, side)[rows], 6) + 0.0}
    np.testing.assert_allclose(ax.collections[0].get_array(), 10 * np.log10(power[rows]))


def test_powers_users_and_sides_that_do_not_fit_are_refused(canyon):
    site, paths, gains = canyon
    power = power_of(gains)
    for bad, user, said in (
        (power[:-1], 0, "powers of shape"),
        (-power - 1, 0, "powers of shape"),
        (power, paths.num_users, "there is no user"),
        (0 * power, 0, "no path reaches user 0"),
    ):
        for plot in (plot_power_delay_profile, plot_angular_power_spectrum):
            with pytest.raises(SiteTwinError, match=said):
                plot(paths, bad, user)
        with pytest.raises(SiteTwinError, match=said):
            plot_rays(site, paths, user, bad)
    with pytest.raises(SiteTwinError, match="positive number"):
        plot_power_delay_profile(paths, power, 0, floor_db=0)


def test_histograms_count_the_paths(canyon):
    _, paths, _ = canyon
    ax = plot_path_histogram(paths)
    share = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in ax.patches}
    for count, expected in zip(*np.unique(paths.counts, return_counts=True), strict=True):
        assert share[int(count)] == pytest.approx(expected / paths.num_users)
    assert sum(share.values()) == pytest.approx(1)
    ax = plot_path_histogram(paths, "kind")
    kinds, counts = np.unique(path_kinds(paths), return_counts=True)
    drawn = dict(zip([t.get_text() for t in ax.get_yticklabels()], [b.get_width() for b in ax.patches], strict=True))
    assert drawn == pytest.approx(dict(zip(kinds.tolist(), (counts / paths.num_users).tolist(), strict=True)))
    assert set(kinds) == {"line of sight", "reflection"}
    with pytest.raises(SiteTwinError, match="no users"):
        plot_path_histogram(paths.select_users(np.zeros(0, dtype=np.int64)))


def test_a_cdf_steps_at_the_values():
    ax = plot_cdf({"a": [3.0, 1.0, np.nan, 2.0], "b": np.zeros((2, 2))}, label="delay spread (ns)")
    x, y = ax.lines[0].get_data()
    assert x.tolist() == [1, 1, 2, 3]
    np.testing.assert_allclose(y, [0, 1 / 3, 2 / 3, 1])
    assert ax.get_xlabel() == "delay spread (ns)"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b"]
    assert plot_cdf([1.0, 2.0]).get_legend() is None
    with pytest.raises(SiteTwinError, match="of 'a' hold no finite number"):
        plot_cdf({"a": [np.nan]})
    with pytest.raises(SiteTwinError, match="no values to draw"):
        plot_cdf({})


def test_a_scene_shows_masts_and_users_on_the_axes_given(canyon):
    site, paths, _ = canyon
    own = pyplot.figure().add_subplot()
    assert plot_scene(site, MAST, paths.users, ax=own) is own
    users = next(line for line in own.lines if len(line.get_xdata()) == paths.num_users)
    np.testing.assert_array_equal(np.stack(users.get_data(), axis=1), paths.users[:, :2])
    assert "BS" in [text.get_text() for text in own.texts]
    with pytest.raises(SiteTwinError, match="users have the shape"):
        plot_scene(site, users=np.zeros((3, 2)))
