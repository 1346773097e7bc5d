"""What a twin says of observed taps: the powers of its paths, spread over taps and beams."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Int
from scipy.sparse import csr_array

from sitetwin.calibrate.channels.geometry import MATERIALS, Geometry
from sitetwin.calibrate.channels.known import KnownPowers
from sitetwin.calibrate.channels.likelihood import TapLaw
from sitetwin.calibrate.channels.parameters import Parameter
from sitetwin.calibrate.channels.pose_slopes import PoseSlopes
from sitetwin.calibrate.channels.properties import MaterialTable, paths_meeting
from sitetwin.calibrate.channels.spread import LAGS, Neighbours, PathTaps, neighbours
from sitetwin.channel.antennas.patterns import Isotropic, Tr38901
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields import Evaluator, FieldOptions, prepare
from sitetwin.channel.fields.moved import Images
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.measured.profiles import Profiles
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths

LEAK = 0.005
"""Share of a path's power that errors of the antennas spread evenly over all beams: those of 0.3 dB and 3 degrees."""

STEP = 1e-3
"""Step of central differences on the scales of materials."""

_SMALL_STEP = 1e-6  # of differences to one side on those scales

_KEPT = 16  # sets of ratios that are not computed again
_NEPERS = math.log(10) / 10
_FINEST = {"clock_ns": 0.02, "beamwidth_deg": 1e-3, "yaw_deg": 0.02, "tilt_deg": 0.02}
_FINEST_METRES = 0.005
_FAINT = 0.01  # of a tap's power: paths below it in all their taps are not followed
_STEEPEST = 2.0  # nepers of power for a metre: free space at a metre; fields are steeper only where they vanish


class ChannelTwin:
    """Paths, materials and a radio, evaluated again and again at changes of parameters.

    Attributes:
        rows: (R,) taps that are compared, as indices into ``power.reshape(-1)``.
        user: (R,) user of each.
    """

    def __init__(
        self,
        paths: Paths,
        table: MaterialTable,
        profiles: Profiles,
        tx: Radio,
        rx: Radio,
        options: FieldOptions,
        clock_ns: float = 0.0,
    ) -> None:
        """Prepare the fields of the paths, and choose the taps that they reach.

        Args:
            paths: The paths.
            table: The materials.
            profiles: What they are compared with.
            tx: Radio of the station.
            rx: Radio of the users.
            options: Choices of the field computation.
            clock_ns: Measured over traced delays before any change of parameters, ns.
        """
        self.clock_ns = clock_ns
        self.paths, self.table, self.profiles, self.tx, self.rx = paths, table, profiles, tx, rx
        self._options = options
        self._evaluate = self._prepared(paths)
        self._parts: dict[tuple[int, ...], tuple[np.ndarray, Evaluator]] = {}
        self._known = KnownPowers()
        self._lagged: dict[Geometry, list[csr_array]] = {}
        self._spreads: dict[Geometry, tuple[csr_array, csr_array]] = {}
        self._ratios: dict[Geometry, np.ndarray] = {}
        self._anchor: dict[str, np.ndarray] = table.values([], np.zeros(0))
        self._by_move: dict[str, np.ndarray] = {}
        self._pose: dict[Geometry, PoseSlopes] = {}
        self._images = Images(paths, table.site)
        self.rows = np.zeros(0, dtype=np.int64)
        self.rows = np.flatnonzero(np.diff(self.spread(Geometry()).indptr))
        if not len(self.rows):
            raise SiteTwinError(
                "no path arrives within the delays of the profiles: check their unit and where they begin"
            )
        self._spreads.clear()
        self.user = self.rows // (profiles.power.shape[1] * profiles.power.shape[2])
        self.noise = profiles.noise.reshape(-1)[self.rows // profiles.power.shape[2]]

    def keep(self, audible: Bool[np.ndarray, " taps"]) -> None:
        """Compare some of the taps only.

        Args:
            audible: (R,) which.
        """
        self.rows, self.user, self.noise = self.rows[audible], self.user[audible], self.noise[audible]
        self._spreads.clear()
        self._lagged.clear()

    def lighter(self, offset_db: float) -> ChannelTwin:
        """The same without the paths that are faint in all of their taps; their power goes to the noise and stays.

        Many faint paths of random phases are as noise is. They are most of the paths, and cost as much as others.

        Args:
            offset_db: Received over traced power, dB.
        """
        ports, geometry = self.tx.array.num_ports, Geometry()
        power = 10 ** (offset_db / 10) * self.powers(self.table.values([], np.zeros(0)), geometry)
        spread = self.spread(geometry)
        mean = spread @ power + self.noise
        share = spread.multiply(power[None, :]).multiply(1 / mean[:, None]).tocsr().max(axis=0).toarray()
        kept = share.reshape(-1, ports).max(axis=1) >= _FAINT
        if kept.all() or not kept.any():
            return self
        rest = spread @ np.where(np.repeat(kept, ports), 0.0, power)
        paths = self.paths.take(np.flatnonzero(kept))
        found = ChannelTwin(paths, self.table, self.profiles, self.tx, self.rx, self._options, self.clock_ns)
        found.rows, found.user, found.noise = self.rows, self.user, self.noise + rest
        found._spreads.clear()
        return found

    def with_materials(self, table: MaterialTable) -> ChannelTwin:
        """The same paths and taps with other materials."""
        found = ChannelTwin(self.paths, table, self.profiles, self.tx, self.rx, self._options, self.clock_ns)
        found.rows, found.user, found.noise = self.rows, self.user, self.noise
        found._spreads.clear()
        return found

    def law(self, parameters: Sequence[Parameter], theta: np.ndarray) -> TapLaw:
        """What the twin says of its taps at changes of the parameters."""
        power = self.power(parameters, theta)
        spread, squared = self._spread_once(Geometry.of(parameters, theta))
        return TapLaw(spread @ power, squared @ power**2, self.noise)

    def received(self, parameters: Sequence[Parameter], theta: np.ndarray) -> float:
        """Received over traced power at the offset that the parameters give."""
        return math.exp(
            _NEPERS * sum(v for p, v in zip(parameters, theta.tolist(), strict=True) if p.what == "offset_db")
        )

    def power(self, parameters: Sequence[Parameter], theta: np.ndarray) -> Float[np.ndarray, " entries"]:
        """(P * ports,) power of each path as received."""
        powers = self.powers(self.table.values(parameters, theta), Geometry.of(parameters, theta))
        return self.received(parameters, theta) * powers

    def derivatives(
        self,
        parameters: Sequence[Parameter],
        theta: np.ndarray,
        law: TapLaw,
        steps: Float[np.ndarray, " parameters"] | None = None,
        free: Bool[np.ndarray, " parameters"] | None = None,
    ) -> Float[np.ndarray, "taps parameters"]:
        """Derivatives of the sum of the paths' powers, by differences.

        Args:
            parameters: J parameters.
            theta: (J,) their changes.
            law: What the twin says there.
            steps: (J,) least steps; small ones by default.
            free: (J,) which parameters are asked about; all by default, others get zero.
        """
        found = np.zeros((len(self.rows), len(parameters)))
        inner = [_deviations(parameters, at) for at in range(len(parameters))]
        for at, parameter in enumerate(parameters):
            if parameter.what == "offset_db":
                found[:, at] = _NEPERS * law.signal
            elif (free is None or free[at]) and not inner[at]:
                least = 0.0 if steps is None else float(steps[at])
                step = max(step_of(parameter), least)
                if parameter.what in MATERIALS:
                    one_sided = least == 0
                    step = _SMALL_STEP if one_sided else step
                    found[:, at] = self._by_material(parameters, theta, at, step, both=not one_sided)
                elif least > 0 or parameter.what in ("clock_ns", "beamwidth_deg"):
                    found[:, at] = self._by_pose(parameters, theta, at, step, law)
                else:
                    found[:, at] = self._by_small_pose(parameters, theta, at, step)
        for at, own in enumerate(inner):
            if own:  # a class moves all its buildings at once
                found[:, at] = found[:, own].sum(axis=1)
        return found

    def _by_pose(
        self, parameters: Sequence[Parameter], theta: np.ndarray, at: int, step: float, law: TapLaw
    ) -> np.ndarray:
        """(R,) slope of the signal with what moves or turns the ends, over a wide step, from one side."""
        slope: np.ndarray = (self.law(parameters, _moved(theta, at, step)).signal - law.signal) / step
        return slope

    def _by_small_pose(self, parameters: Sequence[Parameter], theta: np.ndarray, at: int, step: float) -> np.ndarray:
        """(R,) the same over a small step: paths move over taps and beams; powers change as they do where traced."""
        geometry = Geometry.of(parameters, theta)
        there = Geometry.of(parameters, _moved(theta, at, step))
        power = self.power(parameters, theta)
        what = parameters[at].what
        if what == "yaw_deg" and isinstance(self.tx.array.pattern, Isotropic):  # a turn about its axis
            change = np.zeros_like(power)
        elif what in ("yaw_deg", "tilt_deg"):
            values = self.table.values(parameters, theta)
            change = self.received(parameters, theta) * self.powers(values, there) - power
        else:
            change = step * power * self._relative_by_move(what)
        if geometry not in self._pose:
            self._pose = {geometry: PoseSlopes(self.taps(geometry))}
        whole = self._pose[geometry].change(self.taps(there), power, change) / step
        return whole[self.rows]

    def _relative_by_move(self, what: str) -> np.ndarray:
        """(P * ports,) slope of the logarithm of each path's power with a move of an end, where it was traced, 1/m."""
        if what not in self._by_move:
            moved = Geometry.of([Parameter(what, what, "m", "pose", 0.0, 1.0, "linear", -1.0, 1.0, "")], np.ones(1))
            step = _FINEST_METRES
            station, users = (tuple(step * v for v in end) for end in (moved.station, moved.users))
            values = self.table.values([], np.zeros(0))
            ends = [
                _square(self._gains(self._evaluate, values, one)).reshape(-1)
                for one in (Geometry(), Geometry(station=station, users=users))  # type: ignore[arg-type]
            ]
            slope = (ends[1] - ends[0]) / step / np.maximum(ends[0], np.finfo(float).tiny)
            self._by_move[what] = np.clip(slope, -_STEEPEST, _STEEPEST)
        return self._by_move[what]

    def _by_material(
        self, parameters: Sequence[Parameter], theta: np.ndarray, at: int, step: float, *, both: bool
    ) -> np.ndarray:
        """(R,) slope of the signal with a material, over a step to both sides or to one.

        Only paths that meet it are evaluated. Where ends are moved, relative slopes are those of the ends as traced,
        which are prepared: angles of incidence change little, and slopes only weigh what is observed, so that they move
        no estimate on average.
        """
        geometry, entries = Geometry.of(parameters, theta), parameters[at].entries
        ports = self.tx.array.num_ports
        moved = [_moved(theta, at, sign * step) for sign in ((1.0, -1.0) if both else (1.0,))]
        found = [self.gains_meeting(entries, self.table.values(parameters, one), geometry) for one in moved]
        rows, ends = found[0][0], [_square(gains) for _, gains in found]
        now = self.powers(self.table.values(parameters, theta), geometry).reshape(-1, ports)[rows]
        power = np.zeros((self.paths.num_paths, ports))
        power[rows] = (ends[0] - ends[1]) / (2 * step) if both else (ends[0] - now) / step
        slope: np.ndarray = self.received(parameters, theta) * (self.spread(geometry) @ power.reshape(-1))
        return slope

    def _meeting(self, entries: tuple[int, ...]) -> tuple[np.ndarray, Evaluator]:
        """Rows of the paths that meet entries of the materials, and their evaluator."""
        if entries not in self._parts:
            rows = np.flatnonzero(paths_meeting(self.paths, self.table.site, entries).any(axis=1))
            self._parts[entries] = rows, self._prepared(self.paths.take(rows))
        return self._parts[entries]

    def _prepared(self, paths: Paths) -> Evaluator:
        with quiet():
            carrier = self.profiles.carrier_hz
            return prepare(paths, self.table.site, carrier, self.tx, self.rx, self._options, dtype=torch.complex128)

    def powers(self, values: dict[str, np.ndarray], geometry: Geometry) -> Float[np.ndarray, " entries"]:
        """(P * ports,) power of each path from each port of the station.

        Where known ones are those of materials that differ in few entries, only paths that meet these are evaluated.
        """
        sets = sorted(self._parts, key=lambda entries: len(self._parts[entries][0]))
        near = self._known.nearest(geometry, values, sets)
        if near is None:
            power = _square(self.gains(values, geometry)).reshape(-1)
        elif not near[1]:
            return near[0]
        else:
            rows, gains = self.gains_meeting(near[1], values, geometry)
            power = near[0].copy()
            power.reshape(-1, gains.shape[1])[rows] = _square(gains)
        self._known.keep(geometry, values, power)
        return power

    def gains(self, values: dict[str, np.ndarray], geometry: Geometry) -> Complex[np.ndarray, "paths ports"]:
        """(P, ports) gain of each path from each port of the station.

        Prepared fields are those of the ends as traced. Where ends are moved, each path's power is multiplied by what
        the move does to it at the materials of `anchored`: exact there, and nearly so at materials that are near.
        """
        still = replace(geometry, station=(0.0, 0.0, 0.0), users=(0.0, 0.0))
        found = self._gains(self._evaluate, values, still)
        return found * np.sqrt(self._ratio(geometry)).reshape(found.shape) if geometry.moves else found

    def gains_meeting(
        self, entries: tuple[int, ...], values: dict[str, np.ndarray], geometry: Geometry
    ) -> tuple[Int[np.ndarray, " rows"], Complex[np.ndarray, "rows ports"]]:
        """The paths that meet entries of the materials, ascending, and their gains as `gains` has them."""
        rows, evaluate = self._meeting(entries)
        found = self._gains(evaluate, values, replace(geometry, station=(0.0, 0.0, 0.0), users=(0.0, 0.0)))
        if geometry.moves:
            found = found * np.sqrt(self._ratio(geometry).reshape(-1, found.shape[1])[rows])
        return rows, found

    def anchored(self, values: dict[str, np.ndarray]) -> None:
        """Take these values of the materials as those at which moves of the ends are exact."""
        if any(not np.array_equal(v, self._anchor[name]) for name, v in values.items()):
            self._anchor = values
            self._ratios.clear()
            self._known.forget_moved()

    def _ratio(self, geometry: Geometry) -> np.ndarray:
        """(P * ports,) power of each path with moved ends over that as traced."""
        if geometry not in self._ratios:
            if len(self._ratios) >= _KEPT:
                del self._ratios[next(iter(self._ratios))]
            here = self.powers(self._anchor, replace(geometry, station=(0.0, 0.0, 0.0), users=(0.0, 0.0)))
            there = _square(self._gains(self._evaluate, self._anchor, geometry)).reshape(-1)
            self._ratios[geometry] = np.where(here > 0, there / np.maximum(here, np.finfo(float).tiny), 1.0)
        return self._ratios[geometry]

    def _gains(self, evaluate: Evaluator, values: dict[str, np.ndarray], geometry: Geometry) -> np.ndarray:
        tensors: dict[str, Any] = {
            name: torch.from_numpy(v) for name, v in values.items() if self.table.scatters or "scatt" not in name
        }
        if geometry.moves:
            tensors["transmitter_offset"] = torch.tensor(geometry.station, dtype=torch.float64)
            tensors["user_offset"] = torch.tensor(geometry.bias, dtype=torch.float64)
        with quiet(), torch.no_grad():
            radio = self.radio(geometry) if _turned(geometry) else None
            gains = evaluate(tx=radio, **tensors)
        return gains.numpy()[:, 0, :]

    def radio(self, geometry: Geometry) -> Radio:
        """The station's radio as a geometry turns it."""
        yaw, pitch, roll = torch.as_tensor(self.tx.orientation, dtype=torch.float64).tolist()
        array = self.tx.array
        if geometry.beamwidth and isinstance(array.pattern, Tr38901):
            width = float(array.pattern.beamwidth_deg) * math.exp(geometry.beamwidth)
            array = replace(array, pattern=replace(array.pattern, beamwidth_deg=width))
        return Radio(array, (yaw + math.radians(geometry.yaw_deg), pitch + math.radians(geometry.tilt_deg), roll))

    def spread(self, geometry: Geometry) -> csr_array:
        """Share of each path's power in each tap of each beam; (taps, paths * ports)."""
        return self._spread_once(geometry)[0]

    def _spread_once(self, geometry: Geometry) -> tuple[csr_array, csr_array]:
        """The shares, and their squares."""
        if geometry not in self._spreads:
            if len(self._spreads) > 2:
                self._spreads.clear()
            found = self._spread(geometry)
            squared = csr_array((found.data**2, found.indices, found.indptr), shape=found.shape)
            self._spreads[geometry] = found, squared
        return self._spreads[geometry]

    def _spread(self, geometry: Geometry) -> csr_array:
        whole = self.taps(geometry).shares()
        return whole[self.rows] if len(self.rows) else whole

    def taps(self, geometry: Geometry) -> PathTaps:
        """Where the paths fall."""
        length, departure = self._ends(geometry)
        at = (length / SPEED_OF_LIGHT + 1e-9 * (self.clock_ns + geometry.clock_ns)) * self.profiles.rate_hz
        return PathTaps(self.profiles, self.paths.user_of_path, at, self._beam_gains(departure, geometry))

    def neighbours(self, parameters: Sequence[Parameter], theta: np.ndarray, misfit: float) -> Neighbours:
        """How the powers of neighbouring taps vary together at changes of the parameters."""
        law = self.law(parameters, theta)
        power = self.power(parameters, theta)
        geometry = Geometry.of(parameters, theta)
        if geometry not in self._lagged:
            taps = self.taps(geometry)
            self._lagged = {geometry: [taps.shares(lag)[self.rows] for lag in LAGS]}
        return neighbours(self.profiles, self._lagged[geometry], self.rows, power, law, misfit)

    def _ends(self, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
        """(P,) lengths and (P, 3) directions of departure, of moved paths where an end is moved."""
        if not geometry.moves:
            return self.paths.length, self.paths.departure
        shape = (self.paths.num_paths, 3)
        delta, bias = (torch.tensor(v, dtype=torch.float64).expand(shape) for v in (geometry.station, geometry.bias))
        moved = self._images.moved(delta, bias)
        return moved.length.numpy(), moved.departure.numpy()

    def _beam_gains(self, departure: np.ndarray, geometry: Geometry) -> Float[np.ndarray, "paths ports beams"]:
        """Power gain of each path in each beam, over that of one antenna."""
        weights = self.profiles.beams
        if weights is None:
            return np.ones((len(departure), self.tx.array.num_ports, 1))
        cycles = self.radio(geometry).cycles(torch.from_numpy(np.ascontiguousarray(departure))).numpy()
        response = np.exp(2j * math.pi * cycles)
        each = weights.conj().reshape(len(weights), self.tx.array.num_ports, -1)
        gain = np.abs(np.einsum("bqa,pa->pqb", each, response)) ** 2
        mean = gain.mean(axis=2, keepdims=True)
        return (1 - LEAK) * gain + LEAK * mean


def step_of(parameter: Parameter) -> float:
    """Step of a central difference on a parameter's scale: small against what changes the powers."""
    if parameter.what.startswith(("station", "users")):
        return _FINEST_METRES
    return min(_FINEST.get(parameter.what, STEP), parameter.sd)


def _deviations(parameters: Sequence[Parameter], at: int) -> list[int]:
    """Numbers of the parameters of the buildings of a class; none unless all of its buildings have one."""
    one = parameters[at]
    own = [i for i, p in enumerate(parameters) if one.entries and p.within == one.name]
    return own if {e for i in own for e in parameters[i].entries} == set(one.entries) else []


def _moved(theta: np.ndarray, at: int, step: float) -> np.ndarray:
    moved = theta.copy()
    moved[at] += step
    return moved


def _square(values: np.ndarray) -> np.ndarray:
    squared: np.ndarray = np.square(values.real) + np.square(values.imag)
    return squared


def _turned(geometry: Geometry) -> bool:
    return bool(geometry.yaw_deg or geometry.tilt_deg or geometry.beamwidth)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what fields say at every evaluation: the result says once what the user must know."""
    with warnings.catch_warnings():
        for known in ("ITU-R", "offsets are exact", "a path bends at one edge only", "the shortest path is"):
            warnings.filterwarnings("ignore", message=known, category=SiteTwinWarning)
        yield
