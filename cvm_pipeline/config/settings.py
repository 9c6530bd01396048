"""The sections of `cvm.yml` other than its sources: what each key is, its default and its bounds.

Belongs here: shapes, defaults, bounds. Not here: what a setting does; that is said where it is used.
"""

from __future__ import annotations

import itertools
import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from cvm_pipeline.config.dsn import EXAMPLE, read_dsn
from cvm_pipeline.config.errors import did_you_mean
from cvm_pipeline.config.section import Credential, Secret, Section, Share, Word, left_open, not_empty, wrong
from cvm_pipeline.domain.contracts import RFM_SEGMENTS

TIME_UNIT_DAYS = {"day": 1.0, "week": 7.0, "month": 30.4375}
# What a customer's record says in words of few kinds: columns of marts.fct_slice_attributes.
COVARIATES = ("customer_type", "gender", "country", "region", "city", "industry", "acquisition_channel")
RFM_CELLS = tuple("".join(scores) for scores in itertools.product("12345", repeat=3))

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
          "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}  # fmt: skip
_CELL_PATTERN = re.compile(r"(?:[1-5*]|\[[1-5]+\]|\[[1-5]-[1-5]\]){3}")


def byte_count(given: Any) -> Any:
    """The bytes that `4GB` or `512 MiB` means."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(given).strip().casefold())
    if not match or match[2] not in _UNITS:
        raise wrong(f"{given!r} is no size", "such as 4GB or 512 MiB")
    return int(float(match[1]) * _UNITS[match[2]])


def _memory(text: str) -> str:
    if byte_count(text) < 256 * 2**20:
        raise wrong(f"{text} of memory is too little", "at least 256 MiB, with its unit, such as 4GB")
    return text


def _time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise wrong(f"{text!r} is no time of day", "hours and minutes, such as 06:00")
    return text


def _address(text: str) -> str:
    if not re.fullmatch(r"[^@\s,;]+@[^@\s,;]+", text):
        raise wrong("is no e-mail address", "such as alerts@example.com")
    return text


_MODELS = ("bg_nbd", "mbg_nbd", "nbd", "pareto_nbd")
_SELECT_BY = "rmse"


def _models(names: tuple[str, ...]) -> tuple[str, ...]:
    if names == _MODELS:
        return names
    # Imported here: the models bring numpy and scipy, which reading a plain configuration must not wait for.
    from cvm_pipeline.domain.lifetime_value.registry import p_alive_models, transaction_models

    known = [model.name for model in transaction_models()]
    for name in names:
        if name not in known:
            raise wrong(f"there is no model {name!r}", did_you_mean(name, known))
    if not set(names) & set(p_alive_models()):
        raise wrong("none of the models can give p_alive", f"name {' or '.join(p_alive_models())}")
    return tuple(dict.fromkeys(names))


def _select_by(measure: str) -> str:
    if measure == _SELECT_BY:
        return measure
    from cvm_pipeline.domain.lifetime_value.race.champion import SELECT_BY

    if measure not in SELECT_BY:
        raise wrong(f"there is no measure {measure!r}", did_you_mean(measure, SELECT_BY))
    return measure


def _covariates(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in COVARIATES:
            raise wrong(f"{name!r} can be no covariate", did_you_mean(name, COVARIATES))
    return tuple(dict.fromkeys(names))


Bytes = Annotated[int, BeforeValidator(byte_count)]
Address = Annotated[str, AfterValidator(_address)]


class Clv(Section):
    """Lifetime value. `horizon` in months; `margin_rate` stands where costs are not known (1: value is revenue).

    `backtest_customers`: about so many, chosen by a hash of their id, are looked at in backtests of a larger base.
    `models`: the timing models that race; `select_by`: the measure that chooses the champion, pooled over cuts.
    `covariates`: attributes of customers that models with covariates are told; without one there is no such model.
    """

    horizon: int = Field(default=12, ge=1, le=120)
    discount_rate_yearly: float = Field(default=0.10, ge=0, le=1)
    time_unit: Literal["day", "week", "month"] = "week"
    margin_rate: float = Field(default=1.0, gt=0, le=1)
    backtest_customers: int = Field(default=50_000, ge=100)
    models: Annotated[tuple[str, ...], AfterValidator(_models)] = _MODELS
    select_by: Annotated[str, AfterValidator(_select_by)] = _SELECT_BY
    covariates: Annotated[tuple[str, ...], AfterValidator(_covariates)] = ()

    @property
    def horizon_days(self) -> int:
        """The horizon in whole days."""
        return round(self.horizon * TIME_UNIT_DAYS["month"])

    @property
    def time_unit_days(self) -> float:
        """The model's time unit in days; a month is a twelfth of 365.25 days."""
        return TIME_UNIT_DAYS[self.time_unit]


class Tiers(Section):
    """Tiers A, B, C by two `cuts`; `band` is the hysteresis, in points of position.

    The cuts are shares of value (pareto) or of customers (quantiles), best customers first, ascending; or the least
    money of A and of B (thresholds), descending.
    """

    method: Literal["pareto", "quantiles", "thresholds"] = "pareto"
    cuts: tuple[float, float] = (0.80, 0.95)
    band: float = Field(default=0.02, ge=0, le=0.2)

    @field_validator("cuts")
    @classmethod
    def _ordered(cls, cuts: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
        first, second = cuts
        if info.data.get("method") == "thresholds":
            if not first > second > 0:
                raise wrong("thresholds are money: that of A, then that of B, descending", "such as [1000, 250]")
        elif not 0 < first < second < 1:
            raise wrong("cuts are two shares between 0 and 1, ascending", "such as [0.80, 0.95]")
        return cuts


class Rfm(Section):
    """`grid` names each of the 125 cells once: segment -> cells ('543') or patterns ('5[45]*', '[1-2]**').

    None is the built-in grid.
    """

    grid: dict[str, tuple[str, ...]] | None = None

    @field_validator("grid")
    @classmethod
    def _complete(cls, grid: dict[str, tuple[str, ...]] | None) -> dict[str, tuple[str, ...]] | None:
        if grid is not None:
            _cells(grid)
        return grid

    @property
    def cells(self) -> dict[str, str] | None:
        """The segment of each of the 125 cells, or None for the built-in grid."""
        return None if self.grid is None else _cells(self.grid)


def _cells(grid: dict[str, tuple[str, ...]]) -> dict[str, str]:
    named: dict[str, str] = {}
    for segment, patterns in grid.items():
        if segment not in RFM_SEGMENTS:
            raise wrong(f"there is no segment {segment!r}", did_you_mean(segment, RFM_SEGMENTS))
        for pattern in patterns:
            if not _CELL_PATTERN.fullmatch(pattern):
                raise wrong(f"{pattern!r} is no cell", "three places: a score 1..5, * or a set such as [45]")
            cells = re.compile(pattern.replace("*", "."))
            for cell in filter(cells.fullmatch, RFM_CELLS):
                if named.setdefault(cell, segment) != segment:
                    raise wrong(f"the cell {cell} is both {named[cell]} and {segment}")
    nameless = [cell for cell in RFM_CELLS if cell not in named]
    if nameless:
        raise wrong(f"{len(nameless)} cells have no name: {', '.join(nameless[:5])} ...", "every cell has exactly one")
    return named


class Lifecycle(Section):
    """Stages. Days throughout; None is the rule's own (`recent`: the gap limit; `new_for`: twice the base's gap)."""

    lost_below: Share = 0.2
    at_risk_below: Share = 0.5
    growth: float = Field(default=0.2, ge=0, le=10)
    recent: int | None = Field(default=None, ge=1)
    new_for: int | None = Field(default=None, ge=1)
    gap_prior: float = Field(default=3, ge=0, le=1000)
    default_gap: float = Field(default=90, gt=0, le=3660)

    @field_validator("at_risk_below")
    @classmethod
    def _not_under_lost(cls, at_risk: float, info: ValidationInfo) -> float:
        if at_risk < info.data.get("lost_below", 0):
            raise wrong("lies under lost_below: nobody could be at risk without being lost")
        return at_risk


class Warnings(Section):
    """Early warning. `fdr`: expected share of false alarms among those newly raised; `dependence: any` assumes nothing of
    how customers depend on each other, and finds less. `warning_from`, `critical_from`: least value at risk of these levels,
    in money; None is the median and the 90 % quantile of the base's clv.
    """

    fdr: float = Field(default=0.10, gt=0, le=0.2)
    dependence: Literal["independence", "any"] = "independence"
    warning_from: float | None = Field(default=None, gt=0)
    critical_from: float | None = Field(default=None, gt=0)

    @field_validator("critical_from")
    @classmethod
    def _not_under_warning(cls, critical: float | None, info: ValidationInfo) -> float | None:
        least = info.data.get("warning_from")
        if critical is not None and least is not None and critical < least:
            raise wrong("lies under warning_from: no alarm would be of level warning")
        return critical


class Quality(Section):
    """What blocks a run, and which rows are beyond belief."""

    max_quarantine_share: Share = 0.05
    min_customers_share: Share = 0.9
    earliest_date: date = date(1970, 1, 1)
    max_record_bytes: Annotated[Bytes, Field(ge=1024, le=2**30)] = 2**20


class Publish(Section):
    """Where readers meet publications. `dsn` for postgres; `folder` for parquet, None is `<home>/parquet`."""

    target: Literal["duckdb", "postgres", "parquet"] = "duckdb"
    keep: int = Field(default=10, ge=1, le=1000)
    dsn: Annotated[Secret | None, Field(validate_default=True)] = None
    folder: Word | None = None

    @field_validator("dsn")
    @classmethod
    def _leads_to_postgres(cls, dsn: Any, info: ValidationInfo) -> Any:
        if dsn is None:
            if info.data.get("target") == "postgres":
                raise wrong("target: postgres needs one", "dsn: ${CVM_WAREHOUSE_DSN}")
            return dsn
        if left_open(dsn.get_secret_value(), info):
            return dsn
        try:
            read_dsn(dsn.get_secret_value())
        except ValueError as error:
            raise wrong(
                str(error),
                f"{EXAMPLE}, in the variable; in a password write %40 for @, %2F for /, %23 for #, %25 for %",
            ) from None
        return dsn


class Email(Section):
    smtp_host: Word
    port: int = Field(default=587, ge=1, le=65535)
    sender: Address = Field(alias="from")
    to: Annotated[tuple[Address, ...], AfterValidator(not_empty)]
    user: Credential | None = None
    password: Secret | None = None

    @field_validator("to", mode="before")
    @classmethod
    def _one_or_more(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @model_validator(mode="after")
    def _user_and_password(self) -> Email:
        if (self.user is None) != (self.password is None):
            raise wrong("user and password go together")
        return self


class Alerts(Section):
    webhook: Secret | None = None
    email: Email | None = None

    @field_validator("webhook")
    @classmethod
    def _is_a_url(cls, url: Any, info: ValidationInfo) -> Any:
        if url is None or left_open(url.get_secret_value(), info):
            return url
        if not re.match(r"https?://\S+$", url.get_secret_value()):
            raise wrong("is no web address", "it must begin with https://")
        return url


class Engine(Section):
    """The machine's part: nothing here changes a number. `schedule_at` in the project's zone; `threads` None: all."""

    memory_limit: Annotated[str, AfterValidator(_memory)] = "4GB"
    threads: int | None = Field(default=None, ge=1, le=1024)
    retries: int = Field(default=2, ge=0, le=10)
    schedule_at: Annotated[str, AfterValidator(_time_of_day)] = "06:00"
    alerts: Alerts = Alerts()
