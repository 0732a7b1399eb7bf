"""Amounts varied within their band: sign, band, nothing and zero stay; the rest is drawn near the real value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.treatment.keyed_numbers import Numbers, Seeds, unit


def varied(
    seeds: Seeds,
    values: Numbers,
    marks: Seeds,
    share: float,
    bands: Sequence[float],
    steps: Sequence[tuple[float, float]],
) -> Numbers:
    """Return the amounts that are released.

    Args:
        seeds: keyed seed of each row's metering point; ``marks``: what tells its rows and items apart.
        share: how far an amount may be off, as a share of it.
        bands: bounds that no amount crosses, ascending.
        steps: of each size, largest first, the least amount and the step that it is cut to.
    """
    size = np.abs(values)
    bounds = np.asarray([*bands, np.inf])
    band = np.searchsorted(bounds, size, "right") - 1
    low, high = np.maximum(bounds[band], size * (1 - share)), np.minimum(bounds[band + 1], size * (1 + share))
    exact = (size * 1000).round().astype(np.uint64)
    drawn = low + (high - low) * unit(seeds, marks, exact)
    step = np.select([drawn >= least for least, _ in steps], [width for _, width in steps], steps[-1][1])
    cut = np.maximum(np.floor(drawn / step + 1e-9) * step, np.ceil(bounds[band] / step - 1e-9) * step)
    made: Numbers = np.where((size == 0) | np.isnan(values), values, np.sign(values) * cut)
    return made


Marks = NDArray[np.uint64]
