"""The suites in `expectations/`: one JSON file per gated table, read into `Suite` and `Check`.

Belongs here: the file format, and refusing what does not follow it.
Not here: whether the suites are enough (`complete.py`), nor running them (`validate.py`).

The format is Great Expectations' own, with two additions that keep it honest: a column may be written
`is_finite(p_alive)` (true where null or a finite number), and a bound `{"$PARAMETER": "name", "times": 0.5, "plus": 10}`
is half of a number plus ten, which comes from cvm.yml or from the last publication (`last_publication.py`).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from cvm_pipeline.domain.contracts import SEVERITIES

_FINITE = re.compile(r"is_finite\((.+)\)")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class SuiteIncomplete(Exception):
    """The suites are not fit to judge by. `problems` lists all that is wrong, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("The gate's suites are incomplete:\n" + "\n".join(f"- {line}" for line in problems))


class ParameterMissing(KeyError):
    """A check takes a bound from the configuration or the last publication, and the caller did not give it."""


class Nothing(Enum):
    """The value of a parameter that is known to have none: there is no earlier publication, or it holds no such value."""

    TO_COMPARE = "nothing to compare with"


NOTHING_TO_COMPARE: Final = Nothing.TO_COMPARE


@dataclass(frozen=True)
class Check:
    """One expectation of a suite. `name` is unique in it; `relative` says that a person may accept its failure."""

    name: str
    type: str
    kwargs: Mapping[str, Any]
    severity: str
    notes: str
    relative: bool = False
    likely_cause: str = ""

    @property
    def judged(self) -> tuple[str, ...]:
        """Columns as the file writes them, `is_finite(x)` included; empty for a check of the whole table."""
        if "column_list" in self.kwargs:
            return tuple(self.kwargs["column_list"])
        return tuple(self.kwargs[name] for name in ("column", "column_A", "column_B") if name in self.kwargs)

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns that must be loaded to judge."""
        return tuple(dict.fromkeys(finite_argument(name) or name for name in self.judged))

    @property
    def column(self) -> str:
        """The columns in one text, for `data_quality_result.column`."""
        return ", ".join(self.columns)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters that its bounds are taken from."""
        return tuple(str(value["$PARAMETER"]) for value in self.kwargs.values() if is_parameter(value))

    def applies(self, parameters: Mapping[str, Any]) -> bool:
        """False where a bound is known to have nothing to compare with. A parameter not given is another matter."""
        return not any(parameters.get(name) is NOTHING_TO_COMPARE for name in self.parameters)

    def resolved(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The kwargs with every `$PARAMETER` in place. Raises ParameterMissing."""
        kwargs = {}
        for name, value in self.kwargs.items():
            if is_parameter(value):
                if value["$PARAMETER"] not in parameters:
                    raise ParameterMissing(f"no parameter {value['$PARAMETER']} was given for the check {self.name}")
                value = bound(value, parameters[value["$PARAMETER"]])
                # A count of rows is whole, and Great Expectations takes no other bound for it.
                if self.type == "expect_table_row_count_to_be_between" and isinstance(value, float):
                    value = math.floor(value) if name == "min_value" else math.ceil(value)
            kwargs[name] = value
        return kwargs

    def rule(self, settings: Mapping[str, Any]) -> str:
        """A digest of what the check asks: all but its prose, with those of the configuration's settings that it takes."""
        taken = {name: settings[name] for name in self.parameters if name in settings}
        asked = [self.name, self.type, dict(self.kwargs), self.severity, self.relative, taken]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Suite:
    """The checks of one table."""

    name: str
    notes: str
    checks: tuple[Check, ...]


def is_parameter(value: Any) -> bool:
    """Whether a value of kwargs names a parameter."""
    return isinstance(value, Mapping) and "$PARAMETER" in value


def bound(written: Mapping[str, Any], base: Any) -> Any:
    """The bound that the file writes as `{"$PARAMETER": ..., "times": ..., "plus": ...}`, given the parameter's value."""
    if "times" not in written and "plus" not in written:
        return base
    return base * written.get("times", 1) + written.get("plus", 0)


def finite_argument(column: str) -> str | None:
    """`p_alive` for `is_finite(p_alive)`, None for a plain column."""
    found = _FINITE.fullmatch(column)
    return found.group(1) if found else None


def load_suites(folder: Path) -> dict[str, Suite]:
    """Every `<table>.json` of the folder, by table. Raises SuiteIncomplete with all that can't be read."""
    suites, problems = {}, []
    for path in sorted(folder.glob("*.json")):
        try:
            suites[path.stem] = _suite(path)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problems.append(f"{path.name} can't be read as a suite: {_said(error)}")
    if problems:
        raise SuiteIncomplete(problems)
    return suites


def _suite(path: Path) -> Suite:
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["name"] != path.stem:
        raise ValueError(f"it names itself {found['name']}")
    return Suite(found["name"], found["meta"]["notes"], tuple(_check(spec) for spec in found["expectations"]))


def _check(spec: dict[str, Any]) -> Check:
    meta, name = spec["meta"], spec["meta"]["check"]
    if not _NAME.fullmatch(name):
        raise ValueError(f"the check's name {name!r} is not snake_case")
    if spec["severity"] not in SEVERITIES:
        raise ValueError(f"{name} has the severity {spec['severity']!r}; there are {', '.join(SEVERITIES)}")
    if not isinstance(meta.get("relative", False), bool):
        raise ValueError(f"{name}: relative is true or false")
    if not isinstance(spec["kwargs"], dict):
        raise ValueError(f"{name}: kwargs are not an object")
    for value in filter(is_parameter, spec["kwargs"].values()):
        if not value.keys() <= {"$PARAMETER", "times", "plus"}:
            raise ValueError(f"{name}: beside $PARAMETER there are times and plus only")
    return Check(
        name, spec["type"], spec["kwargs"], spec["severity"], meta.get("notes", ""), meta.get("relative", False),
        meta.get("likely_cause", ""),
    )  # fmt: skip


def _said(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
