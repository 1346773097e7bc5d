"""The summands of a power map's process, and how it is fitted.

Terms and the middles of their priors were chosen on one public drive test in the band around 3.6 GHz, of four cells of
a campus, so that scores on these cells are not those of places that the design has never seen. Inside a fit the model
is not chosen by evidence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from sitetwin.calibrate.power.clutter import NEAR, ROOFS
from sitetwin.calibrate.power.covariance import Design, Posterior, Term, fit_weights, prior_weights
from sitetwin.calibrate.power.layout import DISTANCE, ONE, PATTERN, SECTOR, Layout

MOST_FITTED = 1000
"""Rows from which standard deviations and lengths are found; all rows decide the coefficients and fields."""

NOISE_SD = 5.0
"""Middle of the prior of a reading's nugget, dB."""

_ITERATIONS_ALONE, _ITERATIONS_TOGETHER = 60, 25


def terms_of(layout: Layout, with_map: bool = True, extra: Sequence[str] = ()) -> tuple[Term, ...]:
    """The summands: of one cell alone, or of several that share coefficients, and fields where they share a mast.

    Args:
        layout: Cells and receivers.
        with_map: Whether the site's plan takes part.
        extra: Further features.
    """
    sector = (*SECTOR, PATTERN) if layout.turned else SECTOR
    linear = [Term("distance", 3.0, (DISTANCE,)), Term("sector", 5.0, sector)]
    if with_map:
        linear += [Term("roof steps", 5.0, ROOFS), Term("near clutter", 4.0, NEAR)]
    if extra:
        linear.append(Term("further", 3.0, tuple(extra)))
    found = [Term("receiver", 4.2, (ONE,), group="receiver")]
    if len(layout.receivers) > 1:
        found.append(Term("field of a receiver", 4.0, length=40.0, group="receiver"))
    if len(layout.sectors) == 1:
        return (*found, *linear, Term("field", 7.0, length=120.0))
    own = {"distance": 1.0, "sector": 2.0}
    found += [
        Term("offset of a cell", 10.0, (ONE,), group="cell"),
        Term("offset of a direction", 10.0, (ONE,), group="direction"),
        Term("receiver in a cell", 2.8, (ONE,), group="reading"),
    ]
    for term in linear:
        found += [term, Term(f"{term.name} of a cell", own.get(term.name, 1.5), term.columns, group="cell")]
    found += [
        Term("field of a mast", 7.0, group="mast"),
        Term("field of a cell", 7.0, group="cell"),
        Term("field of a direction", 5.0, group="direction"),
    ]
    if len(layout.receivers) > 1:
        found.append(Term("field of a receiver in a cell", 4.0, length=40.0, group="reading"))
    return tuple(found)


def fit_process(
    terms: Sequence[Term],
    design: Design,
    power: Float[np.ndarray, " rows"],
    rng: np.random.Generator,
    *,
    most: int = MOST_FITTED,
) -> Posterior:
    """Fit a process to measured power.

    Args:
        terms: The summands.
        design: The rows.
        power: dBm.
        rng: Chooses the rows that weights are found from, where there are many.
        most: How many these are.
    """
    chosen = np.sort(rng.permutation(len(design))[:most]) if len(design) > most else np.arange(len(design))
    some = design.take(chosen)
    mean = float(power[chosen].mean())
    members = design.groups["reading"].shape[1]
    iterations = _ITERATIONS_ALONE if design.groups["cell"].shape[1] == 1 else _ITERATIONS_TOGETHER
    weights = fit_weights(terms, some, power[chosen] - mean, prior_weights(terms, members, NOISE_SD), iterations)
    return Posterior.of(terms, weights, design, power, mean)


def coefficients(terms: Sequence[Term]) -> int:
    """How many coefficients all rows share, which a fit needs at least as many rows for."""
    return 1 + sum(len(term.columns) for term in terms if term.columns and term.group is None)
