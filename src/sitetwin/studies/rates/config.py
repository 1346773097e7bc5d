"""Configuration of the study of rates: which codecs, trained on what, at how many bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

from pydantic import Field, ValidationError, model_validator

from sitetwin.channel.statistical import MODELS
from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.methods import METHODS, TRAINED
from sitetwin.studies.csi.config import FEW, FLORENCE, MUNICH, Cell, CsiStudy, Evaluation, Imperfections, csi_study
from sitetwin.studies.frame import Frozen

Profile = Literal["quick", "full"]
"""How much is run: two cases and few seeds; or all cases, five seeds, and statistical channels."""

TWIN, TARGET, WRONG_SITE, NO_SITE = "twin", "target", "wrong site", "none"
WORLDS = (TWIN, TARGET, WRONG_SITE)
REFINED, SHUFFLED = "refined", "shuffled"
MEASURED = (REFINED, SHUFFLED)
"""The twin's codec updated with a few matrices of the target, and the control: with the same ones, whose angles were
exchanged among users, so that each angle keeps its strength and nothing else is true."""

SOURCES = (*WORLDS, *MEASURED, *MODELS)
"""What codecs are trained on: worlds, the twin and a few measurements, and statistical models of TR 38.901. What knows
no site has "none"."""

_FAST = ("hybrid", "klt-entropy", "paths", "klt", "global-klt", "lookup", "omp", "etype2")


class RatesStudy(Frozen):
    """Everything that determines the results of a study of rates.

    Attributes:
        schema_version: Schema of this configuration.
        profile: How much is run.
        csi: Cell, wrong site, link, worlds, splits and sizes, as in the CSI study; its codecs are not used. The largest
            training size is that of every codec.
        methods: Codecs, by the names of `sitetwin.learn.cell.methods.METHODS`.
        sources: What those that learn are trained on, of `SOURCES`.
        bits: Bits of a report.
        epochs: Epochs of methods that train by epochs; None for their own.
        noise_bits: Bits of a report where the estimation noise at the user is varied.
        noise_snr_db: SNR of the users' channel estimates, per subcarrier and antenna, dB.
        rate_snr_db: SNR of maximum-ratio transmission with perfect CSI, the mean over the band, dB.
        groups: Users that zero-forcing serves at once.
    """

    schema_version: Literal["sitetwin.rates-configuration/1"] = "sitetwin.rates-configuration/1"
    profile: Profile
    csi: CsiStudy
    methods: tuple[str, ...] = _FAST
    sources: tuple[str, ...] = WORLDS
    bits: tuple[int, ...] = Field(default=(64, 96, 128, 192, 256), min_length=1)
    epochs: int | None = Field(default=None, ge=1)
    noise_bits: int = 128
    noise_snr_db: tuple[float, ...] = (0.0, 10.0, 20.0, 30.0)
    rate_snr_db: float = 10.0
    groups: int = Field(default=4, ge=1)

    @model_validator(mode="after")
    def _names_are_known(self) -> RatesStudy:
        for name, given, known in (("method", self.methods, tuple(METHODS)), ("source", self.sources, SOURCES)):
            unknown = [one for one in given if one not in known]
            if unknown or not given or len(set(given)) < len(given):
                wrong = unknown[0] if unknown else "none, or one twice"
                raise ValueError(f"there is no {name} '{wrong}'; give each once, of {', '.join(known)}")
        for method in self.methods:
            each = METHODS[method].multiple
            wrong_bits = [bits for bits in (*self.bits, self.noise_bits) if bits < 1 or bits % each]
            if wrong_bits:
                raise ValueError(f"'{method}' takes multiples of {each} bits, not {wrong_bits[0]}")
        if TWIN not in self.sources and set(MEASURED) & set(self.sources):
            raise ValueError("'refined' and 'shuffled' update codecs of the twin; give the source 'twin' too")
        if len(set(self.bits)) < len(self.bits):
            raise ValueError("a number of bits stands twice; give each once")
        if self.csi.evaluation.test_users < self.groups:
            raise ValueError(
                f"zero-forcing to {self.groups} users at once needs as many test users, and there are "
                f"{self.csi.evaluation.test_users}; give smaller groups"
            )
        return self

    @property
    def train_size(self) -> int:
        """Training matrices of every codec."""
        return max(self.csi.evaluation.train_sizes)

    @property
    def measured(self) -> int:
        """Matrices of the target that update a codec of the twin, chosen at random."""
        return self.csi.evaluation.few


def rates_study(
    profile: str,
    site: Cell = MUNICH,
    wrong_site: Cell = FLORENCE,
    *,
    methods: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    bits: Sequence[int] | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
) -> RatesStudy:
    """The frozen configuration of a profile.

    Args:
        profile: "quick" takes the published case and the hardest one, three seeds, three numbers of bits, users a metre
            or more apart; "full" all four cases, five seeds, the published grid, and statistical channels too.
        site: The cell under study.
        wrong_site: A cell elsewhere, for the control.
        methods: Codecs; the fast ones by default.
        sources: What they are trained on.
        bits: Bits of a report.
        seeds: Number of seeds.
        epochs: Epochs of methods that train by epochs.

    Raises:
        SiteTwinError: The profile, a method or a source is unknown, or bits or seeds are none.
    """
    if profile not in ("quick", "full"):
        raise SiteTwinError(f"there is no profile '{profile}'; choose quick or full")
    quick = profile == "quick"
    count = (3 if quick else 5) if seeds is None else seeds
    if count < 1:
        raise SiteTwinError(f"{count} seeds were asked for; give at least one")
    whole = csi_study("quick" if quick else "full", site, wrong_site)
    shared: dict[str, Any] = {"seeds": tuple(range(count)), "pool": FEW, "refine_sizes": (FEW,)}
    if quick:
        evaluation = Evaluation(
            **shared, sampled_users=20_000, test_users=1000, train_sizes=(2560,), random_test_share=0.3
        )
        cells = {
            name: cell.model_copy(update={"spacing": max(1.0, cell.spacing)})
            for name, cell in (("site", site), ("wrong_site", wrong_site))
        }
        wrong = Imperfections(other_engine_users=100)
        whole = whole.model_copy(update={"evaluation": evaluation, "imperfections": wrong, **cells})
    else:
        sizes = {"test_users": 4000, "train_sizes": (5120,)}
        whole = whole.model_copy(update={"evaluation": whole.evaluation.model_copy(update={**shared, **sizes})})
    chosen = {"methods": methods, "sources": sources, "bits": bits, "epochs": epochs}
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, Sequence) else value for name, value in chosen.items()
    }
    usual: dict[str, Any] = {"bits": (64, 128, 256)} if quick else {"sources": (*WORLDS, *MEASURED, "umi", "cdl-c")}
    try:
        return RatesStudy(
            profile=cast(Profile, profile), csi=whole, **{**usual, **{k: v for k, v in given.items() if v is not None}}
        )
    except ValidationError as error:
        raise SiteTwinError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def trains_by_epochs(method: str) -> bool:
    """Whether a method is a network."""
    return method in TRAINED
