"""A trained network of CSI feedback against codecs that are fitted in seconds, all at the same bits, on the same users.

    sitetwin study csi-sets --profile paper --cell studies/boston.toml --case target_a/random --case target_b/blocks \
        --out sets
    sitetwin study csi-network --sets sets --source twin --out networks
    python benchmarks/networks_at_bits.py sets networks/csinet-twin-5120-target_a-random-seed0.model

All learn from the first matrices of the twin. The numbers of the network are quantised to the bits of a report by the
spread of the training matrices' own numbers. NMSE is in dB of the mean over users; differences are paired over users
(bootstrap, 95 %), so they know nothing of other trainings.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import Tensor

from sitetwin.channel import AntennaArray, OfdmGrid, Radio
from sitetwin.learn import CellLink, CsiNetPlus
from sitetwin.learn.cell.coder import CellCoder
from sitetwin.learn.cell.fixed_rate import FixedRateCoder
from sitetwin.learn.cell.methods import METHODS
from sitetwin.learn.csi.codec import Budget, reconstruct
from sitetwin.learn.csi.metrics import nmse, to_db
from sitetwin.learn.statistics import paired_difference_db
from sitetwin.studies.csi.networks import read_matrices


def quantised(path: Path, bits: int, x: Tensor) -> FixedRateCoder:
    """The network of a file with its numbers in a report of so many bits."""
    codec = CsiNetPlus.load(path)
    codec.budget = Budget(codec.budget.reals, bits // codec.budget.reals)
    return FixedRateCoder.of_fitted(codec, x)


def sent(coder: CellCoder, x: Tensor, bits: int) -> Tensor:
    """NMSE of each user after a report was written and read."""
    payload, used = coder.encode(x)
    assert int(used.max()) <= bits
    return nmse(x, coder.decode(payload, used))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", type=Path, help="folder that `sitetwin study csi-sets` wrote")
    parser.add_argument("network", type=Path, help="network that `sitetwin study csi-network` trained on its twin")
    parser.add_argument("--case", nargs="+", default=["target_a/random", "target_b/blocks"], help="targets and splits")
    parser.add_argument("--methods", nargs="+", default=["hybrid", "klt-entropy", "paths"])
    parser.add_argument("--twin", default="twin", help="training matrices in the folder")
    parser.add_argument("--bits", type=int, default=128, help="bits of a report")
    parser.add_argument("--samples", type=int, default=5120, help="training matrices of all")
    parser.add_argument("--test", type=int, default=2000, help="test users")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    twin = read_matrices(options.sets / f"{options.twin}.npz")[: options.samples]
    link = CellLink.of_radio(Radio(AntennaArray.ula(32)), OfdmGrid(3.5e9, 256, 30e3), taps=32)
    coders: dict[str, CellCoder] = {"CSINet+": quantised(options.network, options.bits, twin)}
    seconds: dict[str, float] = {}
    for method in options.methods:
        begun = time.process_time()
        coders[method] = METHODS[method].fit_for(link)(twin, options.bits, torch.Generator().manual_seed(0))
        seconds[method] = time.process_time() - begun
    found: dict[str, dict[str, object]] = {}
    for case in options.case:
        x = read_matrices(options.sets / f"{case.replace('/', '-')}-test.npz")[: options.test]
        errors = {name: sent(coder, x, options.bits) for name, coder in coders.items()}
        reals = to_db(nmse(x, reconstruct(CsiNetPlus.load(options.network), x)).mean())
        print(f"{case}: {len(x)} users; CSINet+ with its numbers unquantised {reals:.2f} dB")
        found[case] = {"users": len(x), "CSINet+ unquantised": round(reals, 3)}
        for name, error in errors.items():
            against = paired_difference_db(error, errors["CSINet+"], torch.Generator().manual_seed(0))
            text = f"{against.estimate:7.2f} [{against.low:.2f}, {against.high:.2f}]"
            print(f"  {name:12} {to_db(error.mean()):8.2f} dB   against CSINet+ {text}", flush=True)
            found[case][name] = {
                "nmse_db": round(to_db(error.mean()), 3),
                "against_csinet": [round(v, 3) for v in (against.estimate, against.low, against.high)],
            }
    print("CPU seconds of the fits:", {name: round(value, 1) for name, value in seconds.items()})
    if options.json:
        about = {"bits": options.bits, "samples": options.samples, "seconds": seconds}
        options.json.write_text(json.dumps({**about, "cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
