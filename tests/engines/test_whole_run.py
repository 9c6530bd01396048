"""A project that publishes to PostgreSQL, by the commands that a user would type; and no secret anywhere it left a word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from postgres_server import ask, login, with_parts

REPOSITORY = Path(__file__).parents[2]
SECRET = "n0body-kn0ws-7his"
CONFIG = """\
project: Plain orders
home: .cvm
currency: USD
history_start: 2019-12-31
engine: {memory_limit: 1GB, threads: 2, retries: 0}
publish: {target: postgres, dsn: "${CVM_WAREHOUSE_DSN}", keep: 3}
sources:
  - entity: orders
    path: orders.csv
    columns: {order_id: order_id, customer_id: customer_id, ordered_at: ordered_at, amount: amount}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    rows = [f"o{n},c{n % 40},2023-{1 + n % 12:02}-{1 + n % 27:02},{10 + n % 9}.50" for n in range(400)]
    (tmp_path / "orders.csv").write_text("order_id,customer_id,ordered_at,amount\n" + "\n".join(rows) + "\n")
    (tmp_path / "cvm.yml").write_text(CONFIG)
    return tmp_path


def cvm(project: Path, dsn: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from cvm_pipeline.cli.main import run; run()", *arguments],
        cwd=project, env={**os.environ, "CVM_WAREHOUSE_DSN": dsn}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def test_setup_a_stranger_another_try_doctor_rollback_and_an_erasure(project: Path, admin_dsn: str) -> None:
    told = cvm(project, admin_dsn, "doctor", "--setup-warehouse")
    assert "grant cvm_writer" in told.stderr + told.stdout, told.stderr
    dsn = login(admin_dsn, "etl", "cvm_writer")
    refused = cvm(project, with_parts(dsn, user="stranger", password=SECRET), "run", "--as-of", "2023-12-31")
    assert refused.returncode == 1
    assert "PostgreSQL at" in refused.stderr and "refuses us" in refused.stderr
    said = refused.stdout + refused.stderr
    for path in (project / ".cvm").rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in said
    assert ask(admin_dsn, "select to_regclass('cvm.current_publication')") == [(None,)]
    # Judged and passed, and the fault is mended: the publication alone is asked for again.
    done = cvm(project, dsn, "run", "--as-of", "2023-12-31", "--select", "group:published")
    assert done.returncode == 0, done.stderr
    ((published, day),) = ask(admin_dsn, "select publication_id, as_of_date::text from cvm.current_publication")
    assert day == "2023-12-31"
    assert ask(admin_dsn, "select count(*), count(distinct as_of_date) from cvm.customer_value_history") == [(40, 1)]
    assert published in cvm(project, dsn, "doctor").stdout
    again = cvm(project, dsn, "rollback", published)
    assert again.returncode == 0 and "stands already" in again.stderr
    gone = cvm(project, dsn, "forget", "c7", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert ask(admin_dsn, "select count(*), count(*) filter (where customer_id = 'c7') from cvm.customer_value") == [
        (39, 0)
    ]
    stored = ask(
        admin_dsn,
        "select table_schema || '.' || table_name from information_schema.columns "
        "where table_schema in ('cvm_store', 'cvm_store_pii') and column_name = 'customer_id'",
    )
    assert stored
    for (table,) in stored:
        assert ask(admin_dsn, f"select count(*) from {table} where customer_id = 'c7'") == [(0,)], table
    # Published to no more, it is not reached, and that is said.
    config = project / "cvm.yml"
    config.write_text(config.read_text().replace("target: postgres, ", "target: duckdb, "))
    unreached = cvm(project, dsn, "forget", "c8", "--yes")
    assert unreached.returncode == 1
    assert "Not erased from an earlier target. PostgreSQL at" in unreached.stderr
