"""Power maps: laws that hold whatever was measured, and planted worlds that are found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from tests.site.conftest import make_town

from sitetwin.calibrate.power import PowerMap
from sitetwin.calibrate.power.azimuths import azimuth_notes
from sitetwin.calibrate.power.clutter import NEAR, ROOFS, Plan
from sitetwin.calibrate.power.covariance import Design, Term, Weights, _Parts, cross_covariance
from sitetwin.calibrate.power.layout import sectors_of
from sitetwin.calibrate.power.power_map import KIND
from sitetwin.channel.stations import Station
from sitetwin.errors import SiteTwinError
from sitetwin.learn.model_files import read_model, write_model
from sitetwin.measured import Powers

STATION = Station(name="A", position=(-80.0, -60.0, 20.0), eirp_dbm=46, yaw_deg=40.0, pattern="tr38901")
HOUSES = [(-40.0, -40.0), (10.0, -50.0), (-20.0, 20.0), (50.0, 30.0)]


def box(x: float, y: float, half: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """A closed box on the ground, its faces outward."""
    ring = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half + [x, y]
    corners = np.concatenate([np.column_stack([ring, np.full(4, z)]) for z in (0.0, height)])
    faces = [[0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7]]
    for k in range(4):
        j = (k + 1) % 4
        faces += [[k, j, j + 4], [k, j + 4, k + 4]]
    return corners, np.array(faces)


def town(turn: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)):
    """Four houses of 16 m by 16 m, turned about the origin and shifted."""
    blocks = []
    for k, (x, y) in enumerate(HOUSES):
        corners, faces = box(x, y, 8.0, 12.0)
        blocks.append((f"house{k}", (moved(corners, turn, shift), faces), 0))
    return make_town(blocks)


def moved(points: np.ndarray, turn: float, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    c, s = np.cos(turn), np.sin(turn)
    out = points.astype(float)
    out[:, :2] = points[:, :2] @ np.array([[c, s], [-s, c]]) + shift
    return out


def rows(plan, power, receiver="one", cell="A"):
    count = len(plan)
    return Powers(
        np.column_stack([plan, np.full(count, 1.5)]),
        np.asarray(power, dtype=float),
        np.broadcast_to(np.asarray(cell), (count,)).astype(str),
        np.broadcast_to(np.asarray(receiver), (count,)).astype(str),
        np.full(count, np.nan),
        np.ones(count, dtype=np.int64),
    )


def places(count: int, seed: int) -> np.ndarray:
    """Places 7 m apart, so that none are merged, and none on a wall, in any order."""
    grid = np.stack(np.meshgrid(np.arange(-70, 71, 7.0), np.arange(-70, 71, 7.0)), axis=-1).reshape(-1, 2)
    return np.random.default_rng(seed).permutation(grid + np.array([0.37, 0.61]))[:count]


def planted(plan: np.ndarray, seed: int, site=None, noise: float = 2.0) -> np.ndarray:
    """Log distance, a loss behind houses, and fading of each reading."""
    mast = np.array(STATION.position[:2])
    hidden = Plan(site or town()).least_share(mast, plan) < 1.5
    return (
        -60
        - 35 * np.log10(np.hypot(*(plan - mast).T))
        - 15.0 * hidden
        + np.random.default_rng(seed).normal(0, noise, len(plan))
    )


PLACES = places(140, 0)
POWER = planted(PLACES, 1)
ELSEWHERE = PLACES[100:]


@pytest.fixture(scope="module")
def fitted():
    return PowerMap(town(), [STATION]).fit(rows(PLACES[:100], POWER[:100]))


def test_a_planted_loss_behind_houses_is_found_where_nothing_was_measured(fitted):
    control = PowerMap(town(), [STATION], use_map=False).fit(rows(PLACES[:100], POWER[:100]))
    truth = planted(ELSEWHERE, 0, noise=0.0)
    error, blind = (np.std(one.predict(ELSEWHERE).power_dbm - truth) for one in (fitted, control))
    assert error < 0.75 * blind
    assert error < 4


def test_intervals_hold_what_is_measured_next():
    """Over five worlds the 90 % intervals hold 90 % of readings of other places."""
    inside = []
    for seed in range(5):
        plan = places(200, seed)
        power = planted(plan, 100 + seed, noise=4.0)
        low, high = PowerMap(town(), [STATION]).fit(rows(plan[:120], power[:120])).predict(plan[120:]).interval()
        inside.append((low <= power[120:]) & (power[120:] <= high))
    assert 0.85 <= np.mean(inside) <= 0.95


def test_turning_and_shifting_the_world_changes_nothing(fitted):
    turn, shift = 0.3, (3.0, -5.0)
    x, y = moved(np.array([STATION.position[:2]]), turn, shift)[0]
    station = STATION.model_copy(update={"position": (x, y, 20.0), "yaw_deg": 40.0 + np.degrees(turn)})
    site = town(turn, shift)
    there = PowerMap(site, [station]).fit(rows(moved(PLACES[:100], turn, shift), POWER[:100]))
    one, other = fitted.predict(ELSEWHERE), there.predict(moved(ELSEWHERE, turn, shift))
    np.testing.assert_allclose(other.power_dbm, one.power_dbm, atol=0.05)
    np.testing.assert_allclose(other.sd_db, one.sd_db, atol=0.05)


def test_the_order_of_rows_does_not_count(fitted):
    order = np.random.default_rng(5).permutation(100)
    other = PowerMap(town(), [STATION]).fit(rows(PLACES[order], POWER[order])).predict(ELSEWHERE)
    np.testing.assert_allclose(other.power_dbm, fitted.predict(ELSEWHERE).power_dbm, atol=1e-6)


def test_an_offset_of_all_powers_is_an_offset_of_the_map(fitted):
    other = PowerMap(town(), [STATION]).fit(rows(PLACES[:100], POWER[:100] + 37.5)).predict(ELSEWHERE)
    one = fitted.predict(ELSEWHERE)
    np.testing.assert_allclose(other.power_dbm, one.power_dbm + 37.5, atol=1e-6)
    np.testing.assert_allclose(other.sd_db, one.sd_db, atol=1e-6)


def test_receivers_that_differ_by_20_db_are_told_apart():
    which = np.where(np.arange(120) % 2, "odd", "even")
    power = POWER[:120] + np.where(which == "odd", 20.0, 0.0)
    found = PowerMap(town(), [STATION]).fit(rows(PLACES[:120], power, which))
    even, odd, both = (found.predict(PLACES[120:], receiver=r).power_dbm for r in ("even", "odd", None))
    assert np.median(odd - even) == pytest.approx(20, abs=3)
    np.testing.assert_allclose(both, (odd + even) / 2, atol=1e-6)
    with pytest.raises(SiteTwinError, match="no receiver 'third'"):
        found.predict(PLACES[120:], receiver="third")


def test_a_cell_with_few_rows_takes_what_the_other_has_learned():
    """Cell B has 20 rows and the same world: with A's rows it is mapped better than alone."""
    other = STATION.model_copy(update={"name": "B"})
    power_b = planted(PLACES, 9) - 8.0
    few = rows(PLACES[:20], power_b[:20], cell="B")
    both = rows(
        np.concatenate([PLACES[:100], PLACES[:20]]),
        np.concatenate([POWER[:100], power_b[:20]]),
        cell=np.repeat(["A", "B"], [100, 20]),
    )
    truth = planted(ELSEWHERE, 0, noise=0.0) - 8.0
    alone = PowerMap(town(), [other]).fit(few).predict(ELSEWHERE).power_dbm
    together = PowerMap(town(), [STATION, other]).fit(both).predict(ELSEWHERE, "B").power_dbm
    assert np.std(together - truth) < 0.8 * np.std(alone - truth)


def test_a_cell_without_a_row_is_told():
    found = PowerMap(town(), [STATION, STATION.model_copy(update={"name": "B"})]).fit(rows(PLACES[:40], POWER[:40]))
    assert [note for note in found.notes if "no row was measured of the cell B" in note]
    assert (found.predict(ELSEWHERE, "B").sd_db > found.predict(ELSEWHERE, "A").sd_db).all()


def test_update_is_the_fit_with_the_weights_of_before(fitted, tmp_path):
    path = fitted.save(tmp_path / "map.npz")
    more = PowerMap.load(path, town()).update(rows(PLACES[100:120], POWER[100:120]))
    before, after = (one.predict(PLACES[100:120]) for one in (fitted, more))
    assert (after.map_sd_db < before.map_sd_db).all()
    assert np.std(after.power_dbm - POWER[100:120]) < np.std(before.power_dbm - POWER[100:120])


def test_a_saved_map_predicts_the_same_bytes_and_refuses_another_site(fitted, tmp_path):
    path = fitted.save(tmp_path / "map.npz")
    back = PowerMap.load(path, town()).predict(ELSEWHERE)
    assert back.power_dbm.tobytes() == fitted.predict(ELSEWHERE).power_dbm.tobytes()
    assert PowerMap.load(path, town()).save(tmp_path / "again.npz").read_bytes() == path.read_bytes()
    with pytest.raises(SiteTwinError, match="another site"):
        PowerMap.load(path, make_town([]))


@pytest.mark.parametrize(
    ("name", "value"),
    [("plan", 1e300), ("power", 1e9), ("sd", -1.0), ("length", 0.0), ("noise_sd", 1e200), ("reading", 7)],
)
def test_a_forged_file_is_refused(fitted, tmp_path, name, value):
    file = read_model(fitted.save(tmp_path / "map.npz"), KIND)
    file.arrays[name].view(-1)[0] = value
    write_model(tmp_path / "forged.npz", KIND, file.parameters, file.arrays)
    with pytest.raises(SiteTwinError, match="no usable model"):
        PowerMap.load(tmp_path / "forged.npz", town())


@pytest.mark.parametrize(
    ("name", "value"), [("mean_dbm", 1e300), ("receivers", ["one", "one"]), ("receivers", []), ("sectors", [])]
)
def test_a_forged_header_is_refused(fitted, tmp_path, name, value):
    file = read_model(fitted.save(tmp_path / "map.npz"), KIND)
    write_model(tmp_path / "forged.npz", KIND, {**file.parameters, name: value}, file.arrays)
    with pytest.raises(SiteTwinError, match="no usable model"):
        PowerMap.load(tmp_path / "forged.npz", town())


def test_an_update_keeps_what_is_doubtful_of_its_rows(fitted, tmp_path):
    more = replace(rows(PLACES[100:120], POWER[100:120]), notes=("odd",))
    assert "odd" in PowerMap.load(fitted.save(tmp_path / "map.npz"), town()).update(more).notes


def test_few_rows_unknown_cells_and_no_fit_are_refused(fitted):
    new = PowerMap(town(), [STATION])
    with pytest.raises(SiteTwinError, match="call fit"):
        new.predict(ELSEWHERE)
    with pytest.raises(SiteTwinError, match="fewer than the 15 coefficients"):
        new.fit(rows(PLACES[:10], POWER[:10]))
    with pytest.raises(SiteTwinError, match="measured cells are B"):
        new.fit(rows(PLACES[:50], POWER[:50], cell="B"))
    with pytest.raises(SiteTwinError, match="no cell 'C'"):
        fitted.predict(ELSEWHERE, "C")
    with pytest.raises(SiteTwinError, match="has no name"):
        PowerMap(town(), [Station(position=(0, 0, 10), eirp_dbm=40)])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"azimuth_deg": 280}, None),
        ({"azimuth_deg": (90 - 280) % 360}, "degrees from east"),
        ({"azimuth_deg": np.radians(280)}, "radians from north"),
        ({"yaw_deg": np.radians(170)}, "radians from east"),
        ({"azimuth_deg": 100}, "its station says 100;"),
    ],
)
def test_azimuths_of_another_convention_are_told_by_the_measured_power(written, said):
    """A sector that looks to 280 degrees from north, in the middle of the rows."""
    off = np.degrees(np.arctan2(PLACES[:, 0], PLACES[:, 1])) - 280
    power = -60 - 30 * np.log10(np.hypot(*PLACES.T)) - np.minimum(12 * ((off + 180) % 360 - 180) ** 2 / 65**2, 25)
    station = Station(name="A", position=(0, 0, 20), eirp_dbm=46, pattern="tr38901", **written)
    notes = azimuth_notes(sectors_of([station], town()), rows(PLACES, power))
    assert len(notes) == (said is not None)
    if said is not None:
        assert said in notes[0]
        assert "azimuth 28" in notes[0] or "azimuth 27" in notes[0]


def test_rows_on_one_side_or_without_a_sector_tell_no_azimuth():
    station = STATION.model_copy(update={"position": (0.0, 0.0, 20.0)})
    sectors = sectors_of([station], town())
    assert azimuth_notes(sectors, rows(PLACES[PLACES[:, 0] > 10], POWER[PLACES[:, 0] > 10])) == []
    assert azimuth_notes(sectors, rows(PLACES, -60 - 30 * np.log10(np.hypot(*PLACES.T)))) == []


def test_the_least_share_is_that_of_a_sampled_line():
    """Points along the line to each user: the last one within a house, as share of the way that is left."""
    site, mast = town(), np.array(STATION.position[:2])
    plan = places(60, 3)
    area = shapely.union_all(Plan(site).parts)
    share = np.linspace(0, 1, 20001)
    for user, found in zip(plan, Plan(site).least_share(mast, plan), strict=True):
        inside = shapely.contains_xy(area, *(mast[:, None] + (user - mast)[:, None] * share))
        expected = 1 - share[inside].max() if inside.any() else 2.0
        assert found == pytest.approx(expected, abs=1e-3)


def test_features_grow_from_open_ground_to_behind_a_house():
    found = Plan(town()).features(np.array([-80.0, -40.0]), np.array([[-60.0, -40.0], [-26.0, -40.0]]))
    for name in (*ROOFS[2:], *NEAR):
        assert found[name][1] > found[name][0]
    assert set(found) == {*ROOFS, *NEAR}


def test_a_site_without_buildings_has_no_clutter():
    found = Plan(make_town([])).features(np.zeros(2), PLACES)
    assert all(np.abs(found[name]).max() < 1e-2 for name in found)


def test_the_gradient_of_the_likelihood_is_that_of_differences():
    rng = np.random.default_rng(2)
    count = 30
    group = np.eye(2)[rng.integers(0, 2, count)]
    design = Design(
        rng.normal(0, 40, (count, 2)), {"f": rng.normal(size=count)}, {"g": group}, rng.integers(0, 2, count)
    )
    terms = (Term("a", 3.0, ("f",)), Term("b", 5.0, length=50.0), Term("c", 4.0, length=30.0, group="g"))
    parts = _Parts(terms, design, rng.normal(0, 5, count))
    point = parts.packed(Weights(np.array([3.0, 5.0, 4.0]), np.array([1.0, 50.0, 30.0]), np.array([2.0, 3.0])))
    slope = parts.likelihood(point)[1]
    for k in range(len(point)):
        step = 1e-5 * np.eye(len(point))[k]
        difference = (parts.likelihood(point + step)[0] - parts.likelihood(point - step)[0]) / 2e-5
        assert slope[k] == pytest.approx(difference, rel=1e-4, abs=1e-6)


def test_a_covariance_has_no_negative_eigenvalue():
    plan = places(80, 4)
    design = Design(plan, {}, {"g": np.eye(2)[np.arange(80) % 2]}, np.zeros(80, dtype=int))
    terms = (Term("a", 5.0, length=50.0), Term("b", 4.0, length=30.0, group="g"))
    weights = Weights(np.array([5.0, 4.0]), np.array([50.0, 30.0]), np.array([1.0]))
    assert np.linalg.eigvalsh(cross_covariance(terms, weights, design, design)).min() > -1e-9
