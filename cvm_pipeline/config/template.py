"""The text of a new `cvm.yml`: commented, short, and accepted by `load_project` as it stands.

Belongs here: words and YAML quoting. Not here: what is proposed (`proposal.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from cvm_pipeline.config.entity_names import ENTITIES
from cvm_pipeline.config.proposal import Entry, Proposal

_TOP = """\
# One customer value project. Every key but `sources` has a default and may be left out.
# Relative paths start from this file's folder. Next: cvm check, then cvm run.
project: {project}
currency: {currency}        # of all published money
timezone: UTC        # in which days are cut, and in which an instant without an offset is
cadence: monthly     # one snapshot per period: daily, weekly, monthly or quarterly

# Under columns: a column's name, or an SQL expression over the file's columns (each is text, exactly as it stands).
# A date that is not ISO 8601 needs strptime(column, '%d/%m/%Y').
sources:
"""

_EXAMPLE = """\
  - entity: orders             # or order_lines, and beside them products, customers, exchange_rates
    path: landing/orders-*.csv
    columns:
      order_id: order_id
      customer_id: customer_id
      ordered_at: ordered_at
      amount: amount
    # where: amount <> '0'
    # values: {status: {C: cancelled}}      # needs `status` among the columns
"""

_BOTTOM = """
# Settings, with their defaults:
# home: .cvm                   # everything that a run writes
# history_start: 1970-01-01    # no snapshot before
# clv:
#   horizon: 12                # months
#   discount_rate_yearly: 0.10
#   margin_rate: 1.0           # where costs are not known; 1.0: value is revenue
#   models: [bg_nbd, mbg_nbd, nbd, pareto_nbd]  # timing models that race; bg_bb counts days as opportunities
#   select_by: rmse            # the measure that chooses the champion
#   covariates: []             # attributes with a date (updated_at) that models are told: customer_type, gender, country,
#                              # region, city, industry, acquisition_channel
#   backtest_customers: 50000  # about so many of a larger base are looked at in backtests
# tiers:
#   cuts: [0.80, 0.95]         # shares of value that end A and B
#   band: 0.02
# warnings:
#   fdr: 0.10                  # expected share of false alarms among the newly raised
#   dependence: independence   # any: holds however customers depend on each other, and finds less
#   warning_from: null         # least value at risk of this level, in money; null: the median of the base's clv
#   critical_from: null        # null: its 90 % quantile
# quality:
#   max_quarantine_share: 0.05
#   min_customers_share: 0.9
# publish:
#   keep: 10                   # versions, for `cvm rollback`
#   target: duckdb             # postgres and parquet: besides the files in home
#   dsn: ${CVM_WAREHOUSE_DSN}  # of postgres, by environment variable only
#   folder: lake/cvm           # of parquet
# engine:
#   memory_limit: 4GB
#   schedule_at: 06:00
#   alerts:
#     webhook: ${CVM_WEBHOOK}  # secrets by environment variable only
"""


def write_config(project: str, proposal: Proposal | None = None) -> str:
    """The text of a cvm.yml for these sources, or with an example where there are none."""
    sources = _EXAMPLE
    if proposal is not None and proposal.entries:
        sources = "\n".join("\n".join(_source(entry)) + "\n" for entry in proposal.entries)
    left_out = proposal.left_out if proposal is not None else []
    currency = proposal.currency if proposal is not None else Proposal().currency
    notes = "".join(f"  # Not taken, for it looks like none of the entities: {_one_line(path)}\n" for path in left_out)
    return _TOP.format(project=yaml_text(project), currency=currency) + sources + notes + _BOTTOM


def _source(entry: Entry) -> Iterator[str]:
    yield f"  - entity: {entry.entity}"
    yield f"    path: {yaml_text(entry.path)}"
    yield f"    format: {entry.head.format}"
    if entry.head.read:
        yield f"    read: {_flow(entry.head.read)}"
    if entry.effective_at:
        yield f"    effective_at: {yaml_text(entry.effective_at)}"
    if entry.join:
        yield "    join:"
        for alias, join in entry.join.items():
            yield f"      {alias}: {_flow(join)}"
    yield "    columns:"
    for canonical, expression in entry.columns.items():
        for note in entry.notes.get(canonical, ()):
            yield f"      # {_one_line(note)}"
        yield f"      {canonical}: {yaml_text(expression)}"
    further = [name for name in ENTITIES[entry.entity].columns if name not in entry.columns]
    if further:
        yield f"      # {entry.entity} may have more columns, the same way: {', '.join(further)}"
    if any(entry.values.values()):
        yield "    values:"
        for canonical, words in entry.values.items():
            yield f"      {canonical}: {_flow(words)}"
    for note in entry.notes.get("", ()):
        yield f"    # {_one_line(note)}"


def yaml_text(text: str) -> str:
    """A text as a YAML scalar on a line of its own: bare where that is safe, else quoted."""
    bare = re.fullmatch(r"[^\W\d][^\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]*", text) and text == text.rstrip()
    if bare and not re.search(r":(\s|$)|\s#", text) and text.casefold() != "null":
        return text
    return _quoted(text)


def _quoted(text: str) -> str:
    # JSON is YAML, but for these: YAML takes them for line ends or refuses them bare.
    quoted = json.dumps(text, ensure_ascii=False)
    return re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff]", lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _flow(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(str(key))}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return text if re.fullmatch(r"[A-Za-z_][\w-]*", text) and text.casefold() != "null" else _quoted(text)


def _one_line(note: str) -> str:
    # A header may hold anything, and a comment ends at the line's end.
    return " ".join("".join(letter if letter.isprintable() else " " for letter in note).split())
