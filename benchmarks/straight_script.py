"""The yardstick: the core of the job as one would write it by hand for one clean afternoon, straight down.

CSV -> purchase history per customer -> fitted MBG/NBD and Gamma-Gamma -> scored table, in one DuckDB file. Formulas are
those of `cvm_pipeline.domain.lifetime_value`, so that what differs in time is what the pipeline does around them: no
landing, audit, quarantine, exact allocation of returns, dbt, tiers, stages, gate or publication is here, and none must
come in.

    python -m benchmarks.straight_script FOLDER --target scored.duckdb --as-of 2024-12-31 --report report.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from cvm_pipeline.domain.lifetime_value import value_model, value_score

_MODEL = "mbg_nbd"
_SETTINGS = value_model.Settings(models=(_MODEL,))

# A broken line falls out; a return lowers the customer's newest day of purchase before it.
_HISTORY = """
create table history as
with lines as (
    select card, cast(try_cast(sold_at as timestamp) as date) as day,
           try_cast(pieces as decimal(18,4)) * try_cast(price as decimal(18,4)) as amount
    from read_csv($files, header = true, all_varchar = true)
    where receipt is not null and article is not null
),
days as materialized (
    select card, day, sum(amount) filter (amount > 0) as bought, -sum(amount) filter (amount < 0) as returned
    from lines where day is not null and amount is not null group by card, day
),
purchases as (select card, day, bought from days where bought is not null),
borne as (
    select p.card, p.day, sum(d.returned) as returned
    from (select * from days where returned is not null) d
    asof join purchases p on d.card = p.card and d.day >= p.day group by p.card, p.day
),
net as (
    select card, day, bought - coalesce(returned, 0) as amount, min(day) over (partition by card) as first_day
    from purchases left join borne using (card, day)
)
select card as customer_id, count(*) as transactions, count(*) - 1 as frequency,
       date_diff('day', min(day), max(day)) as recency, date_diff('day', min(day), cast($as_of as date)) as "T",
       coalesce(sum(amount) filter (day > first_day), 0) as repeat_sales,
       sum(amount) as revenue_total, sum(amount) as margin_total
from net group by card
"""


def run(folder: Path, target: Path, as_of: str) -> dict[str, object]:
    """The whole script; returns seconds by part, the customers, the parameters and the sum of all values."""
    clock = [time.perf_counter()]
    con = duckdb.connect(str(target), config={"memory_limit": "4GB", "preserve_insertion_order": False})
    con.execute(_HISTORY, {"files": str(folder / "*.csv"), "as_of": as_of})
    clock.append(time.perf_counter())

    histories = con.sql(
        'select frequency, recency, "T", count(*) as customers from history group by all'
    ).to_arrow_table()
    spent = con.sql("select frequency, repeat_sales from history where frequency > 0").to_arrow_table()
    transactions, sales = con.execute("select sum(transactions), sum(revenue_total) from history").fetchall()[0]
    facts = value_model.BaseFacts(transactions=transactions, net_sales=sales, revenue_total=sales)
    model = value_model.fit(histories, spent, facts, _SETTINGS)
    clock.append(time.perf_counter())

    reader = con.cursor().sql("select * from history").to_arrow_reader(100_000)
    batches = (value_score.score(batch, model) for batch in reader)
    con.register("batches", pa.RecordBatchReader.from_batches(value_score.SCORE_SCHEMA, batches))
    con.execute("create table scored as select * from batches")
    customers, value = con.execute("select count(*), sum(clv) from scored").fetchall()[0]
    con.close()
    clock.append(time.perf_counter())
    return {
        "seconds": dict(zip(("CSV to history", "fit", "score"), np.diff(clock).tolist(), strict=True)),
        "customers": customers,
        "clv": float(value),
        "parameters": {**model.base.fits[_MODEL].parameters, **model.spend.fit.parameters},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run the script in this process and write its report as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.straight_script")
    parser.add_argument("folder", type=Path, help="folder of the CSV files")
    parser.add_argument("--target", type=Path, required=True, help="DuckDB file to be made")
    parser.add_argument("--as-of", required=True)
    parser.add_argument("--report", type=Path, required=True)
    given = parser.parse_args(argv)
    given.report.write_text(json.dumps(run(given.folder, given.target, given.as_of)))


if __name__ == "__main__":
    main()
