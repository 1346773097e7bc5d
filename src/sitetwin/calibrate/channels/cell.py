"""Calibrate materials and pose of one cell with observed profiles, stage after stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int

from sitetwin.calibrate.channels.candidates import Choice, choose
from sitetwin.calibrate.channels.checks import checked_inputs
from sitetwin.calibrate.channels.geometry import Geometry
from sitetwin.calibrate.channels.model import ChannelTwin
from sitetwin.calibrate.channels.modes import among_modes
from sitetwin.calibrate.channels.notes import notes_of
from sitetwin.calibrate.channels.parameters import STAGES, Parameter, Priors, Stage
from sitetwin.calibrate.channels.properties import MaterialTable, facets_met
from sitetwin.calibrate.channels.result import CellCalibration, HeldOutPowers, Losses, estimates
from sitetwin.calibrate.channels.scoring import Fit, Scorer
from sitetwin.calibrate.channels.stages import HELD, ROUNDS, climb
from sitetwin.channel.antennas.patterns import Tr38901
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields import FieldOptions
from sitetwin.errors import SiteTwinError
from sitetwin.measured.profiles import Profiles
from sitetwin.rays.paths import Paths
from sitetwin.site import Site
from sitetwin.site.variants import MATERIAL_CHOICES, SurfaceMaterials

HELD_OUT = 0.2
"""Share of the blocks of users that a stage is judged by."""

AUDIBLE = 0.03
"""Share of the noise that the paths' power in a tap must reach for the tap to be compared."""

_FEWEST_BLOCKS = 5
_LATE = 1.5  # taps by which profiles must lie off for it to be said
_LATEST = 12  # of all taps, a quarter is searched: three deviations of a twelfth


class TooFewProfilesError(SiteTwinError):
    """There are fewer profiles than parameters."""


@dataclass(frozen=True)
class CalibrationSettings:
    """How a cell is calibrated.

    Attributes:
        stages: Which stages are run, in the order of `STAGES`; by default all, but no scattering where the paths were
            traced without diffuse ones.
        priors: Widths of the priors.
        block_m: Side of the squares whose users share their errors, metres.
        seed: Seed of the choice of held-out blocks.
        ready: Ready-made materials, by name, that are taken where the fit does worse.
    """

    stages: tuple[Stage, ...] | None = None
    priors: Priors = field(default_factory=Priors)
    block_m: float = 10.0
    seed: int = 0
    ready: Mapping[str, SurfaceMaterials] = field(default_factory=lambda: MATERIAL_CHOICES)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.block_m) and self.block_m > 0):
            raise SiteTwinError(f"blocks of {self.block_m} m are none; give a positive number")
        if self.stages is None:
            return
        unknown = [stage for stage in self.stages if stage not in STAGES]
        if unknown or not self.stages:
            raise SiteTwinError(f"stages {', '.join(unknown) or '(none)'} are unknown; choose from {', '.join(STAGES)}")


def calibrate_cell(
    site: Site,
    paths: Paths,
    profiles: Profiles,
    tx: Radio | None = None,
    rx: Radio | None = None,
    settings: CalibrationSettings | None = None,
    options: FieldOptions | None = None,
) -> CellCalibration:
    """Calibrate materials and pose of a cell with observed profiles.

    Args:
        site: The site that was traced.
        paths: Its paths from the station to the profiles' positions, in their order; traced with diffuse paths if the
            scattering is to be calibrated.
        profiles: What was observed.
        tx: Radio of the station, with the array that the profiles have; a vertical isotropic antenna by default.
        rx: Radio of the users, with one port; a vertical isotropic antenna by default.
        settings: Stages and priors.
        options: Choices of the field computation.

    Raises:
        TooFewProfilesError: There are fewer profiles than parameters.
        SiteTwinError: The profiles are those of other users, another array or a refused carrier; or scattering is
            asked of paths without diffuse ones.
    """
    settings, tx, rx = settings or CalibrationSettings(), tx or Radio(), rx or Radio()
    options = options or FieldOptions()
    stages = settings.stages or tuple(s for s in STAGES if s != "scattering" or paths.scatters_diffusely)
    notes = checked_inputs(site, paths, profiles, tx, rx, stages)
    seen = facets_met(paths, site)
    table = MaterialTable.of(site, profiles.carrier_hz, seen, options.scatters(paths), settings.priors)
    twin = ChannelTwin(paths, table, profiles, tx, rx, options)
    clock = first_clock(twin, settings.priors.clock_ns)
    if clock:
        twin = ChannelTwin(paths, table, profiles, tx, rx, options, clock)
    notes += _late(twin, settings.priors.clock_ns)
    begin = first_offset(twin)
    twin.keep(10 ** (begin / 10) * twin.law([], np.zeros(0)).signal > AUDIBLE * twin.noise)
    if not len(twin.rows):
        raise SiteTwinError("no path stands out of the noise at any position: are the profiles those of another site?")
    twin = twin.lighter(begin)
    parameters = _parameters(settings.priors, tx, clock, table, stages)
    heard = np.zeros(len(table.touched), dtype=bool)
    heard[table.site.facet_material[facets_met(twin.paths, table.site)]] = True
    free = [p for p in parameters if not p.entries or heard[list(p.entries)].any()]
    if len(free) > len(profiles):
        raise TooFewProfilesError(
            f"{len(profiles)} profiles cannot tell {len(free)} parameters; give more profiles, or fewer stages"
        )
    block = blocks_of(profiles.positions, settings.block_m)
    training = ~held_out(block, settings.seed)
    scorer = Scorer(twin, training, block)
    found = climb(scorer, free, stages, begin, settings.seed)
    choice = Choice(twin, found.fit)
    if any(p.entries for p in free):
        choice = choose(scorer, found, site, block, training, settings.ready)
    told = choice.twin, choice.taken(choice.fit)
    losses = Losses.of((twin, found.plain), told, training, block)
    judged = HeldOutPowers.of((twin, found.plain), told, ~training)
    everyone = Scorer(choice.twin, np.ones(len(profiles), dtype=bool), block)
    final, modes = among_modes(everyone, of_everyone(everyone, choice.fit))
    notes += [*notes_of(final, modes, choice.twin), *choice.notes(), *judged.notes()]
    final = choice.taken(final)
    if choice.twin is not twin:
        parameters = _parameters(settings.priors, tx, clock, choice.twin.table, stages)
    return CellCalibration(
        estimates(parameters, final),
        final,
        choice.twin.table,
        tx,
        losses,
        found.trials,
        tuple(notes),
        judged,
        everyone,
        choice.candidates,
    )


def _parameters(
    priors: Priors, tx: Radio, clock_ns: float, table: MaterialTable, stages: Sequence[Stage]
) -> list[Parameter]:
    """The parameters of some stages."""
    found = [*pose_parameters(priors, tx, clock_ns), *table.parameters(priors)]
    return [p for p in found if p.stage in stages]


def of_everyone(scorer: Scorer, fit: Fit) -> Fit:
    """A fit of some users fitted to all: the pose, then the materials, and how wide the posterior of both together is.

    Pose and materials are not climbed together: where walls and trees differ, each would make up for the other.
    """
    of_materials: tuple[Stage, ...] = ("scattering", "materials", "buildings")
    for held in (of_materials, HELD["materials"]):
        fit = scorer.fit(fit.parameters, fit.theta, fit.nuisance, held, ROUNDS)
    return scorer.fit(fit.parameters, fit.theta, fit.nuisance, rounds=0)


def first_offset(twin: ChannelTwin) -> float:
    """The constant in dB that makes the median user's power right."""
    law = twin.law([], np.zeros(0))
    users = len(twin.profiles)
    measured = np.bincount(twin.user, twin.profiles.power.reshape(-1)[twin.rows] - twin.noise, users)
    traced = np.bincount(twin.user, law.signal, users)
    fine = (measured > 0) & (traced > 0)
    return float(np.median(10 * np.log10(measured[fine] / traced[fine]))) if fine.any() else 0.0


def first_clock(twin: ChannelTwin, sd_ns: float) -> float:
    """Whole taps, as ns, by which measured profiles lie later than traced ones; within three deviations of the prior.

    All profiles are shifted together, and the shift at which amplitudes of both agree most is taken.
    """
    profiles = twin.profiles
    most = int(np.floor(3 * sd_ns * 1e-9 * profiles.rate_hz))
    if not most:
        return 0.0
    count = profiles.subcarriers
    measured = np.zeros((len(profiles), count))
    place = np.arange(profiles.first_tap, profiles.last_tap + 1) % count
    measured[:, place] = np.maximum(profiles.power - profiles.noise[:, :, None], 0.0).sum(axis=1)
    power = twin.powers(twin.table.values([], np.zeros(0)), Geometry()).reshape(twin.paths.num_paths, -1).sum(axis=1)
    tap = np.floor(twin.paths.delay * profiles.rate_hz + 0.5).astype(np.int64) % count
    traced = np.zeros_like(measured)
    np.add.at(traced, (twin.paths.user_of_path, tap), power)
    amplitudes = [np.sqrt(p / np.maximum(p.sum(axis=1, keepdims=True), 1e-300)) for p in (measured, traced)]
    spectra = [np.fft.fft(each, axis=1) for each in amplitudes]
    agreement = np.fft.ifft((spectra[0] * spectra[1].conj()).sum(axis=0)).real
    lags = np.arange(-most, most + 1)
    return float(lags[agreement[lags % count].argmax()]) * 1e9 / profiles.rate_hz


def _late(twin: ChannelTwin, sd_ns: float) -> list[str]:
    """Whether a clock that is held makes all measured profiles late or early."""
    rate = twin.profiles.rate_hz
    lag = 0.0 if sd_ns else first_clock(twin, 1e9 / rate * twin.profiles.subcarriers / _LATEST)
    if abs(lag) * 1e-9 * rate < _LATE:
        return []
    return [
        f"measured profiles agree best with traced ones when they are shifted by {-lag:.3g} ns: the clocks of both "
        "ends differ, or delays begin elsewhere; fit the clock with the prior clock_ns"
    ]


def pose_parameters(priors: Priors, tx: Radio, clock_ns: float = 0.0) -> list[Parameter]:
    """Parameters of power, clock, pose and pattern whose priors have a width.

    Args:
        priors: Their widths.
        tx: Radio of the station.
        clock_ns: Where the search for the constant of the delays begins, ns.
    """
    pattern = tx.array.pattern
    width = float(pattern.beamwidth_deg) if isinstance(pattern, Tr38901) else 0.0
    given = "by choice of the user"
    rows = [
        (
            "offset_db",
            "offset",
            "dB",
            0.0,
            priors.offset_db,
            "linear",
            400.0,
            "transmitted power and units are unknown",
        ),
        ("clock_ns", "offset", "ns", clock_ns, priors.clock_ns, "linear", 1e5, given),
        ("yaw_deg", "pose", "deg", 0.0, priors.yaw_deg, "linear", 45.0, "mounting by compass, some degrees"),
        ("tilt_deg", "pose", "deg", 0.0, priors.tilt_deg, "linear", 20.0, "mounting, some degrees"),
        ("station_x", "pose", "m", 0.0, priors.station_m, "linear", 5.0, "survey of the station"),
        ("station_y", "pose", "m", 0.0, priors.station_m, "linear", 5.0, "survey of the station"),
        ("station_z", "pose", "m", 0.0, priors.height_m, "linear", 5.0, "survey of the station"),
        ("users_x", "pose", "m", 0.0, priors.users_m, "linear", 20.0, "bias of satellite positions"),
        ("users_y", "pose", "m", 0.0, priors.users_m, "linear", 20.0, "bias of satellite positions"),
    ]
    found = [
        Parameter(what, what, unit, stage, nominal, sd, scale, nominal - bound, nominal + bound, source)  # type: ignore[arg-type]
        for what, stage, unit, nominal, sd, scale, bound, source in rows
        if sd > 0
    ]
    if width and priors.beamwidth_share > 0:
        found.append(
            Parameter(
                "beamwidth_deg",
                "beamwidth_deg",
                "deg",
                "pattern",
                width,
                priors.beamwidth_share,
                "log",
                width / 4,
                4 * width,
                given,
            )
        )
    return found


def blocks_of(positions: np.ndarray, side: float) -> Int[np.ndarray, " users"]:
    """(U,) number of the square of a fixed grid in which each user stands."""
    cell = np.floor(positions[:, :2] / side).astype(np.int64)
    numbers: np.ndarray = np.unique(cell, axis=0, return_inverse=True)[1].reshape(-1)
    return numbers


def held_out(block: np.ndarray, seed: int) -> Bool[np.ndarray, " users"]:
    """(U,) whether a user's block is held out; none where there are few blocks."""
    names = np.unique(block)
    if len(names) < _FEWEST_BLOCKS:
        return np.zeros(len(block), dtype=bool)
    chosen = np.random.default_rng(seed).permutation(names)[: max(1, round(HELD_OUT * len(names)))]
    return np.isin(block, chosen)
