"""Numbers, colours, and the legend between them."""

import numpy as np
from matplotlib import colormaps

from sitetwin.view.colours import NO_VALUE, Scale, colours_of, legend, scale_of
from sitetwin.view.quantities import Quantity


def test_the_scale_covers_the_middle_and_is_round() -> None:
    values = np.concatenate([np.linspace(-98.0, -61.0, 500), [np.nan, np.inf, -500.0]])
    assert scale_of(Quantity("gain (dB)", values, 5.0)) == Scale(-100.0, -60.0)


def test_ends_and_middle_have_the_colours_of_the_map() -> None:
    scale = Scale(-100.0, -60.0)
    found = colours_of(Quantity("gain", np.array([-100.0, -80.0, -60.0, -200.0, np.inf, np.nan])), scale)
    ends = [np.rint(255 * np.array(colormaps["viridis"](share)[:3])) for share in (0.0, 0.5, 1.0, 0.0, 1.0)]
    np.testing.assert_array_equal(found[:5], ends)
    assert tuple(found[5]) == NO_VALUE


def test_labels_have_colours_of_their_own() -> None:
    quantity = Quantity("line of sight", np.array([0.0, 1.0, np.nan, 1.0]), names=("no", "yes"))
    found = colours_of(quantity, scale_of(quantity))
    assert len(np.unique(found, axis=0)) == 3
    assert tuple(found[1]) == tuple(found[3])
    text = legend(quantity, scale_of(quantity))
    assert "no: 1" in text
    assert "yes: 2" in text
    assert "no value: 1" in text


def test_the_legend_shows_the_ends_and_escapes_what_files_say() -> None:
    quantity = Quantity("<script>nmse</script>", np.array([-20.0, -10.0]))
    text = legend(quantity, Scale(-20.0, -10.0))
    assert "<script>" not in text
    assert "\N{MINUS SIGN}20" in text
    assert "\N{MINUS SIGN}10" in text


def test_users_without_any_value() -> None:
    quantity = Quantity("gain", np.full(3, np.nan), 5.0)
    assert (colours_of(quantity, scale_of(quantity)) == NO_VALUE).all()
