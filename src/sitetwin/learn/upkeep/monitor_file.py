"""A monitor on disk: what it knows between two runs, in one file of plain numbers."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from sitetwin.errors import SiteTwinError, said_of
from sitetwin.learn.cell.codec import CellCodec
from sitetwin.learn.model_files import read_model, write_model
from sitetwin.learn.upkeep.detector import POWERS
from sitetwin.learn.upkeep.monitor import CodecMonitor, Uploads
from sitetwin.learn.upkeep.settings import Event, MonitorSettings

KIND = "codec monitor"

_MOST_REPORTS = 1 << 40
_NEAR = 1e-3  # of the norm of a normalised matrix


def save_monitor(monitor: CodecMonitor, path: Path | str) -> None:
    """Write what a monitor knows, in place of what the file held; the codec is saved by itself.

    Args:
        monitor: The monitor.
        path: The file.

    Raises:
        SiteTwinError: The disk refuses.
    """
    now, detector = monitor.collecting, monitor.detector
    parameters = {
        "codec": monitor.codec.hash,
        "version": monitor.codec.version,
        "settings": asdict(monitor.settings),
        "events": [asdict(event) for event in monitor.events],
        "counts": monitor.counts,
        "drawn": detector.drawn,
        "collecting": now is not None,
        "threshold": None if now is None else now.threshold,
        "waited": 0 if now is None else now.waited,
        "rounds": 0 if now is None else now.rounds,
    }
    none = torch.zeros(0, *monitor.codec.coder.shape, dtype=torch.complex64)
    arrays = {
        "counts": torch.from_numpy(detector.counts),
        "sums": torch.from_numpy(detector.sums),
        "latest": torch.tensor(list(monitor.latest), dtype=torch.int64),
        "train": torch.stack(now.train) if now and now.train else none,
        "check": torch.stack(now.check) if now and now.check else none,
    }
    write_model(Path(path), KIND, parameters, arrays)


def load_monitor(path: Path | str, codec: CellCodec) -> CodecMonitor:
    """Read what `save_monitor` wrote; the file is not trusted.

    Args:
        path: The file.
        codec: The version that was in use.

    Raises:
        SiteTwinError: The file is missing, damaged, or holds something else, or another codec was in use.
    """
    file = read_model(Path(path), KIND)
    held, version = file.parameter("codec", str), file.parameter("version", int)
    if held != codec.hash:
        raise SiteTwinError(
            f"the monitor '{path}' looks after version {version} of a codec ({held[:12]}), and this is version "
            f"{codec.version} ({codec.hash[:12]}); give the file of that version"
        )
    with said_of(str(file.path)):
        monitor = CodecMonitor(codec, file.parameter("settings", MonitorSettings))
    chosen, detector = monitor.settings, monitor.detector
    monitor.events = file.parameter("events", list[Event])
    counts = file.parameter("counts", dict[str, int])
    if set(counts) != set(monitor.counts) or min(counts.values()) < 0:
        raise file.refusal("its counts are none")
    monitor.counts = counts
    seen, sums = file.array("counts", "levels", torch.int64), file.array("sums", "two powers", torch.float64)
    latest = file.array("latest", "latest", torch.int64)
    train, check = (file.array(name, f"{name} taps beams", torch.complex64) for name in ("train", "check"))
    detector.drawn = file.parameter("drawn", int)
    threshold, waited = file.parameter("threshold", int | None), file.parameter("waited", int)
    levels, rounds = chosen.levels.count, file.parameter("rounds", int)
    sound = (
        len(seen) == levels
        and sums.shape == (2, len(POWERS))
        and bool((seen >= 0).all() and (seen < _MOST_REPORTS).all() and (sums >= 0).all())
        and detector.drawn < _MOST_REPORTS
        and _are_levels(latest, levels)
        and len(latest) <= chosen.recent
        and min(detector.drawn, waited, rounds) >= 0
        and (threshold is None or 0 <= threshold < levels)
        and tuple(train.shape[1:]) == codec.coder.shape
        and len(train) <= chosen.keep
        and len(check) <= chosen.check
        and all(_of_unit_norm(one) for one in (train, check))
    )
    if not sound:
        raise file.refusal("its numbers do not fit together")
    detector.counts, detector.sums = seen.numpy(), sums.numpy()
    monitor.latest = deque(latest.tolist(), maxlen=chosen.recent)
    if file.parameter("collecting", bool):
        monitor.collecting = Uploads(threshold, list(train), list(check), waited, rounds)
    return monitor


def _of_unit_norm(x: Tensor) -> bool:
    return bool(((x.flatten(1).norm(dim=1) - 1).abs() < _NEAR).all())


def _are_levels(found: Tensor, levels: int) -> bool:
    return bool(((found >= 0) & (found < levels)).all())
