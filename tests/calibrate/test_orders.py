"""Antennas that are listed in another order than the array's are found by the powers of beams, and said."""

import itertools

import numpy as np
import pytest
from tests.calibrate.street import CARRIER, STATION, channels, street, traced

import sitetwin as st
from sitetwin.calibrate.channels.cell import blocks_of
from sitetwin.calibrate.channels.orders import order_notes, other_orders
from sitetwin.channel import AntennaArray, Radio, path_gains

ARRAYS = {
    "ula": AntennaArray.ula(4),
    "upa": AntennaArray.upa(2, 4),
    "cross": AntennaArray.upa(2, 2, polarisation="VH"),
}
YAW = 0.3


@pytest.fixture(scope="module")
def worlds():
    """Paths of a twin whose walls are of another stone than the measured street's, and what was measured."""
    found = {}
    for name, array in ARRAYS.items():
        radio, paths = Radio(array, (YAW, 0.0, 0.0)), traced(street(), count=60)
        data = channels(street(permittivity=3.0), paths, 1, radio)
        found[name] = radio, paths, path_gains(paths, street(), CARRIER, radio, Radio()), data["csi"].values
    return found


def said(world, order):
    radio, paths, gains, csi = world
    h = csi[:, order].astype(complex)
    covariance = np.einsum("uak,ubk->uab", h, h.conj()) / h.shape[2]
    noise = np.full(len(h), 1e-3 * (np.abs(h) ** 2).mean())
    return order_notes(covariance, noise, paths, gains, radio, blocks_of(paths.users, 10.0))


@pytest.mark.parametrize("name", list(ARRAYS))
def test_every_usual_order_that_moves_beams_is_said_and_the_right_one_is_not(worlds, name):
    array = ARRAYS[name]
    assert said(worlds[name], np.arange(array.num_antennas)) == []
    tried = {
        "ula": {"the columns from the other end"},
        "upa": {"the rows from the bottom", "by column, row, the last of which changes fastest"},
        "cross": {"by row, column, port, the last of which changes fastest"},
    }[name]
    orders = other_orders(array)
    assert tried <= set(orders)
    for other in tried:
        (sentence,) = said(worlds[name], orders[other])
        assert other in sentence
        assert "taken as they stand" in sentence


def test_some_of_many_users_tell_it(worlds, monkeypatch):
    monkeypatch.setattr("sitetwin.calibrate.channels.orders._MOST", 30)
    assert said(worlds["ula"], np.arange(4)) == []
    (sentence,) = said(worlds["ula"], np.arange(4)[::-1])
    assert "the columns from the other end" in sentence


def test_orders_are_different_and_whole():
    for array in ARRAYS.values():
        orders = [tuple(order) for order in other_orders(array).values()]
        assert all(sorted(order) == list(range(array.num_antennas)) for order in orders)
        assert all(one != two for one, two in itertools.combinations([tuple(range(array.num_antennas)), *orders], 2))
    assert other_orders(AntennaArray.single()) == {}


def test_a_calibration_says_it(worlds):
    radio, paths, _, csi = worlds["ula"]
    data = channels(street(permittivity=3.0), paths, 1, radio)
    mirrored = data.assign(csi=(data["csi"].dims, csi[:, ::-1]))
    wanted = {"fit": ("offset",), "max_depth": 1}
    for measured, notes in ((data, 0), (mirrored, 1)):
        found = st.calibrate_site(street(), measured, STATION, radio=radio, **wanted)
        assert sum("in another order (the columns from the other end" in note for note in found.cell.notes) == notes
