"""Read from a Wireless InSite project whether its run scatters diffusely."""

from __future__ import annotations

from sitetwin.site.importers.blocks import Block, Source, clip


def scatters_diffusely(root: Block, source: Source) -> bool:
    """Return whether the study area of a project has diffuse scattering switched on; without a word it has not.

    Where some study areas are active, only those count.

    Args:
        root: Content of the ``.setup`` file.
        source: The file, for messages.

    Raises:
        SiteTwinError: The switch is neither yes nor no, or study areas differ in it.
    """
    areas = list(root.walk("studyarea"))
    areas = [area for area in areas if area.has("active")] or areas
    found: dict[bool, int] = {}
    for area in areas:
        for block in area.walk("diffuse_scattering"):
            line, word = source.need(block, "enabled")
            if word not in ("yes", "no"):
                source.refuse(line, f"diffuse scattering is enabled '{clip(word)}'", "write yes or no")
            found[word == "yes"] = line
    if len(found) > 1:
        source.refuse(max(found.values()), "study areas differ in diffuse scattering", "keep the one that was traced")
    return True in found
