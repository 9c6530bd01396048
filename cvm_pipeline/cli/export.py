"""`cvm export`: one published table as a file, safe for spreadsheets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cvm_pipeline.cli import words
from cvm_pipeline.cli.projects import AsJson, Config, project_of


def export(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="A published table, such as customer_value.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="FILE.csv, FILE.xlsx or FILE.parquet.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write a published table to a file. A leading = + - @ in text is neutralised in csv and xlsx.

    Examples:  cvm export customer_value --to customers.xlsx  ·  cvm export segment_summary --to summary.csv
    """
    from cvm_pipeline.warehouse.export import export as write

    rows = write(project_of(config, quiet=as_json, needs_secrets=False).home, table, to)
    if as_json:
        words.print_json({"table": table, "file": to, "rows": rows})
    else:
        words.say(f"Wrote {rows:,} rows of {table} to {to}", style="green")
