"""What `cvm doctor` looks at without being in anybody's way."""

from __future__ import annotations

from pathlib import Path

from cvm_pipeline.config.load import load_project
from cvm_pipeline.defs.doctor import examine
from cvm_pipeline.warehouse.targets.parquet import ParquetTarget

CONFIG = """\
project: Looked at
publish: {target: parquet, folder: lake}
sources:
  - entity: orders
    path: orders.csv
    columns: {order_id: order_id, customer_id: customer_id, ordered_at: ordered_at, amount: amount}
"""


def test_the_target_is_looked_at_without_being_held(tmp_path: Path) -> None:
    (tmp_path / "cvm.yml").write_text(CONFIG)
    (tmp_path / "orders.csv").write_text("order_id,customer_id,ordered_at,amount\n1,1,2024-01-01,1\n")
    project = load_project(tmp_path / "cvm.yml")
    with ParquetTarget(tmp_path / "lake").session("publish"):
        (found,) = [finding for finding in examine(project) if finding.what == "publish"]
    assert found.level == "ok" and "shows nothing yet" in found.found
