"""Angular power profiles: laws of Algorithm 1 and of equations 1 to 3."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.metrics import distance_based_accuracy, rank_of_best
from sitetwin.vision.profiles import (
    AZIMUTH_DEG,
    POOLED,
    Descent,
    Pointing,
    PointReflectors,
    ProfileCodebook,
    Reconstruction,
    ScenarioMaps,
    fit_map,
    fit_pointing,
    in_array_frame,
    interpolated_scores,
    last_position,
    linear_array_book,
    sight_scores,
)
from sitetwin.vision.profiles.reflectors import azimuth_deg

DEAD = np.isin(np.arange(64), [0, 63])
BOOK = ProfileCodebook.of(linear_array_book(), DEAD)


def at(azimuth, distance, height=0.0):
    return np.array([distance * np.cos(np.radians(azimuth)), distance * np.sin(np.radians(azimuth)), height])


def unchecked(kind, **values):
    """An object of a frozen class, its types checked by nothing but the class itself."""
    made = object.__new__(kind)
    for name, value in {**vars(kind()), **values}.items():
        object.__setattr__(made, name, value)
    made.__post_init__()
    return made


def nothing():
    return np.zeros((0, 3))


# Algorithm 1


@pytest.mark.parametrize("azimuth", [-40.0, 0.0, 12.5])
def test_the_line_of_sight_alone_is_friis_under_the_pulse(azimuth):
    user = at(azimuth, 30.0)
    found = PointReflectors().profile(user, nothing(), [])
    friis = (299_792_458 / 60e9 / (4 * np.pi * 30.0)) ** 2
    np.testing.assert_allclose(found, friis * np.abs(np.sinc((AZIMUTH_DEG - azimuth) / 10)), rtol=1e-9, atol=1e-24)
    assert abs(AZIMUTH_DEG[found.argmax()] - azimuth) <= 0.5
    narrow = found > 0.5 * friis
    assert 11 <= narrow.sum() <= 13  # twelve degrees wide, as the measured beams


def test_a_reflector_beside_the_user_doubles_it_and_the_square_law_holds():
    user = at(10, 25.0)
    model = PointReflectors(own_car="kept")
    twice = model.profile(user, user[None], ["car"])
    np.testing.assert_allclose(twice, 2 * model.profile(user, nothing(), []), rtol=1e-12)
    gain, azimuth = model.paths(user, np.stack([at(-30, 20.0), at(50, 10.0)]), ["tree", "pole"])
    for number, (share, place) in enumerate([(0.3, at(-30, 20.0)), (0.6, at(50, 10.0))], start=1):
        length = np.linalg.norm(place) + np.linalg.norm(place - user)
        assert gain[number] == pytest.approx(share * (299_792_458 / 60e9 / (4 * np.pi * length)) ** 2)
    np.testing.assert_allclose(azimuth, [10, -30, 50])


def test_the_radar_equation_has_both_distances_squared():
    model = PointReflectors(path_loss="radar", cross_section_m2=3.0)
    user, car = at(0, 40.0), at(30, 20.0)
    gain, _ = model.paths(user, car[None], ["car"])
    lam, out, back = 299_792_458 / 60e9, np.linalg.norm(car - user), 20.0
    assert gain[1] == pytest.approx(lam**2 * 3.0 / ((4 * np.pi) ** 3 * out**2 * back**2))
    near, _ = model.paths(user, (user + 1e-9)[None], ["car"])
    assert len(near) == 1  # the user's own car
    kept, _ = PointReflectors(path_loss="radar", own_car="kept").paths(user, user[None], ["car"])
    assert np.isfinite(kept).all()


def test_the_own_car_is_taken_out_or_gives_the_azimuth():
    user, objects = at(5, 30.0), np.stack([at(8, 30.5), at(-20, 15.0)])
    removed, azimuth = PointReflectors().paths(user, objects, ["car", "car"])
    assert len(removed) == 2
    assert azimuth[0] == pytest.approx(5)
    _, azimuth = PointReflectors(own_car="azimuth").paths(user, objects, ["car", "car"])
    assert azimuth[0] == pytest.approx(8)
    kept, _ = PointReflectors(own_car="kept").paths(user, objects, ["car", "car"])
    assert len(kept) == 3
    far, _ = PointReflectors().paths(user, objects[1:], ["car"])
    assert len(far) == 2  # a car 18 m away is another's
    printed, _ = PointReflectors(own_within_m=np.inf).paths(user, objects[1:], ["car"])
    assert len(printed) == 1


def test_unknown_classes_and_what_is_behind_are_left_out():
    user = at(0, 20.0)
    alone = PointReflectors().profile(user, nothing(), [])
    np.testing.assert_array_equal(PointReflectors().profile(user, at(20, 10.0)[None], ["person"]), alone)
    np.testing.assert_array_equal(PointReflectors().profile(user, at(170, 10.0)[None], ["car"]), alone)
    assert not PointReflectors().profile(at(120, 20.0), nothing(), []).any()
    own = PointReflectors(reflectance={"person": 0.1}).paths(user, at(20, 10.0)[None], ["person"])[0]
    assert len(own) == 2


def test_an_object_in_the_way_takes_the_asked_loss():
    user = at(15, 30.0)
    model = PointReflectors(blocked_loss_db=20.0)
    for place, blocked in [(at(15, 12.0), True), (at(15, 40.0), False), (at(25, 12.0), False), (at(-165, 5), False)]:
        gain, _ = model.paths(user, place[None], ["bus"])
        free, _ = PointReflectors().paths(user, place[None], ["bus"])
        assert gain[0] == pytest.approx(free[0] * (0.01 if blocked else 1))


@given(st.floats(-85, 85), st.floats(-85, 85), st.floats(5, 60), st.floats(5, 60))
@settings(max_examples=30)
def test_profiles_are_never_negative_and_amplitudes_are_roots(one, other, near, far):
    user, car = at(one, near), at(other, far)
    for pulse in ("absolute", "squared"):
        found = PointReflectors(pulse=pulse).profile(user, car[None], ["car"])
        assert (found >= 0).all()
    power = PointReflectors(pulse="squared").profile(user, nothing(), [])
    amplitude = PointReflectors(pulse="squared", quantity="amplitude").profile(user, nothing(), [])
    assert amplitude.max() == pytest.approx(np.sqrt(power.max()), rel=0.02)


def test_a_turn_of_scene_and_array_changes_nothing():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(5, 3)) * 10
    for turn in (0.3, 2.0):
        cos, sin = np.cos(turn), np.sin(turn)
        turned = points @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
        station = np.array([1.0, 2, 3])
        np.testing.assert_allclose(in_array_frame(turned + station, station, turn), points, atol=1e-9)
    np.testing.assert_allclose(azimuth_deg(np.array([[0.0, 1.0, 0.0], [1.0, 0, 0]])), [90, 0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path_loss": "friis"}, "path_loss .* one of image, radar"),
        ({"pulse": "sinc"}, "pulse"),
        ({"resolution_deg": 0.0}, "resolution_deg .* positive"),
        ({"reflectance": {"car": 1.5}}, "'car' is a share"),
    ],
)
def test_options_that_cannot_be_are_refused(change, said):
    with pytest.raises(SiteTwinError, match=said):
        unchecked(PointReflectors, **change)


def test_moments_that_cannot_be_are_refused():
    with pytest.raises(SiteTwinError, match="one of each"):
        PointReflectors().profile(at(0, 1.0), at(0, 2.0)[None], [])
    with pytest.raises(SiteTwinError, match="array itself"):
        PointReflectors().profile(np.zeros(3), nothing(), [])
    with pytest.raises(SiteTwinError, match="finite"):
        PointReflectors().profile(np.array([np.nan, 0, 0]), nothing(), [])


# Equations 1 and 2


def test_equation_one_is_the_weighted_sum_of_the_strongest():
    rng = np.random.default_rng(1)
    power = rng.random((7, 64))
    found = Reconstruction(strongest=5, floor="none").profiles(power, BOOK)
    for row, profile in zip(power, found, strict=True):
        row = np.where(DEAD, -1, row)
        strongest = np.argsort(-row)[:5]
        np.testing.assert_allclose(profile, sum(row[k] * BOOK.patterns[k] for k in strongest))


def test_equation_two_is_a_product_and_dead_beams_never_win():
    rng = np.random.default_rng(2)
    profiles = rng.random((4, 180))
    scores = BOOK.scores(profiles)
    assert np.isneginf(scores[:, DEAD]).all()
    np.testing.assert_allclose(scores[2, 17], profiles[2] @ BOOK.patterns[17])


def sparse_powers(rng, rows=60):
    """(N, 64) powers of one or two directions, with noise; and the profiles behind them."""
    truth = np.zeros((rows, 180))
    for row in truth:
        row[rng.integers(55, 125)] = 1.0
        row[rng.integers(55, 125)] += 0.3 * rng.random()
    return truth @ BOOK.patterns.T + 0.02 + 0.001 * rng.random((rows, 64)), truth


@pytest.mark.parametrize(("method", "least"), [("sum", 0.95), ("nnls", 0.99), ("ridge", 0.97), ("interpolated", 0.93)])
def test_profiles_find_the_best_beam_again(method, least):
    power, _ = sparse_powers(np.random.default_rng(3))
    level = BOOK.measured(power)
    scores = BOOK.scores(Reconstruction(method).profiles(power, BOOK))
    assert distance_based_accuracy(scores, level).mean() > least


def test_least_squares_without_negatives_explains_the_powers_up_to_a_floor():
    power, _ = sparse_powers(np.random.default_rng(4), 10)
    found = Reconstruction("nnls").profiles(power, BOOK)
    assert (found >= 0).all()
    alive = ~DEAD
    explained = found @ BOOK.patterns[alive].T
    rest = power[:, alive] - explained
    assert np.abs(rest - rest.mean(axis=1, keepdims=True)).max() < 0.002


@pytest.mark.parametrize("method", ["sum", "nnls", "ridge", "interpolated"])
def test_profiles_scale_with_the_powers_and_ignore_what_was_not_measured(method):
    power, _ = sparse_powers(np.random.default_rng(5), 6)
    model = Reconstruction(method)
    one = model.profiles(power, BOOK)
    np.testing.assert_allclose(model.profiles(1e-9 * power, BOOK), 1e-9 * one, rtol=1e-6, atol=1e-15)
    gaps = power.copy()
    gaps[:, 10:13] = np.nan
    assert np.isfinite(model.profiles(gaps, BOOK)).all()
    without = ProfileCodebook(BOOK.patterns, BOOK.alive & ~np.isin(np.arange(64), range(10, 13)))
    np.testing.assert_allclose(model.profiles(gaps, BOOK), model.profiles(power, without), atol=1e-12)


def test_the_control_reads_measured_beams_back_and_interpolates_the_others():
    power, _ = sparse_powers(np.random.default_rng(6))
    everything = interpolated_scores(power, BOOK)
    assert (rank_of_best(everything, BOOK.measured(power)) == 0).mean() > 0.6
    half = power.copy()
    half[:, ::2] = np.nan
    scores = interpolated_scores(half, BOOK)
    assert np.isfinite(scores[:, BOOK.alive]).all()
    assert distance_based_accuracy(scores, BOOK.measured(power)).mean() > 0.9


def test_amplitudes_take_the_root_of_powers():
    power, _ = sparse_powers(np.random.default_rng(7), 5)
    book = ProfileCodebook.of(linear_array_book(), DEAD, quantity="amplitude")
    found = Reconstruction(strongest=64, floor="none").profiles(power, book)
    np.testing.assert_allclose(found, np.sqrt(np.where(DEAD, 0, power)) @ book.patterns)


@pytest.mark.parametrize("power", [np.full((2, 64), np.nan), np.ones((2, 32)), -np.ones((2, 64))])
def test_powers_that_make_no_profile_are_refused(power):
    with pytest.raises(SiteTwinError):
        Reconstruction().profiles(power, BOOK)


@pytest.mark.parametrize("change", [{"method": "lasso"}, {"floor": "half"}, {"strongest": 0}, {"damping": 0.0}])
def test_reconstructions_that_cannot_be_are_refused(change):
    with pytest.raises(SiteTwinError):
        unchecked(Reconstruction, **change)


# Codebooks


def test_patterns_have_norm_one_and_peaks_where_the_beams_look():
    np.testing.assert_allclose(np.linalg.norm(BOOK.patterns[~DEAD], axis=1), 1)
    np.testing.assert_allclose(BOOK.peak_deg[1:63], np.linspace(45, -45, 64)[1:63], atol=1.0)
    assert np.isnan(BOOK.peak_deg[[0, 63]]).all()
    wider = ProfileCodebook.of(linear_array_book(), DEAD, scale=1.1, offset_deg=5.0)
    np.testing.assert_allclose(wider.peak_deg[1:63], 1.1 * np.linspace(45, -45, 64)[1:63] + 5, atol=1.5)


@pytest.mark.parametrize("kind", ["sum", "flat"])
def test_wide_beams_cover_their_sectors_in_order(kind):
    wide = BOOK.wide(6, kind)
    sectors = BOOK.sectors(6)
    assert sectors[[0, 63]].tolist() == [-1, -1]
    assert (np.diff(sectors[1:63]) >= 0).all()
    assert set(sectors[1:63].tolist()) == set(range(6))
    single = np.zeros((180, 180))
    np.fill_diagonal(single, 1.0)
    middle = [int(np.flatnonzero(sectors == number).mean()) for number in range(6)]
    rows = single[(BOOK.peak_deg[middle] + 90).astype(int)]
    assert wide.scores(rows).argmax(axis=1).tolist() == list(range(6))


def test_codebooks_that_cannot_be_are_refused():
    with pytest.raises(SiteTwinError, match="positive scale"):
        ProfileCodebook.of(linear_array_book(), scale=0.0)
    with pytest.raises(SiteTwinError, match="check scale and offset"):
        ProfileCodebook.of(linear_array_book(), offset_deg=500.0)
    with pytest.raises(SiteTwinError, match="codebook of 64"):
        BOOK.measured(np.ones((3, 16)))


# Equation 3


def shifted_pairs(rng, rows, degrees=4):
    """Profiles and the same seen `degrees` aside: what a wrong boresight makes of them."""
    azimuth = rng.uniform(-45, 45, rows)
    simulated = PointReflectors().profile
    before = np.stack([simulated(at(a, 30.0), nothing(), []) for a in azimuth])
    after = np.stack([simulated(at(a + degrees, 30.0), nothing(), []) for a in azimuth])
    return before, after, np.arange(rows) // 5


@pytest.mark.parametrize("by", ["ridge", "sgd"])
def test_the_mapping_learns_a_turn_of_the_array(by):
    rng = np.random.default_rng(8)
    x, y, drive = shifted_pairs(rng, 100)
    found = fit_map(x, y, drive, by, descent=Descent(steps=1500))
    before, after, _ = shifted_pairs(rng, 40)
    off = np.abs(before.argmax(axis=1) - after.argmax(axis=1)).mean()
    mapped = np.abs(found(before).argmax(axis=1) - after.argmax(axis=1)).mean()
    assert off > 3.5
    assert mapped < 0.6 * off


def test_a_strong_ridge_is_the_identity_and_a_weak_one_the_least_squares():
    rng = np.random.default_rng(9)
    x, y, drive = shifted_pairs(rng, 30)
    np.testing.assert_allclose(fit_map(x, y, drive, ridge=1e9).matrix, np.eye(180), atol=1e-6)
    peak = np.abs(y).max(axis=1, keepdims=True)
    np.testing.assert_allclose(fit_map(x, y, drive, ridge=1e-7)(x), y / peak, atol=0.02)


def test_descent_says_when_it_did_not_converge():
    x, y, drive = shifted_pairs(np.random.default_rng(10), 40)
    assert not fit_map(x, y, drive, "sgd", descent=Descent(steps=20)).converged
    noise = np.random.default_rng(0).random((40, 180))
    done = fit_map(noise, noise, drive, "sgd", descent=Descent(steps=5000, patience=5))
    assert done.converged
    assert done.strength < 5000


def test_a_scenario_without_calibration_takes_the_pooled_mapping():
    x, y, drive = shifted_pairs(np.random.default_rng(11), 40)
    scenario = np.repeat(["31", "32"], 20)
    maps = ScenarioMaps.fit(x, y, scenario, drive)
    assert set(maps.of) == {"31", "32", POOLED}
    assert maps.is_pooled("34")
    assert maps["34"] is maps.of[POOLED]
    assert not maps.is_pooled("31")
    np.testing.assert_array_equal(maps["31"].matrix, fit_map(x[:20], y[:20], drive[:20]).matrix)


@pytest.mark.parametrize("change", [{"by": "adam"}, {"ridge": -1.0}])
def test_mappings_that_cannot_be_are_refused(change):
    x, y, drive = shifted_pairs(np.random.default_rng(12), 10)
    with pytest.raises(SiteTwinError):
        inspect.unwrap(fit_map)(x, y, drive, **change)
    with pytest.raises(SiteTwinError, match="pairs of profiles"):
        fit_map(x[:0], y[:0], drive[:0])


# Line of sight


def test_boresight_and_scale_are_found_from_measured_rows():
    rng = np.random.default_rng(13)
    book = linear_array_book()
    truth = Pointing(np.radians(100.0), 0.9)
    angle = rng.uniform(-38, 38, 150)
    place = np.stack([np.cos(np.radians(angle + 100)), np.sin(np.radians(angle + 100))], axis=1) * 25
    seen = ProfileCodebook.of(book, DEAD, 0.9)
    power = seen.gains_at(angle) + 0.01
    found = fit_pointing(book, DEAD, place, power, scales=(0.8, 0.9, 1.0))
    assert found.scale == 0.9
    assert np.degrees(found.boresight_rad) == pytest.approx(100, abs=1.0)
    np.testing.assert_allclose(truth.azimuth_deg(place), angle, atol=1e-9)
    score = sight_scores(seen, found.azimuth_deg(place))
    assert distance_based_accuracy(score, np.where(DEAD, np.nan, power)).mean() > 0.97


def test_a_lag_of_the_fixes_is_found_where_users_come_and_go():
    rng = np.random.default_rng(14)
    book = linear_array_book()
    north = rng.uniform(-18, 18, 200)
    velocity = np.stack([np.zeros(200), rng.choice([-1.0, 1.0], 200)], axis=1)
    fix = np.stack([np.full(200, 20.0), north], axis=1)
    there = fix + 3.0 * velocity  # the sweep is three intervals after the fix
    seen = ProfileCodebook.of(book, DEAD)
    power = seen.gains_at(np.degrees(np.arctan2(there[:, 1], there[:, 0])) - 5.0) + 0.01
    found = fit_pointing(book, DEAD, fix, power, velocity, scales=(1.0,))
    assert found.lag == 3.0
    assert np.degrees(found.boresight_rad) == pytest.approx(5, abs=1.0)
    without = fit_pointing(book, DEAD, fix, power, scales=(1.0,))
    assert without.lag == 0
    one_way = velocity[:, 1] > 0
    alone = fit_pointing(book, DEAD, fix[one_way], power[one_way], velocity[one_way], scales=(1.0,))
    assert alone.lag == 0  # it cannot be told from a boresight

    def reached(pointing):
        azimuth = pointing.azimuth_deg(fix, velocity)
        return distance_based_accuracy(sight_scores(seen, azimuth), np.where(DEAD, np.nan, power)).mean()

    assert reached(found) > 0.97 > reached(without) + 0.2


def test_users_beside_the_patterns_get_the_outermost_beam():
    scores = sight_scores(BOOK, np.array([-170.0, 170.0, 0.0]))
    assert np.isfinite(scores[:, BOOK.alive]).all()
    assert not np.isnan(scores).any()


def test_stale_fixes_are_continued_or_not():
    fixes = np.array([[[0.0, 0], [1, 2]], [[np.nan, np.nan], [1, 1]], [[3, 3], [np.nan, np.nan]]])
    np.testing.assert_array_equal(last_position(fixes, "stale"), [[1, 2], [1, 1], [3, 3]])
    np.testing.assert_array_equal(last_position(fixes, "extrapolated"), [[4, 8], [1, 1], [3, 3]])
    with pytest.raises(SiteTwinError, match="stale or extrapolated"):
        inspect.unwrap(last_position)(fixes, "current")
