"""Sample size of the next trial out of the effect seen in a cohort, with the caution a pilot needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .Cohort import CohortTable
from .EffectSize import cliffsDelta
from .SampleSize import SampleSize, sampleSizeSuperiority

ENDPOINTS = ("operativeInjectionMin", "roomMin", "ctPasses", "dlpMGyCm")
SMALLEST_DIFFERENCE = 0.05
"""A probability of superiority nearer to 0.5 than this needs thousands of procedures and is not worked out."""


def nextTrialSizes(
    table: CohortTable,
    columns: Mapping[str, npt.NDArray[Any]],
    endpoints: Sequence[str] = ENDPOINTS,
    power: float = 0.9,
    dropout: float = 0.1,
) -> list[SampleSize]:
    """For every endpoint: the size for the effect as seen, and for the weaker end of its 95 % interval (Cliff's delta).

    Effects of small pilots are too large on average: plan with the second. Endpoints without an effect in the data are left out.
    """
    group = np.asarray(columns["group"])
    sizes: list[SampleSize] = []
    for row in table.rows:
        if row.column.name not in endpoints or row.rank is None:
            continue
        values = np.asarray(columns[row.column.name], float)
        first, second = (values[(group == name) & np.isfinite(values)] for name in table.settings.groups)
        delta = cliffsDelta(first, second)
        weak = delta.low if delta.estimate > 0 else delta.high
        for what, effect in (("effect as seen", delta.estimate), ("weaker end of its 95 % interval", weak)):
            probability = (effect + 1) / 2
            if abs(probability - 0.5) < SMALLEST_DIFFERENCE or effect * delta.estimate <= 0:
                continue
            size = sampleSizeSuperiority(probability, power, table.settings.alpha, dropout=dropout)
            sizes.append(replace(size, method=f"{row.column.label}, {what}: {size.method}, power {power:g}, drop-outs {dropout:.0%}"))
    return sizes
