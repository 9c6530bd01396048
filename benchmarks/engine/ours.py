"""Our side: the engine's public functions on the same inputs as the peers.

Belongs here: one function per work, as `child.Program` wants it. Not here: anything that the engine itself lacks.

    python -m benchmarks.engine.ours WORK --given JSON --report FILE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.engine import summaries
from benchmarks.engine.child import Answer, Given, Program, Work, arrays, checksums, run, sampled, whole
from benchmarks.engine.inputs import CUSTOMERS, GROUPED, ORDERS, ROWS
from cvm_pipeline.domain.lifetime_value.decimals import to_floats
from cvm_pipeline.domain.lifetime_value.discounting import discount_factors, discounted_transactions, period_ends
from cvm_pipeline.domain.lifetime_value.mathematics.distinct import distinct_pairs
from cvm_pipeline.domain.lifetime_value.protocol import Fit, Floats, PurchaseHistories, TransactionModel
from cvm_pipeline.domain.lifetime_value.race.entrants import Timing
from cvm_pipeline.domain.lifetime_value.registry import transaction_model
from cvm_pipeline.domain.lifetime_value.spend import Spend

UNIT_DAYS, MONTHS, YEARLY_RATE = 7.0, 12, 0.10
# As lifetimes counts: a month is 4.345 weeks, money comes at its end.
PEER_MONTH_WEEKS, PEER_MONTHLY_RATE = 4.345, 0.01
YEAR_WEEKS = 52.0
BATCH_ROWS = 65_536
# As the pipeline reads them (warehouse/marts.py): in the order that the fit wants.
HISTORIES = (
    'select frequency, recency, "T", count(*) as customers from {rows} group by all order by frequency, "T", recency'
)


def fit_loaded(given: Given) -> tuple[Work, Answer]:
    """One row per customer in Parquet -> grouped by DuckDB -> fitted."""
    model = transaction_model(given.model)

    def work() -> Fit:
        with connect(given) as con:
            found = con.sql(HISTORIES.format(rows=customers(given))).to_arrow_table()
        return _fit(model, *(to_floats(found[name]) for name in ("frequency", "recency", "T", "customers")))

    return work, _fitted


def fit_grouped(given: Given) -> tuple[Work, Answer]:
    """Grouped arrays -> fitted."""
    columns = _days(given.folder / GROUPED, "x", "t_x", "T", "count")
    model = transaction_model(given.model)
    return lambda: _fit(model, *columns), _fitted


def clv_rows(given: Given) -> tuple[Work, Answer]:
    """12 discounted months times spend, one row per customer in and out."""
    timing, spend = _models(given)
    x, t_x, T, sales = _days(given.folder / ROWS, "x", "t_x", "T", "sales")

    def values(ends: Floats, factors: Floats) -> Floats:
        pairs, where = distinct_pairs(x, T)
        path = discounted_transactions(timing.profile(ends, *pairs), factors, (MONTHS,))[:, 0]
        clv = np.empty(x.shape)
        for rows in batches(x.size):
            alive = timing.p_alive(x[rows], t_x[rows], T[rows])
            clv[rows] = alive * path.take(where[rows]) * spend.expected(x[rows], sales[rows])
        return clv

    return _clv(values)


def clv_grouped(given: Given) -> tuple[Work, Answer]:
    """The same from distinct (x, t_x, T) with each customer's place among them."""
    timing, spend = _models(given)
    x, t_x, T = _days(given.folder / GROUPED, "x", "t_x", "T")
    group = whole(given.folder / ROWS, "group")
    each, sales = _days(given.folder / ROWS, "x", "sales")

    def values(ends: Floats, factors: Floats) -> Floats:
        pairs, where = distinct_pairs(x, T)
        path = discounted_transactions(timing.profile(ends, *pairs), factors, (MONTHS,))[:, 0]
        transactions = timing.p_alive(x, t_x, T) * path[where]
        clv = np.empty(each.shape)
        for rows in batches(each.size):
            clv[rows] = transactions.take(group[rows]) * spend.expected(each[rows], sales[rows])
        return clv

    return _clv(values)


def year_rows(given: Given) -> tuple[Work, Answer]:
    """P(alive) and expected transactions in 52 weeks, one row per customer in and out."""
    timing, _ = _models(given)
    x, t_x, T = _days(given.folder / ROWS, "x", "t_x", "T")
    return lambda: _year(timing, x, t_x, T), _year_answer


def year_grouped(given: Given) -> tuple[Work, Answer]:
    """The same from distinct (x, t_x, T)."""
    timing, _ = _models(given)
    x, t_x, T = _days(given.folder / GROUPED, "x", "t_x", "T")
    group = whole(given.folder / ROWS, "group")
    return lambda: tuple(values[group] for values in _year(timing, x, t_x, T)), _year_answer


def scan(given: Given) -> tuple[Work, Answer]:
    """DuckDB reading both columns of the orders: a hash of each value keeps it from skipping any."""

    con = connect(given)
    return lambda: con.execute(summaries.SCAN.format(orders=_orders(given))).fetchall(), lambda _: {}


def summary_rows(given: Given) -> tuple[Work, Answer]:
    """frequency, recency, T of every customer, in Arrow."""
    return _summary(
        given, summaries.HISTORIES, lambda table: checksums(*(table[n] for n in ("frequency", "recency", "T")))
    )


def summary_grouped(given: Given) -> tuple[Work, Answer]:
    """The distinct ones with their customers, as the fit takes them."""
    names = ("frequency", "recency", "T", "customers")
    return _summary(given, summaries.GROUPED, lambda table: checksums(*(table[name] for name in names)))


def connect(given: Given) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": given.threads,
        "memory_limit": "700MB",
        "preserve_insertion_order": False,
    }
    con = duckdb.connect(config=config)
    # Every run reads the file anew, as the first one does.
    con.execute("set enable_external_file_cache = false")
    return con


def customers(given: Given) -> str:
    """The customers' file as often as wanted: the same histories, so that nothing but their number grows."""
    once = f"select * from read_parquet('{given.folder / CUSTOMERS}')"
    return f"({' union all '.join([once] * given.copies)})"


def _orders(given: Given) -> str:
    return f"read_parquet('{given.folder / ORDERS}')"


def _days(path: Path, *names: str) -> list[Floats]:
    # Never weeks times 7: whole days are what the engine groups by.
    return arrays(path, *names, unit_days=1.0)


def _fit(model: TransactionModel, x: Floats, t_x: Floats, T: Floats, count: Floats) -> Fit:
    return model.fit(PurchaseHistories.from_days(x, t_x, T, count, UNIT_DAYS))


def _fitted(fit: Fit) -> dict[str, Any]:
    return {
        "parameters": dict(fit.parameters),
        "standard_errors": dict(fit.standard_errors),
        "log_likelihood": fit.log_likelihood,
        "converged": fit.converged,
        "note": fit.note,
    }


def _models(given: Given) -> tuple[Timing, Spend]:
    fit = Fit(given.parameters, {}, None, 0.0, True, 0.0, time_unit_days=UNIT_DAYS)
    return Timing(transaction_model(given.model), fit), Spend(Fit(given.spend, {}, None, 0.0, True, 0.0), 0.0, False)


def batches(rows: int) -> Iterator[slice]:
    """Customers are scored in batches, as the pipeline scores them."""
    for start in range(0, rows, BATCH_ROWS):
        yield slice(start, min(start + BATCH_ROWS, rows))


def _clv(values: Callable[[Floats, Floats], Floats]) -> tuple[Work, Answer]:
    ends, factors = period_ends(MONTHS, 1.0), discount_factors(MONTHS, YEARLY_RATE)
    months = np.arange(1.0, MONTHS + 1.0)
    as_peers = months * PEER_MONTH_WEEKS * UNIT_DAYS, (1.0 + PEER_MONTHLY_RATE) ** -months
    return lambda: values(ends, factors), lambda _: {"clv": sampled(values(*as_peers))}


def _year(timing: Timing, x: Floats, t_x: Floats, T: Floats) -> tuple[Floats, Floats]:
    pairs, where = distinct_pairs(x, T)
    alive = timing.p_alive(x, t_x, T)
    return alive, alive * timing.profile(np.array([YEAR_WEEKS * UNIT_DAYS]), *pairs)[where, 0]


def _year_answer(found: tuple[Floats, Floats]) -> dict[str, Any]:
    return {"p_alive": sampled(found[0]), "expected": sampled(found[1])}


def _summary(given: Given, sql: str, answer: Answer) -> tuple[Work, Answer]:
    con, statement = connect(given), sql.format(orders=_orders(given))
    return lambda: con.sql(statement, params={"as_of": given.as_of}).to_arrow_table(), answer


PROGRAM: Program = {
    work.__name__: work
    for work in (
        fit_loaded, fit_grouped, clv_rows, clv_grouped, year_rows, year_grouped, scan, summary_rows, summary_grouped,
    )
}  # fmt: skip

if __name__ == "__main__":
    run(PROGRAM, ("cvm-pipeline", "numpy", "scipy", "duckdb", "pyarrow"))
