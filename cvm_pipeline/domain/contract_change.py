"""What a change of the published contract does to those who read by it, and which change a version number allows.

Belongs here: comparing two contracts, each a mapping schema.table -> column -> SQL type. Not here: the contract itself
(`contracts/`), how the standing one is read (`warehouse/versions.py`).

The rule is semantic versioning's: readers of `major.minor` must find every table and column of it, under its name and of
its type, in each later `major.*`. What is added needs a new minor version, so that a reader can ask for it; what is
dropped, renamed, moved to another schema or retyped needs a new major one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cvm_pipeline.domain.contracts import CONTRACT_VERSION, TABLES

Contract = Mapping[str, Mapping[str, str]]

_VERSION = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True)
class ContractChange:
    """What two contracts differ by: names as `schema.table` or `schema.table.column`; `retyped` holds (name, earlier, now)."""

    dropped: tuple[str, ...]
    added: tuple[str, ...]
    retyped: tuple[tuple[str, str, str], ...]

    @property
    def breaks(self) -> list[str]:
        """What a reader of the earlier contract would miss, one phrase each."""
        return [f"{name} is gone" for name in self.dropped] + [
            f"{name} was {earlier} and is {now}" for name, earlier, now in self.retyped
        ]


def declared() -> dict[str, dict[str, str]]:
    """The contract that this code publishes."""
    # With its schema, as readers write it: who may read a table hangs on that too.
    return {f"{table.schema}.{table.name}": {column.name: column.type for column in table.columns} for table in TABLES}


def parsed(version: str) -> tuple[int, int]:
    """Major and minor number. Raises ValueError."""
    match = _VERSION.fullmatch(version)
    if not match:
        raise ValueError(f"not a contract version (such as 1.2): {version!r}")
    return int(match[1]), int(match[2])


def change(earlier: Contract, now: Contract) -> ContractChange:
    """The difference; a renamed column is one dropped and one added."""
    dropped = [table for table in earlier if table not in now]
    added = [table for table in now if table not in earlier]
    retyped = []
    for table in earlier:
        if table in now:
            was, is_ = earlier[table], now[table]
            dropped += [f"{table}.{column}" for column in was if column not in is_]
            added += [f"{table}.{column}" for column in is_ if column not in was]
            retyped += [
                (f"{table}.{c}", was[c], is_[c]) for c in was if c in is_ and _spelled(was[c]) != _spelled(is_[c])
            ]
    return ContractChange(tuple(dropped), tuple(added), tuple(retyped))


def refusals(
    earlier: Contract, earlier_version: str, now: Contract | None = None, version: str = CONTRACT_VERSION
) -> list[str]:
    """Why `now` (default: this code's contract) may not be published over `earlier`; empty where it may.

    Raises ValueError for what is no version.
    """
    differs = change(earlier, declared() if now is None else now)
    was, is_ = parsed(earlier_version), parsed(version)
    if is_ < was:
        return [f"contract {earlier_version} stands, and this code publishes the older {version}"]
    if is_[0] > was[0]:
        return []
    reasons = []
    if differs.breaks:
        reasons.append(
            f"under contract {earlier_version} readers rely on what {version} takes away: {'; '.join(differs.breaks)}. "
            f"That needs a new major version ({was[0] + 1}.0)"
        )
    if differs.added and is_ == was:
        reasons.append(
            f"{', '.join(differs.added)} came in under the same contract {version}. "
            f"What is added needs a new minor version ({was[0]}.{was[1] + 1})"
        )
    return reasons


def _spelled(type_: str) -> str:
    return type_.replace(" ", "").upper()
