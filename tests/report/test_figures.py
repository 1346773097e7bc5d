"""What the figures show: the right value at the right place, and no trace left in matplotlib."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.drawing.style import count_axis, figure_style, new_figure
from sitetwin.rays import Convergence
from sitetwin.rays.convergence import ConvergenceRow
from sitetwin.report.convergence_figure import draw_convergence
from sitetwin.report.csi import figures, maps
from sitetwin.report.csi.results import Results, Scene, parse_results
from tests.report.made_up import make_results, make_scene


@pytest.fixture(scope="module")
def results() -> Results:
    return parse_results(make_results())


def make(**changes: Any) -> Scene:
    arrays: dict[str, Any] = make_scene()
    arrays["extent"] = tuple(arrays["extent"])
    return Scene(**{**arrays, **changes})


@given(
    columns=st.integers(1, 12),
    rows=st.integers(1, 12),
    step=st.floats(0.1, 30),
    corner=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
    seed=st.integers(0, 1000),
)
def test_each_user_of_a_grid_has_its_own_cell(
    columns: int, rows: int, step: float, corner: tuple[float, float], seed: int
) -> None:
    x, y = np.meshgrid(corner[0] + step * np.arange(columns), corner[1] + step * np.arange(rows))
    users = np.stack([x.ravel(), y.ravel()], axis=1)
    order = np.random.default_rng(seed).permutation(len(users))
    users, values = users[order], np.arange(len(users), dtype=float)[order]
    raster = maps.Raster(users)
    image = raster.mean(values)
    xmin, xmax, ymin, ymax = raster.extent
    cell = (xmax - xmin) / image.shape[1], (ymax - ymin) / image.shape[0]
    assert (users > [xmin, ymin]).all()
    assert (users < [xmax, ymax]).all()
    where = np.floor((users - [xmin, ymin]) / cell).astype(int)
    if columns > 2 and rows > 2:  # a grid that shows its step: nothing shares a cell
        np.testing.assert_array_equal(image[where[:, 1], where[:, 0]], values)
    assert np.nansum(image) == pytest.approx(values.sum()) or np.isnan(image).sum() > image.size - len(users)


def test_raster_averages_and_keeps_holes() -> None:
    users = np.array([[0.0, 0.0], [0.0, 0.0], [40.0, 0.0], [40.0, 40.0]])
    raster = maps.Raster(users)
    image = raster.mean(np.array([2.0, 4.0, np.nan, 7.0]))
    assert image[0, 0] == 3.0
    assert np.isnan(image[0, -1])
    assert image[-1, -1] == 7.0


def test_gain_map_paints_users_over_their_place() -> None:
    scene = make()
    with figure_style():
        axes = maps.gain_map(scene, "target B").axes[0]
    image = axes.images[-1]
    xmin, xmax, ymin, ymax = image.get_extent()
    data = image.get_array()
    rows, columns = data.shape
    for user in range(0, len(scene.users_xy), 531):
        x, y = scene.users_xy[user]
        cell = data[int((y - ymin) / (ymax - ymin) * rows), int((x - xmin) / (xmax - xmin) * columns)]
        if np.isfinite(scene.power_db[user]):
            assert cell == pytest.approx(scene.power_db[user])
        else:
            assert np.ma.is_masked(cell)
    assert image.norm.vmin is not None
    assert image.norm.vmin < np.nanmedian(scene.power_db) < image.norm.vmax


def test_maps_of_a_bare_scene() -> None:
    """Scattered users, one of them alone with a path; no trees, no roofs, no split."""
    users = np.random.default_rng(3).uniform(0, 50, (40, 2))
    power = np.full(40, np.nan)
    power[7] = -88.0
    bare: dict[str, Any] = {name: None for name in ("twin_power_db", "split", "transmitter", "height_map", "extent")}
    scene = make(users_xy=users, power_db=power, trees_xy=np.zeros((0, 2)), trees_radius=np.zeros(0), **bare)
    with figure_style():
        assert maps.worlds_map(scene, "target") is None
        maps.gain_map(scene, "target").canvas.draw()
        maps.gain_map(make(users_xy=users[:1], power_db=power[:1], **{**bare}), "target").canvas.draw()


def test_training_curves_are_where_the_numbers_are(results: Results) -> None:
    with figure_style():
        figure = figures.training_figure(results, "blocks")
    assert figure is not None
    for axes, target in zip(figure.axes, ("target_a", "target_b"), strict=True):
        drawn = {
            (round(float(x), 6), round(float(y), 6))
            for line in axes.lines
            if line.get_linestyle() == "None"
            for x, y in line.get_xydata()
        }
        expected = {
            (float(c.n_train), round(c.nmse_db.mean, 6))
            for c in results.curves
            if (c.target, c.split) == (target, "blocks") and c.nmse_db.mean is not None
        }
        assert drawn == expected
        assert axes.get_xscale() == "log"
        low, high = axes.get_ylim()
        assert all(low < y < high for _, y in expected)


def test_unconverged_points_are_hollow_and_said(results: Results) -> None:
    with figure_style():
        figure = figures.training_figure(results, "blocks")
    assert figure is not None
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == sum(not c.converged for c in results.curves if (c.target, c.split) == ("target_a", "blocks"))
    assert "not converged" in {text.get_text() for legend in figure.legends for text in legend.get_texts()}


def test_refinement_lines_end_at_twin_and_target(results: Results) -> None:
    with figure_style():
        figure = figures.refinement_figure(results, "blocks")
    assert figure is not None
    axes = next(a for a in figure.axes if a.get_title() == "KLT mixture, target B")
    levels = [
        line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1 and len(line.get_xdata()) == 2
    ]
    before = next(
        r.nmse_db.mean
        for r in results.refinement
        if (r.target, r.split, r.codec, r.method) == ("target_b", "blocks", "KLT mixture", "none")
    )
    after = next(
        c.nmse_db.mean
        for c in results.curves
        if (c.target, c.split, c.codec, c.source, c.n_train) == ("target_b", "blocks", "KLT mixture", "target", 10240)
    )
    assert levels == [before, after]


def test_labels_do_not_overlap(results: Results) -> None:
    """Tick labels, titles and legends of every figure keep clear of each other."""
    with figure_style():
        made = [
            maps.gain_map(make(), "target B"),
            maps.worlds_map(make(), "target B"),
            figures.training_figure(results, "blocks"),
            figures.refinement_figure(results, "blocks"),
            figures.cdf_figure(results, "blocks"),
        ]
        for figure in made:
            assert figure is not None
            figure.canvas.draw()
            boxes = []
            for axes in figure.axes:
                for axis in (axes.xaxis, axes.yaxis):
                    low, high = sorted(axis.get_view_interval())
                    ticks = [t for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
                    labels = [t.label1 if t.label1.get_visible() else t.label2 for t in ticks]
                    boxes += [label.get_window_extent() for label in labels if label.get_visible() and label.get_text()]
                texts = (axes.title, axes.xaxis.label, axes.yaxis.label)
                boxes += [t.get_window_extent() for t in texts if t.get_text() and t.get_visible()]
            boxes += [legend.get_window_extent() for legend in figure.legends]
            for i, box in enumerate(boxes):
                assert figure.bbox.padded(1).fully_containsx(box.x0)
                assert figure.bbox.padded(1).fully_containsx(box.x1)
                assert figure.bbox.padded(1).fully_containsy(box.y0)
                assert figure.bbox.padded(1).fully_containsy(box.y1)
                assert not any(box.overlaps(other) for other in boxes[i + 1 :])


@settings(max_examples=40)
@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=12))
def test_count_axis_labels_measured_values_only(values: list[int]) -> None:
    axes = new_figure(3.0, 2.0).add_subplot()
    count_axis(axes, values, 2.5)
    low, high = axes.get_xlim()
    ticks = list(axes.xaxis.get_majorticklocs())
    assert set(ticks) <= set(values)
    assert max(values) in ticks
    assert low < min(values)
    assert high > max(values)


def test_matplotlib_is_left_as_it_was(results: Results) -> None:
    mpl.rcParams["font.size"] = 13.5  # a user's own setting
    before = dict(mpl.rcParams)
    try:
        with figure_style():
            figures.cdf_figure(results, "blocks")
        assert dict(mpl.rcParams) == before
    finally:
        mpl.rcParams["font.size"] = 10.0


def test_shares_on_a_logarithmic_axis_are_plain_numbers() -> None:
    """Matplotlib's own labels are markup, which figures here show as it stands."""
    shares = (0.5, 1e-3, 0.0)
    rows = tuple(ConvergenceRow(n, 1000 * n, 9, 40, s, 2 * s, s / 3, s) for n, s in enumerate(shares, start=1))
    drawn = draw_convergence(Convergence(rows, 10, 0.95))["svg"].decode()
    for label in ("0.1", "0.001", "1e-05", "≤ 1e-06"):
        assert f"<!-- {label} -->" in drawn
    assert "mathdefault" not in drawn
