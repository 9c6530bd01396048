from __future__ import annotations

import csv
import errno
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from warehouse_sample import AS_OF, REQUIRED, checks, fill, publication_id, publication_row

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.contracts import CUSTOMER_VALUE
from cvm_pipeline.warehouse import export as export_module
from cvm_pipeline.warehouse.candidate import build_candidate, finish_candidate
from cvm_pipeline.warehouse.errors import WarehouseError
from cvm_pipeline.warehouse.export import export
from cvm_pipeline.warehouse.gate_record import GateRecord, write_record
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.work import connect

RISKY = ["=1+1", "+49 30 1", "-5", "@sum(a1)", "\tx", "\rx"]
SOUND = ["'quoted", 'a "b"; c', "é = 太郎 😀", "", "1,5", " =1"]


@pytest.fixture
def published(home: Home) -> Home:
    """A publication with a customer for each text, the text as its city and its name, and money below zero."""
    texts = RISKY + SOUND
    fill(home, customers=len(texts))
    with connect(home) as con:
        for number, text in enumerate(texts):
            for table, column in (("customer", "city"), ("customer_pii", "name")):
                con.execute(
                    f"update candidate.{table} set {column} = ? where customer_id = ?", [text, f"shop:{number}"]
                )
        con.execute("update candidate.customer_value set margin_total = -5.25, clv = null")
    id_ = publication_id(1)
    sealed = finish_candidate(build_candidate(home, AS_OF, id_, "run"), checks(), publication_row())
    write_record(home, GateRecord(id_, AS_OF, sealed, True, checks(), datetime.now(UTC), "run"))
    publish(home, id_, REQUIRED)
    return home


def expected(neutral: bool) -> dict[str, str]:
    return {
        f"shop:{number}": "'" + text if neutral and text in RISKY else text for number, text in enumerate(RISKY + SOUND)
    }


def test_text_that_a_spreadsheet_would_run_is_neutralised_in_csv(published: Home, tmp_path: Path) -> None:
    to = tmp_path / "customer.csv"
    assert export(published, "customer", to) == len(RISKY + SOUND)
    with to.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["customer_id"]: row["city"] for row in rows} == expected(neutral=True)


def test_text_that_a_spreadsheet_would_run_is_neutralised_in_xlsx(published: Home, tmp_path: Path) -> None:
    to = tmp_path / "customer.xlsx"
    export(published, "customer", to)
    sheet = openpyxl.load_workbook(to)["customer"]
    header, *rows = sheet.iter_rows()
    names = [cell.value for cell in header]
    cities = {row[0].value: row[names.index("city")] for row in rows}
    assert {id_: cell.value or "" for id_, cell in cities.items()} == {
        # XML reads a carriage return as the end of a line.
        id_: text.replace("\r", "\n")
        for id_, text in expected(neutral=True).items()
    }
    assert all(cell.data_type != "f" for cell in cities.values())


def test_numbers_dates_and_nulls_stay_what_they_are(published: Home, tmp_path: Path) -> None:
    export(published, "customer_value", tmp_path / "value.csv")
    with (tmp_path / "value.csv").open(encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    assert list(first) == list(CUSTOMER_VALUE.names)
    assert (first["margin_total"], first["clv"], first["as_of_date"]) == ("-5.2500", "", "2024-03-31")
    export(published, "customer_value", tmp_path / "value.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "value.xlsx")["customer_value"]
    header, row = list(sheet.iter_rows(max_row=2, values_only=True))
    assert row[header.index("margin_total")] == -5.25
    assert row[header.index("clv")] is None
    assert row[header.index("as_of_date")] == datetime(2024, 3, 31)


def test_parquet_holds_the_table_as_published(published: Home, tmp_path: Path) -> None:
    export(published, "customer", tmp_path / "customer.parquet")
    cities = pq.read_table(tmp_path / "customer.parquet", columns=["customer_id", "city"]).to_pylist()
    assert {row["customer_id"]: row["city"] for row in cities} == expected(neutral=False)
    export(published, "customer_value", tmp_path / "value.parquet")
    value = pq.read_table(tmp_path / "value.parquet")
    assert value.schema.field("clv").type == pa.decimal128(18, 4)
    assert value["margin_total"][0].as_py() == Decimal("-5.2500")
    assert value["as_of_date"][0].as_py() == date(2024, 3, 31)


def test_names_come_from_their_own_file_and_only_the_owner_may_read_them(published: Home, tmp_path: Path) -> None:
    for ending in ("csv", "xlsx", "parquet"):
        to = tmp_path / f"names.{ending}"
        assert export(published, "customer_pii", to) == len(RISKY + SOUND)
        assert to.stat().st_mode & 0o777 == 0o600
    with (tmp_path / "names.csv").open(encoding="utf-8", newline="") as file:
        assert {row["customer_id"]: row["name"] for row in csv.DictReader(file)} == expected(neutral=True)


def test_an_unknown_table_names_the_nearest(published: Home, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"no published table 'custmer_value'. Did you mean customer_value\?"):
        export(published, "custmer_value", tmp_path / "x.csv")
    with pytest.raises(WarehouseError, match="There are: customer_value, "):
        export(published, "x; drop table y", tmp_path / "x.csv")


def test_an_unknown_ending_is_refused(published: Home, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"the name must end in \.csv, \.xlsx, \.parquet"):
        export(published, "customer", tmp_path / "customer.txt")


def test_nothing_published_says_what_to_do(home: Home, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="Run `cvm run` first"):
        export(home, "customer", tmp_path / "customer.csv")


def test_more_rows_than_a_sheet_holds_are_refused_and_the_earlier_file_stays(
    published: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "customer.xlsx"
    to.write_text("earlier")
    monkeypatch.setattr(export_module, "XLSX_ROWS", len(RISKY + SOUND))
    with pytest.raises(WarehouseError, match=r"customer has 12 rows; an xlsx sheet holds 11\. Export to csv"):
        export(published, "customer", to)
    assert to.read_text() == "earlier"
    assert [path.name for path in tmp_path.glob("*customer*")] == ["customer.xlsx"]


def test_a_failed_export_leaves_the_earlier_file(
    published: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = tmp_path / "customer.csv"
    to.write_text("earlier")

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export_module, "sync", full)
    with pytest.raises(WarehouseError, match=r"exporting customer: .*customer.csv: the disk is full"):
        export(published, "customer", to)
    assert to.read_text() == "earlier"
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_is_not_there_is_named(published: Home, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"exporting customer: .*nowhere.*No such file or directory"):
        export(published, "customer", tmp_path / "nowhere" / "customer.csv")
