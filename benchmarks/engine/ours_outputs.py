"""Our side, every output of the engine: what `value_model` fits to a base, and all of it scored.

Belongs here: memory, and how it grows. Not here: the works that peers do too (ours.py); the race on earlier cuts, whose
base is bounded by `clv.backtest_customers`, and with it a champion that is no probability model.

    python -m benchmarks.engine.ours_outputs WORK --given JSON --report FILE
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import duckdb
import pyarrow.parquet as pq

from benchmarks.engine.child import Answer, Given, Program, Work, memory_mib, run
from benchmarks.engine.ours import connect, customers
from cvm_pipeline.domain.lifetime_value import value_model, value_score
from cvm_pipeline.domain.lifetime_value.decimals import to_floats
from cvm_pipeline.warehouse import marts
from cvm_pipeline.warehouse.work import read_batches

_AS_OF = dt.date(2024, 12, 31)
_SAMPLED, _BUSIEST = 100_000, 9
# The product's own queries (warehouse/marts.py) read this table.
_SNAPSHOT = """
create schema marts;
create view marts.fct_customer_snapshot as
select *, date '{as_of}' as as_of_date, cast(null as varchar) as flag, revenue_total as cost_covered_revenue
from {rows}
"""


def outputs(given: Given) -> tuple[Work, Answer]:
    """Every model fitted on grouped rows, then every customer scored in Arrow batches and written to Parquet."""

    def work() -> dict[str, Any]:
        with _snapshot(given, customers(given)) as con:
            model = _fitted(con)
            after_fit = memory_mib("VmHWM")
            return {"fit_peak_mib": after_fit, **_scored(con, given, model)}

    return work, lambda found: found


def scores(given: Given) -> tuple[Work, Answer]:
    """Scoring alone, with a model fitted to a sample that holds the busiest customers, so that it knows their range."""
    rows = customers(given)
    some = f"((from {rows} limit {_SAMPLED}) union all (from {rows} order by frequency desc limit {_BUSIEST}))"
    with _snapshot(given, some) as con:
        model = _fitted(con)

    def work() -> dict[str, Any]:
        with _snapshot(given, rows) as con:
            return _scored(con, given, model)

    return work, lambda found: found


def _snapshot(given: Given, rows: str) -> duckdb.DuckDBPyConnection:
    con = connect(given)
    con.execute(_SNAPSHOT.format(rows=rows, as_of=_AS_OF))
    return con


def _fitted(con: duckdb.DuckDBPyConnection) -> value_model.ValueModel:
    return value_model.fit(
        marts.histories(con, _AS_OF),
        marts.repeat_spend(con, _AS_OF),
        marts.base_facts(con, _AS_OF),
        value_model.Settings(),
    )


def _scored(con: duckdb.DuckDBPyConnection, given: Given, model: value_model.ValueModel) -> dict[str, Any]:
    target = given.folder / "scores.parquet"
    rows, value = 0, 0.0
    try:
        with pq.ParquetWriter(target, value_score.SCORE_SCHEMA) as file:
            for batch in read_batches(con, "select * from marts.fct_customer_snapshot"):
                scored = value_score.score(batch, model)
                file.write_batch(scored)
                rows += scored.num_rows
                value += float(to_floats(scored.column("clv")).sum())
    finally:
        target.unlink(missing_ok=True)
    return {"rows": rows, "clv": value, "model": model.champion.name, "fallback": model.fallback}


PROGRAM: Program = {work.__name__: work for work in (outputs, scores)}

if __name__ == "__main__":
    run(PROGRAM, ("cvm-pipeline", "numpy", "scipy", "duckdb", "pyarrow"))
