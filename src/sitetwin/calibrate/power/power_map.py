"""A map of received power, learned from a drive test and from the plan of the site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Shaped

from sitetwin.calibrate.power.azimuths import azimuth_notes
from sitetwin.calibrate.power.clutter import Plan
from sitetwin.calibrate.power.covariance import Design, Posterior, Term, Weights
from sitetwin.calibrate.power.layout import Layout, Sector, sectors_of
from sitetwin.calibrate.power.process import coefficients, fit_process, terms_of
from sitetwin.channel.stations import GeographicStation, Station
from sitetwin.errors import SiteTwinError
from sitetwin.learn.model_files import ModelFile, read_model, write_model
from sitetwin.measured.powers import Powers, powers_on_site
from sitetwin.site import Site
from sitetwin.site.mesh import LARGEST_COORDINATE

KIND = "power-map"
SQUARE = 4.0
"""Side of the squares whose readings are merged, metres."""

MOST_ROWS = 5000
"""Rows of all cells together that a map holds; the covariance of more does not fit into memory."""

_LARGEST_WEIGHT = 1e6  # dB, or metres
_LARGEST_POWER = 1e3  # dBm, either sign
_MOST_READINGS = 1000  # pairs of cell and receiver
_AT_ONCE = 2000  # places that are predicted together

Measured = Powers | str | Path | xr.Dataset


@dataclass(frozen=True, eq=False)
class PowerPrediction:
    """Power at places.

    Attributes:
        power_dbm: (N,) mean, dBm.
        sd_db: (N,) standard deviation of a reading there, dB: of the map and of the reading's own fading. A reading is
            the mean over a square, as those of the fit. Without a named receiver it does not hold by how much receivers
            differ: it is that of their mean.
        map_sd_db: (N,) standard deviation of the map alone, dB.
    """

    power_dbm: Float[np.ndarray, " rows"]
    sd_db: Float[np.ndarray, " rows"]
    map_sd_db: Float[np.ndarray, " rows"]

    def interval(self, factor: float = 1.645) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
        """Ends of an interval of readings, 90 % by default."""
        return self.power_dbm - factor * self.sd_db, self.power_dbm + factor * self.sd_db


class PowerMap:
    """Received power of cells over the ground: one Gaussian process of features of the site and a residual field.

    The coefficients of log distance, sector, roof steps and near clutter and the field over the ground are found
    together, so that the field does not explain what the map explains and the other way round. Each receiver has an
    offset, a nugget and a field of its own. Cells share coefficients, and fields where they share a mast; a cell with
    few rows takes what other cells have learned.

    Attributes:
        site: The site; buildings count by their plan alone.
        sectors: The cells.
        notes: What is doubtful about the measured rows.
        left_out: Rows of the last fit that were left out, by reason.
    """

    def __init__(
        self,
        site: Site,
        stations: Sequence[Station | GeographicStation],
        *,
        use_map: bool = True,
    ) -> None:
        """Make a map of cells.

        Args:
            site: The site.
            stations: One for each cell, with the name that the cell has in measured rows. Place and azimuth count.
            use_map: Whether the site's plan takes part; without it the map is the control of a twin.

        Raises:
            SiteTwinError: A station has no name, or two have one.
        """
        self.site, self.sectors, self.use_map = site, sectors_of(stations, site), use_map
        self.notes: tuple[str, ...] = ()
        self.left_out: dict[str, int] = {}
        self._plan = Plan(site)
        self._layout: Layout | None = None
        self._posterior: Posterior | None = None
        self._power = np.zeros(0)

    def fit(self, measured: Measured, rng: np.random.Generator | None = None) -> PowerMap:
        """Fit the map to measured power; what it knew before is forgotten.

        Args:
            measured: File of measured power, what `sitetwin.measured.read_powers` returned, or `Powers`.
            rng: Chooses rows where there are very many; seed 0 by default.

        Raises:
            SiteTwinError: The rows are of other cells or another place, or fewer than the map has coefficients.
        """
        powers = self._rows(measured)
        layout = Layout(self.sectors, tuple(map(str, np.unique(powers.receiver))))
        pairs = len(layout.cells) * len(layout.receivers)
        if pairs > _MOST_READINGS:
            raise SiteTwinError(
                f"{len(layout.receivers)} receivers of {len(layout.cells)} cells are {pairs} pairs, and a power map "
                f"knows {_MOST_READINGS}; does the column of receivers name each row?"
            )
        terms = terms_of(layout, self.use_map)
        least = coefficients(terms)
        if len(powers) < least:
            raise SiteTwinError(
                f"{len(powers)} measured places are fewer than the {least} coefficients of a power map; measure more "
                f"(readings within {SQUARE:g} m count as one)"
            )
        rng = np.random.default_rng(0) if rng is None else rng
        powers = _fewer(powers, rng)
        self._layout = layout
        design = self._design(powers)
        self._posterior = fit_process(terms, design, powers.power_dbm, rng)
        self._power, self.left_out = powers.power_dbm, powers.left_out
        bare = [name for name in layout.cells if not (powers.cell == name).any()]
        unmeasured = [f"no row was measured of the cell {name}: only other cells tell of it" for name in bare]
        self.notes = (*powers.notes, *unmeasured, *azimuth_notes(self.sectors, powers))
        return self

    def update(self, measured: Measured) -> PowerMap:
        """Take further rows into account; standard deviations and lengths stay as they were fitted.

        Args:
            measured: As for `fit`; of receivers that the fit knew.

        Raises:
            SiteTwinError: Nothing was fitted yet, a receiver is new, or the rows are of other cells or another place.
        """
        posterior = self._fitted()
        powers = self._rows(measured)
        design = _joined(posterior.design, self._design(powers))
        if len(design) > MOST_ROWS:
            raise SiteTwinError(f"a power map holds {MOST_ROWS} places, and would have {len(design)}; fit it again")
        power = np.concatenate([self._power, powers.power_dbm])
        self._posterior = Posterior.of(posterior.terms, posterior.weights, design, power, posterior.mean)
        self._power = power
        self.notes = tuple(dict.fromkeys([*self.notes, *powers.notes]))
        return self

    def predict(
        self,
        positions: Float[np.ndarray, "rows axes"],
        cell: str | Shaped[np.ndarray, " rows"] | None = None,
        receiver: str | Shaped[np.ndarray, " rows"] | None = None,
    ) -> PowerPrediction:
        """Power at places.

        Args:
            positions: (N, 2) or (N, 3) metres in the site's frame; heights do not count.
            cell: Name of the cell, or of each row's; may be left out where the map has one.
            receiver: Name of the receiver, or of each row's; the mean over those that measured by default.

        Raises:
            SiteTwinError: Nothing was fitted yet, or a name is not known.
        """
        posterior, layout = self._fitted(), self._known_layout()
        count = len(positions)
        if positions.shape[1] not in (2, 3) or not np.isfinite(positions).all():
            raise SiteTwinError("positions must be (N, 2) or (N, 3) finite metres; check them")
        if cell is None:
            if len(layout.cells) > 1:
                raise SiteTwinError(f"this map knows the cells {', '.join(layout.cells)}; say which one")
            cell = layout.cells[0]
        cells = np.full(count, cell) if isinstance(cell, str) else cell
        named = np.full(count, receiver) if isinstance(receiver, str) else receiver
        numbers, shares = layout.numbers(cells), layout.shares(named, count)
        means, spreads, nuggets = [np.zeros(0)], [np.zeros(0)], [np.zeros(0)]
        for begin in range(0, count, _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            plan = np.asarray(positions[part, :2], dtype=np.float64)
            design = layout.design(self._plan, plan, numbers[part], shares[part])
            mean, spread = posterior.at(design)
            means.append(mean)
            spreads.append(spread)
            nuggets.append(design.groups["reading"] @ posterior.weights.noise_sd**2)
        spread = np.concatenate(spreads)
        return PowerPrediction(np.concatenate(means), np.sqrt(spread**2 + np.concatenate(nuggets)), spread)

    def weights(self) -> dict[str, dict[str, float]]:
        """Fitted standard deviations (dB) and lengths (metres) of each summand, and nuggets of each reading.

        Raises:
            SiteTwinError: Nothing was fitted yet.
        """
        posterior, layout = self._fitted(), self._known_layout()
        found: dict[str, dict[str, float]] = {}
        for term, sd, length in zip(posterior.terms, posterior.weights.sd, posterior.weights.length, strict=True):
            found[term.name] = {"sd_db": float(sd), **({"length_m": float(length)} if term.is_field else {})}
        names = [f"{cell}, {receiver}" for cell in layout.cells for receiver in layout.receivers]
        for name, sd in zip(names, posterior.weights.noise_sd, strict=True):
            found[f"nugget of {name}"] = {"sd_db": float(sd)}
        return found

    def save(self, path: str | Path) -> Path:
        """Write the map to one file of plain arrays and a JSON header.

        Raises:
            SiteTwinError: Nothing was fitted yet, or the disk refuses.
        """
        posterior, layout = self._fitted(), self._known_layout()
        parameters = {
            "geometry": self.site.geometry_hash,
            "site": self.site.name,
            "use_map": self.use_map,
            "sectors": [[s.name, list(s.plan), s.yaw_deg] for s in self.sectors],
            "receivers": list(layout.receivers),
            "terms": [[t.name, t.sd, list(t.columns), t.length, t.group] for t in posterior.terms],
            "mean_dbm": posterior.mean,
            "notes": list(self.notes),
            "left_out": self.left_out,
        }
        reading = posterior.design.groups["reading"].argmax(axis=1)
        arrays = {
            "plan": posterior.design.plan,
            "power": self._power,
            "reading": reading.astype(np.int64),
            "sd": posterior.weights.sd,
            "length": posterior.weights.length,
            "noise_sd": posterior.weights.noise_sd,
        }
        write_model(Path(path), KIND, parameters, {name: torch.from_numpy(a.copy()) for name, a in arrays.items()})
        return Path(path)

    @classmethod
    def load(cls, path: str | Path, site: Site) -> PowerMap:
        """Read a map that `save` wrote.

        Args:
            path: The file.
            site: The site that it was made on.

        Raises:
            SiteTwinError: The file is missing, damaged or no power map, or the site has another geometry.
        """
        file = read_model(Path(path), KIND)
        if file.parameter("geometry", str) != site.geometry_hash:
            raise SiteTwinError(
                f"{path} is a power map of another site ('{file.parameter('site', str)[:40]}') than '{site.name}'; "
                "give the site that it was fitted on"
            )
        try:
            return cls._restored(file, site)
        except (ValueError, TypeError, IndexError, np.linalg.LinAlgError) as error:
            raise file.refusal("its numbers do not fit together") from error

    @classmethod
    def _restored(cls, file: ModelFile, site: Site) -> PowerMap:
        found = cls.__new__(cls)
        found.site, found.use_map, found._plan = site, file.parameter("use_map", bool), Plan(site)
        rows = file.parameter("sectors", list[tuple[str, tuple[float, float], float | None]])
        found.sectors = tuple(Sector(*row) for row in rows)
        found.notes = tuple(file.parameter("notes", list[str]))
        found.left_out = file.parameter("left_out", dict[str, int])
        layout = Layout(found.sectors, tuple(file.parameter("receivers", list[str])))
        terms = terms_of(layout, found.use_map)
        held = file.parameter("terms", list[tuple[str, float, tuple[str, ...], float, str | None]])
        if any(not names or len(set(names)) < len(names) for names in (layout.receivers, layout.cells)):
            raise file.refusal("it names no cell or receiver, or one twice")
        if tuple(Term(n, sd, c, length, g) for n, sd, c, length, g in held) != terms:
            raise file.refusal("it was fitted by another version of the process; fit it again")
        arrays = {
            name: file.array(name, axes, torch.float64).numpy()
            for name, axes in (
                ("plan", "rows axes"),
                ("power", "rows"),
                ("sd", "terms"),
                ("length", "terms"),
                ("noise_sd", "members"),
            )
        }
        reading = file.array("reading", "rows", torch.int64).numpy()
        sizes = (len(layout.cells), len(layout.receivers))
        weights = Weights(arrays["sd"], arrays["length"], arrays["noise_sd"])
        if arrays["plan"].shape[1] != 2 or len(weights.sd) != len(terms) or len(weights.noise_sd) != np.prod(sizes):
            raise file.refusal("its arrays have other sizes than its header says")
        places = np.concatenate([arrays["plan"].ravel(), np.ravel([sector.plan for sector in found.sectors])])
        mean = file.parameter("mean_dbm", float)
        if not (_sane(weights, places, np.append(arrays["power"], mean)) and _known(reading, int(np.prod(sizes)))):
            raise file.refusal("a number is out of its range")
        cell, receiver = np.unravel_index(reading, sizes)
        shares = np.eye(sizes[1])[receiver]
        design = layout.design(found._plan, arrays["plan"], np.asarray(cell), shares)
        found._layout, found._power = layout, arrays["power"]
        found._posterior = Posterior.of(terms, weights, design, found._power, mean)
        return found

    def _rows(self, measured: Measured) -> Powers:
        """Merged rows of the map's cells."""
        powers = measured if isinstance(measured, Powers) else powers_on_site(measured, self.site)
        return powers.of_cells([sector.name for sector in self.sectors]).merged(SQUARE)

    def _design(self, powers: Powers) -> Design:
        layout = self._known_layout()
        shares = layout.shares(powers.receiver, len(powers))
        return layout.design(self._plan, powers.positions[:, :2], layout.numbers(powers.cell), shares)

    def _known_layout(self) -> Layout:
        if self._layout is None:
            raise SiteTwinError("this power map has not been fitted; call fit with measured power first")
        return self._layout

    def _fitted(self) -> Posterior:
        if self._posterior is None:
            raise SiteTwinError("this power map has not been fitted; call fit with measured power first")
        return self._posterior


def _sane(weights: Weights, places: np.ndarray, power: np.ndarray) -> bool:
    """Whether numbers of a file are such as a fit gives."""
    return (
        float(np.abs(places).max(initial=0.0)) <= LARGEST_COORDINATE
        and float(np.abs(power).max(initial=0.0)) <= _LARGEST_POWER
        and all(
            bool(((values > 0) & (values < _LARGEST_WEIGHT)).all())
            for values in (weights.sd, weights.length, weights.noise_sd)
        )
    )


def _known(reading: np.ndarray, count: int) -> bool:
    """Whether each row is one of a cell and a receiver that the file names, and of these and rows there are few."""
    few = 0 < len(reading) <= MOST_ROWS and count <= _MOST_READINGS
    return few and bool(((reading >= 0) & (reading < count)).all())


def _fewer(powers: Powers, rng: np.random.Generator) -> Powers:
    if len(powers) <= MOST_ROWS:
        return powers
    kept = np.sort(rng.permutation(len(powers))[:MOST_ROWS])
    said = {f"more than the {MOST_ROWS} places that a map holds, chosen at random": len(powers) - MOST_ROWS}
    return replace(powers.take(kept), left_out={**powers.left_out, **said})


def _joined(one: Design, other: Design) -> Design:
    def both(a: Any, b: Any) -> dict[str, np.ndarray]:
        return {name: np.concatenate([a[name], b[name]]) for name in a}

    return Design(
        np.concatenate([one.plan, other.plan]),
        both(one.features, other.features),
        both(one.groups, other.groups),
        np.concatenate([one.noise, other.noise]),
    )
