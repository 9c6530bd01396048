"""Our side, every output of the engine: what `value_model` gives when a base is fitted and all of it is scored.

Belongs here: memory, and how it grows. Not here: the race on earlier cuts, whose base is bounded by
`clv.backtest_customers`; the works that peers do too (ours.py).

    python -m benchmarks.engine.ours_outputs WORK --given JSON --report FILE
"""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow.parquet as pq

from benchmarks.engine.child import Answer, Given, Program, Work, memory_mib, run
from benchmarks.engine.ours import HISTORIES, connect, customers
from cvm_pipeline.domain.lifetime_value import value_model
from cvm_pipeline.domain.lifetime_value.decimals import to_floats
from cvm_pipeline.domain.lifetime_value.margin import MarginSums

_BATCH = 100_000
_SPEND = "select frequency, repeat_sales, count(*) as customers from {rows} where frequency > 0 group by all"
_SUMS = """select sum(transactions), sum(net_sales), sum(revenue_total), sum(revenue_total), count(*), sum(r), sum(r * r),
    sum(r * r * r), sum(m), sum(m * m), sum(m * r), sum(m * m / r)
    from (select *, cast(revenue_total as double) as r, cast(margin_total as double) as m from {rows}) where r > 0"""


def outputs(given: Given) -> tuple[Work, Answer]:
    """Every model fitted on grouped rows, then every customer scored in Arrow batches and written to Parquet."""

    def work() -> dict[str, Any]:
        with connect(given) as con:
            model = _value_model(con, customers(given))
            after_fit = memory_mib("VmHWM")
            return {"fit_peak_mib": after_fit, **_scored(con, given, model)}

    return work, lambda found: found


def scores(given: Given) -> tuple[Work, Answer]:
    """Scoring alone, with a model fitted to a sample that holds the busiest customers, so that it knows their range."""
    rows = customers(given)
    with connect(given) as con:
        model = _value_model(
            con,
            f"((select * from {rows} limit {_BATCH}) union all (select * from {rows} order by frequency desc limit 9))",
        )

    def work() -> dict[str, Any]:
        with connect(given) as con:
            return _scored(con, given, model)

    return work, lambda found: found


def _value_model(con: duckdb.DuckDBPyConnection, rows: str) -> value_model.ValueModel:
    # As warehouse/marts.py reads its base.
    sums = [float(value) for value in con.execute(_SUMS.format(rows=rows)).fetchall()[0]]
    facts = value_model.BaseFacts(*sums[:4], MarginSums(*sums[4:]))
    histories = con.sql(f"{HISTORIES.format(rows=rows)} order by all").to_arrow_table()
    spend = con.sql(f"{_SPEND.format(rows=rows)} order by all").to_arrow_table()
    return value_model.fit(histories, spend, facts, value_model.Settings())


def _scored(con: duckdb.DuckDBPyConnection, given: Given, model: value_model.ValueModel) -> dict[str, Any]:
    target = given.folder / "scores.parquet"
    rows, value = 0, 0.0
    try:
        with pq.ParquetWriter(target, value_model.SCORE_SCHEMA) as file:
            for batch in con.sql(f"select * from {customers(given)}").to_arrow_reader(_BATCH):
                scored = value_model.score(batch, model)
                file.write_batch(scored)
                rows += scored.num_rows
                value += float(to_floats(scored.column("clv")).sum())
    finally:
        target.unlink(missing_ok=True)
    return {"rows": rows, "clv": value, "model": model.champion.name, "fallback": model.fallback}


PROGRAM: Program = {work.__name__: work for work in (outputs, scores)}

if __name__ == "__main__":
    run(PROGRAM, ("cvm-pipeline", "numpy", "scipy", "duckdb", "pyarrow"))
