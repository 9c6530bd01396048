"""The process environment: the only module that reads `os.environ`, and the only one that sets it.

Belongs here: which configuration is meant, which variables a step needs. Not here: what stands in the configuration.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from cvm_pipeline.config.errors import ConfigurationError, Mistake
from cvm_pipeline.config.paths import PACKAGE, demo_config
from cvm_pipeline.domain.early_warning.lengths import WINDOW_DAYS

if TYPE_CHECKING:
    from cvm_pipeline.config.project import Project
    from cvm_pipeline.domain.lifetime_value.race.cuts import Plan

CONFIG_NAME = "cvm.yml"
CONFIG_VARIABLE = "CVM_CONFIG"


@dataclass(frozen=True)
class ConfigChoice:
    """Which configuration is meant. `root` is the folder that its relative paths start from."""

    path: Path
    root: Path
    is_demo: bool = False


def environment() -> dict[str, str]:
    """A copy of the process environment."""
    return dict(os.environ)


def in_ci(environ: Mapping[str, str] | None = None) -> bool:
    """Whether a build machine runs this, where nobody looks at a progress bar."""
    return (environment() if environ is None else environ).get("CI", "").lower() not in ("", "0", "false")


def choose_config(
    given: Path | None = None, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> ConfigChoice:
    """The configuration that is meant: `given`, else CVM_CONFIG, else ./cvm.yml, else the demo's.

    A folder stands for the cvm.yml in it. The demo ships in the package, where nothing may be written: its root is
    `folder` (default: the working folder). Raises ConfigurationError where a named file is not there.
    """
    environ = environment() if environ is None else environ
    folder = Path.cwd() if folder is None else folder
    if given is not None:
        return _named(given, folder, "")
    if environ.get(CONFIG_VARIABLE):
        return _named(Path(environ[CONFIG_VARIABLE]), folder, f"{CONFIG_VARIABLE} names it")
    if (folder / CONFIG_NAME).is_file():
        return ConfigChoice(folder / CONFIG_NAME, folder)
    return ConfigChoice(demo_config(), folder, is_demo=True)


def _named(path: Path, folder: Path, hint: str) -> ConfigChoice:
    path = folder / path.expanduser()
    if path.is_dir():
        path = path / CONFIG_NAME
    if not path.is_file():
        mistake = Mistake(0, 0, "", f"there is no file {path}", hint or "write one with: cvm init DIR")
        raise ConfigurationError(path, [mistake])
    return ConfigChoice(path, path.parent)


def config_variables(project: Project) -> dict[str, str]:
    """What makes another process choose the same project; nothing for the demo, which is chosen where nothing else is."""
    return {} if project.file.is_relative_to(PACKAGE) else {CONFIG_VARIABLE: str(project.file)}


def dbt_variables(
    project: Project,
    as_of: date,
    plan: Plan | None = None,
    default_gap: float | None = None,
    extra_slice_dates: Collection[date] = (),
) -> dict[str, str]:
    """The variables that dbt and its models read by `env_var`, for one snapshot.

    `plan` names the slices of the base; without one there are none. `extra_slice_dates`: more of them, at which everybody is
    looked at and not the sample alone. `default_gap` (days) stands in for `lifecycle.default_gap`.
    """
    gap = project.lifecycle.default_gap if default_gap is None else default_gap
    return {
        "CVM_WORK_DB": str(project.home.work_file),
        "CVM_AS_OF_DATE": as_of.isoformat(),
        "CVM_GAP_PRIOR": str(project.lifecycle.gap_prior),
        "CVM_DEFAULT_GAP": str(gap),
        "CVM_MARGIN_RATE": str(project.clv.margin_rate),
        "CVM_COHORT_MONTHS": "3" if project.cadence == "quarterly" else "1",
        "CVM_COVARIATES": ",".join(project.clv.covariates),
        "CVM_SLICE_CUSTOMERS": str(project.clv.backtest_customers),
        "CVM_SLICE_DATES": ",".join(day.isoformat() for day in plan.slice_dates) if plan else "",
        "CVM_WHOLE_SLICE_DATES": ",".join(day.isoformat() for day in sorted(extra_slice_dates)),
        "CVM_WARNING_WINDOWS": ",".join(map(str, WINDOW_DAYS)),
        **({"CVM_SLICE_WINDOW_DAYS": str(plan.step_days)} if plan else {}),
        "DBT_TARGET_PATH": str(project.home.dbt_target),
        "DBT_LOG_PATH": str(project.home.dbt_logs),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


@contextmanager
def variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set these variables of the process for the length of a block, then put back what was there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
