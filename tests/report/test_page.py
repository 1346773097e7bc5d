"""The page and the files beside it: whole, self-contained, repeatable, safe, and true to results.json."""

from __future__ import annotations

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.report import write_report
from tests.report.made_up import make_results, make_study

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }} $\\frac{1$ \"'&"
FIGURES = (
    "scene",
    "worlds",
    *(f"{kind}{end}" for kind in ("training", "refinement", "cdf") for end in ("", "_random")),
)


class Page(HTMLParser):
    """Tags with their attributes, and the text a reader sees."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def shown(estimate: dict[str, Any]) -> str:
    """An estimate as the page must show it, by other arithmetic than the page's."""
    return "{mean:.1f} [{low:.1f}, {high:.1f}] dB".format(**estimate)


def write_results(folder: Path, results: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def only_blocks(results: dict[str, Any]) -> dict[str, Any]:
    """The results without the second split: half the figures to draw."""
    return {
        key: [r for r in value if not isinstance(r, dict) or r.get("split") != "random"]
        if isinstance(value, list)
        else value
        for key, value in results.items()
    }


def test_every_figure_is_written_as_png_and_svg(reported: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = reported
    assert {p.name for p in (folder / "figures").iterdir()} == {
        f"{n}.{kind}" for n in FIGURES for kind in ("png", "svg")
    }
    for name in FIGURES:
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"dc:date" not in (folder / "figures" / f"{name}.svg").read_bytes()


def test_page_is_well_formed_and_needs_nothing_from_outside(reported: tuple[Path, dict[str, Any]]) -> None:
    page = page_of(reported[0])
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "base", "form"}
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                assert (value or "").startswith("data:image/svg+xml;base64,")
    text = (reported[0] / "report.html").read_text()
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_inlined_images_are_the_saved_figures(reported: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = reported
    inlined = {base64.b64decode((a["src"] or "").partition(",")[2]) for tag, a in page_of(folder).tags if tag == "img"}
    assert inlined == {(folder / "figures" / f"{name}.svg").read_bytes() for name in FIGURES}


def test_inlined_images_fetch_nothing(reported: tuple[Path, dict[str, Any]]) -> None:
    for path in (reported[0] / "figures").glob("*.svg"):
        for target in re.findall(r'href="([^"]*)"', path.read_text()):
            assert target.startswith(("#", "data:image/png;base64,"))


def test_numbers_of_the_results_appear(reported: tuple[Path, dict[str, Any]]) -> None:
    folder, results = reported
    text = page_of(folder).text
    expected = [shown(results["headline"]["nmse_db"]), shown(results["headline"]["reference_nmse_db"])]
    expected += [shown(row["nmse_db"]) for row in results["refinement"]]
    expected += [shown(row["nmse_db"]).replace("-0.0", "0.0") for row in results["controls"]]
    for row in results["refinement"]:
        if row["gain_db"]:
            expected.append("{mean:+.2f} [{low:+.2f}, {high:+.2f}] dB".format(**row["gain_db"]))
    largest = [c for c in results["curves"] if (c["target"], c["split"], c["n_train"]) == ("target_b", "blocks", 10240)]
    expected += [shown(c["nmse_db"]) for c in largest]
    expected += [f"{c:,}" for c in results["users"].values()]
    expected += [w["title"] for w in results["worlds"].values()]
    expected += [d for w in results["worlds"].values() for d in w["differences"]]
    expected += results["notes"] + [results["headline"]["text"], results["configuration_hash"]]
    expected += ["31 reals + 7 bits", "4.19 M", "16.8 MB", "22.1 M", "Everything here is simulated."]
    # Zero is signless on the page: +0.00 there is 0.00.
    squeezed = {" ".join(e.replace("+0.00", "0.00").replace("-0.00", "0.00").split()) for e in expected}
    assert not {e for e in squeezed if e not in text}


def test_one_run_has_no_interval_and_is_labelled(reported: tuple[Path, dict[str, Any]]) -> None:
    folder, results = reported
    lone = next(
        c
        for c in results["curves"]
        if (c["codec"], c["target"], c["split"], c["source"]) == ("CSINet+", "target_b", "blocks", "twin")
    )
    assert f"{lone['nmse_db']['mean']:.1f} dB (n = 1) 5,120 samples not converged" in page_of(folder).text


def test_same_folder_gives_same_bytes(reported: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = reported
    again = tmp_path / "another name"
    again.mkdir()
    for name in ("results.json", "run.json", "scene.npz"):
        shutil.copy(folder / name, again)
    write_report(again)
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(folder)).read_bytes(), path.name


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    results = make_results()

    def poison(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: poison(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [poison(v, key) for v in value]
        keep = {"schema", "target", "split", "source", "kind"}
        return value + HOSTILE if isinstance(value, str) and key not in keep else value

    results = only_blocks(poison(results))
    results["worlds"][HOSTILE] = results["worlds"]["twin"]
    results["users"][HOSTILE] = 3
    folder = write_results(tmp_path / "study", results)
    (folder / "run.json").write_text(json.dumps({HOSTILE: HOSTILE}))
    write_report(folder)
    page = page_of(folder)
    assert not {tag for tag, _ in page.tags} & {"script", "object"}
    assert all((a["src"] or "").startswith("data:") for tag, a in page.tags if tag == "img")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "{{ 7*7 }}" in page.text
    assert "<script>alert(1)</script>" in page.text  # as words


def test_split_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    results = make_results()
    results["curves"], results["refinement"] = [], []
    for section in ("controls", "cdf"):
        results[section] = [{**r, "split": "../../x"} if r["split"] == "random" else r for r in results[section]]
    folder = write_results(tmp_path / "study", results)
    write_report(folder)
    assert {p.name for p in tmp_path.iterdir()} == {"study"}
    assert (folder / "figures" / "cdf_------x.svg").is_file()


def test_the_least_results_still_make_a_page(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "study", {"schema": "sitetwin.csi/1", "title": "Nothing yet", "of_tomorrow": [1]})
    path = write_report(folder)
    assert path == folder / "report.html"
    page = page_of(folder)
    assert "Nothing yet" in page.text
    assert page.open == []
    ids = {a.get("id") for tag, a in page.tags if tag == "section"}
    assert ids == {"synthetic", "origin"}


def test_stale_figures_go_and_others_stay(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "study", {"schema": "sitetwin.csi/1", "title": "t"})
    (folder / "figures").mkdir()
    for name in ("cdf.png", "training_random.svg", "mine.png", "scene.txt"):
        (folder / "figures" / name).touch()
    write_report(folder)
    assert {p.name for p in (folder / "figures").iterdir()} == {"mine.png", "scene.txt"}


def test_numbers_that_are_not_finite_are_missing(tmp_path: Path) -> None:
    results = only_blocks(make_results())
    results["curves"][3]["nmse_db"]["low"] = float("nan")
    results["curves"][4]["nmse_db"]["mean"] = float("inf")
    results["cdf"][0]["nmse_db"][0] = float("-inf")
    folder = write_results(tmp_path / "study", results)
    write_report(folder)
    text = page_of(folder).text
    assert not re.search(r"\b(nan|inf|NaN|Infinity)\b", text)


def damage_nothing(folder: Path) -> None:
    (folder / "results.json").unlink()


def damage_truncated(folder: Path) -> None:
    content = (folder / "results.json").read_bytes()
    (folder / "results.json").write_bytes(content[: len(content) // 2])


def damage_binary(folder: Path) -> None:
    (folder / "results.json").write_bytes(b"\xff\xfe\x00")


def damage_foreign(folder: Path) -> None:
    (folder / "results.json").write_text('{"name": "another program\'s"}')


def damage_list(folder: Path) -> None:
    (folder / "results.json").write_text("[1, 2]")


def damage_future(folder: Path) -> None:
    (folder / "results.json").write_text('{"schema": "sitetwin.csi/99", "title": "x"}')


def damage_type(folder: Path) -> None:
    results = make_results()
    results["curves"][7]["n_train"] = "many"
    write_results(folder, results)


def damage_run(folder: Path) -> None:
    (folder / "run.json").write_text('{"seconds": ')


def damage_scene(folder: Path) -> None:
    content = (folder / "scene.npz").read_bytes()
    (folder / "scene.npz").write_bytes(content[:1000])


def damage_scene_pickle(folder: Path) -> None:
    np.savez(folder / "scene.npz", users_xy=np.array([{"a": 1}], dtype=object))


def damage_scene_empty(folder: Path) -> None:
    np.savez(folder / "scene.npz", other=np.zeros(3))


def damage_scene_shape(folder: Path) -> None:
    np.savez(folder / "scene.npz", users_xy=np.zeros((5, 2)), power_db=np.zeros(4))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (damage_nothing, "holds no results.json"),
        (damage_truncated, r"results\.json is truncated or no JSON"),
        (damage_binary, r"results\.json is truncated or no JSON"),
        (damage_foreign, "not those of a sitetwin study"),
        (damage_list, "not those of a sitetwin study"),
        (damage_future, r"sitetwin\.csi/99.*reads 'sitetwin\.csi/1'"),
        (damage_type, r"wrong at curves\.7\.n_train"),
        (damage_run, r"run\.json is truncated"),
        (damage_scene, r"scene\.npz is damaged"),
        (damage_scene_pickle, r"scene\.npz is damaged or holds no plain arrays"),
        (damage_scene_empty, r"scene\.npz does not fit its schema \(no 'users_xy'\)"),
        (damage_scene_shape, r"scene\.npz does not fit its schema"),
    ],
)
def test_bad_folders_are_said_in_one_sentence(tmp_path: Path, damage: Any, sentence: str) -> None:
    make_study(tmp_path / "study")
    damage(tmp_path / "study")
    with pytest.raises(SiteTwinError, match=sentence) as caught:
        write_report(tmp_path / "study")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "study" / "report.html").exists()
    assert not (tmp_path / "study" / "figures").exists()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SiteTwinError, match=r"holds no results\.json"):
        write_report(tmp_path / "nowhere")
