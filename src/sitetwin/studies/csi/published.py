"""What the paper shows beside its curves: correlations of chosen samples, its loop of collection, its bound.

S. Jiang, A. Alkhateeb, arXiv 2402.19434: eq. 14 with Fig. 5, the three phases of section V-B, and eq. 10.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.learn import Codec, CsiCodec, nmse, reconstruct, select_above_threshold, to_db
from sitetwin.learn.finite import check_finite

UPLOAD_BITS = 16
"""Bits of each real number of a full CSI upload: half precision, whose rounding lies far below every codec's error."""

_CHUNK = 2048


def greatest_correlation(
    x: Complex[Tensor, "chosen taps beams"], twin: Complex[Tensor, "samples taps beams"]
) -> Float[Tensor, " chosen"]:
    """Eq. 14: the greatest normalised correlation of each matrix with any matrix of the twin, 0..1."""
    a, b = x.flatten(1), twin.flatten(1)
    a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    return torch.cat([(a @ part.conj().T).abs().amax(1, keepdim=True) for part in b.split(_CHUNK)], 1).amax(1)


def correlation_rows(codec: str, chosen: dict[str, Tensor], twin: Tensor) -> list[dict[str, Any]]:
    """Fig. 5: the distribution of `greatest_correlation` for matrices chosen by each rule.

    Args:
        codec: Name of the codec that the rules asked.
        chosen: (n, taps, beams) matrices by the name of their rule.
        twin: (N, taps, beams), the twin's training matrices.
    """
    rows = []
    for rule, x in chosen.items():
        found = greatest_correlation(x, twin).sort().values
        share = torch.arange(1, len(found) + 1, dtype=torch.float64) / len(found)
        rows.append(
            {
                "codec": codec,
                "rule": rule,
                "samples": len(found),
                "twin_samples": len(twin),
                "median": round(float(found.median()), 5),
                "correlation": [round(float(v), 5) for v in found],
                "probability": [round(float(v), 5) for v in share],
            }
        )
    return rows


@dataclass(frozen=True)
class Collection:
    """The loop of section V-B.

    Attributes:
        codec: Name of the codec.
        base: The codec after the offline training.
        pool: (P, taps, beams), target matrices in the order in which users estimate them.
        test: (T, taps, beams), test matrices.
        update: Makes the next codec of the present one and the uploads of a round.
        uploads: Uploads after which the base station updates.
        rounds: Updates.
    """

    codec: str
    base: CsiCodec
    pool: Tensor
    test: Tensor
    update: Callable[[CsiCodec, Tensor], CsiCodec]
    uploads: int
    rounds: int

    def rows(self, threshold_db: float) -> list[dict[str, Any]]:
        """Each round's cost and error; round 0 is the offline training.

        A user uploads its whole matrix where its own codec recovers it worse than the threshold. Each update sends the
        user's side of the codec again. The loop ends early where the pool has no more such matrices.
        """
        codec, left = self.base, self.pool
        download = 8 * codec.costs().bytes_ue
        reals = 2 * self.pool[0].numel()
        rows = [self._row(threshold_db, 0, 0, 0, 0, download, codec)]
        for number in range(1, self.rounds + 1):
            found, examined = self._collected(codec, left, threshold_db)
            left = left[examined:]
            if not len(found):
                break
            codec = self.update(codec, found)
            bits = len(found) * reals * UPLOAD_BITS
            rows.append(self._row(threshold_db, number, examined, len(found), bits, download, codec))
        return rows

    def _collected(self, codec: Codec, left: Tensor, threshold_db: float) -> tuple[Tensor, int]:
        """The first uploads above the threshold, and how many matrices users examined for them."""
        found: list[Tensor] = []
        examined = 0
        for part in (part for part in left.split(_CHUNK) if len(part)):
            missing = self.uploads - sum(map(len, found))
            chosen = select_above_threshold(codec, part, threshold_db, missing)
            found.append(part[chosen.rows])
            examined += chosen.examined
            if chosen.uploads == missing:
                break
        return torch.cat(found) if found else left[:0], examined

    def _row(
        self, threshold_db: float, number: int, examined: int, uploads: int, up: int, down: int, codec: Codec
    ) -> dict[str, Any]:
        error = nmse(self.test, reconstruct(codec, self.test))
        check_finite(error, "the NMSE after an update")
        return {
            "codec": self.codec,
            "threshold_db": threshold_db,
            "round": number,
            "examined": examined,
            "uploads": uploads,
            "upload_bits": up,
            "download_bits": down,
            "nmse_db": round(to_db(error.mean()), 4),
        }


def bound_row(
    name: str, codecs: dict[str, Codec], twin: Complex[Tensor, "n taps beams"], target: Complex[Tensor, "m taps beams"]
) -> dict[str, Any]:
    """Terms of eq. 10 as far as samples and trained codecs give them; linear NMSE.

    The discrepancy is the greatest difference, over pairs of codecs, of how far the two disagree on the target and on
    the twin (Mansour, Mohri, Rostamizadeh 2009). Here the pairs are those of the codecs at hand, so it is a lower
    bound of the true one, and so is the sum. The constant is estimated by how far the codecs of twin and target
    disagree on the target.

    Args:
        name: Name of the codec.
        codecs: Codecs trained on "twin", "wrong_site" and "target".
        twin: Matrices of the twin that no codec was trained on.
        target: Test matrices of the target.
    """
    on_twin, on_target = ({key: reconstruct(codec, x) for key, codec in codecs.items()} for x in (twin, target))

    def apart(recovered: dict[str, Tensor], a: str, b: str) -> float:
        return float((recovered[a] - recovered[b]).abs().square().sum((1, 2)).mean())

    keys = list(codecs)
    pairs = [(a, b) for i, a in enumerate(keys) for b in keys[i + 1 :]]
    best = float(nmse(target, on_target["target"]).mean())
    gap = abs(float(nmse(target, on_target["twin"]).mean()) - best)
    terms = {
        "gap": gap,
        "target_loss": best,
        "twin_loss": float(nmse(twin, on_twin["twin"]).mean()),
        "discrepancy": max(abs(apart(on_target, *pair) - apart(on_twin, *pair)) for pair in pairs),
        "constant": apart(on_target, "twin", "target"),
    }
    return {"codec": name, "pairs": len(pairs), **{key: round(value, 6) for key, value in terms.items()}}
