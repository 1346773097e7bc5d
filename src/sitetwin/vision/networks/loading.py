"""Detectors by name, with the weights of the cache."""

from __future__ import annotations

from collections.abc import Sequence

from sitetwin.errors import SiteTwinError
from sitetwin.vision.models import model_files
from sitetwin.vision.networks.centernet import CenterNet
from sitetwin.vision.networks.joined import Joined
from sitetwin.vision.networks.lines import LineNetwork
from sitetwin.vision.networks.ssd import OpenImagesSsd
from sitetwin.vision.perfect import PerfectDetector
from sitetwin.vision.protocols import Detector

DETECTORS = ("ssd-open-images", "centernet", "both", "perfect")
"""Names of detectors. "both" joins the first two; "perfect" takes what a renderer knows."""


def load_detector(name: str = "both", *, threads: int = 1) -> Detector:
    """Return a detector whose network lies in the cache.

    Args:
        name: One of `DETECTORS`.
        threads: Threads of one network.

    Raises:
        SiteTwinError: There is none of this name, its network is not fetched, or the extra `vision` is not installed.
    """
    if name == "perfect":
        return PerfectDetector()
    if name == "ssd-open-images":
        (assets,) = model_files(name)
        return OpenImagesSsd(assets, threads=threads)
    if name == "centernet":
        graph, weights = model_files(name)
        return CenterNet(graph, weights, threads=threads)
    if name == "both":
        parts: Sequence[Detector] = [load_detector(part, threads=threads) for part in ("centernet", "ssd-open-images")]
        return Joined(parts)
    raise SiteTwinError(f"there is no detector '{name}'; choose one of {', '.join(DETECTORS)}")


def load_lines(*, threads: int = 1) -> LineNetwork:
    """Return the network of straight lines, which lies in the cache.

    Args:
        threads: Threads of the network.

    Raises:
        SiteTwinError: It is not fetched, or the extra `vision` is not installed.
    """
    (model,) = model_files("mlsd")
    return LineNetwork(model, threads=threads)
