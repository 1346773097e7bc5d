"""Convergence of discovery: the chains found and the share missed (estimated) after each lattice of rays.

The estimate and its upper limit are those of `sitetwin.rays.unseen`, with chains weighed by their pairs or by their
power. The limits can be too low after a few lattices, because chains that rays hit far less than once in all do not
show; so the stop rule waits for at least as many lattices as discovery shoots.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.rays.assemble import assemble
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.cells import CellGrid
from sitetwin.rays.dense import Progress, TraceSettings, refuse_all_but_specular
from sitetwin.rays.lattice import random_rotation
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.rays.positions import Positions, checked_positions
from sitetwin.rays.specular.crossings import with_crossings
from sitetwin.rays.specular.discovery import FIRST_LATTICES, PROBE_USERS, merge_sightings, shoot_lattice
from sitetwin.rays.specular.solving import SpecularSolver
from sitetwin.rays.unseen import CONFIDENCE, share_of, unseen_weight
from sitetwin.site import Site

Power = Callable[[Paths], np.ndarray]
"""(P,) power of paths, in any unit."""

MOST_LATTICES = 256


@dataclass(frozen=True)
class ConvergenceRow:
    """Results for the probe users after a number of lattices.

    Attributes:
        lattices: Lattices shot so far.
        rays: Rays shot so far.
        chains: Distinct chains that these lattices hit.
        paths: Valid paths of the probe users along these chains, including those without a reflection.
        missed_pairs: Estimated share of the valid reflected (chain, user) pairs that no lattice saw.
        missed_pairs_high: Upper confidence limit of `missed_pairs`.
        missed_power: Estimated share of a user's power that no lattice saw, mean over the users that have a path.
        missed_power_high: Upper confidence limit of `missed_power`.
    """

    lattices: int
    rays: int
    chains: int
    paths: int
    missed_pairs: float
    missed_pairs_high: float
    missed_power: float
    missed_power_high: float


@dataclass(frozen=True)
class Convergence:
    """Convergence of discovery as a table over the number of lattices.

    Attributes:
        rows: One row for each number of lattices, from one lattice on.
        probe_users: Number of users for whom every chain was tried.
        confidence: Confidence of the upper limits.
    """

    rows: tuple[ConvergenceRow, ...]
    probe_users: int
    confidence: float

    def stop(self, pairs: float | None = None, power: float | None = None) -> ConvergenceRow | None:
        """Apply the stop rule: find the first row (six lattices or more) from which on the limits stay within bounds.

        Args:
            pairs: Bound on the missed share of pairs, or None.
            power: Bound on the missed share of power, or None.

        Returns:
            The row, or None if the table ends before the bounds are met.
        """
        found = None
        for row in self.rows[FIRST_LATTICES - 1 :]:
            good = (pairs is None or row.missed_pairs_high <= pairs) and (
                power is None or row.missed_power_high <= power
            )
            found = (found or row) if good else None
        return found

    def to_csv(self) -> str:
        """Return the table as CSV text, with a line of names; each row ends with the users that it rests on."""
        stream = io.StringIO()
        names = [*(f.name for f in fields(ConvergenceRow)), "probe_users"]
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) | {"probe_users": self.probe_users} for row in self.rows)
        return stream.getvalue()

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns of the table by their names."""
        return {f.name: np.array([getattr(row, f.name) for row in self.rows]) for f in fields(ConvergenceRow)}


def spreading_power(paths: Paths) -> np.ndarray:
    """Return the power by distance alone, 1 / L^2; reflections have no loss, so that losses cannot hide misses."""
    return 1.0 / paths.length**2


def convergence(
    site: Site,
    transmitter: Positions,
    users: Positions,
    settings: TraceSettings | None = None,
    *,
    lattices: int = 12,
    power: Power = spreading_power,
    confidence: float = CONFIDENCE,
    progress: Progress | None = None,
) -> Convergence:
    """Shoot a given number of lattices, as discovery with these settings does, and record the convergence.

    The first rows agree with `discover` for the same settings: row n describes its chain list after n lattices. Only
    pairs outside the cells that rays entered differ, because discovery counts them separately.

    Args:
        site: The site.
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) positions of the users, metres; up to 4096 of them are probe users.
        settings: Depth, transmissions, rays of a lattice and seed; the bound is not used.
        lattices: Number of lattices.
        power: Function that gives the power of paths, for the share of missed power.
        confidence: Confidence of the upper limits, 0 to 1.
        progress: Called with the share of the work done, 0..1.

    Raises:
        SiteTwinError: A position is not finite, there is no user, or a number is impossible.
    """
    settings = settings or TraceSettings()
    refuse_all_but_specular(settings, "the convergence report")
    transmitter, users = checked_positions(transmitter, users)
    if not 1 <= lattices <= MOST_LATTICES:
        raise SiteTwinError(f"{lattices} lattices are asked for; shoot 1 to {MOST_LATTICES}")
    if not 0 < confidence < 1:
        raise SiteTwinError(f"a confidence of {confidence} is none; give a share between 0 and 1")
    caster, depth, slabs = RayCaster(site), settings.max_depth, settings.max_transmissions
    rng = np.random.default_rng(settings.seed)
    grid = CellGrid.over(users)
    near = grid.near(users)
    probes = users[np.sort(rng.choice(len(users), size=min(PROBE_USERS, len(users)), replace=False))]
    sightings = []
    for number in range(lattices):
        rotation = random_rotation(rng)
        sightings.append(
            shoot_lattice(site, caster, transmitter, grid, near, settings.rays_per_lattice, depth, slabs, rotation)
        )
        if progress:
            progress((number + 1) / (lattices + 1))
    chains = merge_sightings(sightings, transmitter, grid, depth, users)
    solver = SpecularSolver(site, caster, chains, slabs)
    found = solver.solve(probes, everywhere=True)
    paths, place = assemble(solver, found, None, None, probes, {})
    if slabs:
        paths = with_crossings(site, paths, place, found)
    number_of = {row.tobytes(): index for index, row in enumerate(chains.facets)}
    hit = np.zeros((lattices, len(chains)), dtype=bool)
    for number, seen in enumerate(sightings):
        hit[number, [number_of[row.tobytes()] for row in seen.facets]] = True
    chain = [number_of.get(row.tobytes(), -1) for row in _reflecting(paths, depth)]
    ledger = _Ledger.of(paths, chain, len(chains), power(paths))
    if progress:
        progress(1.0)
    rows = tuple(ledger.row(hit[: n + 1], settings.rays_per_lattice, confidence) for n in range(lattices))
    return Convergence(rows, len(probes), confidence)


def _reflecting(paths: Paths, depth: int) -> np.ndarray:
    """(P, depth) int32, the facets that reflect each path, -1 beyond the last; what it passes through is left out."""
    bounce = paths.kinds == Interaction.REFLECTION
    order = np.argsort(~bounce, axis=1, kind="stable")[:, :depth]
    facets = np.where(bounce, paths.facets, -1)
    return np.ascontiguousarray(np.take_along_axis(facets, order, axis=1), dtype=np.int32)


@dataclass(frozen=True, eq=False)
class _Ledger:
    """What each chain is worth, by pairs and by share of power, and what comes straight, through slabs or not."""

    pairs: np.ndarray
    power: np.ndarray
    least_power: float
    direct_paths: int
    direct_power: float

    @classmethod
    def of(cls, paths: Paths, chain: list[int], chains: int, power: np.ndarray) -> _Ledger:
        user, chain_of = paths.user_of_path, np.array(chain, dtype=np.int64)
        total = np.bincount(user, power, minlength=paths.num_users)
        served = max(1, np.count_nonzero(total))
        share = power / np.where(total > 0, total, 1.0)[user] / served  # users without power count in neither
        reflected = chain_of >= 0
        return cls(
            pairs=np.bincount(chain_of[reflected], minlength=chains).astype(float),
            power=np.bincount(chain_of[reflected], share[reflected], minlength=chains),
            least_power=float(share[reflected].min(initial=1.0)),
            direct_paths=int(np.count_nonzero(~reflected)),
            direct_power=float(share[~reflected].sum()),
        )

    def row(self, hit: np.ndarray, rays_per_lattice: int, confidence: float) -> ConvergenceRow:
        """The row after the lattices `hit` (n, C)."""
        times, lattices = np.count_nonzero(hit, axis=0), len(hit)
        seen = times > 0
        entries: dict[str, Any] = {}
        for name, weight, least, sure in (
            ("pairs", self.pairs, 1.0, 0.0),
            ("power", self.power, self.least_power, self.direct_power),
        ):
            middle, high = unseen_weight(weight, least, times, lattices, confidence)
            found = weight[seen].sum() + sure
            for key, value in (("", middle), ("_high", high)):
                entries[f"missed_{name}{key}"] = share_of(value, found)
        return ConvergenceRow(
            lattices=lattices,
            rays=lattices * rays_per_lattice,
            chains=int(np.count_nonzero(seen)),
            paths=int(self.pairs[seen].sum()) + self.direct_paths,
            **entries,
        )
