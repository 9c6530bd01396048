import pytest

from cvm_pipeline.config.load import load_project
from cvm_pipeline.config.proposal import entity_of, propose
from cvm_pipeline.config.sniff import Head
from cvm_pipeline.config.template import write_config


def _head(header, *rows, **read):
    return Head(tuple(header.split(",")), tuple(tuple(row.split(",")) for row in rows), "csv", read)


RETAIL = _head(
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
    "560776,20726,LUNCH BAG,10,2011-07-21 08:44:00,1.65,13995.0,United Kingdom",
)
LINES = _head("order_id,product_id,unit_price,quantity,discount", "10248,11,14.0,12,0.0", "10250,51,42.4,35,0.15")
ORDERS = _head("order_id,customer_id,order_date,ship_region", "10248,VINET,7/25/1996,", "10249,TOMSP,7/5/1996,SP")
CHINESE = _head("行 ID,订单号,订购日期,客户ID,金额,订单状态", "1,CN-1,2023/1/5,10001,12.5,已完成", encoding="gb18030")
PEOPLE = _head("Kundennummer,Firma,PLZ,Ort,E-Mail", "K1,Müller,04229,Leipzig,a@b.de")


@pytest.fixture
def accepted(tmp_path):
    """Propose, write and load: what `cvm init` writes must be accepted as it stands."""

    def _accepted(heads):
        (tmp_path / "cvm.yml").write_text(write_config("shop", propose(heads)), encoding="utf-8")
        return load_project(tmp_path / "cvm.yml", {})

    return _accepted


@pytest.mark.parametrize(
    ("columns", "entity"),
    [
        (RETAIL.columns, "order_lines"),
        (LINES.columns, "order_lines"),
        (ORDERS.columns, "orders"),
        (CHINESE.columns, "orders"),
        (("customer_id", "date", "number_of_cds", "dollar_value"), "orders"),
        (PEOPLE.columns, "customers"),
        (("product", "series", "sales_price"), "products"),
        (("currency", "date", "rate"), "exchange_rates"),
        (("id", "full_name", "mail", "tel"), "customers"),
        (("id", "name", "city"), None),
        (("order_id", "review_score"), None),
        (("a", "b"), None),
    ],
)
def test_an_entity_is_told_from_the_columns(columns, entity):
    assert entity_of(columns) == entity


def test_without_files_the_example_is_accepted(tmp_path):
    (tmp_path / "cvm.yml").write_text(write_config("shop"))
    assert load_project(tmp_path / "cvm.yml", {}).sources[0].entity == "orders"


def test_the_settings_that_stand_as_comments_are_accepted_as_they_stand(tmp_path):
    lines = write_config("shop").partition("# Settings")[2].splitlines()[1:]
    text = write_config("shop") + "\n".join(line.removeprefix("# ") for line in lines)
    (tmp_path / "cvm.yml").write_text(text)
    commented = load_project(
        tmp_path / "cvm.yml", {"CVM_WEBHOOK": "https://a.b", "CVM_WAREHOUSE_DSN": "postgresql://h/d"}
    )
    (tmp_path / "cvm.yml").write_text(write_config("shop"))
    assert commented.config_hash == load_project(tmp_path / "cvm.yml", {}).config_hash


def test_daily_files_become_one_glob_with_the_date_of_their_names(accepted):
    (source,) = accepted({"2010-12-01.csv": RETAIL, "2010-12-02.csv": RETAIL}).sources
    assert (source.entity, source.path, source.effective_at.format) == ("order_lines", "*.csv", None)
    assert source.columns["order_id"] == "InvoiceNo"
    assert source.columns["ordered_at"] == "InvoiceDate"


def test_files_of_one_layout_and_a_name_in_common_become_one_glob(accepted):
    project = accepted({"in/sales-2010-12-01.csv": RETAIL, "in/sales-2010-12-02.csv": RETAIL, "in/people.csv": PEOPLE})
    sales, people = project.sources
    assert (sales.path, people.path) == ("in/sales*.csv", "in/people.csv")
    assert sales.effective_at.pattern == r"(\d{4}-\d{2}-\d{2})"


def test_a_glob_is_as_narrow_as_its_neighbours_ask(accepted):
    project = accepted({"2010-12-01.csv": RETAIL, "2010-12-02.csv": RETAIL, "people.csv": PEOPLE})
    assert [source.path for source in project.sources] == ["2010-12-0*.csv", "people.csv"]


def test_a_glob_that_would_catch_another_file_is_not_made(accepted):
    project = accepted({"1.csv": RETAIL, "2.csv": RETAIL, "people.csv": PEOPLE})
    assert [source.path for source in project.sources] == ["1.csv", "2.csv", "people.csv"]


def test_lines_without_a_day_are_joined_to_their_orders(accepted):
    (source,) = accepted({"order_details.csv": LINES, "orders.csv": ORDERS}).sources
    assert source.entity == "order_lines"
    assert source.join["orders"].on == "orders.order_id = order_id"
    assert source.columns["ordered_at"] == "strptime(orders.order_date, '%m/%d/%Y')"
    assert source.columns["customer_id"] == "orders.customer_id"
    assert source.columns["discount"].count("cast(") == 3


def test_chinese_columns_words_and_dates_are_understood(accepted):
    (source,) = accepted({"订单.csv": CHINESE}).sources
    assert source.read.encoding == "gb18030"
    assert source.columns == {
        "order_id": "订单号",
        "customer_id": "客户ID",
        "ordered_at": "strptime(\"订购日期\", '%Y/%m/%d')",
        "amount": "金额",
        "status": "订单状态",
    }
    assert source.values == {"status": {"已完成": "completed"}}


def test_a_german_file_is_understood_and_gives_its_currency(accepted):
    head = _head("Bestell-Nr;Bestelldatum;Kundennr;Betrag;Währung".replace(";", ","), delimiter=";", encoding="cp1252")
    head = Head(head.columns, (("B1", "31.01.2023", "K1", "1.234,50", "EUR"),), "csv", head.read)
    project = accepted({"a.csv": head})
    (source,) = project.sources
    assert project.currency == "EUR"
    assert (source.read.delimiter, source.read.encoding) == (";", "cp1252")
    assert source.columns["amount"] == "replace(replace(Betrag, '.', ''), ',', '.')"
    assert source.columns["ordered_at"] == "strptime(Bestelldatum, '%d.%m.%Y')"


def test_day_and_month_that_cannot_be_told_apart_are_asked_and_not_guessed(accepted):
    heads = {"a.csv": _head("order_id,order_date,amount", "1,01/02/2017,5")}
    text = write_config("shop", propose(heads))
    assert "# ordered_at: strptime(order_date, '%d/%m/%Y')" in text
    assert "# ordered_at: strptime(order_date, '%m/%d/%Y')" in text
    assert accepted(heads).sources[0].columns["ordered_at"] == "order_date"


def test_a_word_of_unknown_meaning_is_named(accepted):
    heads = {"a.csv": _head("order_id,order_date,amount,status", "1,2017-01-02,5,Won", "2,2017-01-02,5,Limbo")}
    assert "else their rows are quarantined: Limbo" in write_config("shop", propose(heads))
    assert accepted(heads).sources[0].values == {"status": {"Won": "completed"}}


def test_a_state_that_is_a_place_is_no_status(accepted):
    heads = {"a.csv": _head("order_id,order_date,amount,state", "1,2017-01-02,5,Ohio")}
    assert "status" not in accepted(heads).sources[0].columns


def test_a_file_that_fits_nothing_is_asked_about_where_there_is_no_other(accepted):
    heads = {"a.csv": _head("x,y", "1,2")}
    assert "No column looked like amount" in write_config("shop", propose(heads))
    assert accepted(heads).sources[0].entity == "orders"


@pytest.mark.parametrize(
    "name",
    [
        "order: id",
        "#order_id",
        "order id #1",
        "'; drop table x; --",
        '"quoted"',
        "null",
        "a\nb",
        "😀",
        "a\x07b",
        "- x",
        "{a}",
        "ü:",
    ],
)
def test_any_column_and_file_name_is_written_so_that_it_is_read_back(accepted, name):
    head = Head(("order_id", "order_date", name, "amount"), (("1", "2017-01-02", "x", "5"),), "csv", {"names": [name]})
    (source,) = accepted({f"{name.strip()}.csv".replace("\n", ""): head}).sources
    assert source.read.names == (name,)
    renamed = Head(("order_id", "order_date", "total", "dollar value"), head.rows, "csv")
    assert accepted({"a.csv": renamed}).sources[0].columns["amount"] == "total"


def _dates(*counted):
    rows = [f"{n},c{n % 9},{day},5" for n, day in enumerate(day for day, times in counted for _ in range(times))]
    return _head("order_id,customer_id,order_date,amount", *rows)


def test_dates_that_one_format_reads_but_for_some_dirt_are_read_by_it_and_the_dirt_is_counted(accepted):
    heads = {"a.csv": _dates(("13/01/2024 09:00", 50), ("01/02/2024 10:30", 46), ("31/02/2024 09:00", 3), ("n/a", 1))}
    text = write_config("shop", propose(heads))
    assert accepted(heads).sources[0].columns["ordered_at"] == "strptime(order_date, '%d/%m/%Y %H:%M')"
    assert "# 4 of the 100 values that were looked at are no such date (31/02/2024 09:00, n/a)" in text


def test_a_few_days_the_other_way_round_are_dirt_too(accepted):
    heads = {"a.csv": _dates(("13/01/2024", 60), ("01/02/2024", 37), ("02/13/2024", 3))}
    assert accepted(heads).sources[0].columns["ordered_at"] == "strptime(order_date, '%d/%m/%Y')"
    assert "# 3 of the 100 values that were looked at are no such date (02/13/2024)" in write_config(
        "s", propose(heads)
    )


def test_dirt_tells_no_day_from_a_month(accepted):
    heads = {"a.csv": _dates(("01/02/2024", 97), ("13/02/2024", 2), ("02/13/2024", 1))}
    text = write_config("shop", propose(heads))
    assert "Day and month of 01/02/2024 can't be told apart" in text
    assert accepted(heads).sources[0].columns["ordered_at"] == "order_date"


def test_iso_dates_with_some_dirt_are_iso_dates(accepted):
    heads = {"a.csv": _dates(("2024-01-31", 97), ("unknown", 3))}
    assert accepted(heads).sources[0].columns["ordered_at"] == "order_date"
    assert "# 3 of the 100 values that were looked at are no such date (unknown)" in write_config("s", propose(heads))


def test_dates_that_no_format_reads_are_asked_for_with_what_becomes_of_the_rows(accepted):
    heads = {"a.csv": _dates(("13/01/2024", 50), ("in January", 50))}
    assert accepted(heads).sources[0].columns["ordered_at"] == "order_date"
    assert "No format reads in January together with the other order_date" in write_config("shop", propose(heads))


def test_common_names_of_people_are_known_and_further_columns_are_listed(accepted):
    people = _head("id,full_name,mail,tel,dob,country", "1,Ann,a@b.de,030,1980-02-03,DE")
    heads = {"orders.csv": _dates(("2024-01-31", 3)), "customers.csv": people}
    _, customers = accepted(heads).sources
    assert dict(customers.columns) == {
        "customer_id": "id", "name": "full_name", "email": "mail", "phone": "tel", "birth_date": "dob", "country": "country",
    }  # fmt: skip
    text = write_config("shop", propose(heads))
    assert "# customers may have more columns, the same way: customer_type, gender, region" in text
    (further,) = [line for line in text.splitlines() if "# orders may have more columns" in line]
    assert {"cost", "currency", "status", "channel"} <= set(further.replace(",", "").split())
