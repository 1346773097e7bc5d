"""Permittivity and thickness of slabs: their likelihood has many peaks, which a scan of a grid finds.

A slab reflects most where its two faces' waves add up, so that pairs of permittivity and thickness with nearly the same
optical depths are nearly as likely, and a climb from the nominal pair ends at a peak nearby. The scan uses the paths
that meet the material once, by a reflection: their field is ``A r_te + B r_tm`` with A and B that do not depend on the
material, which two evaluations of the twin tell. The likelihood of a pair then costs no more than the reflection
coefficients of some hundred paths.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from scipy.sparse import csr_array

from sitetwin.calibrate.channels.likelihood import Contamination, TapLaw, scores
from sitetwin.calibrate.channels.model import ChannelTwin, Geometry
from sitetwin.calibrate.channels.parameters import Parameter, to_scale
from sitetwin.calibrate.channels.properties import paths_meeting
from sitetwin.calibrate.channels.scoring import Scorer
from sitetwin.channel.fields.materials import complex_permittivity
from sitetwin.channel.fields.reflection import Layer
from sitetwin.rays.paths import SPEED_OF_LIGHT, Interaction

_ROWS = 200
"""Taps of a scan: those that the material changes most."""

_FEW_ROWS = 80  # of them on the coarse grid
_DOMINANT = 0.03  # share of a tap's power from which a path moves on the coarse grid

_PERIOD = 4  # points of the grid for one period of the interference in the slab
_FINER = 8  # times as many where only one of both is searched: peaks are then much narrower than a period
_MOST = (100, 200)  # points of permittivity and of thickness
_WIDTH = 2.5  # standard deviations of the prior that the grid covers where both are searched, or about a class
_LOSSES = 7  # conductivities of a grid with one other axis
_LOSS_CHANGES = (-1.5, 0.0, 1.5)  # of a grid with two others, standard deviations of the prior
_AT_ONCE = 512  # pairs
_TOLERANCE = 0.02  # relative error up to which a path's field is two reflection coefficients
_FOREIGN = 0.2  # share of a tap's power from paths that meet the material otherwise, above which it is left out
BROAD = 0.3
"""Least misfit of a grid: peaks of well-known taps are narrower than its steps, and would be missed."""

_TRIALS = ((1.0, 1e7), (4.0, 1e-6))  # permittivity and conductivity of the two evaluations


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of permittivity and thickness with their log-posterior, all other parameters kept.

    Attributes:
        permittivity: (E,) values.
        thickness: (D,) metres.
        log_posterior: (E, D) nats, up to a constant.
    """

    permittivity: Float[np.ndarray, " permittivities"]
    thickness: Float[np.ndarray, " thicknesses"]
    log_posterior: Float[np.ndarray, "permittivities thicknesses"]

    def peaks(self, most: int, within: float) -> list[tuple[float, float]]:
        """The highest local maxima of the grid, at most some nats below the highest, best first."""
        padded = np.pad(self.log_posterior, 1, constant_values=-np.inf)
        rows, columns = self.log_posterior.shape
        around = np.max(
            [padded[1 + i : 1 + i + rows, 1 + j : 1 + j + columns] for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j],
            axis=0,
        )
        fine = (self.log_posterior >= around) & (self.log_posterior > self.log_posterior.max() - within)
        at = np.argwhere(fine)
        order = np.argsort(-self.log_posterior[fine], kind="stable")[:most]
        return [(float(self.permittivity[i]), float(self.thickness[j])) for i, j in at[order]]


@dataclass(frozen=True)
class PairAxes:
    """The parameters of permittivity, thickness and conductivity of one material; None for those that are held.

    Attributes:
        permittivity: The parameter of the permittivity.
        thickness: The parameter of the thickness.
        centre: Changes of both that the class of a building gives already.
        conductivity: The parameter of the conductivity.
    """

    permittivity: Parameter | None
    thickness: Parameter | None
    centre: tuple[float, float] = (0.0, 0.0)
    conductivity: Parameter | None = None

    def ranges(self, permittivity: float, thickness: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """Values to search: within the bounds, or some standard deviations where that would be too many pairs.

        Args:
            permittivity: Its value where it is held.
            thickness: The same, metres.
        """
        return (
            _range(self.permittivity, self.centre[0], permittivity, whole=self.alone),
            _range(self.thickness, self.centre[1], thickness, whole=self.alone),
        )

    @property
    def alone(self) -> bool:
        """Whether at most one of permittivity and thickness is searched."""
        return self.permittivity is None or self.thickness is None

    @property
    def free(self) -> tuple[tuple[int, Parameter, float], ...]:
        """Number, parameter and centre of each axis that is searched: 0 permittivity, 1 thickness, 2 conductivity."""
        axes = ((self.permittivity, self.centre[0]), (self.thickness, self.centre[1]), (self.conductivity, 0.0))
        return tuple((number, one, centre) for number, (one, centre) in enumerate(axes) if one is not None)

    def conductivities(self, held: float) -> np.ndarray:
        """(S,) conductivities of the grids, S/m: losses decide how much of the second face is seen.

        Args:
            held: The one that is held.
        """
        one = self.conductivity
        if one is None:
            return np.array([held])
        if not self.alone:
            return np.unique([one.value(change * one.sd) for change in _LOSS_CHANGES])
        return np.unique([*np.geomspace(one.low, one.high, _LOSSES + 2)[1:-1], min(max(held, one.low), one.high)])

    def log_prior(self, permittivity: np.ndarray, thickness: np.ndarray, conductivity: float) -> np.ndarray:
        """(N,) logarithm of the prior of pairs, up to a constant."""
        axes = (
            (self.permittivity, permittivity, self.centre[0]),
            (self.thickness, thickness, self.centre[1]),
            (self.conductivity, np.full(len(permittivity), conductivity), 0.0),
        )
        total = np.zeros(len(thickness))
        for one, values, centre in axes:
            total += 0.0 if one is None else _log_prior(one, values, centre)
        return total


class SlabScan:
    """The likelihood of pairs for one material, all other parameters kept.

    Attributes:
        rows: Taps of the scorer that the scan compares.
    """

    def __init__(
        self,
        scorer: Scorer,
        parameters: list[Parameter],
        theta: np.ndarray,
        nuisance: Contamination,
        entries: list[int],
    ) -> None:
        """Prepare.

        Args:
            scorer: The taps that are compared.
            parameters: J parameters.
            theta: (J,) their changes.
            nuisance: Misfit and outliers.
            entries: Entries of the split site that are this material.
        """
        twin = scorer.twin
        self.nuisance, self.carrier_hz = nuisance, twin.profiles.carrier_hz
        self.values = twin.table.values(parameters, theta)
        geometry = Geometry.of(parameters, theta)
        scale = twin.received(parameters, theta)
        once, cosine, alone = _single(twin, entries)

        def fields_at(values: dict[str, np.ndarray]) -> np.ndarray:
            rows, gains = twin.gains_meeting(tuple(entries), values, geometry)
            found: np.ndarray = math.sqrt(scale) * gains[np.searchsorted(rows, once)]
            return found

        fields = [fields_at(values) for values in _trials(self.values, entries)]
        self.cosine = torch.from_numpy(cosine)
        self.permittivity, self.depth, self.sigma = (float(self.values[n][entries[0]]) for n in (*_AXES, _LOSS))
        parts = self._parts(fields)
        own = fields_at(self.values)
        faces = self._faces(np.array([self.permittivity]), np.array([self.sigma]))
        now = self._fields(parts, faces, np.array([self.depth]))[0]
        fine = np.abs(now - own).max(axis=1) <= _TOLERANCE * (np.abs(own).max(axis=1) + 1e-300)
        self.parts, self.cosine = [p[fine] for p in parts], self.cosine[torch.from_numpy(fine)]
        self._choose_rows(scorer, parameters, theta, geometry, once[fine], alone)

    def _choose_rows(
        self,
        scorer: Scorer,
        parameters: list[Parameter],
        theta: np.ndarray,
        geometry: Geometry,
        paths: np.ndarray,
        foreign: Bool[np.ndarray, " paths"],
    ) -> None:
        """The taps in which the material tells most, and what all other paths put into them."""
        twin = scorer.twin
        ports = twin.tx.array.num_ports
        power = twin.received(parameters, theta) * twin.powers(self.values, geometry)
        columns = (paths[:, None] * ports + np.arange(ports)).reshape(-1)
        rest = power.copy()
        rest[columns] = 0.0
        spread = twin.spread(geometry)[np.flatnonzero(scorer.kept)]
        squared = csr_array((spread.data**2, spread.indices, spread.indptr), shape=spread.shape)
        law = TapLaw(spread @ power, squared @ power**2, twin.noise[scorer.kept])
        from_here = law.signal - spread @ rest
        other = spread @ (power * np.repeat(foreign, ports))
        shape = scores(scorer.observed, law, self.nuisance).shape
        worth = shape * (from_here / law.mean) ** 2
        worth[other > _FOREIGN * law.mean] = 0.0
        rows = np.argsort(-worth, kind="stable")[:_ROWS]
        self.rows = rows = rows[worth[rows] > 0]
        own = spread[rows][:, columns]
        used = np.unique(own.indices // ports)
        self.parts, self.cosine = [part[used] for part in self.parts], self.cosine[torch.from_numpy(used)]
        self.own = own[:, (used[:, None] * ports + np.arange(ports)).reshape(-1)]
        self.own_squared = csr_array((self.own.data**2, self.own.indices, self.own.indptr), shape=self.own.shape)
        self.rest = TapLaw(spread[rows] @ rest, squared[rows] @ rest**2, law.noise[rows])
        self.observed = scorer.observed[rows]
        self.few = self._narrowed(power[columns].reshape(-1, ports)[used].reshape(-1), ports) if len(used) else self

    def _narrowed(self, power: np.ndarray, ports: int) -> SlabScan:
        """The taps that tell most, in which paths of little power stay as they are: for the coarse grid."""
        own, few = self.own[:_FEW_ROWS], copy(self)
        rest = TapLaw(*(v[:_FEW_ROWS] for v in (self.rest.signal, self.rest.squares, self.rest.noise)))
        mean = own @ power + rest.mean
        share = own.multiply(power[None, :]).multiply(1 / mean[:, None]).tocsr().max(axis=0).toarray()
        used = share.reshape(-1, ports).max(axis=1) >= _DOMINANT
        column = np.repeat(used, ports)
        idle = np.where(column, 0.0, power)
        few.parts, few.cosine = [part[used] for part in self.parts], self.cosine[torch.from_numpy(used)]
        few.own = own[:, np.flatnonzero(column)]
        few.own_squared = few.own.power(2)
        few.rest = TapLaw(rest.signal + own @ idle, rest.squares + own.power(2) @ idle**2, rest.noise)
        few.observed = self.observed[:_FEW_ROWS]
        return few

    def log_likelihood(
        self,
        permittivity: Float[np.ndarray, " pairs"],
        thickness: Float[np.ndarray, " pairs"],
        conductivity: Float[np.ndarray, " pairs"] | float | None = None,
        misfit: float | None = None,
    ) -> Float[np.ndarray, " pairs"]:
        """(N,) log-likelihood of pairs, nats, as if taps were independent.

        Args:
            permittivity: (N,) values.
            thickness: (N,) metres.
            conductivity: S/m, one or (N,); the present one by default.
            misfit: Relative error of the paths' power; that of the fit by default.
        """
        found = []
        sigma = np.broadcast_to(self.sigma if conductivity is None else conductivity, permittivity.shape)
        for start in range(0, len(permittivity), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            law = self.law(self._faces(permittivity[some], sigma[some]), thickness[some])
            found.append(self._told(law, misfit))
        return np.concatenate(found)

    def _told(self, law: TapLaw, misfit: float | None) -> np.ndarray:
        """(N,) log-likelihood of N laws."""
        nuisance = self.nuisance if misfit is None else replace(self.nuisance, misfit=misfit)
        observed = np.broadcast_to(self.observed[:, None], law.signal.shape)
        told: np.ndarray = scores(observed, law, nuisance).each.sum(axis=0)
        return told

    def at(
        self,
        permittivity: Float[np.ndarray, " pairs"],
        thickness: Float[np.ndarray, " pairs"],
        conductivity: Float[np.ndarray, " pairs"],
    ) -> TapLaw:
        """What the twin says of the taps at N pairs, each (R, N)."""
        return self.law(self._faces(permittivity, conductivity), thickness)

    def law(self, faces: Faces, thickness: Float[np.ndarray, "*pairs"]) -> TapLaw:
        """What the twin says of the taps at N pairs, each (R, N).

        Args:
            faces: Of the permittivities and conductivities of the pairs, or of some that all thicknesses have.
            thickness: (N,) or (1, D) metres.
        """
        signals, squares, noises = (v[:, None] for v in (self.rest.signal, self.rest.squares, self.rest.noise))
        fields = self._fields(self.parts, faces, thickness)
        power = np.square(fields.real) + np.square(fields.imag)
        power = power.reshape(-1, power.shape[-2] * power.shape[-1]).T
        signal = self.own @ power + signals
        return TapLaw(signal, self.own_squared @ power**2 + squares, np.broadcast_to(noises, signal.shape))

    def grid(
        self, axes: PairAxes, dispersion: float, conductivity: float | None = None, misfit: float | None = None
    ) -> Pairs:
        """The log-posterior on a grid that is fine enough for the interference in the slab.

        Args:
            axes: The parameters.
            dispersion: Factor that lowers the information of the taps.
            conductivity: S/m; the present one by default.
            misfit: Relative error of the paths' power; that of the fit by default.
        """
        (low_e, high_e), (low_d, high_d) = axes.ranges(self.permittivity, self.depth)
        wave, finer = SPEED_OF_LIGHT / self.carrier_hz, _FINER if axes.alone else 1
        steps = math.ceil(_PERIOD * 2 * high_d * (math.sqrt(high_e) - math.sqrt(low_e)) / wave)
        index = _spaced(math.sqrt(low_e), math.sqrt(high_e), finer * steps, finer * _MOST[0])
        steps = math.ceil(_PERIOD * 2 * (high_d - low_d) * math.sqrt(high_e) / wave)
        depth = _spaced(low_d, high_d, finer * steps, finer * _MOST[1])
        scan = self if axes.alone else self.few
        return scan.on(axes, index**2, depth, dispersion, conductivity, misfit)

    def on(
        self,
        axes: PairAxes,
        permittivity: np.ndarray,
        thickness: np.ndarray,
        dispersion: float,
        conductivity: float | None = None,
        misfit: float | None = None,
    ) -> Pairs:
        """The log-posterior of all pairs of some permittivities and thicknesses."""
        sigma = self.sigma if conductivity is None else conductivity
        rows, found = max(1, _AT_ONCE // len(thickness)), []
        for start in range(0, len(permittivity), rows):
            some = permittivity[start : start + rows]
            faces = [v[:, None] for v in self._faces(some, np.full(len(some), sigma))]
            found.append(self._told(self.law((faces[0], faces[1], faces[2]), thickness[None]), misfit))
        e, d = (v.reshape(-1) for v in np.meshgrid(permittivity, thickness, indexing="ij"))
        posterior = np.concatenate(found) / dispersion + axes.log_prior(e, d, sigma)
        return Pairs(permittivity, thickness, posterior.reshape(len(permittivity), len(thickness)))

    def places(self, axes: PairAxes, dispersion: float, most: int) -> list[tuple[float, float, float]]:
        """Permittivity, thickness and conductivity of the highest maxima of the grids of all conductivities."""
        losses = axes.conductivities(self.sigma)
        misfit = max(self.nuisance.misfit, BROAD)
        grids = [self.grid(axes, dispersion, sigma, misfit) for sigma in losses.tolist()]
        heights = np.stack([one.log_posterior for one in grids])
        if heights[0].size == 1:
            return [(float(grids[0].permittivity[0]), float(grids[0].thickness[0]), v) for v in losses.tolist()]
        highest = replace(grids[0], log_posterior=heights.max(axis=0))
        found = []
        for e, d in highest.peaks(most, np.inf):
            at = np.searchsorted(highest.permittivity, e), np.searchsorted(highest.thickness, d)
            found.append((e, d, float(losses[heights[:, at[0], at[1]].argmax()])))
        return found

    def _parts(self, fields: list[Complex[np.ndarray, "paths ports"]]) -> list[np.ndarray]:
        """A and B (P, ports) of the fields of the two trials; along the normal only their difference is known."""
        trials = [
            self._coefficients(self._faces(*(np.array([v]) for v in one)), np.array([self.depth])) for one in _TRIALS
        ]
        matrix = np.stack([np.stack(one, axis=-1)[0] for one in trials], axis=1)  # (P, 2 trials, 2 parts)
        solved = np.linalg.pinv(matrix, rcond=1e-6) @ np.stack(fields, axis=1)
        return [solved[:, 0], solved[:, 1]]

    def _fields(self, parts: list[np.ndarray], faces: Faces, thickness: np.ndarray) -> np.ndarray:
        """(..., P, ports) fields of the paths at pairs."""
        te, tm = self._coefficients(faces, thickness)
        fields: np.ndarray = te[..., None] * parts[0] + tm[..., None] * parts[1]
        return fields

    def _faces(self, permittivity: np.ndarray, conductivity: np.ndarray) -> Faces:
        """Wave number across the layer over that of air, and r_te and r_tm of one face, each (N, P)."""
        e, loss = (torch.tensor(v, dtype=torch.float64) for v in (permittivity, conductivity))
        eta = complex_permittivity(e, loss, self.carrier_hz)
        shape = (len(e), len(self.cosine))
        cosine, eta = (v.expand(shape).reshape(-1) for v in (self.cosine[None, :], eta[:, None]))
        face = Layer(cosine, eta, None)
        return tuple(v.reshape(shape).numpy() for v in (face.root, *face.single))

    def _coefficients(self, faces: Faces, thickness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """r_te and r_tm (..., P) of the layer; of a half-space, those of its face."""
        root, *single = faces
        if math.isinf(self.depth):
            return single[0], single[1]
        twice = np.exp((-4j * math.pi * self.carrier_hz / SPEED_OF_LIGHT) * thickness[..., None] * root)
        te, tm = (r * (1 - twice) / (1 - r * r * twice) for r in single)
        return te, tm


Faces = tuple[np.ndarray, ...]
"""Wave number across a layer over that of air, r_te and r_tm of one of its faces."""

_AXES, _LOSS = ("relative_permittivity", "thickness"), "conductivity"


def _single(twin: ChannelTwin, entries: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paths that meet the entries once, by a reflection; its cosine of incidence; and (P,) whether others meet them."""
    paths, site = twin.paths, twin.table.site
    met = paths_meeting(paths, site, entries)
    once = (met.sum(axis=1) == 1) & (met & (paths.kinds == Interaction.REFLECTION)).any(axis=1)
    chosen = np.flatnonzero(once)
    at = met[chosen].argmax(axis=1)
    start = np.concatenate([np.broadcast_to(paths.transmitter, (len(chosen), 1, 3)), paths.vertices[chosen]], axis=1)
    row = np.arange(len(chosen))
    ray = paths.vertices[chosen, at] - start[row, at]
    normal = np.asarray(site.facet_normal)[paths.facets[chosen, at]]
    cosine = np.abs((ray * normal).sum(axis=1)) / np.linalg.norm(ray, axis=1)
    return chosen, np.minimum(cosine, 1.0), met.any(axis=1) & ~once


def _trials(values: dict[str, np.ndarray], entries: list[int]) -> list[dict[str, np.ndarray]]:
    found = []
    for permittivity, conductivity in _TRIALS:
        trial = {name: v.copy() for name, v in values.items()}
        trial["relative_permittivity"][entries], trial["conductivity"][entries] = permittivity, conductivity
        trial["thickness"][entries] = values["thickness"][entries[0]]
        found.append(trial)
    return found


def _range(parameter: Parameter | None, centre: float, held: float, *, whole: bool) -> tuple[float, float]:
    """Values to search; a building's lie about its class's."""
    if parameter is None:
        return held, held
    if whole and not parameter.within:
        return parameter.low, parameter.high
    return parameter.value(centre - _WIDTH * parameter.sd), parameter.value(centre + _WIDTH * parameter.sd)


def _spaced(low: float, high: float, steps: int, most: int) -> np.ndarray:
    return np.linspace(low, high, int(np.clip(steps, 24, most))) if high > low else np.array([low])


def _log_prior(parameter: Parameter, values: np.ndarray, centre: float) -> np.ndarray:
    each, number = np.unique(values, return_inverse=True)
    change = np.array([placed(parameter, float(value)) for value in each]) - centre
    return (-np.square(change / parameter.sd) / 2)[number]


def placed(parameter: Parameter, value: float) -> float:
    """Change of a parameter at a value."""
    return to_scale(value, parameter.scale) - to_scale(parameter.nominal, parameter.scale)
