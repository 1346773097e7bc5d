"""Profiles of the published vision twin on measured powers: how well they explain them, and what predicts them.

    python benchmarks/vision_profiles.py FOLDER... [--codebook FOLDER] [--profile quick|paper|full] [--json]

Each FOLDER is a DeepSense 6G scenario, or the file with the powers of one of several in a folder.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from sitetwin.studies.vision.config import vision_study
from sitetwin.studies.vision.measured import agreement, explained, predicted
from sitetwin.studies.vision.scenario import read_scenarios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="+", type=Path)
    parser.add_argument("--codebook", type=Path)
    parser.add_argument("--profile", default="paper")
    parser.add_argument("--json", action="store_true")
    choices = parser.parse_args()
    torch.set_num_threads(1)
    study = vision_study(choices.profile)
    found = {}
    for folder in choices.folder:
        for scenario in read_scenarios(folder, choices.codebook):
            started = time.perf_counter()
            rows = [*explained(study, scenario), *predicted(study, scenario)]
            found[scenario.name] = {
                "rows": rows,
                "wide_agreement": agreement(study, scenario),
                "seconds": time.perf_counter() - started,
            }
    if choices.json:
        print(json.dumps(found, indent=1))
        return
    for name, one in found.items():
        print(f"{name}: {one['seconds']:.0f} s; sectors agree {one['wide_agreement']}")
        for row in one["rows"]:
            seen = row.get("beams_measured") or row.get("calibration_rows")
            wide = f"  L1 {row['wide_top1']:.3f}/{row['wide_top2']:.3f}" if "wide_top1" in row else ""
            print(
                f"  {row['task']:9s} {row['method']:42s} {seen!s:>5s}  DBA {row['dba']['mean']:.4f} "
                f"[{row['dba']['low']:.3f}, {row['dba']['high']:.3f}]  top-1 {row['top1']:.3f}  "
                f"loss {row['p50_top1']:.2f}/{row['p95_top1']:.2f} dB{wide}"
            )


if __name__ == "__main__":
    main()
