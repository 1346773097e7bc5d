"""The best beams that DeepSense tables name: counted from 1 or from 0, and sometimes of a power that is no number."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

_AGREE = 0.9  # share of labels that name the strongest beam if their base is right


def labels_from_zero(
    label: Int[np.ndarray, " rows"], power: Float[np.ndarray, "rows beams"]
) -> tuple[Int[np.ndarray, " rows"], list[str]]:
    """Count labels from 0, as beams are counted here.

    Published tables count from 1. Copies that went through training code count from 0. Where powers are there, they
    decide; otherwise a label 0 does. In published tables the label of a row with a NaN among its powers is the number
    of the NaN: such labels are taken out. The strongest beam of a row is always that of its powers, not its label.

    Args:
        label: As the table has them; negative where there is none.
        power: Linear; NaN where not measured, whole rows of NaN where a table has no powers.

    Returns:
        Labels from 0, -1 where there is none or it was taken out; and what was found, a sentence each.
    """
    beams = power.shape[1]
    there = (label >= 0) & (label <= beams)
    known = there & np.isfinite(power).any(axis=1)
    strongest = np.where(np.isnan(power), -np.inf, power).argmax(axis=1)
    base, notes = 1, []
    if known.any():
        share = {base: float((label[known] - base == strongest[known]).mean()) for base in (1, 0)}
        base = max(share, key=lambda one: (share[one], one))
        if share[base] < _AGREE:
            notes.append(
                f"{1 - share[base]:.0%} of the labels name another beam than the strongest, counted from 1 or from 0: "
                "check whether labels and powers go together"
            )
    elif (label[there] == 0).any():
        base = 0
    if base == 0:
        notes.append("the labels are counted from 0, not from 1 as published ones are")
    out = np.where(there & (label >= base) & (label - base < beams), label - base, -1)
    at = np.take_along_axis(power, np.maximum(out, 0)[:, None], axis=1)[:, 0]
    wrong = (out >= 0) & np.isnan(at) & np.isfinite(power).any(axis=1)
    if wrong.any():
        notes.append(f"{int(wrong.sum())} of {int(there.sum())} labels name a beam whose power is no number")
    return np.where(wrong, -1, out).astype(np.int64), notes
