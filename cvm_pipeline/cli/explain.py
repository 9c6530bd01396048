"""`cvm explain CUSTOMER_ID`: one customer on one screen: who, worth what, where it stands, what changed and what drove it."""

from __future__ import annotations

import datetime as dt
from math import floor
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cvm_pipeline.config.project import Project

_PART_WORDS = {
    "frequency": "how often it bought",
    "recency": "how lately it bought",
    "time": "time passing",
    "spend": "the value of each purchase",
    "margin": "its margin",
    "model": "a new fit of the model",
    "correction": "corrected data",
    "entry": "first value",
    "identity": "merged records",
}
_BARS = "▁▂▃▄▅▆▇█"
_TIMELINE = 24


def explain(
    customer_id: Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="As in customer_value.customer_id.")],
    config: Config = None,
    as_of: Annotated[
        dt.datetime | None,
        typer.Option("--as-of", formats=["%Y-%m-%d"], metavar="DATE",
                     help="A published snapshot (default: the newest that holds the customer)."),
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Tell of one customer: value and its interval, stage and tier and why, warnings, history, and what changed its value.

    Examples:  cvm explain 04711  ·  cvm explain C-17 --as-of 2024-06-30  ·  cvm explain 04711 --json
    """
    from cvm_pipeline.warehouse.customer_story import CustomerUnknown, told_customer

    project = project_of(config, quiet=as_json)
    try:
        told = told_customer(project.home, customer_id, as_of.date() if as_of else None)
    except CustomerUnknown as unknown:
        words.fail(str(unknown), words.USAGE)
    if as_json:
        words.print_json(told)
        return
    for heading, lines in _screen(told, project):
        shown = [line for line in lines if line]
        if shown:
            words.output().print(heading, style="bold", markup=False)
            for line in shown:
                words.output().print(f"  {line}", markup=False, soft_wrap=True)


def _screen(told: dict[str, Any], project: Project) -> Iterator[tuple[str, list[str]]]:
    """Headings with their lines; an empty line is left out."""
    row = told["snapshot"]
    behind = (
        ""
        if row["as_of_date"] == told["newest_snapshot"]
        else f" (the newest snapshot is of {told['newest_snapshot']})"
    )
    yield f"{row['customer_id']} as of {row['as_of_date']}{behind}", _who(told)
    yield f"Value ({project.currency})", _value(row, project.clv.horizon, told["customers"])
    yield "Stage", [f"{row['lifecycle_stage']} since {row['stage_since']}: {row['stage_reason']}", _loyal(row)]
    yield "Tier", _tier(told)
    yield "RFM", [f"{row['rfm_segment']} ({row['rfm_cell']})" if row["rfm_cell"] else ""]
    yield "Warning", _warning(told)
    yield "History", _history(told)
    yield "What changed", _change(told, project.is_on_grid)


def _who(told: dict[str, Any]) -> list[str]:
    row, record = told["snapshot"], told["customer"] or {}
    said = [record.get(name) for name in ("customer_type", "industry", "size_band", "city", "region", "country")]
    if row["transactions"]:
        bought = (
            f"{row['transactions']} transaction{'s' * (row['transactions'] > 1)} from {row['first_order_date']} to"
            f" {row['last_order_date']}, silent {row['days_since_last']} days (typical gap {row['gap_median']:.0f}, limit"
            # Cut, as in the stage's reason: 144 days are beyond a limit of 143.7.
            f" {floor(row['gap_limit'])})"
        )
    else:
        bought = "no transaction yet"
    excluded = f"left out of fits and averages: {row['exclusion_reason']}" if row["is_excluded"] else ""
    return [", ".join(word for word in said if word), bought, excluded]


def _value(row: dict[str, Any], horizon: int, customers: int) -> list[str]:
    if row["clv"] is None:
        return [f"so far {row['existing_value']:,.2f}; nothing is forecast before a first purchase"]
    interval = ""
    if row["clv_low"] is not None:
        basis = "held on past windows" if row["interval_basis"] == "backtest" else "by the models' word"
        interval = f", four times of five between {row['clv_low']:,.2f} and {row['clv_high']:,.2f} ({basis})"
    alive = f"P(alive) {floor(row['p_alive'] * 100 + 1e-9) / 100:.2f}, " if row["p_alive"] is not None else ""
    return [
        f"expected in the next {horizon} months {row['clv']:,.2f}{interval}",
        f"{alive}{row['expected_transactions_12m']:.2f} transactions in 12 months, {row['expected_spend']:,.2f} each"
        f" ({row['clv_model']})",
        f"so far {row['existing_value']:,.2f}, of it {row['margin_12m']:,.2f} in the last 12 months",
        f"total value {row['total_value']:,.2f}: rank {row['value_rank']:,}, better than"
        f" {floor(1000 * (customers - row['value_rank']) / customers) / 10:.1f}% of {customers:,}",
    ]


def _loyal(row: dict[str, Any]) -> str:
    return "loyal: buys often, for long, and still does" if row["is_loyal"] else ""


def _tier(told: dict[str, Any]) -> list[str]:
    row, away = told["snapshot"], told["tier_distance"]
    before = row["previous_tier"]
    lines = [row["value_tier"] + (f", before {before}" if before and before != row["value_tier"] else "")]
    if away["up"]:
        lines.append(f"{away['up']['tier']} from {away['up']['at']:,.2f}: {away['up']['away']:,.2f} more")
    if away["down"]:
        lines.append(f"{away['down']['tier']} below {away['down']['at']:,.2f}: {away['down']['away']:,.2f} less")
    return lines


def _warning(told: dict[str, Any]) -> list[str]:
    warning, test = told["warning"], told["test"]
    if warning:
        return [
            f"{warning['level']} since {warning['raised_on']}: {warning['reasons']}",
            f"value at risk {warning['value_at_risk']:,.2f}",
        ]
    if test and test["is_testable"]:
        expected = test["expected_transactions"] * test["base_index"]
        by_spend = test["p_spend"] is not None and test["p_spend"] < test["p_frequency"]
        return [
            f"none: {test['observed_transactions']} transactions in {test['window_days']} days where {expected:.1f} were"
            f" expected; so low a {'value of each' if by_spend else 'count'} comes by chance in {test['p_value']:.0%} of cases"
        ]
    if test:
        return ["none: even no purchase at all would not have told a fall from chance"]
    row = told["snapshot"]
    if row["is_excluded"]:
        return ["none: who is left out of fits is not tested"]
    if row["transactions"] < 3:
        return ["none: not tested before three purchases"]
    return ["none: not tested; at each window's start it had bought too little, had probably gone, or an alarm stood"]


def _history(told: dict[str, Any]) -> list[str]:
    told_of = told["timeline"][-_TIMELINE:]
    as_of = told["snapshot"]["as_of_date"]
    lasts = "until now" if as_of == told["newest_snapshot"] else f"still {as_of}"
    values = [float(one["clv"] or 0) for one in told_of]
    most = max([*values, 0.0])
    bars = "".join(_BARS[round(max(v, 0) / most * (len(_BARS) - 1))] if most else _BARS[0] for v in values)
    lines = [f"clv {bars}  {values[0]:,.2f} on {told_of[0]['as_of_date']} to {values[-1]:,.2f}"] if told_of else []
    for stay in (one for one in told["stays"] if one["scheme"] == "stage"):
        until = f"to {stay['valid_to']}" if stay["valid_to"] else lasts
        cause = "" if stay["cause"] == "behaviour" else f" [{stay['cause']}]"
        lines.append(f"{stay['valid_from']} {until:<16} {stay['state']}: {stay['reason']}{cause}")
    return lines


def _change(told: dict[str, Any], is_on_grid: Callable[[dt.date], bool]) -> list[str]:
    from cvm_pipeline.domain.contracts import VALUE_CHANGE_PARTS

    change, now = told["change"], told["snapshot"]["clv_model"]
    if change is None:
        return []
    # What a change is counted from: snapshots off the grid are nobody's memory.
    before = next((one for one in reversed(told["timeline"][:-1]) if is_on_grid(one["as_of_date"])), None)
    since = f" since {before['as_of_date']}" if before else ""
    said = dict(_PART_WORDS)
    if before and before["clv_model"] and now and before["clv_model"] != now:
        said["model"] = f"another model, {now} after {before['clv_model']}"
    lines = [f"clv {change['clv_before']:,.2f} to {change['clv']:,.2f}{since}: {change['change']:+,.2f}"]
    parts = sorted(
        ((change[name], name) for name in VALUE_CHANGE_PARTS if change[name]), key=lambda part: -abs(part[0])
    )
    return lines + [f"{amount:+12,.2f}  {name}: {said[name]}" for amount, name in parts]
