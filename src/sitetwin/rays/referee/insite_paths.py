"""Read the path files of Wireless InSite (``*.paths.*.p2m``): all paths from one transmitter to one receiver set."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.rays.referee.sionna import unfold
from sitetwin.site.importers.blocks import FARTHEST_POINT
from sitetwin.untrusted import opened

_CHUNK = 1 << 20
_LONGEST_LINE = 1 << 16
_MOST_INTERACTIONS = 64
_COLUMNS = 7  # power, phase, time of arrival, arrival theta and phi, departure theta and phi
_SIX_DIGITS = 1e-5  # the file rounds to six significant digits


@dataclass(frozen=True, eq=False)
class InsitePaths:
    """The paths of one file that consist of reflections only, with the power, phase and angles that the file lists.

    Attributes:
        paths: Geometry of the P paths. The file names no facets, so `facets` is -1. A user's paths are ordered by
            number of interactions, then as in the file. Lengths and directions are computed from the vertices.
        power_dbm: (P,) float64, received power, dBm.
        phase: (P,) float64, radians, of the received field under e^{+j omega t}, carrier phase included.
        delay: (P,) float64, seconds, as in the file: rounded to six digits, so less precise than ``paths.delay``.
        departure_angles: (P, 2) float64, zenith and azimuth at the transmitter, radians, pointing away from it.
        arrival_angles: (P, 2) float64, zenith and azimuth at the user, radians, pointing away from it.
        transmitter_set: Number of the transmitters' set, and of the point in it, from 1; None if the file omits it.
        receiver_set: Number of the receivers' set; None if the file omits it.
        left_out: Number of paths that were left out, by interaction sequence, because not all interactions are
            reflections.
    """

    paths: Paths
    power_dbm: np.ndarray
    phase: np.ndarray
    delay: np.ndarray
    departure_angles: np.ndarray
    arrival_angles: np.ndarray
    transmitter_set: tuple[int, int] | None
    receiver_set: int | None
    left_out: dict[str, int]

    def gains(self, transmit_power_dbm: float) -> np.ndarray:
        """Return (P,) complex128 voltage gains with the carrier phase: ``|a|^2`` is received over transmitted power."""
        return 10 ** ((self.power_dbm - transmit_power_dbm) / 20) * np.exp(1j * self.phase)


def read_insite_paths(
    path: str | Path, transmitter: np.ndarray | None = None, users: np.ndarray | None = None
) -> InsitePaths:
    """Read a ``.p2m`` file of paths.

    The file is read as a stream; only its numbers are kept.

    Args:
        path: Path of the file.
        transmitter: (3,) exact position of the transmitter, metres, because the file rounds it; by default the file's
            own.
        users: (U, 3) exact positions of the users in the order of the set, metres; by default the file's own, with NaN
            for users without a path, whose positions the file does not give.

    Raises:
        SiteTwinError: The file is missing, truncated or malformed (the message names the line), its positions are not
            those given, or it lists no path and the transmitter is not given.
    """
    path = Path(path)
    with opened(path, f"'{path}'", "check it") as file:
        listing = _Listing(file, str(path))
    return listing.assemble(transmitter, users)


class _Listing:
    """The content of a file, as flat arrays of numbers."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self.where, self.line = where, 0
        self._lines = self._read(file)
        self.header: list[str] = []
        self.counts = array("q")
        self.numbers, self.points = array("d"), array("d")
        self.depth, self.sequence, self.at = array("q"), array("q"), array("q")
        self.sequences: dict[bytes, int] = {}
        try:
            self._parse()
        except ValueError as error:
            self.refuse(f"a number is expected ({str(error)[:80]})", "the file is damaged, copy or export it again")

    def refuse(self, what: str, mend: str) -> NoReturn:
        raise SiteTwinError(f"'{self.where}', line {self.line}: {what}; {mend}")

    def _read(self, file: BinaryIO) -> Iterator[bytes]:
        tail = b""
        while chunk := file.read(_CHUNK):
            lines = (tail + chunk).split(b"\n")
            tail = lines.pop()
            yield from lines
            if len(tail) > _LONGEST_LINE:
                self.refuse("a line does not end", "this is no list of paths")
        if tail:
            yield tail

    def _next(self) -> list[bytes]:
        """The words of the next line that has some."""
        for line in self._lines:
            self.line += 1
            if words := line.split():
                return words
        self.refuse("the file ends before its last path", "it is truncated, copy or export it again")

    def _parse(self) -> None:
        words = self._next()
        while words[0].startswith(b"#"):
            self.header.append(b" ".join(words).decode("latin-1"))
            words = self._next()
        if not any("phase" in line for line in self.header):
            self.refuse(
                "the header does not promise a phase for each path", "give a '.paths.' file of InSite 3 or later"
            )
        if len(words) != 1:
            self.refuse("the number of receivers is expected", "this is no list of paths")
        for receiver in range(1, int(words[0]) + 1):
            words = self._next()
            if len(words) != 2 or int(words[0]) != receiver or int(words[1]) < 0:
                self.refuse(f"receiver {receiver} and its number of paths are expected", "the file is damaged")
            self.counts.append(int(words[1]))
            if self.counts[-1]:
                self._next()  # the summary of the receiver follows from its paths
                for number in range(1, self.counts[-1] + 1):
                    self._path(number)

    def _path(self, number: int) -> None:
        words = self._next()
        if len(words) != _COLUMNS + 2 or int(words[0]) != number:
            self.refuse(f"path {number} with its {_COLUMNS + 1} numbers is expected", "the file is damaged")
        depth = int(words[1])
        self.at.append(self.line)
        self.numbers.extend(map(float, words[2:]))
        name = self._next()[0]
        place = self.sequences.get(name)
        if place is None:
            place = self.sequences[name] = len(self.sequences)
        kinds = name.split(b"-")
        if kinds[0] != b"Tx" or kinds[-1] != b"Rx" or len(kinds) != depth + 2 or depth > _MOST_INTERACTIONS:
            self.refuse(f"the interactions of a path with {depth} of them are expected", "the file is damaged")
        self.depth.append(depth)
        self.sequence.append(place)
        for _ in range(depth + 2):
            words = self._next()
            if len(words) != 3:
                self.refuse("the three coordinates of a point are expected", "the file is damaged")
            self.points.extend(map(float, words))

    def assemble(self, transmitter: np.ndarray | None, users: np.ndarray | None) -> InsitePaths:
        """Arrays of the paths of reflections only."""
        counts = np.array(self.counts, np.int64)
        numbers = np.array(self.numbers).reshape(-1, _COLUMNS)
        points = np.array(self.points).reshape(-1, 3)
        depth, sequence = np.array(self.depth, np.int64), np.array(self.sequence, np.int64)
        first = np.cumsum(depth + 2) - depth - 2
        self._check_finite(numbers, points, first)
        user = np.repeat(np.arange(len(counts)), counts)
        transmitter = self._transmitter(points[first], transmitter)
        users = self._users(points[first + depth + 1], user, len(counts), users)
        names = [name.decode("latin-1") for name in self.sequences]
        plain = np.array([set(name.split("-")[1:-1]) <= {"R"} for name in names], dtype=bool)[sequence]
        left_out = Counter(names[k] for k in sequence[~plain])
        rows = np.flatnonzero(plain)
        rows = rows[np.lexsort((depth[rows], user[rows]))]
        vertices = np.full((len(rows), depth[rows].max(initial=0), 3), np.nan)
        for k in range(vertices.shape[1]):
            deep = depth[rows] > k
            vertices[deep, k] = points[first[rows[deep]] + 1 + k]
        columns = numbers[rows]
        angles = np.radians(columns[:, 3:])
        transmitters = self._set(r"Transmitter Set: Tx: (\d+) .*- Point (\d+)")
        receivers = self._set(r"Receiver Set: Rx: (\d+)")
        return InsitePaths(
            paths=self._paths(transmitter, users, user[rows], vertices, dict(left_out)),
            power_dbm=columns[:, 0],
            phase=np.radians(columns[:, 1]),
            delay=columns[:, 2],
            departure_angles=angles[:, 2:],
            arrival_angles=angles[:, :2],
            transmitter_set=(transmitters[0], transmitters[1]) if transmitters else None,
            receiver_set=receivers[0] if receivers else None,
            left_out=dict(left_out),
        )

    def _check_finite(self, numbers: np.ndarray, points: np.ndarray, first: np.ndarray) -> None:
        bad = ~(np.abs(numbers) <= FARTHEST_POINT).all(axis=1)  # NaN fails too
        if len(first):
            bad |= np.add.reduceat(~(np.abs(points) <= FARTHEST_POINT).all(axis=1), first) > 0
        if bad.any():
            self.line = self.at[int(np.argmax(bad))]
            self.refuse(
                f"the path has a number that is NaN or infinite, or beyond {FARTHEST_POINT:g}", "the file is damaged"
            )

    def _set(self, pattern: str) -> tuple[int, ...] | None:
        found = next((m for line in self.header if (m := re.search(pattern, line))), None)
        return tuple(int(number) for number in found.groups()) if found else None

    def _transmitter(self, listed: np.ndarray, given: np.ndarray | None) -> np.ndarray:
        if given is None:
            if not len(listed):
                raise SiteTwinError(f"'{self.where}' lists no path; give the transmitter's position")
            given = listed[0]
        given = np.asarray(given, np.float64)
        self._compare(listed, np.broadcast_to(given, listed.shape), "starts at the transmitter")
        return given

    def _users(self, listed: np.ndarray, user: np.ndarray, count: int, given: np.ndarray | None) -> np.ndarray:
        if given is None:
            given = np.full((count, 3), np.nan)
            given[user[::-1]] = listed[::-1]
        given = np.asarray(given, np.float64)
        if given.shape != (count, 3):
            raise SiteTwinError(f"'{self.where}' has {count} receivers, but the positions given are {given.shape}")
        self._compare(listed, given[user], "ends at its receiver")
        return given

    def _compare(self, listed: np.ndarray, given: np.ndarray, what: str) -> None:
        far = (np.abs(listed - given) > _SIX_DIGITS * (1 + np.abs(given))).any(axis=1)
        if far.any():
            row = int(np.argmax(far))
            self.line = self.at[row]
            place = ", ".join(f"{x:g}" for x in given[row])
            self.refuse(f"not every path {what} ({place})", "give the positions of the same project")

    def _paths(
        self, transmitter: np.ndarray, users: np.ndarray, user: np.ndarray, vertices: np.ndarray, left_out: dict
    ) -> Paths:
        bounces = ~np.isnan(vertices[..., 0])
        length, departure, arrival = unfold(transmitter, users[user], vertices)
        return Paths(
            transmitter=transmitter,
            users=users,
            offsets=np.searchsorted(user, np.arange(len(users) + 1)).astype(np.int64),
            kinds=np.where(bounces, Interaction.REFLECTION, Interaction.NONE).astype(np.uint8),
            facets=np.full(bounces.shape, -1, np.int32),
            vertices=vertices,
            length=length,
            departure=departure,
            arrival=arrival,
            crossing_offsets=np.zeros(len(user) + 1, np.int64),
            crossing_volume=np.zeros(0, np.int32),
            crossing_entry=np.zeros(0),
            crossing_exit=np.zeros(0),
            attributes={"engine": "Wireless InSite", "file": Path(self.where).name, "left_out": left_out},
        )
