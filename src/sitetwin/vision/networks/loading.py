"""Detectors by name, with the weights of the cache."""

from __future__ import annotations

from sitetwin.errors import SiteTwinError
from sitetwin.vision.models import model_files
from sitetwin.vision.networks.centernet import CenterNet
from sitetwin.vision.networks.lines import LineNetwork
from sitetwin.vision.networks.ssd import BESIDE, LOOKS, OpenImagesSsd
from sitetwin.vision.perfect import PerfectDetector
from sitetwin.vision.protocols import Detector
from sitetwin.vision.voting import HALF, Looking, Voting

DETECTORS = ("ssd-open-images", "centernet", "both", "perfect")
"""Names of detectors. "both" joins the first two; "perfect" takes what a renderer knows."""

_HALF = {"centernet": 0.08, "ssd-open-images": 0.13, "both": HALF}  # chosen as `HALF`, for precision of .87 or more


def load_detector(name: str = "both", *, threads: int = 2) -> Detector:
    """Return a detector whose network lies in the cache.

    Args:
        name: One of `DETECTORS`.
        threads: Threads of one network.

    Raises:
        SiteTwinError: There is none of this name, its network is not fetched, or the extra `vision` is not installed.
    """
    if name == "perfect":
        return PerfectDetector()
    if name not in DETECTORS:
        raise SiteTwinError(f"there is no detector '{name}'; choose one of {', '.join(DETECTORS)}")
    parts: list[Looking] = []
    if name in ("centernet", "both"):
        graph, weights = model_files("centernet")
        parts.append(CenterNet(graph, weights, threads=threads))
    if name in ("ssd-open-images", "both"):
        (assets,) = model_files("ssd-open-images")
        parts.append(OpenImagesSsd(assets, BESIDE if name == "both" else LOOKS, threads=threads))
    return Voting(parts, half=_HALF[name])


def load_lines(*, threads: int = 2) -> LineNetwork:
    """Return the network of straight lines, which lies in the cache.

    Args:
        threads: Threads of the network.

    Raises:
        SiteTwinError: It is not fetched, or the extra `vision` is not installed.
    """
    (model,) = model_files("mlsd")
    return LineNetwork(model, threads=threads)
