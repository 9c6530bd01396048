"""Addresses of PostgreSQL: what libpq could read otherwise is refused, and nothing of it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvm_pipeline.config.dsn import read_dsn
from cvm_pipeline.config.errors import ConfigurationError
from cvm_pipeline.config.load import load_project
from cvm_pipeline.warehouse.errors import WarehouseError
from cvm_pipeline.warehouse.targets.postgres.connection import connected
from cvm_pipeline.warehouse.targets.postgres.target import PostgresTarget

MISREAD = [
    "postgresql://etl:geheim@wort9@127.0.0.1:1/db",
    "postgresql://etl:ge/heimwort9@127.0.0.1:1/db",
    "postgresql://etl:geheim#wort9@127.0.0.1:1/db",
    "postgresql://etl:geheim?wort9@127.0.0.1:1/db",
    "postgresql://etl:gehe[im]wort9@127.0.0.1:1/db",
    "postgresql://etl:geheim%wort9@127.0.0.1:1/db",
    "postgresql://etl:geheim%00wort9@127.0.0.1:1/db",
    "postgresql://etl:geheim wort9@127.0.0.1:1/db",
    "postgresql://127.0.0.1:1/db?user=etl&password=geheim%wort9",
    "postgresql://127.0.0.1:1/db?user=etl&password=geheim&wort9",
    "postgresql://etl@127.0.0.1:1/db?sslpassword=geheimwort9&password=x%zzgeheimwort9",
    "postgresql://etl:geheimwort9@127.0.0.1:1",
    "mysql://etl:geheimwort9@127.0.0.1:1/db",
]
CONFIG = """\
project: Secret
publish: {target: postgres, dsn: "${CVM_TEST_DSN}"}
sources:
  - entity: orders
    path: orders.csv
    columns: {order_id: order_id, customer_id: customer_id, ordered_at: ordered_at, amount: amount}
"""


def tells(text: str) -> bool:
    return any(part in text for part in ("geheim", "wort9", "heim"))


@pytest.mark.parametrize("dsn", MISREAD)
def test_an_address_that_can_be_misread_is_refused_and_not_told(dsn: str) -> None:
    with pytest.raises(WarehouseError, match="percent-encoded") as refused:
        print(PostgresTarget(dsn).name)
    assert not tells(f"{refused.value}{refused.value.__cause__}")
    with pytest.raises(WarehouseError) as refused, connected(dsn, "test"):
        pass
    assert not tells(str(refused.value))


def test_the_file_is_refused_and_says_what_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cvm.yml").write_text(CONFIG)
    monkeypatch.setenv("CVM_TEST_DSN", MISREAD[0])
    with pytest.raises(ConfigurationError) as refused:
        load_project(tmp_path / "cvm.yml")
    assert "publish.dsn" in str(refused.value) and "%40 for @" in str(refused.value)
    assert not tells(str(refused.value))
    monkeypatch.setenv("CVM_TEST_DSN", "postgresql://etl:geheim%40wort9@127.0.0.1:1/db")
    assert load_project(tmp_path / "cvm.yml").publish.target == "postgres"


@pytest.mark.parametrize(
    ("dsn", "place", "secrets"),
    [
        ("postgresql://etl:geheim%40wort9@h:5432/db", "h:5432/db", {"geheim%40wort9", "geheim@wort9"}),
        ("postgres://etl:geheim:wort9@[::1]:5432/db", "[::1]:5432/db", {"geheim:wort9"}),
        ("postgresql://u@a:1,b:2/db?sslmode=require", "a:1,b:2/db", set()),
        ("postgresql://postgres:@/db?host=/tmp/a%20b", "/tmp/a b/db", set()),
        (
            "postgresql:///db?user=etl&password=geheim%26wort9",
            "the local socket/db",
            {"geheim%26wort9", "geheim&wort9"},
        ),
    ],
)
def test_the_place_may_be_told_and_every_spelling_of_a_secret_is_known(dsn: str, place: str, secrets: set[str]) -> None:
    found = read_dsn(dsn)
    assert found.place == f"PostgreSQL at {place}" and found.database == "db"
    assert set(found.secrets) == {dsn, *secrets}


@pytest.mark.parametrize("dsn", ["postgresql://etl:geheim%40wort9@127.0.0.1:1/db",
                                 "postgresql://127.0.0.1:1/db?user=etl&password=geheim%40wort9"])  # fmt: skip
def test_a_server_that_is_not_there_is_told_without_the_password(dsn: str) -> None:
    with pytest.raises(WarehouseError, match="can't be reached") as refused, connected(dsn, "test"):
        pass
    assert not tells(str(refused.value))
