"""The vision study: the chain from camera and position to beams, judged on measured powers.

After M. Arnold and others, "Vision-assisted digital twin creation for mmWave beam management".
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.measured import is_challenge
from sitetwin.measured.plausible import PowerUnit
from sitetwin.store.files import disk_errors
from sitetwin.studies.frame import (
    Progress,
    claim_folder,
    read_part,
    silent,
    versions,
    write_json,
    write_part,
    write_results,
)
from sitetwin.studies.records import checked_record
from sitetwin.studies.vision.closed_loop.following import Follower
from sitetwin.studies.vision.closed_loop.loop import closed_loop as run_loop
from sitetwin.studies.vision.closed_loop.loop import drives_of, identity_of
from sitetwin.studies.vision.config import VisionStudy
from sitetwin.studies.vision.end_to_end import learnt_end_to_end
from sitetwin.studies.vision.measured import agreement, explained, predicted
from sitetwin.studies.vision.published import SCENARIOS
from sitetwin.studies.vision.reflectors import detected, reflected, seen_folds
from sitetwin.studies.vision.results import SCHEMA, VisionResults
from sitetwin.studies.vision.scenario import Scenario, read_scenarios
from sitetwin.studies.vision.scenario_scenes import scenario_scenes
from sitetwin.studies.vision.scene_records import SCENES
from sitetwin.studies.vision.scenes import scenes_document
from sitetwin.vision import Detector, load_detector, load_lines
from sitetwin.vision.models import fetch_model
from sitetwin.vision.networks.lines import LineNetwork
from sitetwin.vision.profiles import overall_accuracy
from sitetwin.vision.profiles.line_of_sight import Fixes
from sitetwin.vision.voting import Voting

_LIBRARIES = ("numpy", "scipy", "torch", "xarray")
_ROOMS = ("measured", "learn", "calibrate", "vision", "studies/vision")
_ROOMS_OF_LOOP = ("site", "rays", "channel")


def run_vision_study(
    study: VisionStudy,
    scenarios: Sequence[str | Path],
    folder: str | Path,
    codebook: str | Path | None = None,
    power_unit: PowerUnit | None = None,
    fixes: Fixes | None = None,
    progress: Progress = silent,
    detector: Detector | None = None,
    closed_loop: bool = False,
    recordings: str | Path | None = None,
) -> Path:
    """Run the study into a folder, or finish one that was interrupted there.

    Args:
        study: The configuration.
        scenarios: Paths of scenarios that `read_deepsense` or `read_challenge` reads.
        folder: Folder for results.json, run.json and the finished parts.
        codebook: Folder of the measured codebook; ``codebook_beams`` in or beside each scenario by default. An ideal
            array stands for a codebook that is nowhere.
        power_unit: "linear" or "dB", the unit of the measured powers; by default the numbers decide.
        fixes: "stale" (the default) or "extrapolated": the user's position in packages of the challenge.
        progress: Called with the stage and its finished share.
        detector: Finds the objects of the paper's own twin in the images of scenarios that have some; without it the
            rows DT and DT-Adapt are left out. It is the closed loop's perception, too. Without it the loop fetches the
            networks "both"; where no registry answers, it runs on true boxes alone, and says so. Beside networks of
            `load_detector` the loop takes the one of lines that finds poles, and fetches it.
        closed_loop: Run the closed loop on synthetic streets, whose drives are recorded into ``folder/campaign``.
        recordings: Folder that `sitetwin.vision.worlds.record_campaign` has filled: the closed loop is run on its
            drives, and none are recorded.

    Returns:
        Path of results.json.

    Raises:
        SiteTwinError: Nothing was given to be studied, an argument has no effect on what was given, a scenario cannot
            be used or was given twice, recordings cannot be used, or the folder holds another study or one that other
            code began.
    """
    started, folder = time.perf_counter(), Path(folder)
    taken = None if recordings is None else Path(recordings)
    looped = closed_loop or taken is not None
    if not (scenarios or looped):
        raise SiteTwinError(
            "the vision study needs a scenario with measured powers, or the closed loop; give the folder of one, or "
            "ask for the loop"
        )
    if study.loop.camera != "known" and not looped:
        raise SiteTwinError(
            "a fitted camera is for the closed loop, and only scenarios were given; leave the camera out, or give "
            "recorded drives, too"
        )
    book = None if codebook is None else Path(codebook)
    _refuse_idle(scenarios, codebook, power_unit, fixes)
    read = [one for path in scenarios for one in read_scenarios(Path(path), book, power_unit, fixes or "stale")]
    if detector is not None and not looped and all(one.image is None for one in read):
        raise SiteTwinError(
            "a detector looks at images, and the scenarios have none; leave the detector out, or give the folder of a "
            "scenario with a camera"
        )
    if len({one.identity for one in read}) < len(read):
        raise SiteTwinError("one scenario was given twice; give each once")
    torch.set_num_threads(1)
    seen_by = "" if detector is None else detector.name
    held = ["" if taken is None else identity_of(taken)] if looped else []
    identity = hashlib.sha256(" ".join([*(one.identity for one in read), seen_by, *held]).encode()).hexdigest()
    key = claim_folder(folder, study, (*_ROOMS, *(_ROOMS_OF_LOOP if looped else ())), identity)
    kept = [_scenario(study, one, folder, key, progress, detector) for one in read]
    shown = [drive for one in kept for drive in one["drives"]]
    document = _document(study, read, [one["results"] for one in kept], key, detector)
    run: dict[str, Any] = {}
    if looped:
        document["loop"], run["loop_seconds"], drives = _loop(study, taken, folder, key, detector, progress)
        shown += drives
    checked = checked_record(VisionResults, document)
    _write_scenes(folder, shown, checked)
    return write_results(folder, checked, {"seconds": time.perf_counter() - started, **run})


def _document(
    study: VisionStudy, read: list[Scenario], found: list[dict[str, Any]], key: str, detector: Detector | None
) -> dict[str, Any]:
    """The results without the closed loop."""
    return {
        "schema": SCHEMA,
        "title": "The vision twin " + ("on measured powers" if read else "in closed loop, on synthetic streets"),
        "profile": study.profile,
        "configuration": study.model_dump(mode="json"),
        "configuration_hash": key,
        "versions": versions(*_LIBRARIES),
        "detector": "" if detector is None else detector.name,
        "scenarios": found,
        "overall": _overall(found),
        "notes": _notes(read, detector),
    }


def _write_scenes(folder: Path, drives: list[dict[str, Any]], results: VisionResults) -> None:
    """Keep what the page shows of drives, where there are some."""
    moments = sum(one.facts.images for one in results.scenarios) if results.detector else 0
    moments += results.loop.moments if results.loop is not None else 0
    if drives:
        with disk_errors("writing the drives for the page", folder):
            write_json(folder / SCENES, scenes_document(drives, moments))


def _refuse_idle(
    scenarios: Sequence[str | Path], codebook: str | Path | None, power_unit: PowerUnit | None, fixes: Fixes | None
) -> None:
    """Refuse arguments that would change nothing.

    Raises:
        SiteTwinError: One of them is for scenarios, or packages of the challenge, that are not given.
    """
    for name, value in (("codebook", codebook), ("power unit", power_unit), ("fixes", fixes)):
        if value is not None and not scenarios:
            raise SiteTwinError(
                f"the option {name} is for scenarios with measured powers, and the closed loop alone has none; leave "
                "it out, or give a scenario"
            )
    if fixes is not None and not any(is_challenge(path) for path in scenarios):
        raise SiteTwinError(
            f"the option fixes ('{fixes}') is for packages of the challenge, which give the first two of five "
            "positions; each row of these scenarios has its own: leave the option out"
        )


def _loop(
    study: VisionStudy, recordings: Path | None, folder: Path, key: str, detector: Detector | None, progress: Progress
) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """The closed loop, how long its stages took, and what the page shows of it.

    The networks are fetched unless a detector was named.
    """
    absent, lines = "", None
    if detector is None:
        try:
            for name in ("ssd-open-images", "centernet"):
                fetch_model(name)
            detector = load_detector("both")
        except SiteTwinError as error:
            absent = f"No networks were to be had: {error}."
    if isinstance(detector, Voting):  # the networks of `load_detector`, named or not
        lines = _line_network()
    follower = Follower(study, folder, key, detector, lines)
    drives = drives_of(study, folder, recordings, progress, follower)
    found, seconds, shown = run_loop(study, drives, follower, progress)
    found["detector"] = "" if detector is None else detector.name
    found["notes"] += [absent] if absent else []
    if detector is not None and lines is None:
        found["printed"]["notes"].append("No network of lines was used: with networks, poles are missing, too.")
    return found, seconds, shown


def _line_network() -> LineNetwork | None:
    """The network that finds poles; None where no registry answers."""
    try:
        fetch_model("mlsd")
        return load_lines()
    except SiteTwinError:
        return None


def _scenario(
    study: VisionStudy, scenario: Scenario, folder: Path, key: str, progress: Progress, detector: Detector | None
) -> dict[str, Any]:
    """The results of a scenario and the drives that the page shows, read back if a stopped run has finished them."""
    path = folder / "parts" / f"{scenario.identity[:16]}.json"
    kept = read_part(path, key)
    if kept is None:
        stage = f"scenario {scenario.name}"
        progress(stage, 0.0)
        rows, drives = [*explained(study, scenario)], []
        rows += predicted(study, scenario, lambda share: progress(stage, share / 2))
        if detector is not None and scenario.image is not None:
            boxes = detected(scenario, detector, lambda share: progress(f"{stage}, images", share))
            folds = list(seen_folds(study, scenario, boxes))
            rows += reflected(study, scenario, folds)
            drives += scenario_scenes(scenario, boxes, folds[0], detector.name) if folds else []
        learnt = [*learnt_end_to_end(study, scenario, lambda share: progress(stage, 0.5 + share / 2))]
        rows += learnt
        images = sum(scenario.file(row) is not None for row in range(len(scenario.drive)))
        left_out = [
            *(["the paper's own twin (DT, DT-Adapt)"] if detector is not None and not drives else []),
            *(["the end-to-end network"] if study.network.runs and not learnt else []),
        ]
        results = {
            "name": scenario.name,
            "fixes": scenario.fixes,
            "measured_codebook": scenario.measured_book,
            "facts": {
                **scenario.facts,
                "rows": len(scenario.drive),
                "drives": len(np.unique(scenario.drive)),
                "beams": len(scenario.dead),
                "dead_beams": np.flatnonzero(scenario.dead).tolist(),
                "images": images,
                **_facts_left_out(scenario, left_out if images else []),
            },
            "wide_agreement": agreement(study, scenario),
            "rows": rows,
        }
        kept = {"results": results, "drives": drives}
        write_part(path, key, kept)
        progress(stage, 1.0)
    assert isinstance(kept, dict)
    return kept


def _facts_left_out(scenario: Scenario, names: list[str]) -> dict[str, Any]:
    """The notes of a scenario with what its images are too few for."""
    notes = scenario.facts["notes"]
    assert isinstance(notes, list)
    why = (
        "; it needs 40 rows with images of two drives or more (the network: of three), 20 of them in the drives of "
        "each fit"
    )
    return {"notes": [*notes, *(f"{name} is left out{why}" for name in names)]}


def _overall(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each method's score over scenarios 31 to 34 by both rules, where all of them are there."""
    of = {
        one["name"]: {
            (row["method"], row.get("whole_pool", False)): float(row["dba"]["mean"])
            for row in one["rows"]
            if row["task"] == "predicted"
        }
        for one in found
        if one["name"] in SCENARIOS
    }
    if set(of) != set(SCENARIOS):
        return []
    out = []
    for method, whole in of[SCENARIOS[0]]:
        if all((method, whole) in rows for rows in of.values()):
            dba = {name: rows[method, whole] for name, rows in of.items()}
            weights, samples = overall_accuracy(dba, "weights"), overall_accuracy(dba, "samples")
            out.append({"method": method, "whole_pool": whole, "weights": weights, "samples": samples})
    return out


def _notes(scenarios: list[Scenario], detector: Detector | None) -> list[str]:
    if not scenarios:
        return []
    notes = [
        "The powers are measured. Test rows are of drives of which no method has seen a row.",
        "Intervals draw whole drives.",
        "Layer-1 beams were not measured by anybody: the true ones are computed from the measured beams by equations 1 "
        "and 2.",
        "Powers are lost in dB with factor 20, as the paper prints; half of it is the loss of power.",
    ]
    if any(not one.measured_book for one in scenarios):
        names = ", ".join(one.name for one in scenarios if not one.measured_book)
        notes.append(f"No measured codebook was given for {names}: an ideal 16-element array stands for it.")
    if detector is not None:
        if bare := [one.name for one in scenarios if not any(one.file(row) for row in range(len(one.drive)))]:
            notes.append(f"Of {', '.join(bare)} there are no images: the paper's own twin (DT, DT-Adapt) is left out.")
    elif any(one.image is not None for one in scenarios):
        notes.append("No detector was named: the paper's own twin (DT, DT-Adapt) is left out.")
    if stale := sorted({one.fixes for one in scenarios} - {"current"}):
        notes.append(
            f"Positions of the challenge's sequences are {' and '.join(stale)}; results from current positions must "
            "not stand beside them."
        )
    return notes
