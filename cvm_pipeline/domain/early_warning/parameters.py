"""What explains the warnings of one snapshot: threshold, counts, cuts of levels, and the index of each group.

Belongs here: the names under which segment_parameter shows them, scheme `warning`. Not here: any of these measures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from cvm_pipeline.domain.early_warning.common_shock import Index
from cvm_pipeline.domain.early_warning.levels import Cuts


@dataclass(frozen=True)
class Summary:
    """All small results of one snapshot. `fdr`: as configured; `starts_without_model`: windows nobody was tested on."""

    fdr: float
    threshold: float
    tested: int
    not_testable: int
    raised: int
    standing: int
    starts_without_model: int
    cuts: Cuts
    index: Mapping[str, Index] = field(default_factory=dict)

    @property
    def base_alarms(self) -> list[str]:
        """The groups in which the base itself fell, 'individual_91': one alarm each, and none for its customers."""
        return [name for name, index in self.index.items() if index.is_base_alarm]


def parameters(found: Summary) -> dict[str, float]:
    """By name, with the unit in it; what is out of reach is absent. base_alarm_... is there where the base itself fell."""
    cuts = {"warning_least_value": found.cuts.warning, "critical_least_value": found.cuts.critical}
    named = {
        "fdr_share": found.fdr,
        "largest_p_raised_probability": found.threshold,
        "tested_count": float(found.tested),
        "not_testable_count": float(found.not_testable),
        "raised_count": float(found.raised),
        "standing_count": float(found.standing),
        "windows_without_model_count": float(found.starts_without_model),
        **{name: float(cut) for name, cut in cuts.items() if cut is not None},
        **{f"index_{name}_days": index.index for name, index in found.index.items()},
        **{f"index_{name}_days_customers_count": float(index.customers) for name, index in found.index.items()},
        **{f"base_alarm_{name}_days": 1.0 for name in found.base_alarms},
    }
    return {name: value for name, value in named.items() if math.isfinite(value)}
