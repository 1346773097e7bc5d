"""The codec of a cell: fitted to a twin, used on named channels, updated with measured ones, kept in one file."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Shaped
from torch import Tensor

from sitetwin.errors import SiteTwinError, said_of
from sitetwin.learn.cell.codec_file import (
    FORMAT,
    About,
    CodecContent,
    complex_names,
    content_hash,
    link_of,
    link_table,
    read_codec,
    write_codec,
)
from sitetwin.learn.cell.coder import CellCoder, Fit
from sitetwin.learn.cell.link import CellLink
from sitetwin.learn.cell.matrices import CellMatrices, different, matrices_of, named, of_layout
from sitetwin.learn.cell.methods import CODERS, METHODS, fit_of
from sitetwin.learn.cell.reports import Reports
from sitetwin.learn.csi.base import CsiCodec
from sitetwin.learn.csi.codec import Budget
from sitetwin.learn.csi.metrics import nmse, sgcs, summarise, to_db
from sitetwin.learn.csi.selection import Selection, highest_nmse_of, k_centre_of, select_random
from sitetwin.version import __version__

Channels = xr.DataArray | Shaped[np.ndarray, "*axes"] | CellMatrices
"""Labelled channels, an array of NumPy with the names of its axes beside it, or what `CellCodec.matrices` gave."""

Rule = Literal["high-nmse", "k-centre", "random"]
"""How measured matrices are chosen: those recovered worst, different ones among these, or any."""

DELAY_ANGLE = ("user", "delay", "angle")
_BATCH = 2048


class CellCodec:
    """A codec of CSI feedback for one cell, in the shape of scikit-learn's models.

    The constructor takes parameters alone. `fit` learns from a twin's channels; `encode` gives the bits of reports,
    `decode` the channels that the base station recovers; `update` gives the next version, which also knows measured
    channels, and leaves this one as it is. Channels come with named axes (`sitetwin.learn.cell.matrices.NAMES`).

    Norm and common phase of a channel are not fed back: what is recovered has unit norm.

    Args:
        method: Name of a method (one of `sitetwin.learn.cell.methods.METHODS`), a codec of `sitetwin.learn`
            that is not fitted, or a function that makes a coder.
        bits: Bits of one report; with a codec those of its budget are taken.

    Attributes:
        version: 1 after a fit, one more after each update.
        parents: Hashes of the earlier versions, the first one first.
        training: What the codec was fitted to and updated with.

    Example:
        ::

            codec = CellCodec(bits=128).fit(st.channels(paths, site, carrier_hz=3.5e9, radio=st.Radio("ula:32")))
            reports = codec.encode(h, axes=("time", "antenna", "subcarrier"))
            recovered = codec.decode(reports, axes=("user", "antenna", "subcarrier"))
            better = codec.update(measured, keep=40, axes=("time", "antenna", "subcarrier"))
    """

    def __init__(self, method: str | CsiCodec | Fit = "klt", bits: int | None = None) -> None:
        if isinstance(method, str) and method not in METHODS:
            raise SiteTwinError(f"there is no method '{method}'; choose one of {', '.join(METHODS)}")
        self.method = method
        self.bits = bits if bits is not None else method.budget.bits if isinstance(method, CsiCodec) else Budget().bits
        if self.bits < 1:
            raise SiteTwinError(f"a report of {self.bits} bits says nothing; give at least one bit")
        share = METHODS[method].multiple if isinstance(method, str) else 1
        if self.bits % share:
            raise SiteTwinError(
                f"{self.bits} bits are not shared evenly by {share} numbers of '{method}'; give a multiple of {share}"
            )
        self.version, self.parents = 0, ()
        self.training: dict[str, Any] = {}
        self._link: CellLink | None = None
        self._coder: CellCoder | None = None
        self._hash = ""
        self._made_by = __version__

    version: int
    parents: tuple[str, ...]

    def fit(
        self,
        h: Channels,
        *,
        axes: Sequence[str] | None = None,
        link: CellLink | None = None,
        taps: int | None = None,
        first_tap: int | None = None,
        seed: int = 0,
    ) -> CellCodec:
        """Learn from channels of a twin, or of the world.

        Args:
            h: Channels, of different users.
            axes: Names of the axes of an array without labels.
            link: The link of channels that do not say it; see `CellLink.of_radio`.
            taps: Delay taps that are kept of channels over subcarriers; 32 by default.
            first_tap: Index of the first of them; 0 by default.
            seed: Seed of all random numbers.

        Returns:
            This codec, as version 1.

        Raises:
            SiteTwinError: The channels have wrong axes or do not say their link, are none of a link's, are those of no
                user, or of one user again and again; or the method finds no solution.
        """
        if not isinstance(h, CellMatrices):
            labelled = named(h, axes)
            chosen = link or CellLink.of_labels(labelled, taps, first_tap)
            h = matrices_of(labelled, chosen, skip_silent=True)
        elif link is None:
            raise SiteTwinError("prepared matrices do not say their link; give it beside them")
        else:
            chosen = link
        x = h.csi.x
        x = x[different(x, "training matrices")]
        self._coder = _fit(self.method, chosen)(x, self.bits, _generator(seed))
        self._link, self.version, self.parents, self._made_by = chosen, 1, (), __version__
        self.training = {"matrices": len(x), "seed": seed, "updates": []}
        self._hash = content_hash(*self._content())
        return self

    def matrices(
        self,
        h: Channels,
        *,
        axes: Sequence[str] | None = None,
        other_world: bool = False,
        skip_silent: bool = False,
    ) -> CellMatrices:
        """Normalised delay-angle matrices of channels of this codec's link, and what was assumed of them.

        Args:
            h: Channels.
            axes: Names of the axes of an array without labels.
            other_world: Accept channels of another site, as those of the same cell with trees.
            skip_silent: Leave out users whose channel is zero, in place of a refusal.

        Raises:
            SiteTwinError: The channels are of another array, band, delay reference or site, not finite, zero, or those
                of no user; or their axes are not named.
        """
        if isinstance(h, CellMatrices):
            return h
        return matrices_of(named(h, axes), self.link, other_world=other_world, skip_silent=skip_silent)

    def encode(self, h: Channels, *, axes: Sequence[str] | None = None, other_world: bool = False) -> Reports:
        """The reports of users, one for each channel.

        Args:
            h: Channels.
            axes: Names of the axes of an array without labels.
            other_world: Accept channels of another site.

        Raises:
            SiteTwinError: As for `matrices`.
        """
        x = self.matrices(h, axes=axes, other_world=other_world).csi.x
        parts = [self.coder.encode(part) for part in x.split(_BATCH)]
        payload, bits = (np.concatenate([part[k] for part in parts]) for k in range(2))
        return Reports(payload, bits, self.hash, self.version)

    def decode(self, reports: Reports, axes: Sequence[str] = DELAY_ANGLE) -> xr.DataArray:
        """The channels that the base station recovers, of unit norm and without their common phase, complex64.

        Args:
            reports: Reports of this codec.
            axes: Names of the axes that are wanted, in their order: user, antenna or angle, and subcarrier or delay.

        Raises:
            SiteTwinError: The reports are those of another codec, or of another version of this one.
        """
        if reports.codec != self.hash:
            raise SiteTwinError(self._another(reports))
        starts = np.concatenate([[0], np.cumsum((reports.bits + 7) // 8)])
        parts = []
        for begin in range(0, len(reports), _BATCH):
            end = min(begin + _BATCH, len(reports))
            payload = reports.payload[starts[begin] : starts[end]]
            parts.append(self.coder.decode(payload, reports.bits[begin:end]))
        empty = torch.zeros(0, *self.coder.shape, dtype=torch.complex64)
        return of_layout(torch.cat(parts) if parts else empty, self.link, axes)

    def _another(self, reports: Reports) -> str:
        if reports.codec in self.parents:
            return (
                f"these reports are of version {reports.version} of this codec, and this is version {self.version}; "
                "decode them with the file of that version"
            )
        return (
            f"these reports are of another codec (version {reports.version}, {reports.codec[:12]}) than this one "
            f"(version {self.version}, {self.hash[:12]}); decode them with the codec that made them"
        )

    def errors(
        self, h: Channels, *, axes: Sequence[str] | None = None, other_world: bool = False
    ) -> Float[np.ndarray, " users"]:
        """Linear NMSE of each user after encoding and decoding.

        Args:
            h: Channels.
            axes: Names of the axes of an array without labels.
            other_world: Accept channels of another site.

        Raises:
            SiteTwinError: As for `matrices`.
        """
        x = self.matrices(h, axes=axes, other_world=other_world, skip_silent=True).csi.x
        return nmse(x, self.coder.recovered(x)).numpy()

    def score(self, h: Channels, *, axes: Sequence[str] | None = None, other_world: bool = False) -> float:
        """Channel over error in dB: the negative of the NMSE in dB, so that more is better, as scikit-learn has it.

        Args:
            h: Channels.
            axes: Names of the axes of an array without labels.
            other_world: Accept channels of another site.

        Raises:
            SiteTwinError: As for `matrices`.
        """
        return -to_db(float(self.errors(h, axes=axes, other_world=other_world).mean()))

    def evaluate(
        self, h: Channels, *, axes: Sequence[str] | None = None, other_world: bool = False
    ) -> dict[str, float | int]:
        """How well this codec serves some users: NMSE in dB, cosine similarity, bits.

        A matrix that stands several times among them counts once.

        Args:
            h: Channels.
            axes: Names of the axes of an array without labels.
            other_world: Accept channels of another site.

        Raises:
            SiteTwinError: As for `matrices`; or all channels are one.
        """
        given = self.matrices(h, axes=axes, other_world=other_world, skip_silent=True)
        x = given.csi.x[different(given.csi.x, "channels")]
        found = self.coder.recovered(x)
        told = summarise(nmse(x, found))
        return {
            "users": len(x),
            "users_without_channel": int(given.silent.sum()),
            "repeated": len(given.csi.x) - len(x),
            "nmse_db": told.mean_db,
            "nmse_db_median": told.median_db,
            "nmse_db_95_percent": told.p95_db,
            "sgcs": float(sgcs(x, found, self.link.subcarriers).mean()),
            "bits_of_a_report": float(self._bits_of(x)),
        }

    def _bits_of(self, x: Tensor) -> float:
        """Bits of a report, the mean over users."""
        return float(np.concatenate([self.coder.encode(part)[1] for part in x.split(_BATCH)]).mean())

    def update(
        self,
        measured: Channels,
        keep: int = 40,
        select: str = "high-nmse",
        *,
        axes: Sequence[str] | None = None,
        other_world: bool = False,
        seed: int = 0,
    ) -> CellCodec:
        """The next version of this codec, which also knows some measured channels; this one is not changed.

        Args:
            measured: Measured channels to choose from, of different users.
            keep: How many of them are taken: so many users upload their whole channel.
            select: How they are chosen.
            axes: Names of the axes of an array without labels.
            other_world: Accept channels of another site, as those of the same cell with trees.
            seed: Seed of all random numbers.

        Raises:
            SiteTwinError: As for `matrices`; fewer different channels were measured than are to be kept, or the method
                cannot be updated.
        """
        if select not in get_args(Rule):
            raise SiteTwinError(f"there is no rule '{select}'; choose one of {', '.join(get_args(Rule))}")
        if keep < 1:
            raise SiteTwinError(f"{keep} measured channels are to be kept; keep at least one")
        x = self.matrices(measured, axes=axes, other_world=other_world, skip_silent=True).csi.x
        pool = x[different(x, "measured channels")]
        if keep > len(pool):
            raise SiteTwinError(
                f"{keep} measured channels are to be kept, and {len(pool)} different ones were given; keep fewer, or "
                "measure more"
            )
        rng = _generator(seed)
        chosen = self._chosen(pool, keep, select, rng)
        new = copy.copy(self)
        new._coder = self.coder.update(pool[chosen.rows], rng)
        new.version, new.parents, new._made_by = self.version + 1, (*self.parents, self.hash), __version__
        step = {"keep": keep, "select": select, "measured": len(pool), "examined": chosen.examined, "seed": seed}
        new.training = {**self.training, "updates": [*self.training["updates"], step]}
        new._hash = content_hash(*new._content())
        return new

    def _chosen(self, pool: Tensor, keep: int, select: str, rng: torch.Generator) -> Selection:
        if select == "random":
            return select_random(pool, keep, rng)
        rule = highest_nmse_of if select == "high-nmse" else k_centre_of
        return rule(pool, self.coder.recovered(pool), keep)

    def save(self, path: Path | str) -> None:
        """Write this version into a file that is not there yet.

        Raises:
            SiteTwinError: The codec is not fitted, something is there, or the disk cannot be written.
        """
        about, tensors = self._content()
        write_codec(Path(path), CodecContent(about.model_copy(update={"hash": self.hash}), tensors))

    @classmethod
    def load(cls, path: Path | str) -> CellCodec:
        """Read a codec that `save` wrote; the file is not trusted.

        Raises:
            SiteTwinError: The file is missing, truncated, damaged, altered, or holds something else.
        """
        what = f"the codec '{path}'"
        content = read_codec(Path(path))
        about = content.about
        if about.kind not in CODERS:
            raise SiteTwinError(f"{what} is of the kind '{about.kind[:40]}', which this version does not know")
        codec = cls()
        with said_of(what):
            codec._link = link_of(about, what)
            if about.shape != (codec._link.taps, codec._link.antennas):
                raise SiteTwinError("its matrices are not of the size of its link; copy it again, or fit a new codec")
            try:
                codec._coder = CODERS[about.kind].restored(content.model_file(Path(path)), about.shape)
            except (RuntimeError, TypeError, ValueError, OverflowError, KeyError) as error:
                raise SiteTwinError("its numbers do not fit together; copy it again, or fit a new codec") from error
            if link_table(codec._link) != about.link:
                raise SiteTwinError("its link has unknown entries; copy it again, or fit a new codec")
            if not isinstance(about.training.get("updates"), list):
                raise SiteTwinError("it does not say what it was updated with; copy it again, or fit a new codec")
        codec.version, codec.parents, codec.training = about.version, about.parents, about.training
        codec._hash, codec._made_by = about.hash, about.made_by
        codec.bits = int(codec._coder.facts().get("bits", codec.bits))
        return codec

    def _content(self) -> tuple[About, dict[str, Tensor]]:
        """Header without its hash, and numbers."""
        tensors = dict(self.coder.arrays())
        about = About(
            format=FORMAT,
            version=self.version,
            parents=self.parents,
            made_by=self._made_by,
            link=link_table(self.link),
            kind=self.coder.kind,
            shape=self.coder.shape,
            parameters=self.coder.parameters(),
            training=self.training,
            complex=complex_names(tensors),
        )
        return about, tensors

    @property
    def link(self) -> CellLink:
        """The link that the codec is for.

        Raises:
            SiteTwinError: The codec is not fitted yet.
        """
        if self._link is None:
            raise SiteTwinError("the codec is not fitted yet; call fit, or load one")
        return self._link

    @property
    def coder(self) -> CellCoder:
        """What turns matrices into bits and back.

        Raises:
            SiteTwinError: The codec is not fitted yet.
        """
        if self._coder is None:
            raise SiteTwinError("the codec is not fitted yet; call fit, or load one")
        return self._coder

    @property
    def hash(self) -> str:
        """SHA-256 of the codec: its link, versions and numbers."""
        _ = self.coder
        return self._hash

    def facts(self) -> dict[str, Any]:
        """What is said of the codec, JSON-serialisable: versions, link, sizes and costs, training."""
        return {
            "version": self.version,
            "hash": self.hash,
            "parents": list(self.parents),
            "made_by": self._made_by,
            **{name: value for name, value in link_table(self.link).items() if name != "array"},
            "array": self.link.array_name,
            "normalisation": "unit Frobenius norm",
            **self.coder.facts(),
            "training": self.training,
        }


def _fit(method: str | CsiCodec | Fit, link: CellLink) -> Fit:
    """What makes the coder."""
    if isinstance(method, str):
        return METHODS[method].fit_for(link)
    return fit_of(method) if isinstance(method, CsiCodec) else method


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
