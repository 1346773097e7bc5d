"""The box of degrees that a DeepMIMO scenario states."""

import json

import pytest

from sitetwin.channel import ChannelRequest, OfdmGrid
from sitetwin.channel.formats import GainSource, write_deepmimo
from sitetwin.rays import TraceJob, TraceSettings
from sitetwin.site.latlon import to_local, with_georeference
from tests.rays.shapes import ground, quad_site


@pytest.mark.parametrize(("latitude", "longitude"), [(48.137, 11.575), (-33.86, 151.21), (0.0, 179.9999), (65, -180)])
def test_it_holds_the_mesh_and_no_more(latitude, longitude, tmp_path):
    bare = quad_site([ground(60.0)])
    site = with_georeference(bare, latitude, longitude)
    TraceJob(bare, (0.0, 0.0, 20.0), [[5.0, 5.0, 1.5]], TraceSettings(max_depth=0)).run(tmp_path / "paths")
    request = ChannelRequest(OfdmGrid(3.5e9, 1, 1.0), "gains")
    boxes = []
    for name, place in (("somewhere", site), ("nowhere", bare)):
        write_deepmimo(GainSource.open(tmp_path / "paths", place, request), tmp_path / name)
        boxes.append(json.loads((tmp_path / name / "params.json").read_text())["rt_params"]["gps_bbox"])
    south, west, north, east = boxes[0]
    assert boxes[1] == [0, 0, 0, 0]
    assert all(-180 <= value < 180 for value in (west, east))
    (x1, y1), (x2, y2) = to_local(site, [south, north], [west, east])
    low, high = site.bounds[0], site.bounds[1]
    assert (x1, y1, x2, y2) == pytest.approx((low[0], low[1], high[0], high[1]), abs=0.01)
