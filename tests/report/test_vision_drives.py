"""The part of the vision study's page that shows drives: it works without a network, and refuses damaged files."""

import base64
import copy
import json
import re
import time

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.report.vision.drives import CLASSES, CURVES
from sitetwin.report.vision.page import write_vision_report
from sitetwin.studies.vision.scene_records import SHOWN_DEG, read_scenes
from tests.view.browser import browser

MOMENT = {
    "time_s": 1.25,
    "blocked": True,
    "told": 0.9,
    "image": "",
    "boxes": [["bus", [300, 200, 500, 300]], ["pole", [100, 50, 104, 300]]],
    "marks": [[400, 250]],
    "reflectors": [["bus", [2.0, 8.0, 1.5]]],
    "objects": [["bus", [2.0, 8.0, 0.1, 12.0, 2.55, 3.15]]],
    "vehicles": [["user", [1.0, 12.0, 0.0, 4.4, 1.8, 1.5]], ["bus", [2.1, 8.1, 0.1, 12.0, 2.5, 3.1]]],
    "fix": [1.2, 11.8],
    "tracked": [1.1, 12.1],
    "place": [1.0, 12.0, 1.6],
    "profiles": {name: [50] * (2 * SHOWN_DEG + 1) for name, _, _ in CURVES},
    "picks": {name: 5.0 + k for k, (name, _, _) in enumerate(CURVES)},
    "flags": ["dark"],
}
SCENES = {
    "schema": "sitetwin.vision-scenes/1",
    "shown": 2,
    "moments": 5,
    "drives": [
        {
            "name": "street</script><script>alert(1)</script>",
            "perception": "true boxes",
            "synthetic": True,
            "size": [960, 540],
            "horizon": [[0, 200], [960, 200]],
            "station": [0, 0, 6],
            "boresight_deg": 90,
            "half_span_deg": 45,
            "walls": [[-10, 20, 0, 10, 20, 0, 10, 20, 9]],
            "moments": [MOMENT, {**MOMENT, "time_s": 1.5, "blocked": False, "flags": []}],
        }
    ],
}
LOOP = {
    "streets": 1, "drives": 1, "moments": 2, "blocked": 1, "natural_share": 0.1, "other_engine": 0, "detector": "",
    "rows": [], "blockage": [], "off_m": {"true boxes": 0.3}, "notes": ["Made up."],
}  # fmt: skip
RESULTS = {
    "schema": "sitetwin.vision/1", "title": "Made up", "profile": "quick", "configuration_hash": "0", "scenarios": [],
    "loop": LOOP,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    import cv2

    _, image = cv2.imencode(".jpg", np.full((27, 48, 3), 90, np.uint8))
    scenes = copy.deepcopy(SCENES)
    for one in scenes["drives"][0]["moments"]:
        one["image"] = base64.b64encode(image.tobytes()).decode()
    (tmp_path / "scenes.json").write_text(json.dumps(scenes))
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    return tmp_path


def test_the_page_allows_its_own_script_alone(folder):
    page = write_vision_report(folder).read_text()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='$", policy.replace("&#39;", "'"))
    assert page.count("</script>") == 3  # what a name holds ends no script
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)
    (folder / "scenes.json").unlink()
    bare = write_vision_report(folder).read_text()
    assert "script" not in bare.partition("<main>")[2]
    assert "script-src" not in bare
    assert f"const SHOWN = {SHOWN_DEG};" in page


def test_the_slider_and_the_keys_work_without_a_network(folder, tmp_path_factory):
    page_file = write_vision_report(folder)
    with browser(tmp_path_factory.mktemp("browser")) as page:
        page.ask("Log.enable")
        page.ask("Page.navigate", url=page_file.as_uri())
        deadline = time.monotonic() + 20
        while not page.script("document.getElementById('said')?.textContent") and time.monotonic() < deadline:
            time.sleep(0.1)
        said = "document.getElementById('said').textContent"
        assert "Moment 1 of 2, 1.25 s: a vehicle stands" in page.script(said)
        assert "Flags: dark" in page.script(said)
        before = {name: page.script(f"document.getElementById('{name}').toDataURL()") for name in ("space", "above")}
        page.script("document.getElementById('moment').focus()")
        for key, code in (("ArrowRight", 39),):
            for kind in ("keyDown", "keyUp"):
                page.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)
        assert "Moment 2 of 2, 1.50 s: line of sight" in page.script(said)
        assert page.script("document.getElementById('above').toDataURL()") != before["above"]  # the line is green now
        page.script("document.getElementById('space').focus()")
        page.ask("Input.dispatchKeyEvent", type="keyDown", key="ArrowLeft", code="ArrowLeft", windowsVirtualKeyCode=37)
        assert page.script("document.getElementById('space').toDataURL()") != before["space"]
        assert page.script("document.documentElement.scrollWidth <= window.innerWidth")
        asked = [m["params"]["request"]["url"] for m in page.log if m["method"] == "Network.requestWillBeSent"]
        assert all(url.startswith(("data:", "file:")) for url in asked)
        assert [m for m in page.log if m["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")] == []


def test_legend_and_script_colour_classes_alike(folder):
    page = write_vision_report(folder).read_text()
    for names, colour in CLASSES:
        for name in (one for one in names.split(", ") if one != "two-wheeler"):
            assert re.search(rf'\b{name}: "{colour}"', page)


@pytest.mark.parametrize(
    "damage",
    [
        {"schema": "other/1"},
        {"drives": 3},
        {"drives": [{**SCENES["drives"][0], "moments": [{**MOMENT, "image": '" onerror="alert(1)'}]}]},
        {"drives": [{**SCENES["drives"][0], "walls": "none"}]},
        {"drives": []},
        {"drives": [{**SCENES["drives"][0], "moments": []}]},
        {"drives": [{**SCENES["drives"][0], "station": [0, 0]}]},
        {"drives": [{**SCENES["drives"][0], "moments": [{**MOMENT, "profiles": {"measured powers": [1]}}]}]},
    ],
)
def test_damaged_drives_are_refused(folder, damage):
    (folder / "scenes.json").write_text(json.dumps({**SCENES, **damage}))
    with pytest.raises(SiteTwinError, match=r"scenes\.json"):
        read_scenes(folder)
