"""Users of a regular grid as a picture."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


class GridRaster:
    """Users of a regular grid, some of them left out, as an image with one cell around each.

    Args:
        users_xy: (U, 2) metres, points of the grid.
        corner: (2,) metres, the grid's south-western point.
        spacing: Metres between neighbours.
    """

    def __init__(self, users_xy: Float[np.ndarray, "users 2"], corner: Float[np.ndarray, " 2"], spacing: float) -> None:
        place = np.rint((users_xy - corner) / spacing).astype(np.int64)
        self.shape = (int(place[:, 1].max()) + 1, int(place[:, 0].max()) + 1)
        self.spacing = spacing
        self.west, self.south = float(corner[0]) - spacing / 2, float(corner[1]) - spacing / 2
        self._corner = corner
        self._row, self._column = place[:, 1], place[:, 0]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """xmin, xmax, ymin, ymax of the cells, metres."""
        east = self.west + self.shape[1] * self.spacing
        return self.west, east, self.south, self.south + self.shape[0] * self.spacing

    @property
    def x(self) -> Float[np.ndarray, " columns"]:
        """East of the columns' points, metres."""
        east: np.ndarray = self._corner[0] + self.spacing * np.arange(self.shape[1])
        return east

    @property
    def y(self) -> Float[np.ndarray, " rows"]:
        """North of the rows' points, metres."""
        north: np.ndarray = self._corner[1] + self.spacing * np.arange(self.shape[0])
        return north

    def image(self, values: Float[np.ndarray, " users"]) -> Float[np.ndarray, "rows columns"]:
        """Values of the users as an image, NaN where there is no user; row 0 is south."""
        image = np.full(self.shape, np.nan)
        image[self._row, self._column] = values
        return image
