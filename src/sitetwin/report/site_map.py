"""A site from above as a picture on disk."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sitetwin.drawing.maps import map_height
from sitetwin.drawing.plots.scene import draw_scene, scene_extent
from sitetwin.drawing.style import FULL_WIDTH, PNG_DPI, figure_style, new_figure
from sitetwin.errors import SiteTwinError
from sitetwin.site import Site
from sitetwin.store.files import write_file


def site_map(site: Site, transmitters: np.ndarray | None = None, users: np.ndarray | None = None) -> Figure:
    """Draw a site from above on a figure of its own.

    Args:
        site: The site.
        transmitters: (N, 3) metres, or None.
        users: (U, 3) metres, or None.

    Raises:
        SiteTwinError: Positions have another shape.
    """
    extent = scene_extent(site, transmitters, users)
    with figure_style():
        figure = new_figure(FULL_WIDTH, map_height(extent, FULL_WIDTH - 1.5) + 0.85, "compressed")
        handles = draw_scene(figure.add_subplot(), site, transmitters, users)
        if handles:
            figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4), handlelength=1.2)
    return figure


def write_site_map(
    site: Site, file: str | Path, transmitters: np.ndarray | None = None, users: np.ndarray | None = None
) -> Path:
    """Draw a site from above into a PNG; equal sites give equal bytes.

    Raises:
        SiteTwinError: The file cannot be written.
    """
    stream = io.BytesIO()
    with figure_style():
        site_map(site, transmitters, users).savefig(stream, format="png", dpi=PNG_DPI, metadata={"Software": None})
    file = Path(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, stream.getvalue())
    except OSError as error:
        raise SiteTwinError(
            f"the map cannot be written to '{file}': {error.strerror}; free space, mend the permissions or choose "
            "another place"
        ) from error
    return file
