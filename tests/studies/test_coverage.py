"""What a coverage shows and hands on: its own numbers, at their places, with their units."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot

from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.link_statistics import LinkStatistics, best_server, received_power, sinr
from sitetwin.channel.stations import Station
from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceSettings
from sitetwin.site import load_scene
from sitetwin.studies.coverage import (
    QUANTITIES,
    Area,
    Coverage,
    CoverageSettings,
    read_coverage_results,
    run_coverage,
    summarise,
)
from sitetwin.studies.coverage.results import SCHEMA, SUMMARY
from sitetwin.studies.records import as_document

NUMBERS = [name for name in QUANTITIES if name not in ("best_server", "line_of_sight")]


@pytest.fixture(scope="module")
def found() -> Coverage:
    """A coverage of made-up links: a grid of 5 x 4 users, of whom one is left out and one receives nothing."""
    rng = np.random.default_rng(4)
    area = Area((-20.0, -5.0, -12.0, 1.0), 2.0, 1.5)
    x, y = np.meshgrid(np.arange(-20.0, -11.0, 2.0), np.arange(-5.0, 2.0, 2.0))
    users = np.delete(np.stack([x.ravel(), y.ravel(), np.full(20, 1.5)], axis=1), 7, axis=0)
    stations = tuple(
        Station(name=name, position=(x, 0.0, 12.0), eirp_dbm=40, carrier_hz=3.5e9)
        for name, x in (("west", -22.0), ("east", -10.0), ("high", -10.0))
    )
    links = []
    for _ in stations:
        numbers = {field.name: rng.uniform(0.1, 1.0, len(users)) for field in fields(LinkStatistics)}
        sight = numbers.pop("line_of_sight") > 0.4
        numbers["path_gain"] *= 1e-7
        numbers["path_gain"][3] = 0.0
        numbers["delay_spread"] *= 1e-7
        numbers["rician_k"] = np.where(sight, numbers["rician_k"], np.nan)
        numbers["rician_k"][0] = np.inf
        links.append(LinkStatistics(**numbers, line_of_sight=sight))
    downlinks = [station.downlink for station in stations]
    received = received_power(np.stack([link.path_gain for link in links]), downlinks)
    serving = best_server(received)
    return Coverage(
        site=load_scene("simple_street_canyon"),
        area=area,
        settings=CoverageSettings(),
        stations=stations,
        users=users,
        dropped=1,
        links=tuple(links),
        received=received,
        serving=serving,
        sinr=sinr(received, downlinks, serving, 9.0),
        stores=("paths/a", "paths/b", "paths/b"),
        chains=({"chains_hash": "a", "unseen_share": 0.0, "paths_configuration_hash": "b"},) * 3,
    )


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def at_users(found: Coverage, rows: np.ndarray, west: float, south: float) -> np.ndarray:
    """The cells of an image, row 0 in the south, in which the users stand."""
    cells = np.rint((found.users[:, :2] - [west, south]) / found.area.spacing).astype(int)
    return rows[cells[:, 1], cells[:, 0]]


def test_settings_have_defaults() -> None:
    assert CoverageSettings() == CoverageSettings(TraceSettings(), FieldOptions(), 9.0, 50_000)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_map_shows_the_numbers_of_the_coverage(found: Coverage, name: str) -> None:
    axes = found.plot(name)
    image = axes.images[-1]
    quantity, values = QUANTITIES[name], found.values(name) * QUANTITIES[name].factor
    shown = at_users(found, np.ma.filled(image.get_array().astype(float), np.nan), *found.users[0, :2])
    span = image.norm.vmax - image.norm.vmin
    np.testing.assert_allclose(shown, np.clip(values, image.norm.vmin - span, image.norm.vmax + span))
    assert np.isnan(shown[3]) or name == "rician_k_db"
    assert image.colorbar.ax.get_ylabel() == quantity.label
    assert image.norm.vmin % quantity.step == image.norm.vmax % quantity.step == 0


@pytest.mark.parametrize(
    ("name", "legend"), [("best_server", {"west", "east", "high"}), ("line_of_sight", {"no", "yes"})]
)
def test_a_map_of_labels_names_them_and_the_stations(found: Coverage, name: str, legend: set[str]) -> None:
    figure, axes = pyplot.subplots()
    assert found.plot(name, axes) is axes
    shown = at_users(found, np.ma.filled(axes.images[-1].get_array().astype(float), np.nan), *found.users[0, :2])
    np.testing.assert_array_equal(shown, found.values(name))
    assert legend <= {text.get_text() for text in axes.get_legend().get_texts()}
    assert {text.get_text() for text in axes.texts} == {"west", "east, high"}
    assert figure.axes[0] is axes


def test_the_dataset_holds_the_coverage(found: Coverage) -> None:
    data = found.to_xarray()
    assert dict(data.sizes) == {"y": 4, "x": 5, "station": 3}
    assert data.x.values.tolist() == [-20, -18, -16, -14, -12]
    assert data.y.values.tolist() == [-5, -3, -1, 1]
    assert data.station.values.tolist() == ["west", "east", "high"]
    for name, quantity in QUANTITIES.items():
        assert data[name].dims == ("y", "x")
        assert data[name].attrs == {"units": quantity.units or "1", "long_name": quantity.description}
        np.testing.assert_array_equal(at_users(found, data[name].values, *found.users[0, :2]), found.values(name))
        assert np.isnan(data[name].sel(x=-16, y=-3))  # where the user was left out
    for station, name in enumerate(data.station.values):
        power = data["station_rsrp_dbm"].sel(station=name).values
        with np.errstate(divide="ignore"):
            expected = 10 * np.log10(found.received[station]) + 30
        expected[3] = np.nan
        np.testing.assert_allclose(at_users(found, power, *found.users[0, :2]), expected)
    best = data["station_rsrp_dbm"].max("station")
    np.testing.assert_allclose(best.values, data["rsrp_dbm"].values)
    assert data["station_rsrp_dbm"].attrs["units"] == "dBm"
    assert data.station_x.values.tolist() == [-22, -10, -10]
    assert data.attrs["site_hash"] == found.site.hash


def test_the_dataset_goes_through_a_file(found: Coverage, tmp_path) -> None:
    data = found.to_xarray()
    data.to_zarr(tmp_path / "c.zarr", zarr_format=2, consolidated=False)  # version 3 has no texts of its own yet
    assert xr.open_zarr(tmp_path / "c.zarr", consolidated=False).load().identical(data)


def test_an_unknown_quantity_is_refused_with_the_known_ones(found: Coverage) -> None:
    for call in (found.plot, found.values):
        with pytest.raises(SiteTwinError, match="no quantity 'rsrp'; choose one of path_gain_db, rsrp_dbm, sinr_db"):
            call("rsrp")


def test_the_text_is_short_and_true(found: Coverage) -> None:
    text = repr(found)
    assert len(text.splitlines()) < 12
    assert "west, east, high" in text
    assert "19, 18 served, 1 left out" in text
    known = found.values("rsrp_dbm")
    middle = np.percentile(known[~np.isnan(known)], 50, method="inverted_cdf")
    assert f"median {middle:.1f}" in text
    assert "<table>" in found._repr_html_()


def test_the_summary_is_read_as_it_was_written(found: Coverage, tmp_path) -> None:
    written = summarise(found, {"coverage.csv": "00"})
    (tmp_path / SUMMARY).write_text(json.dumps(as_document(written)))
    assert read_coverage_results(tmp_path) == written
    assert written.users.without_a_path == 1
    assert sum(station.served_users for station in written.stations) == 18
    assert written.quantities["best_server"].percentiles is None
    raw = as_document(written)
    assert raw["schema"] == SCHEMA
    assert set(raw["quantities"]["best_server"]) == {"units", "description", "share_with_a_value"}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda raw: raw.update(schema="sitetwin-coverage-9"), "no summary of a coverage"),
        (lambda raw: raw["stations"][1].update(served_users="many"), r"wrong at stations\.1\.served_users"),
        (lambda raw: raw.pop("users"), "wrong at users"),
    ],
)
def test_another_summary_is_refused(found: Coverage, tmp_path, damage, said: str) -> None:
    raw = as_document(summarise(found, {}))
    damage(raw)
    (tmp_path / SUMMARY).write_text(json.dumps(raw))
    with pytest.raises(SiteTwinError, match=said):
        read_coverage_results(tmp_path)
    with pytest.raises(SiteTwinError, match="cannot be read: No such file"):
        read_coverage_results(tmp_path / "nowhere")


def test_a_traced_coverage_is_one_too(tmp_path) -> None:
    site = load_scene("simple_street_canyon")
    station = Station(name="mast", position=(-33.0, 0.0, 12.0), eirp_dbm=40)
    settings = CoverageSettings(TraceSettings(max_depth=1))
    made = run_coverage(site, [station], Area((-20, -8, 20, 8), 8, 1.5), settings, tmp_path / "c")
    data = made.to_xarray()
    assert int(np.isfinite(data["rsrp_dbm"]).sum()) == int((made.serving >= 0).sum()) > 0
    np.testing.assert_allclose(data["rsrp_dbm"].values, data["station_rsrp_dbm"].sel(station="mast").values)
