"""What the plots take: axes, users with values, powers of paths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from sitetwin.drawing.style import figure_style
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths

SINGLE_WIDTH, SINGLE_HEIGHT = 4.6, 3.2
"""Inches of a plot that has no axes of its own yet."""


@contextmanager
def axes_in_style(
    ax: Axes | None, width: float = SINGLE_WIDTH, height: float = SINGLE_HEIGHT, **options: Any
) -> Iterator[Axes]:
    """The axes to draw on, in the project's style; a new figure, which a notebook shows, where none are given.

    Args:
        ax: Axes, or None.
        width: Width of a new figure, inches.
        height: Height of a new figure, inches.
        **options: Options of new axes, such as their projection.
    """
    with figure_style():
        if ax is None:
            from matplotlib import pyplot

            figure = pyplot.figure(figsize=(width, height), layout="constrained")
            ax = figure.add_subplot(**options)
        yield ax


def users_and_values(
    values: ArrayLike | xr.DataArray, users: ArrayLike | None
) -> tuple[Float[np.ndarray, " users"], Float[np.ndarray, "users 2"], str | None]:
    """One number per user and where the users are.

    Args:
        values: (U,) numbers, or an xarray.DataArray over one dimension with the coordinates ``x`` and ``y``.
        users: (U, 2) or (U, 3) metres; None takes the coordinates.

    Returns:
        Values, places in the plane, and a label from the array's attributes ``long_name`` and ``units``, if it has one.

    Raises:
        SiteTwinError: There is no user, or values and users do not fit each other.
    """
    label = None
    if isinstance(values, xr.DataArray):
        label = _label_of(values)
        if users is None:
            if not {"x", "y"} <= set(values.coords):
                raise SiteTwinError("the values have no coordinates x and y; give the positions of the users")
            users = np.stack([values["x"].values, values["y"].values], axis=-1)
        values = values.values
    if users is None:
        raise SiteTwinError("the positions of the users are missing; give an array (U, 3) in metres")
    number = np.asarray(values, dtype=np.float64)
    place = np.asarray(users, dtype=np.float64)
    if place.ndim != 2 or place.shape[1] not in (2, 3) or not len(place) or not np.isfinite(place).all():
        raise SiteTwinError(f"users have the shape {place.shape}; give at least one finite position, (U, 3) in metres")
    if number.shape != (len(place),):
        raise SiteTwinError(f"values of shape {number.shape} do not fit {len(place):,} users; give one number for each")
    return number, place[:, :2], label


def _label_of(values: xr.DataArray) -> str | None:
    name = values.attrs.get("long_name") or values.name
    units = values.attrs.get("units")
    return f"{name} ({units})" if name and units else str(name) if name else None


def path_powers(paths: Paths, power: Any) -> Float[np.ndarray, " paths"]:
    """Received over transmitted power of each path.

    Args:
        paths: P paths.
        power: (P,) numbers, or what `path_gains` returns: of several ports the mean over all pairs counts, of several
            frequencies the mean over them.

    Raises:
        SiteTwinError: The powers do not fit the paths, are negative or not finite.
    """
    value = np.asarray(getattr(power, "power", power), dtype=np.float64)
    if value.ndim > 1 and value.shape[-3:-2] == (paths.num_paths,):
        value = np.moveaxis(value, -3, 0).reshape(paths.num_paths, -1).mean(axis=1)
    if value.shape != (paths.num_paths,) or not (np.isfinite(value) & (value >= 0)).all():
        raise SiteTwinError(
            f"powers of shape {value.shape} do not fit {paths.num_paths:,} paths; give one finite number, 0 or more, "
            "for each, or the gains of these paths"
        )
    return value


def rows_above(
    paths: Paths, power: Float[np.ndarray, " paths"], user: int, floor_db: float
) -> Int[np.ndarray, " shown"]:
    """Rows of a user's paths that lie no further than a floor below the strongest, the strongest first.

    Raises:
        SiteTwinError: There is no such user, nothing reaches it, or the floor is not below the strongest path.
    """
    if not floor_db > 0:
        raise SiteTwinError(f"the floor lies {floor_db:g} dB below the strongest path; give a positive number")
    if not 0 <= user < paths.num_users:
        raise SiteTwinError(f"there is no user {user}; the paths have the users 0 to {paths.num_users - 1}")
    rows = np.arange(paths.offsets[user], paths.offsets[user + 1])
    rows = rows[power[rows] > 0]
    if not len(rows):
        raise SiteTwinError(f"no path reaches user {user}; paths.counts says how many each user has: choose another")
    rows = rows[np.argsort(-power[rows], kind="stable")]
    return cast(np.ndarray, rows[power[rows] >= power[rows[0]] * 10 ** (-floor_db / 10)])
