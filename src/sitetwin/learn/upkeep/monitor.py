"""The maintenance loop of a codec: it notices that users are served otherwise, asks for channels, and updates.

It sees what a base station sees: the level of the error that comes with each report, and the few whole channels that it
asks for.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.learn.cell.codec import CellCodec, Channels
from sitetwin.learn.cell.matrices import CellMatrices, different
from sitetwin.learn.csi.data import CsiSet
from sitetwin.learn.csi.metrics import nmse, to_db
from sitetwin.learn.upkeep.detector import ChangeDetector
from sitetwin.learn.upkeep.settings import Event, MonitorSettings, What

Purpose = Literal["train", "check"]
"""What an upload is for: the next version is trained with it, or judged by it."""

_FEW = 20  # reports, of which nothing is said
_ALIKE = 0.5  # correlation of channels in a row, from which on they may be those of one user


@dataclass
class Uploads:
    """Uploads that were collected since an alarm; none are asked for where there was none.

    Attributes:
        threshold: Level from which on users upload their channel; None until enough reports are there to tell it.
        train: Matrices to train the next version with.
        check: Matrices to judge it by.
        waited: Reports since the threshold was known.
        rounds: Collections that may follow this one.
    """

    threshold: int | None
    train: list[Complex[Tensor, "taps beams"]] = field(default_factory=list)
    check: list[Complex[Tensor, "taps beams"]] = field(default_factory=list)
    waited: int = 0
    rounds: int = 0


class CodecMonitor:
    """Looks after a codec in use.

    Call `wants` with the level of a report, then `take` with the level and, if it was wanted, the user's whole channel.
    Where channels are at hand, `observe` plays the users' part.

    An alarm of growing errors begins a collection by a threshold rule (arXiv 2402.19434): each user knows its error and
    uploads its channel where that is at or above the threshold. Once `keep` are there, and `check` more of users
    whatever their error, the codec is updated. The next version comes into use if its mean NMSE on the latter is lower;
    users then download it. An alarm of falling errors only begins a new reference.

    Args:
        codec: The codec in use.
        settings: How it is looked after.

    Attributes:
        codec: The version in use.
        versions: Versions that came into use since the start, the latest last.
        events: What happened, in order.
        counts: Reports, uploads, downloads (of the model, by each user or in one broadcast), and their bits.

    Example:
        ::

            monitor = CodecMonitor(CellCodec.load("cell.codec"))
            monitor.observe(h, axes=("user", "antenna", "subcarrier"))
            monitor.codec.save("in-use.codec")
    """

    def __init__(self, codec: CellCodec, settings: MonitorSettings | None = None) -> None:
        self.settings = settings or MonitorSettings()
        self.codec = codec
        self.versions: list[CellCodec] = []
        self.events: list[Event] = []
        self.counts = dict.fromkeys(
            ("reports", "uploads", "downloads", "report_bits", "error_bits", "upload_bits", "download_bits"), 0
        )
        chosen = self.settings
        self.detector = ChangeDetector(chosen.levels.count, chosen.reports_between_false_alarms, chosen.seed)
        self.collecting: Uploads | None = None
        self.latest: deque[int] = deque(maxlen=chosen.recent)
        _ = codec.hash  # refuses a codec that is not fitted

    def ask(self, threshold: int | None = None) -> None:
        """Begin to collect uploads without an alarm, as where a codec of a twin comes into use.

        Args:
            threshold: Level from which on users upload their channel; by default it is taken of the latest reports,
                once there are `recent`.

        Raises:
            SiteTwinError: Uploads are being collected already, or there is no such level.
        """
        if self.collecting is not None:
            raise SiteTwinError(f"uploads are being collected already: {self.asked}")
        if threshold is not None and not 0 <= threshold < self.settings.levels.count:
            raise SiteTwinError(
                f"{threshold} is no level of the error; levels go from 0 to {self.settings.levels.count - 1}"
            )
        self.collecting = Uploads(threshold, rounds=self.settings.rounds - 1)

    def wants(self, level: int) -> Purpose | None:
        """Whether the user of the next report is to upload its channel, and for what.

        Args:
            level: Level of the report's error.
        """
        now = self.collecting
        if now is None or now.threshold is None:
            return None
        if len(now.check) < self.settings.check and (now.waited + 1) % self.settings.check_every == 0:
            return "check"
        return "train" if len(now.train) < self.settings.keep and level >= now.threshold else None

    @property
    def asked(self) -> str:
        """What users are asked for at present, in words; empty where nothing is."""
        now = self.collecting
        if now is None:
            return ""
        chosen = self.settings
        if now.threshold is None:
            return f"nothing until {chosen.recent} reports tell how users are served"
        return (
            f"{chosen.keep - len(now.train)} channels of users whose NMSE is "
            f"{chosen.levels.floor_db(now.threshold):g} dB or more, and {chosen.check - len(now.check)} of every "
            f"{chosen.check_every}th user"
        )

    def take(
        self, level: int, bits: int | None = None, upload: Complex[Tensor, "taps beams"] | None = None
    ) -> Event | None:
        """Take one report.

        Args:
            level: Level of its error.
            bits: Bits of the report itself; by default those of the codec's reports.
            upload: The user's normalised matrix, where `wants` asked for it. A user that was asked may stay silent.

        Returns:
            What happened by this report, if anything.

        Raises:
            SiteTwinError: There is no such level, or an upload was not asked for or is of another size.
        """
        wanted, chosen = self.wants(level), self.settings
        if upload is not None:
            self._check_upload(upload, wanted)
        alarm = None if self.collecting else self.detector.take(level)  # refuses what is no level
        self.counts["reports"] += 1
        self.counts["report_bits"] += self.codec.bits if bits is None else bits
        self.counts["error_bits"] += chosen.levels.bits
        self.latest.append(level)
        now = self.collecting
        if now is not None:
            if now.threshold is None:
                if len(self.latest) == chosen.recent:
                    now.threshold = self._threshold()
                return None
            now.waited += 1
            if upload is not None:
                (now.check if wanted == "check" else now.train).append(upload)
                self.counts["uploads"] += 1
                self.counts["upload_bits"] += 2 * upload.numel() * chosen.bits_per_real
            if len(now.train) < chosen.keep or len(now.check) < chosen.check:
                return None
            return self._told(self._updated(now))
        return None if alarm is None else self._told(self._alarmed(alarm))

    def observe(self, h: Channels, *, axes: Sequence[str] | None = None, other_world: bool = False) -> list[Event]:
        """Take the reports of users whose channels are known, in their order: the users' part is played, too.

        Args:
            h: Channels, one of each report.
            axes: Names of the axes of an array without labels.
            other_world: Accept channels of another site, as of the same cell with trees.

        Returns:
            What happened by these reports.

        Raises:
            SiteTwinError: As for `CellCodec.matrices`.

        Warns:
            SiteTwinWarning: Channels in a row are alike, as of one user that moves: the rate of false alarms does not
                hold then.
        """
        x = self.codec.matrices(h, axes=axes, other_world=other_world, skip_silent=True).csi.x
        _warn_of_neighbours(x)
        happened: list[Event] = []
        rest = x
        while len(rest):
            levels, bits = self._of_users(rest)
            for number, (level, size) in enumerate(zip(levels.tolist(), bits.tolist(), strict=True)):
                before = self.codec
                upload = rest[number] if self.wants(level) else None
                event = self.take(level, size, upload)
                happened += [event] if event else []
                if self.codec is not before:  # the users behind have the next version
                    break
            rest = rest[number + 1 :]
        return happened

    def observe_errors(self, error: Float[np.ndarray, " reports"]) -> list[Event]:
        """Take errors of reports alone; uploads that are asked for do not come.

        Args:
            error: Linear NMSE of each report, in order.

        Returns:
            What happened.

        Raises:
            SiteTwinError: An error is negative or not finite.
        """
        events = (self.take(level) for level in self.settings.levels.of(error).tolist())
        return [event for event in events if event is not None]

    def _of_users(self, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """What users send: levels of their errors and bits of their reports."""
        levels, bits = [], []
        for part in x.split(1024):
            payload, size = self.codec.coder.encode(part)
            levels.append(self.settings.levels.of(nmse(part, self.codec.coder.decode(payload, size)).numpy()))
            bits.append(size)
        return np.concatenate(levels), np.concatenate(bits)

    def _check_upload(self, upload: Tensor, wanted: Purpose | None) -> None:
        if wanted is None:
            raise SiteTwinError("a channel is uploaded that was not asked for; ask `wants` first")
        if tuple(upload.shape) != self.codec.coder.shape or not bool(torch.isfinite(torch.view_as_real(upload)).all()):
            raise SiteTwinError(
                f"an upload has the shape {tuple(upload.shape)} or is not finite; give the normalised matrix of the "
                f"user, {self.codec.coder.shape}"
            )

    def _alarmed(self, direction: str) -> Event:
        """An alarm; the threshold is taken of the latest reports."""
        levels = np.array(self.latest)
        if direction == "worse":
            self.collecting = Uploads(self._threshold(), rounds=self.settings.rounds - 1)
        served = to_db(float(self.settings.levels.middle_nmse(levels).mean()))
        return Event(self.counts["reports"], "alarm", direction, self.codec.version, served)

    def _threshold(self) -> int:
        """The level that about the share of the latest reports that is asked for reach."""
        levels = np.array(self.latest)
        reached = (levels[:, None] >= np.arange(levels.max() + 1)).mean(axis=0)  # above 0, and falls with the level
        return int(np.abs(np.log(reached / self.settings.asked_share)).argmin())

    def _updated(self, now: Uploads) -> Event:
        """The next version, in use if it serves the users of the check better."""
        train, check = torch.stack(now.train), torch.stack(now.check)
        before = float(nmse(check, self.codec.coder.recovered(check)).mean())
        uploads = len(now.train) + len(now.check)
        self.collecting = None
        self.latest.clear()
        self.detector.restart()
        try:
            train = train[different(train, "uploads")]
            given = CellMatrices(_prepared(train, self.codec), (), np.zeros(len(train), bool))
            new = self.codec.update(given, len(train), seed=self.settings.seed)
        except SiteTwinError as error:  # a codec that learns nothing, as a table, is still watched
            version = self.codec.version
            return Event(self.counts["reports"], "kept", "", version, _db(before), None, uploads, str(error))
        after = float(nmse(check, new.coder.recovered(check)).mean())
        better = after < before
        if better:
            self.codec = new
            self.versions.append(new)
            self.counts["downloads"] += 1
            self.counts["download_bits"] += 8 * model_bytes(new)
            if now.rounds:
                self.collecting = Uploads(None, rounds=now.rounds - 1)
        what: What = "updated" if better else "kept"
        return Event(self.counts["reports"], what, "", self.codec.version, _db(before), _db(after), uploads)

    def _told(self, event: Event) -> Event:
        self.events.append(event)
        return event

    def facts(self) -> dict[str, Any]:
        """What is said of the monitor, JSON-serialisable: version in use, counts and bits."""
        return {"version": self.codec.version, "codec": self.codec.hash, **self.counts, "asked": self.asked}


def _warn_of_neighbours(x: Tensor) -> None:
    """Say where reports in a row are more alike than others are."""
    if len(x) < _FEW:
        return
    flat = x.flatten(1)
    near, far = ((flat[step:].conj() * flat[:-step]).sum(dim=1).abs().median() for step in (1, len(x) // 2))
    if float(near) > max(_ALIKE, 2 * float(far)):
        warnings.warn(
            f"channels in a row are alike (correlation {float(near):.2f}, others {float(far):.2f}), as those of one "
            "user that moves: alarms are then more frequent than stated; give each user's channel once, in any order",
            SiteTwinWarning,
            stacklevel=3,
        )


def _prepared(x: Tensor, codec: CellCodec) -> CsiSet:
    """Matrices that are normalised already, as a codec takes them."""
    return CsiSet(x, torch.ones(len(x)), torch.zeros(len(x)), codec.link.phase_reference)


def _db(error: float) -> float:
    """DB of a linear NMSE, finite also where nothing is lost."""
    return to_db(max(error, 1e-30))


def model_bytes(codec: CellCodec) -> int:
    """Bytes that a user downloads of a codec: what its encoder holds, as the codec tells it, else all its numbers."""
    told = codec.coder.facts().get("bytes_ue")
    if isinstance(told, int):
        return told
    return sum(tensor.numel() * tensor.element_size() for tensor in codec.coder.arrays().values())
