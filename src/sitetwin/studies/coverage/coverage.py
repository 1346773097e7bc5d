"""What users of an area receive from base stations: values, maps and labelled arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.axes import Axes

from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.link_statistics import LinkStatistics
from sitetwin.channel.stations import Station
from sitetwin.drawing.maps import round_range
from sitetwin.drawing.plots.coverage import plot_best_server, plot_coverage, plot_labels
from sitetwin.drawing.style import SIGHT_COLOURS
from sitetwin.rays.dense import TraceSettings
from sitetwin.site import Site
from sitetwin.site.summary import Rows, as_html, as_text
from sitetwin.studies.coverage.grid import GridRaster
from sitetwin.studies.coverage.quantities import QUANTITIES, known_quantity

SIGHT_NAMES = ("no", "yes")
"""What the labels of `line_of_sight` mean."""

_MOST_NAMES = 6  # of stations in one line
_STATED = ("rsrp_dbm", "sinr_db", "delay_spread_s")  # in the short text


@dataclass(frozen=True)
class Area:
    """The users: a grid over a rectangle.

    Attributes:
        bounds: (xmin, ymin, xmax, ymax), metres.
        spacing: Metres between neighbours.
        height: Metres above the ground.
        indoors: Whether users and stations may stand inside buildings.
    """

    bounds: tuple[float, float, float, float]
    spacing: float
    height: float
    indoors: bool = False


@dataclass(frozen=True)
class CoverageSettings:
    """How a coverage is made.

    Attributes:
        trace: Settings of the tracer.
        options: Season, foliage, materials out of range.
        noise_figure_db: Noise figure of the users' receivers; 9 dB by default, common for handsets.
        tile_users: Users traced and summed up at a time.
    """

    trace: TraceSettings = field(default_factory=TraceSettings)
    options: FieldOptions = field(default_factory=FieldOptions)
    noise_figure_db: float = 9.0
    tile_users: int = 50_000


@dataclass(frozen=True, eq=False, repr=False)
class Coverage:
    """What U users of an area receive from S stations.

    Attributes:
        site: The site.
        area: The grid of users.
        settings: How it was made.
        stations: S, each with a name.
        users: (U, 3) metres; those inside buildings are left out.
        dropped: How many were left out.
        links: S `LinkStatistics`.
        received: (S, U) RSRP, W.
        serving: (U,) station that serves, -1 for none.
        sinr: (U,) linear, NaN where none serves.
        stores: Folder of the paths of each station, relative to that of the coverage.
        chains: Hash of each station's chains, their estimated unseen share, its limit and the users it rests on.
    """

    site: Site
    area: Area
    settings: CoverageSettings
    stations: tuple[Station, ...]
    users: Float[np.ndarray, "users 3"]
    dropped: int
    links: tuple[LinkStatistics, ...]
    received: Float[np.ndarray, "stations users"]
    serving: Int[np.ndarray, " users"]
    sinr: Float[np.ndarray, " users"]
    stores: tuple[str, ...]
    chains: tuple[dict[str, object], ...]

    def values(self, quantity: str) -> Float[np.ndarray, " users"]:
        """Return a quantity of the link between each user and its serving station.

        Args:
            quantity: One of `QUANTITIES`, such as "rsrp_dbm", "sinr_db" or "delay_spread_s".

        Returns:
            (U,) in the units of `QUANTITIES`, NaN where there is no value. "best_server" is the index of the station,
            "line_of_sight" is 0 or 1.

        Raises:
            SiteTwinError: There is no such quantity.
        """
        chosen = known_quantity(quantity)
        served = self.serving >= 0
        if quantity == "best_server":
            return np.where(served, self.serving, np.nan)
        if quantity == "rsrp_dbm":
            best = np.take_along_axis(self.received, np.maximum(self.serving, 0)[None], axis=0)[0]
            return _db(np.where(served, best, np.nan)) + 30
        found = self.sinr if quantity == "sinr_db" else self.of_serving(chosen.of_link)
        return _db(found) if chosen.units == "dB" else found

    def of_serving(self, name: str) -> Float[np.ndarray, " users"]:
        """Return a field of `LinkStatistics` of the link to the serving station; NaN where no station serves."""
        every = np.stack([np.asarray(getattr(link, name), dtype=np.float64) for link in self.links])
        value = np.take_along_axis(every, np.maximum(self.serving, 0)[None], axis=0)[0]
        return np.where(self.serving >= 0, value, np.nan)

    @property
    def received_dbm(self) -> Float[np.ndarray, "stations users"]:
        """RSRP of every station at every user in dBm; NaN where no path arrives."""
        return _db(np.where(self.received > 0, self.received, np.nan)) + 30

    @property
    def raster(self) -> GridRaster:
        """The users as an image."""
        return GridRaster(self.users[:, :2], np.array(self.area.bounds[:2], dtype=np.float64), float(self.area.spacing))

    def plot(self, quantity: str = "rsrp_dbm", ax: Axes | None = None) -> Axes:
        """Draw the map of a quantity over the roofs of the site, with the stations.

        Args:
            quantity: One of `QUANTITIES`.
            ax: Axes to draw on; by default those of a new figure.

        Returns:
            The axes.

        Raises:
            SiteTwinError: There is no such quantity, or more than 20 stations are to be told apart by colours.
        """
        chosen, values = known_quantity(quantity), self.values(quantity)
        names = [str(station.name) for station in self.stations]
        masts = np.array([station.position for station in self.stations], dtype=np.float64)
        if quantity == "best_server":
            index = np.where(np.isnan(values), -1.0, values)
            return plot_best_server(index, self.users, names=names, site=self.site, transmitters=masts, ax=ax)
        if quantity == "line_of_sight":
            return plot_labels(
                values,
                self.users,
                SIGHT_NAMES,
                title=chosen.label,
                colours=SIGHT_COLOURS,
                site=self.site,
                transmitters=masts,
                transmitter_names=names,
                ax=ax,
            )
        shown = values * chosen.factor
        return plot_coverage(
            shown,
            self.users,
            label=chosen.label,
            site=self.site,
            transmitters=masts,
            transmitter_names=names,
            limits=round_range(shown, chosen.step),
            ax=ax,
        )

    def to_xarray(self) -> xr.Dataset:
        """Return the quantities as maps over x and y, and the received power of each station.

        Returns:
            A dataset with the dimensions ``y`` (south to north), ``x`` (west to east) and ``station``. Each of
            `QUANTITIES` is a variable over (y, x) with its units and its meaning; ``station_rsrp_dbm`` is over
            (station, y, x). NaN stands where there is no user or no value. ``best_server`` counts the stations from 0,
            ``line_of_sight`` is 0 or 1. The coordinate ``z`` is the users' height above the origin, metres.
        """
        raster = self.raster
        cells = ("y", "x")
        variables = {
            name: (cells, raster.image(self.values(name)), {"units": q.units or "1", "long_name": q.description})
            for name, q in QUANTITIES.items()
        }
        every = np.stack([raster.image(row) for row in self.received_dbm])
        meaning = "received power per resource element, of each station"
        carriers = [station.carrier_hz for station in self.stations]
        places = np.array([station.position for station in self.stations], dtype=np.float64)
        coordinates = {
            "x": ("x", raster.x, {"units": "m", "long_name": "east of the local origin"}),
            "y": ("y", raster.y, {"units": "m", "long_name": "north of the local origin"}),
            "z": (cells, raster.image(self.users[:, 2]), {"units": "m", "long_name": "above the local origin"}),
            "station": ("station", [str(station.name) for station in self.stations], {"long_name": "station"}),
            "carrier_frequency": ("station", carriers, {"units": "Hz", "long_name": "carrier of the station"}),
            **{
                f"station_{axis}": ("station", places[:, number], {"units": "m", "long_name": f"{axis} of the station"})
                for number, axis in enumerate("xyz")
            },
        }
        attributes = {
            "site": self.site.name,
            "site_hash": self.site.hash,
            "geometry_hash": self.site.geometry_hash,
            "spacing_m": float(self.area.spacing),
            "height_m": float(self.area.height),
            "noise_figure_db": float(self.settings.noise_figure_db),
        }
        return xr.Dataset(
            {**variables, "station_rsrp_dbm": (("station", *cells), every, {"units": "dBm", "long_name": meaning})},
            coordinates,
            attributes,
        )

    def __repr__(self) -> str:
        return as_text(self._title, self._rows())

    def _repr_html_(self) -> str:
        return as_html(self._title, self._rows())

    @property
    def _title(self) -> str:
        return f"Coverage of site '{self.site.name}' ({self.site.hash[:12]})"

    def _rows(self) -> Rows:
        names = [str(station.name) for station in self.stations]
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        xmin, ymin, xmax, ymax = self.area.bounds
        served = int(np.count_nonzero(self.serving >= 0))
        rows = [
            ("stations", ", ".join(names[:_MOST_NAMES]) + more),
            ("area", f"x {xmin:g} to {xmax:g} m, y {ymin:g} to {ymax:g} m, every {self.area.spacing:g} m"),
            ("users", f"{len(self.users):,}, {served:,} served, {self.dropped:,} left out inside buildings"),
        ]
        for name in _STATED:
            quantity, values = QUANTITIES[name], self.values(name)
            known = values[~np.isnan(values)]
            if len(known):
                low, middle, high = np.percentile(known * quantity.factor, [5, 50, 95], method="inverted_cdf")
                rows.append((quantity.label, f"median {middle:.1f}, 5 % to 95 %: {low:.1f} to {high:.1f}"))
        return rows


def _db(value: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        decibels: np.ndarray = 10 * np.log10(value)
    return decibels
