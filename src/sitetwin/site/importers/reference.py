"""Reference systems by the names that files and users give them: EPSG codes, alone or as plane and heights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from pyproj import CRS
from pyproj.exceptions import CRSError

from sitetwin.errors import SiteTwinError
from sitetwin.site.importers.blocks import clip

_CODE = re.compile(r"EPSG(?::[0-9.]*:|:|/[0-9.]+/)(\d{4,6})(?!\d)|\+(\d{4,6})(?!\d)", re.IGNORECASE)
_AROUND = re.compile(
    r"urn:(?:x-)?ogc:def:|https?://(?:www\.)?opengis\.net/def/|crs-compound|\bcrs\b|[?&]\d=|[\s,:/+&?]", re.IGNORECASE
)
"""What stands around the codes: OGC names (OGC 07-092r3, urn:ogc:def:crs,crs:EPSG::25832,crs:EPSG::7837), OGC
addresses (.../def/crs/EPSG/0/25832, .../def/crs-compound?1=...&2=...) and PROJ's EPSG:25832+7837."""

_SURVEYS = {
    "ETRS89_UTM31": 25831, "ETRS89_UTM32": 25832, "ETRS89_UTM33": 25833,
    "DE_DHDN_3GK2": 31466, "DE_DHDN_3GK3": 31467, "DE_DHDN_3GK4": 31468, "DE_DHDN_3GK5": 31469,
    "DE_DHHN2016_NH": 7837, "DE_DHHN92_NH": 5783, "DE_DHHN85_NOH": 5784, "DE_DHHN12_NOH": 7699,
}  # fmt: skip
"""EPSG codes of the names of the German surveys (AdV): urn:adv:crs:ETRS89_UTM32*DE_DHHN2016_NH."""


@dataclass(frozen=True, eq=False)
class ReferenceSystem:
    """A projected system of the plane, with a system of heights or without one.

    Attributes:
        codes: EPSG codes: one, or two, of the plane and of the heights.
        horizontal: System of the plane.
        vertical: System of the heights, or None where none is named.
    """

    codes: tuple[int, ...]
    horizontal: CRS
    vertical: CRS | None

    @property
    def name(self) -> str:
        """The codes as PROJ writes them: EPSG:25832+7837."""
        return "EPSG:" + "+".join(map(str, self.codes))


def parse_reference(text: str, where: str) -> ReferenceSystem:
    """Find the systems that a name stands for.

    Args:
        text: EPSG code, OGC name (URN) or address (URL), of one system or of a plane and its heights.
        where: Name of the file, for messages.

    Raises:
        SiteTwinError: The text names no EPSG codes, a code is unknown, or the systems are no projected plane with at
            most one system of heights.
    """
    codes = _codes(text)
    if not codes:
        raise SiteTwinError(
            f"'{where}' names the reference system '{clip(text)}', which is no EPSG code; write it as "
            "EPSG:<code> or https://www.opengis.net/def/crs/EPSG/0/<code>"
        )
    plain = ReferenceSystem(codes, CRS.from_epsg(4326), None).name
    systems: list[CRS] = []
    for code in codes:
        try:
            crs = CRS.from_epsg(code)
        except CRSError as error:
            raise SiteTwinError(
                f"'{where}' names the reference system EPSG:{code}, which PROJ does not know; correct the code"
            ) from error
        systems += crs.sub_crs_list if crs.is_compound else [crs]
    heights = [crs for crs in systems if crs.is_vertical]
    planes = [crs for crs in systems if not crs.is_vertical]
    if len(planes) != 1 or len(heights) > 1 or not planes[0].is_projected:
        names = ", ".join(crs.name for crs in systems)
        raise SiteTwinError(
            f"'{where}' is in {plain} ({names}), which is not a projected system; reproject it to one in metres, such "
            "as UTM"
        )
    if systems[0].is_vertical:
        codes = codes[::-1]
    return ReferenceSystem(codes, planes[0], heights[0] if heights else None)


def _codes(text: str) -> tuple[int, ...]:
    """The EPSG codes in a name; none where it holds anything else."""
    text = unquote(text.strip())
    if text.lower().startswith("urn:adv:crs:"):
        found = [_SURVEYS.get(part.upper()) for part in text[len("urn:adv:crs:") :].split("*")]
        return tuple(code for code in found if code) if all(found) else ()
    if _AROUND.sub("", _CODE.sub("", text)):
        return ()
    return tuple(int(one or other) for one, other in _CODE.findall(text))
