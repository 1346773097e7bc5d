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
from jaxtyping import Float
from scipy.sparse import csr_array

from sitetwin.calibrate.channels.likelihood import TapLaw
from sitetwin.calibrate.channels.parameters import Parameter
from sitetwin.calibrate.channels.properties import PROPERTIES, MaterialTable
from sitetwin.channel.antennas.patterns import Tr38901
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields import FieldOptions, prepare
from sitetwin.errors import SiteTwinWarning
from sitetwin.measured.profiles import Profiles, pulse_shares
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths

REACH = {"hann": 4, "rectangular": 12}
"""Taps on either side of a path over which its power is spread; less than 1e-3 of it lies beyond."""

LEAK = 0.005
"""Share of a path's power that errors of the antennas spread evenly over all beams: those of 0.3 dB and 3 degrees."""

STEP = 1e-3
"""Step of central differences, in standard deviations of the prior, at most; see `steps`."""

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
        self, paths: Paths, table: MaterialTable, profiles: Profiles, tx: Radio, rx: Radio, options: FieldOptions
    ) -> None:
        self.paths, self.table, self.profiles, self.tx, self.rx = paths, table, profiles, tx, rx
        with quiet():
            self._evaluate = prepare(paths, table.site, profiles.carrier_hz, tx, rx, options, dtype=torch.complex128)
        self._spreads: dict[Geometry, csr_array] = {}
        self._powers: dict[tuple[Any, ...], np.ndarray] = {}
        self.rows = np.zeros(0, dtype=np.int64)
        self.rows = np.flatnonzero(np.diff(self.spread(Geometry()).indptr))
        self._spreads.clear()
        self.user = self.rows // (profiles.power.shape[1] * profiles.power.shape[2])
        self.noise = profiles.noise.reshape(-1)[self.rows // profiles.power.shape[2]]

    def law(self, parameters: Sequence[Parameter], theta: np.ndarray) -> TapLaw:
        """What the twin says of its taps at changes of the parameters."""
        geometry = Geometry.of(parameters, theta)
        gain = math.exp(
            _NEPERS * sum(float(v) for p, v in zip(parameters, theta, strict=True) if p.what == "offset_db")
        )
        power = gain * self.powers(self.table.values(parameters, theta), geometry)
        spread = self.spread(geometry)
        squared = csr_array((spread.data**2, spread.indices, spread.indptr), shape=spread.shape)
        return TapLaw(spread @ power, squared @ power**2, self.noise)

    def derivatives(
        self, parameters: Sequence[Parameter], theta: np.ndarray, law: TapLaw
    ) -> Float[np.ndarray, "taps parameters"]:
        """Derivatives of the sum of the paths' powers, by central differences."""
        found = np.empty((len(self.rows), len(parameters)))
        for at, parameter in enumerate(parameters):
            if parameter.what == "offset_db":
                found[:, at] = _NEPERS * law.signal
                continue
            step = np.zeros(len(parameters))
            step[at] = step_of(parameter)
            ends = [self.law(parameters, theta + sign * step).signal for sign in (1.0, -1.0)]
            found[:, at] = (ends[0] - ends[1]) / (2 * step[at])
        return found

    def powers(self, values: dict[str, np.ndarray], geometry: Geometry) -> Float[np.ndarray, " entries"]:
        """(P * ports,) power of each path from each port of the station."""
        tensors: dict[str, Any] = {
            name: torch.from_numpy(v) for name, v in values.items() if self.table.scatters or "scatt" not in name
        }
        if geometry.moves:
            tensors["transmitter_offset"] = torch.tensor(geometry.station, dtype=torch.float64)
            tensors["user_offset"] = torch.tensor((*geometry.users, 0.0), dtype=torch.float64)
        with quiet(), torch.no_grad():
            radio = self.radio(geometry) if _turned(geometry) else None
            gains = self._evaluate(tx=radio, **tensors)
        return gains.power[:, 0, :].reshape(-1).numpy()

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
        profiles, ports = self.profiles, self.tx.array.num_ports
        users, beams, taps = profiles.power.shape
        length, departure = self._ends(geometry)
        at = (length / SPEED_OF_LIGHT + 1e-9 * geometry.clock_ns) * profiles.rate_hz
        reach = REACH[profiles.window]
        tap = np.floor(at + 0.5).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
        share = pulse_shares(tap - at[:, None], profiles.subcarriers, profiles.window)
        place = np.mod(tap - profiles.first_tap, profiles.subcarriers)
        gain = self._beam_gains(departure, geometry)  # (P, ports, beams)
        path, shift = np.nonzero(place < taps)
        row = (self.paths.user_of_path[path][:, None] * beams + np.arange(beams)) * taps + place[path, shift][:, None]
        data = gain[path] * share[path, shift][:, None, None]  # (n, ports, beams)
        row = np.broadcast_to(row[:, None, :], data.shape)
        column = np.broadcast_to((path[:, None] * ports + np.arange(ports))[:, :, None], data.shape)
        shape = (users * beams * taps, len(length) * ports)
        whole = csr_array((data.reshape(-1), (row.reshape(-1), column.reshape(-1))), shape=shape)
        return whole[self.rows] if len(self.rows) else whole

    def _ends(self, geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
        """(P,) lengths and (P, 3) directions of departure, of moved paths where an end is moved."""
        if not geometry.moves:
            return self.paths.length, self.paths.departure
        with quiet(), torch.no_grad():
            moved = self._evaluate(
                transmitter_offset=torch.tensor(geometry.station, dtype=torch.float64),
                user_offset=torch.tensor((*geometry.users, 0.0), dtype=torch.float64),
            ).moved
        assert moved is not None
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


def _turned(geometry: Geometry) -> bool:
    return bool(geometry.yaw_deg or geometry.tilt_deg or geometry.beamwidth)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what fields say at every evaluation: the result says once what the user must know."""
    with warnings.catch_warnings():
        for known in ("ITU-R", "offsets are exact", "a path bends at one edge only", "the shortest path is"):
            warnings.filterwarnings("ignore", message=known, category=SiteTwinWarning)
        yield
