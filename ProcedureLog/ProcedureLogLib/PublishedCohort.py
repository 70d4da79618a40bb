"""A data set consistent with everything the published Table 1 prints (Albano et al. 2023, Radiol Med, CC BY 4.0).

These are NOT the authors' data, which aren't public. Integers were searched exhaustively for means, SDs, ranges and all four Mann-Whitney
p-values as printed; this is one of the solutions. It serves as a worked example and as a test of the statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FUSION: Mapping[str, tuple[Any, ...]] = {
    "ageYears": (45, 55, 69, 77, 79, 83),
    "ctPasses": (2, 2, 2, 2, 2, 2),
    "roomMin": (22, 25, 30, 31, 33, 39),
    "operativeInjectionMin": (10, 11, 14, 15, 16, 18),
    "sex": ("male", "male", "male", "male", "female", "female"),
    "level": ("L3-L4", "L4-L5", "L4-L5", "L4-L5", "L5-S1", "L5-S1"),
}
CONTROL: Mapping[str, tuple[Any, ...]] = {
    "ageYears": (48, 57, 65, 71, 74, 81),
    "ctPasses": (2, 3, 3, 3, 3, 4),
    "roomMin": (33, 40, 41, 49, 52, 61),
    "operativeInjectionMin": (16, 21, 22, 25, 26, 34),
    "sex": ("male", "male", "male", "male", "female", "female"),
    "level": ("L3-L4", "L4-L5", "L4-L5", "L5-S1", "L5-S1", "L5-S1"),
}
PUBLISHED_P: Mapping[str, str] = {
    "ageYears": "0.749",
    "sex": "> 0.999",
    "ctPasses": "0.006",
    "roomMin": "0.008",
    "operativeInjectionMin": "0.008",
}


def publishedRows() -> list[dict[str, Any]]:
    """Twelve lines for a registry; success and efficacy are 'yes' in all, complications 'no', as published."""
    rows = []
    for group, columns in (("fusion", FUSION), ("control", CONTROL)):
        for index in range(6):
            row: dict[str, Any] = {name: values[index] for name, values in columns.items()}
            row |= {"caseId": f"{group} {index + 1}", "pseudonym": f"{group} {index + 1}", "group": group}
            row |= {"technicalSuccess": "yes", "technicalEfficacy": "yes", "complication": "no"}
            rows.append(row)
    return rows
