"""Configuration of the precoding study: frozen, validated, hashed.

The numbers of the link are those printed in M. Haider and others, "Digital twin enabled site specific channel
precoding: over the air CIR inference", arXiv 2501.16504; what the paper leaves out is chosen here and said so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import Field, ValidationError, model_validator

from sitetwin.errors import SiteTwinError
from sitetwin.learn import CorrectorSchedule, MlpSize, UNetSize
from sitetwin.site.mesh import LARGEST_COORDINATE
from sitetwin.site.recipes import VariantRecipe
from sitetwin.site.variants import (
    MATERIAL_CHOICES,
    GeometryError,
    HiddenMaterials,
    ParkedVehicles,
    PoseError,
    SurfaceMaterials,
)
from sitetwin.studies.frame import Frozen
from sitetwin.untrusted import LARGEST_TOML, parse_toml, read_bytes

Profile = Literal["quick", "paper", "full"]
"""How much is run: the whole chain in minutes; the published sizes, networks of three seeds; five seeds, more users."""

_Metres = Annotated[float, Field(ge=-LARGEST_COORDINATE, le=LARGEST_COORDINATE)]

Split = Literal["random", "blocks", "drives"]
"""How users are split: at random, as published (neighbours leak), into blocks of space, or into whole drives."""


class RecordsBand(Frozen):
    """What TFRecord files of a channel sounder do not say themselves.

    Attributes:
        carrier_hz: Centre frequency.
        bandwidth_hz: Bandwidth over all subcarriers.
        offsets: JSON file of the antennas' offsets of sampling time and phase, where the data set has one.
        antennas: Antennas that are used, counted from 0, in the order of the place's array; all by default.
        most: Records after which reading stops.
    """

    carrier_hz: float = Field(gt=1e6, le=1e12)
    bandwidth_hz: float = Field(gt=0, le=1e11)
    offsets: str | None = None
    antennas: tuple[Annotated[int, Field(ge=0, lt=1 << 16)], ...] | None = Field(default=None, min_length=1)
    most: int = Field(default=4000, ge=40)


class DrivePlace(Frozen):
    """One base station and the drives along which channels are measured.

    Attributes:
        scene: Built-in scene, saved site, or anything else that `sitetwin.site.open_site` reads.
        base_station: Position, metres.
        yaw_deg: Heading of the array's boresight, degrees from east, counter-clockwise; the elements stand across it.
        drives: Lines (x, y) along which a receiver drives, metres; two or more points each. Measured channels have
            positions of their own and need none.
        user_height: Height of the receiver above the ground, metres.
        antennas: Elements of the base station's array, a half-wave uniform linear one. Seen along the boresight, the
            first is the rightmost.
        records: Band of measured channels in TFRecord files.
    """

    scene: str
    base_station: tuple[_Metres, _Metres, _Metres]
    yaw_deg: float = Field(default=0.0, ge=-360, le=360)
    drives: tuple[tuple[tuple[_Metres, _Metres], ...], ...] = ()
    user_height: float = Field(default=1.5, gt=0, le=100)
    antennas: int = Field(default=4, ge=1, le=64)
    records: RecordsBand | None = None

    @model_validator(mode="after")
    def _drives_are_lines(self) -> DrivePlace:
        if any(len(line) < 2 for line in self.drives):
            raise ValueError("a drive needs two or more points (x, y)")
        return self


class PrecodedLink(Frozen):
    """The MISO-OFDM link, as printed.

    Attributes:
        carriers_hz: Carrier frequencies.
        antennas: Elements N_T of the base station's half-wave uniform linear array; users have one antenna.
        subcarriers: Number N_s.
        prefix: Samples of the cyclic prefix.
        sampling_hz: Sampling rate F_s.
        band_hz: Width of the band whose subcarriers carry data.
        taps: Taps P of an impulse response: 112,000 realisations are 1,750 positions of 4 antennas and 16 taps.
        taps_before: Taps before the first path, which keep the side lobes of its pulse.
        constellation: Modulation.
        snr_db: First and last SNR and the step of the curves.
    """

    carriers_hz: tuple[float, ...] = (751e6, 3.5e9)
    antennas: int = Field(default=4, ge=1, le=64)
    subcarriers: int = Field(default=128, ge=8, le=4096)
    prefix: int = Field(default=16, ge=0)
    sampling_hz: float = Field(default=30.72e6, gt=0)
    band_hz: float = Field(default=10e6, gt=0)
    taps: int = Field(default=16, ge=2)
    taps_before: int = Field(default=2, ge=0)
    constellation: str = "qpsk"
    snr_db: tuple[float, float, float] = (-10.0, 40.0, 1.0)

    @model_validator(mode="after")
    def _taps_fit(self) -> PrecodedLink:
        if not self.taps_before < self.taps <= self.subcarriers:
            raise ValueError("the taps must hold those before the first path, and be no more than the subcarriers")
        if self.band_hz > self.sampling_hz:
            raise ValueError("the band is wider than the sampling rate")
        return self


class Imperfections(Frozen):
    """How the target world, which stands for reality, differs from the twin. All of it is synthetic.

    Attributes:
        site: What differs in the scene and in the base station's pose.
        tree_spacing_m: Distance between street trees, which the twin lacks; 0 plants none.
        gps_bias_m: Standard deviation of a drive's constant position error, metres a coordinate.
        gps_sigma_m: Standard deviation of each position's own error, metres a coordinate.
        antenna_gain_db: Standard deviation of the antennas' gain errors.
        antenna_phase_deg: Standard deviation of the antennas' phase errors.
        timing_samples: Standard deviation of a measurement's timing error, samples.
        csi_snr_db: SNR of measured channels, which train; test channels are without noise.
        other_engine_share: Share of the users whose target channels come from Sionna RT's paths.
        other_engine_rays: Rays of a call there.
    """

    site: VariantRecipe = VariantRecipe(
        name="target",
        walls=GeometryError(0.2),
        heights=GeometryError(0.5),
        together=True,
        parked_vehicles=ParkedVehicles(per_100_m=4.0),
        hidden_materials=HiddenMaterials(),
        pose=PoseError(GeometryError(0.1), 0.1, 1.0, 1.0),
    )
    tree_spacing_m: float = Field(default=15.0, ge=0)
    gps_bias_m: float = Field(default=0.3, ge=0)
    gps_sigma_m: float = Field(default=0.02, ge=0)
    antenna_gain_db: float = Field(default=0.3, ge=0)
    antenna_phase_deg: float = Field(default=3.0, ge=0)
    timing_samples: float = Field(default=0.1, ge=0)
    csi_snr_db: float = 25.0
    other_engine_share: float = Field(default=0.05, ge=0, le=1)
    other_engine_rays: int = Field(default=100_000, ge=1000)


_UNETS = (
    UNetSize((32, 64, 64, 128), 3),
    UNetSize((32, 64, 64, 128), 5),
    UNetSize((64, 128, 128, 256), 3),
)
_MLPS = (MlpSize((256, 256, 256)), MlpSize((512, 512, 512)))


class Evaluation(Frozen):
    """Sizes and splits.

    Attributes:
        seeds: Each draws a target world, errors of measurement, splits and initial weights anew.
        trained_seeds: How many of them, from the first, train networks; the others judge what needs no training.
        users: Positions over all drives; the published 112,000 realisations are 1,750 of them.
        splits: Which of these are run.
        train_share: Share of the users that train (and validate), 0.7 as published.
        validation_share: Share of the training users that choose epochs and ridges.
        block_m: Side of the blocks.
        guard_m: Least distance between training and test users of blocks and drives.
        ray_users: Users whose channels are traced by the other engine with few and many rays.
        rays: Numbers of rays there, as published.
        calibration_users: Training users whose channels materials are fitted to; 0 leaves fitted materials out.
        tap_samples: Whether networks of single taps, which is what the text says, are run too, on the random split and
            at the lowest carrier.
        unet: How the U-Net is trained.
        mlp: How the perceptron is trained.
        taps: How networks of single taps are trained.
        unet_sizes: Kernels to choose from, on validation users of the first seed.
        mlp_sizes: Neurons to choose from, in the same way.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    trained_seeds: int = Field(default=3, ge=1)
    users: int = Field(default=1750, ge=40)
    splits: tuple[Split, ...] = ("random", "blocks", "drives")
    train_share: float = Field(default=0.7, gt=0, lt=1)
    validation_share: float = Field(default=0.15, gt=0, lt=1)
    block_m: float = Field(default=10.0, gt=0)
    guard_m: float = Field(default=2.0, ge=0)
    ray_users: int = Field(default=100, ge=10)
    rays: tuple[int, ...] = (1_000, 10_000, 100_000)
    calibration_users: int = Field(default=200, ge=0)
    tap_samples: bool = True
    unet: CorrectorSchedule = CorrectorSchedule(epochs=80, patience=15)
    mlp: CorrectorSchedule = CorrectorSchedule(epochs=150, patience=25)
    taps: CorrectorSchedule = CorrectorSchedule(epochs=8, batch=1024, patience=3)
    unet_sizes: tuple[UNetSize, ...] = Field(default=_UNETS, min_length=1)
    mlp_sizes: tuple[MlpSize, ...] = Field(default=_MLPS, min_length=1)


class PrecodingStudy(Frozen):
    """Everything that determines the results of a precoding study.

    Attributes:
        schema_version: Schema of this configuration.
        profile: How much is run.
        place: Base station and drives.
        link: The link.
        target: How the target differs from the twin.
        evaluation: Sizes and splits.
        materials: Choices of materials, by name.
        twin_materials: The choice that the twin of the networks uses.
        max_depth: Largest number of reflections of a path.
        diffraction: Whether paths with one diffraction are traced.
        diffuse_paths: Diffuse paths of a user; 0 leaves diffuse scattering out.
        trace_seed: Seed of the discovery of paths.
    """

    schema_version: Literal["sitetwin.precoding-configuration/1"] = "sitetwin.precoding-configuration/1"
    profile: Profile
    place: DrivePlace
    link: PrecodedLink = PrecodedLink()
    target: Imperfections = Imperfections()
    evaluation: Evaluation = Evaluation()
    materials: dict[str, SurfaceMaterials] = MATERIAL_CHOICES
    twin_materials: str = "MC1"
    max_depth: int = Field(default=3, ge=0, le=8)
    diffraction: bool = True
    diffuse_paths: int = Field(default=0, ge=0)
    trace_seed: int = 0

    @model_validator(mode="after")
    def _choices_are_there(self) -> PrecodingStudy:
        if self.twin_materials not in self.materials:
            raise ValueError(f"the twin's materials '{self.twin_materials}' are none of {', '.join(self.materials)}")
        if "drives" in self.evaluation.splits and len(self.place.drives) < 2:
            raise ValueError("a split into whole drives needs two or more drives")
        return self


CANYON = DrivePlace(
    scene="simple_street_canyon",
    base_station=(-40.0, 0.0, 12.0),
    drives=(((-20.0, -3.0), (40.0, -3.0)), ((40.0, 3.0), (-20.0, 3.0))),
)
"""A street between two rows of houses; two lanes of 60 m."""

MUNICH = DrivePlace(
    scene="munich",
    base_station=(-30.0, 60.0, 15.0),
    drives=(((42.0, 121.0), (-46.0, 168.0)), ((-5.0, 48.0), (95.0, 49.0))),
)
"""Two streets near Marienplatz, 100 m each; between 60 and 80 % of them see the base station."""

_EVALUATION = {
    "quick": Evaluation(
        seeds=(0, 1, 2),
        users=600,
        ray_users=40,
        unet=CorrectorSchedule(epochs=30, patience=10),
        mlp=CorrectorSchedule(epochs=60, patience=20),
        unet_sizes=_UNETS[:2],
        mlp_sizes=_MLPS,
        calibration_users=0,
        tap_samples=False,
    ),
    "paper": Evaluation(),
    "full": Evaluation(trained_seeds=5, users=2400, ray_users=300),
}


def precoding_study(profile: str, place: DrivePlace | None = None) -> PrecodingStudy:
    """The frozen configuration of a profile.

    Args:
        profile: "quick" runs the whole chain in minutes with small networks; "paper" is the published size, 112,000
            realisations, with five seeds, of which three train networks; "full" trains on all and has more users.
        place: Base station and drives; by default `CANYON` for "quick" and `MUNICH` for the others.

    Raises:
        SiteTwinError: Unknown profile, or a place that the profile's splits cannot use.
    """
    if profile not in _EVALUATION:
        raise SiteTwinError(f"there is no profile '{profile}'; choose one of {', '.join(_EVALUATION)}")
    evaluation = _EVALUATION[profile]
    if place is None:
        place = CANYON if profile == "quick" else MUNICH
    if len(place.drives) < 2:
        evaluation = evaluation.model_copy(update={"splits": ("random", "blocks")})
    link = PrecodedLink(antennas=place.antennas)
    return PrecodingStudy(profile=cast(Profile, profile), place=place, link=link, evaluation=evaluation)


def read_place(path: Path) -> DrivePlace:
    """A place from a TOML file with the keys of `DrivePlace`.

    Raises:
        SiteTwinError: The file cannot be read, is no TOML, or says something that is no place.
    """
    where = f"the place '{path}'"
    content = parse_toml(read_bytes(path, where, LARGEST_TOML), where, "mend the line it names")
    try:
        return DrivePlace(**content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise SiteTwinError(f"{where}: {key}: {first['msg']}; see docs/background/precoding-study.md") from error
