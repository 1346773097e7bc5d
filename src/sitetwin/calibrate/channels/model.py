"""What a twin says of observed taps: the powers of its paths, spread over taps and beams."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from scipy.sparse import csr_array

from sitetwin.calibrate.channels.likelihood import TapLaw
from sitetwin.calibrate.channels.parameters import Parameter
from sitetwin.calibrate.channels.properties import PROPERTIES, MaterialTable, paths_meeting
from sitetwin.calibrate.channels.spread import LAGS, Neighbours, PathTaps, neighbours
from sitetwin.channel.antennas.patterns import Tr38901
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

_KEPT = 16  # sets of powers that are not computed again
POSE = ("yaw_deg", "tilt_deg", "station_x", "station_y", "station_z", "users_x", "users_y")
_MATERIALS = {one.what for one in PROPERTIES}
_NEPERS = math.log(10) / 10
_FINEST = {"clock_ns": 0.02, "beamwidth_deg": 1e-3, "yaw_deg": 0.02, "tilt_deg": 0.02}
_FINEST_METRES = 0.005


@dataclass(frozen=True)
class Geometry:
    """Where the ends of the paths are and how the array is turned.

    Attributes:
        clock_ns: Constant of the delays, ns.
        yaw_deg: Turn of the array about the vertical, degrees.
        tilt_deg: More downtilt, degrees.
        station: (x, y, z) offset of the station, metres.
        users: (x, y) bias of all positions, metres: users stand that far from where the data say.
        beamwidth: Logarithm of the factor on the beam width.
    """

    clock_ns: float = 0.0
    yaw_deg: float = 0.0
    tilt_deg: float = 0.0
    station: tuple[float, float, float] = (0.0, 0.0, 0.0)
    users: tuple[float, float] = (0.0, 0.0)
    beamwidth: float = 0.0

    @classmethod
    def of(cls, parameters: Sequence[Parameter], theta: np.ndarray) -> Geometry:
        """The geometry at changes of the parameters."""
        known = {p.what: float(v) for p, v in zip(parameters, theta, strict=True) if p.what not in _MATERIALS}
        return cls(
            known.get("clock_ns", 0.0),
            known.get("yaw_deg", 0.0),
            known.get("tilt_deg", 0.0),
            (known.get("station_x", 0.0), known.get("station_y", 0.0), known.get("station_z", 0.0)),
            (known.get("users_x", 0.0), known.get("users_y", 0.0)),
            known.get("beamwidth_deg", 0.0),
        )

    @property
    def bias(self) -> tuple[float, float, float]:
        """(x, y, z) offset of the users, metres."""
        return (*self.users, 0.0)

    @property
    def moves(self) -> bool:
        """Whether an end of the paths is moved."""
        return any(self.station) or any(self.users)


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
        self._powers: dict[tuple[Any, ...], np.ndarray] = {}
        self._lagged: dict[Geometry, list[csr_array]] = {}
        self._spreads: dict[Geometry, csr_array] = {}
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

    def law(self, parameters: Sequence[Parameter], theta: np.ndarray) -> TapLaw:
        """What the twin says of its taps at changes of the parameters."""
        power = self._power(parameters, theta)
        spread = self.spread(Geometry.of(parameters, theta))
        squared = csr_array((spread.data**2, spread.indices, spread.indptr), shape=spread.shape)
        return TapLaw(spread @ power, squared @ power**2, self.noise)

    def received(self, parameters: Sequence[Parameter], theta: np.ndarray) -> float:
        """Received over traced power at the offset that the parameters give."""
        return math.exp(
            _NEPERS * sum(v for p, v in zip(parameters, theta.tolist(), strict=True) if p.what == "offset_db")
        )

    def _power(self, parameters: Sequence[Parameter], theta: np.ndarray) -> np.ndarray:
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
        for at, parameter in enumerate(parameters):
            if parameter.what == "offset_db":
                found[:, at] = _NEPERS * law.signal
            elif free is None or free[at]:
                least = 0.0 if steps is None else float(steps[at])
                step = max(step_of(parameter), least)
                if parameter.what in _MATERIALS:
                    found[:, at] = self._by_material(parameters, theta, at, step)
                else:
                    found[:, at] = self._by_pose(parameters, theta, at, step, law)
        return found

    def _by_pose(
        self, parameters: Sequence[Parameter], theta: np.ndarray, at: int, step: float, law: TapLaw
    ) -> np.ndarray:
        """(R,) slope of the signal with what moves or turns the ends, from one side: such fields are not prepared."""
        slope: np.ndarray = (self.law(parameters, _moved(theta, at, step)).signal - law.signal) / step
        return slope

    def _by_material(self, parameters: Sequence[Parameter], theta: np.ndarray, at: int, step: float) -> np.ndarray:
        """(R,) slope of the signal with a material; only paths that meet it are evaluated.

        Where ends are moved, relative slopes are those of the ends as traced, which are prepared: angles of incidence
        change little, and slopes only weigh what is observed, so that they move no estimate on average.
        """
        geometry = Geometry.of(parameters, theta)
        still = replace(geometry, station=(0.0, 0.0, 0.0), users=(0.0, 0.0))
        rows, evaluate = self._meeting(parameters[at].entries)
        ends = [
            _square(self._gains(evaluate, self.table.values(parameters, _moved(theta, at, sign * step)), still))
            for sign in (1.0, -1.0)
        ]
        slopes = (ends[0] - ends[1]) / (2 * step)
        if geometry.moves:
            there = self.powers(self.table.values(parameters, theta), geometry).reshape(self.paths.num_paths, -1)[rows]
            slopes = slopes / np.maximum((ends[0] + ends[1]) / 2, np.finfo(float).tiny) * there
        power = np.zeros((self.paths.num_paths, self.tx.array.num_ports))
        power[rows] = slopes
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
        """(P * ports,) power of each path from each port of the station."""
        key = (geometry, *(v.tobytes() for v in values.values()))
        if key not in self._powers:
            if len(self._powers) >= _KEPT:
                del self._powers[next(iter(self._powers))]
            self._powers[key] = _square(self.gains(values, geometry)).reshape(-1)
        return self._powers[key]

    def gains(self, values: dict[str, np.ndarray], geometry: Geometry) -> Complex[np.ndarray, "paths ports"]:
        """(P, ports) gain of each path from each port of the station."""
        return self._gains(self._evaluate, values, geometry)

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
        if geometry not in self._spreads:
            if len(self._spreads) > 2:
                self._spreads.clear()
            self._spreads[geometry] = self._spread(geometry)
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
        power = self._power(parameters, theta)
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
