"""What all studies share: whose a folder is, and what resumes in it."""

import json

import pytest

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.studies import frame
from sitetwin.studies.beams.config import beam_study
from sitetwin.studies.frame import Frozen, claim_folder, read_part, write_part, write_results

ROOMS = ("site",)


class Small(Frozen):
    size: int = 1


def test_a_folder_is_claimed_once_and_for_one_configuration(tmp_path):
    key = claim_folder(tmp_path / "out", Small(), ROOMS, "these data")
    assert claim_folder(tmp_path / "out", Small(), ROOMS, "these data") == key == Small().hash("these data")
    for study, data in ((Small(size=2), "these data"), (Small(), "others"), (Small(), None)):
        with pytest.raises(SiteTwinError, match="holds another study"):
            claim_folder(tmp_path / "out", study, ROOMS, data)


def test_a_folder_begun_by_other_code_is_refused(tmp_path, monkeypatch):
    claim_folder(tmp_path, Small(), ROOMS)
    path = tmp_path / "configuration.json"
    held = json.loads(path.read_text())
    assert held["configuration"] == {"size": 1}
    with monkeypatch.context() as changed:
        changed.setattr(frame, "code_version", lambda *rooms: "0.1.0+ffff")
        with pytest.raises(SiteTwinError, match=r"was begun by other code \(.*\) than this \(0\.1\.0\+ffff\)"):
            claim_folder(tmp_path, Small(), ROOMS)
    claim_folder(tmp_path, Small(), ROOMS)
    del held["code"]  # as folders were that an early version began
    path.write_text(json.dumps(held))
    with pytest.raises(SiteTwinError, match=r"other code \(unknown\)"):
        claim_folder(tmp_path, Small(), ROOMS)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"hash": 3}', b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_claim_is_called_damaged(tmp_path, content):
    (tmp_path / "configuration.json").write_bytes(content)
    with pytest.raises(SiteTwinError, match=r"configuration\.json is damaged.*choose another folder") as caught:
        claim_folder(tmp_path, Small(), ROOMS, "these data")
    assert str(caught.value).count("\n") == 0


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    for place in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(SiteTwinError, match="holds no study"):
            claim_folder(place, Small(), ROOMS)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]


def test_parts_come_back_for_their_key_only(tmp_path):
    path = tmp_path / "parts" / "one.json"
    assert read_part(path, "key") is None
    write_part(path, "key", [1.5, None])
    assert read_part(path, "key") == [1.5, None]
    assert read_part(path, "other") is None


@pytest.mark.parametrize(
    "damaged",
    [
        "{",
        "[]",
        '{"key": "key", "content": [1.5, 0]}',
        '{"content": [1.5, 0], "key": "key", "sha256": "%s"}' % ("0" * 64),
    ],
)
def test_a_damaged_part_is_named_and_made_again(tmp_path, damaged):
    path = tmp_path / "parts" / "one.json"
    write_part(path, "key", [1.5, None])
    path.write_text(damaged)
    with pytest.warns(SiteTwinWarning, match=r"one\.json'? .*it is damaged, and is made again"):
        assert read_part(path, "key") is None


def test_names_that_are_numbers_and_values_that_are_none_come_back(tmp_path):
    path = tmp_path / "parts" / "one.json"
    write_part(path, "key", {10: 1.0, 9: float("nan"), "x": 0.1 + 0.2})
    kept = read_part(path, "key")
    assert kept["10"] == 1.0
    assert kept["x"] == 0.1 + 0.2


def test_nothing_is_kept_or_read_through_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "parts").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SiteTwinError, match="symbolic link"):
        write_part(tmp_path / "parts" / "one.json", "key", 1)
    with pytest.raises(SiteTwinError, match="symbolic link"):
        read_part(tmp_path / "parts" / "one.json", "key")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_results_repeat_and_the_run_says_when_and_where(tmp_path):
    path = write_results(tmp_path, {"b": 1, "a": [2.5]}, {"seconds": 3.0})
    assert path.read_text() == '{\n "a": [\n  2.5\n ],\n "b": 1\n}\n'
    run = json.loads((tmp_path / "run.json").read_text())
    assert set(run) == {"seconds", "host", "finished"}
    assert set(run["host"]) == {"machine", "system", "cores"}


def test_hashes_of_configurations_stay_what_they_were():
    """They name results that are kept."""
    assert beam_study("quick").hash("d") == "2f4c74c5d8c5503a52a26595815f356877b7096c9f174a0db4454b5f2205108b"


def test_parts_that_changed_places_are_made_again(tmp_path):
    one, other = (tmp_path / "parts" / f"{name}.json" for name in ("one", "other"))
    write_part(one, "key", 1)
    other.write_bytes(one.read_bytes())
    with pytest.warns(SiteTwinWarning, match=r"other\.json does not agree with its checksum; it is damaged"):
        assert read_part(other, "key") is None
