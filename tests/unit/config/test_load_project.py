from datetime import date
from pathlib import Path

import pytest

from cvm_pipeline.config.errors import ConfigurationError, Mistake
from cvm_pipeline.config.load import load_project
from cvm_pipeline.config.settings import RFM_CELLS

SOUND = """\
sources:
  - entity: orders
    path: orders-*.csv
    columns:
      order_id: id
      ordered_at: at
      amount: total
"""
PEOPLE = "  - {entity: customers, path: p.csv, columns: {customer_id: c, city: t, gender: g, updated_at: u}}\n"


@pytest.fixture
def load(tmp_path):
    def _load(text, environ=None):
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "cvm.yml").write_bytes(content)
        return load_project(tmp_path / "cvm.yml", {} if environ is None else environ)

    return _load


@pytest.fixture
def mistakes(load):
    def _mistakes(text, environ=None) -> tuple[Mistake, ...]:
        with pytest.raises(ConfigurationError) as caught:
            load(text, environ)
        return caught.value.mistakes

    return _mistakes


def test_every_key_has_a_default_but_sources(load, tmp_path):
    project = load(SOUND)
    assert (project.currency, project.timezone, project.cadence) == ("USD", "UTC", "monthly")
    assert project.history_start == date(1970, 1, 1)
    assert project.home.root == tmp_path / ".cvm"
    assert project.root == tmp_path
    assert (project.clv.horizon, project.clv.discount_rate_yearly, project.clv.time_unit_days) == (12, 0.10, 7.0)
    assert (project.clv.backtest_customers, project.clv.horizon_days) == (50_000, 365)
    assert project.clv.covariates == ()
    assert project.tiers.cuts == (0.80, 0.95)
    assert project.quality.max_record_bytes == 2**20
    assert (project.lifecycle.gap_prior, project.lifecycle.default_gap) == (3, 90)
    source = project.sources[0]
    assert (source.name, source.format, source.read.encoding, source.source_system) == (
        "orders",
        "csv",
        "utf-8",
        "default",
    )


def test_a_project_cannot_be_changed(load):
    project = load(SOUND)
    with pytest.raises(ValueError, match="frozen"):
        project.currency = "EUR"


def test_three_mistakes_are_listed_at_once_in_the_order_of_the_file(mistakes):
    found = mistakes(
        """\
currncy: EUR
timezone: Mars/Base
sources:
  - entity: orders
    path: orders.csv
    columns:
      orderd_at: at
      amount: total
"""
    )
    assert [(m.line, m.column, m.where) for m in found] == [
        (1, 1, "currncy"),
        (2, 1, "timezone"),
        (7, 7, "sources[0].columns.orderd_at"),
    ]
    assert [m.hint for m in found if "did you mean" in m.hint] == ["did you mean currency?", "did you mean ordered_at?"]


def test_mistakes_are_written_as_a_compiler_writes_them(load):
    with pytest.raises(ConfigurationError) as caught:
        load(SOUND + "cadnce: daily\n")
    assert str(caught.value) == "cvm.yml:8: cadnce: there is no key 'cadnce' (did you mean cadence?)"


TOP = [
    ("project: ''", "project", "must not be empty", ""),
    ("currency: euro", "currency", "'euro' is not a currency", "EUR"),
    ("cadence: month", "cadence", "must be one of daily, weekly, monthly, quarterly", "monthly"),
    ("timezone: Europe", "timezone", "there is no time zone 'Europe'", "UTC"),
    ("history_start: 31.12.2020", "history_start", "must be a date", "2024-12-31"),
    ("home: {a: b}", "home", "must be the path of a folder", ".cvm"),
    ("home: ${HOME}/x", "home", "must be the path of a folder", ".cvm"),
    ("project: ${NAME}", "project", "for secrets only", "engine.alerts"),
    ("horizon: 3", "horizon", "no key 'horizon'", "clv.horizon"),
    ("clv: 12", "clv", "must be a section of keys", ""),
    ("clv: {horizon: 1.5}", "clv.horizon", "must be a whole number, not '1.5'", ""),
    ("clv: {horizon: 0}", "clv.horizon", "must be at least 1", ""),
    ("clv: {horison: 3}", "clv.horison", "no key 'horison'", "horizon"),
    ("clv: {margin_rate: nan}", "clv.margin_rate", "must be a finite number", ""),
    ("clv: {margin_rate: 0}", "clv.margin_rate", "must be more than 0", ""),
    ("clv: {backtest_customers: 99}", "clv.backtest_customers", "must be at least 100", ""),
    ("clv: {models: [paretto_nbd]}", "clv.models", "there is no model 'paretto_nbd'", "pareto_nbd"),
    ("clv: {models: [bg_nbd]}", "clv.models", "none of the models can give p_alive", "mbg_nbd or pareto_nbd"),
    ("clv: {select_by: rmsee}", "clv.select_by", "there is no measure 'rmsee'", "rmse"),
    ("clv: {covariates: [gendre]}", "clv.covariates", "'gendre' can be no covariate", "gender"),
    ("clv: {covariates: [email]}", "clv.covariates", "'email' can be no covariate", "valid: customer_type, gender"),
    ("clv: {discount_rate_yearly: 10}", "clv.discount_rate_yearly", "must be at most 1", ""),
    ("clv: {time_unit: weeks}", "clv.time_unit", "must be one of day, week, month", "week"),
    ("tiers: {cuts: [0.95, 0.8]}", "tiers.cuts", "ascending", "[0.80, 0.95]"),
    ("tiers: {cuts: [0.8]}", "tiers.cuts[1]", "is missing", ""),
    ("tiers: {method: thresholds}", "tiers.cuts", "thresholds are money", "1000"),
    ("rfm: {grid: {Champion: ['555']}}", "rfm.grid", "no segment 'Champion'", "Champions"),
    ("rfm: {grid: {Champions: ['55']}}", "rfm.grid", "'55' is no cell", ""),
    ("rfm: {grid: {Champions: ['555']}}", "rfm.grid", "124 cells have no name", ""),
    ("rfm: {grid: {Champions: ['***'], Lost: ['111']}}", "rfm.grid", "cell 111 is both Champions and Lost", ""),
    ("lifecycle: {lost_below: 0.7}", "lifecycle.at_risk_below", "lies under lost_below", ""),
    ("lifecycle: {recent: 0}", "lifecycle.recent", "must be at least 1", ""),
    ("quality: {max_quarantine_share: 5}", "quality.max_quarantine_share", "must be at most 1", ""),
    ("quality: {max_record_bytes: big}", "quality.max_record_bytes", "'big' is no size", "512 MiB"),
    ("publish: {target: postgres}", "publish.dsn", "target: postgres needs one", "${CVM_WAREHOUSE_DSN}"),
    ("publish: {target: oracle}", "publish.target", "must be one of duckdb, postgres, parquet", ""),
    (
        "publish: {target: postgres, dsn: postgresql://me:secret@host/db}",
        "publish.dsn",
        "a secret may not stand in the file",
        "${NAME}",
    ),
    ("publish: {keep: 0}", "publish.keep", "must be at least 1", ""),
    ("engine: {memory_limit: 4}", "engine.memory_limit", "too little", "4GB"),
    ("engine: {schedule_at: 25:00}", "engine.schedule_at", "no time of day", "06:00"),
    ("engine: {alerts: {email: {smtp_host: h, from: me, to: [a@b.c]}}}", "engine.alerts.email.from", "e-mail", ""),
    ("engine: {alerts: {email: {smtp_host: h, from: a@b.c, to: []}}}", "engine.alerts.email.to", "at least one", ""),
    (
        "engine: {alerts: {email: {smtp_host: h, from: a@b.c, to: a@b.c, user: u}}}",
        "engine.alerts.email",
        "together",
        "",
    ),
    ("identity: {rules: []}", "identity", "not built yet", ""),
    ("warnings: {fdr: 0.5}", "warnings.fdr", "0.2", ""),
    ("warnings: {dependence: none}", "warnings.dependence", "independence", ""),
    ("warnings: {warning_from: 100, critical_from: 50}", "warnings.critical_from", "lies under warning_from", ""),
]


@pytest.mark.parametrize(("line", "where", "what", "hint"), TOP, ids=[line for line, *_ in TOP])
def test_a_mistake_in_a_setting_names_its_key_its_line_and_what_would_help(mistakes, line, where, what, hint):
    (found,) = mistakes(SOUND + line + "\n")
    assert (found.line, found.where) == (8, where)
    assert what in found.what
    assert hint in found.hint


SOURCE = [
    ("entity: ordrs\n    path: a.csv\n    columns: {a: b}", 2, "entity", "no entity 'ordrs'", "orders"),
    ("entity: leads\n    path: a.csv\n    columns: {lead_id: b}", 2, "entity", "not read yet", ""),
    ("entity: orders\n    columns: {ordered_at: a, amount: b}", 2, "path", "is missing", ""),
    ("entity: orders\n    path: a.csv", 2, "columns", "is missing", ""),
    (
        "entity: orders\n    path: a.csv\n    columns: {ordered_at: a}",
        4,
        "columns",
        "need the column amount",
        "amount:",
    ),
    ("entity: orders\n    path: a.csv\n    columns: [a, b]", 4, "columns", "must be a section of keys", ""),
    ("path: a.csv\n    columns: {a: b}", 2, "entity", "is missing", ""),
]
MORE = [
    ("pth: x.csv", "pth", "no key 'pth'", "path"),
    ("name: a/b", "name", "can't name a source", ""),
    ("format: cvs", "format", "must be one of csv, tsv", "csv"),
    ("read: {delimiter: ';;'}", "read.delimiter", "is no delimiter", "whitespace"),
    ("read: {encoding: utf-88}", "read.encoding", "there is no encoding 'utf-88'", "gb18030"),
    ("read: {encoding: rot13}", "read.encoding", "there is no encoding 'rot13'", ""),
    ("read: {header: maybe}", "read.header", "must be true or false", ""),
    ("read: {header: false}", "read.header", "needs names", ""),
    ("read: {header: false, names: [a, a]}", "read.names", "more than once", ""),
    ("read: {skip_rows: -1}", "read.skip_rows", "must be at least 0", ""),
    ("read: {quote: '\"\"'}", "read.quote", "at most 1 character", ""),
    ("read: {sheet: one}", "read.sheet", "a csv file has no sheets", ""),
    ("types: {a: integr}", "types.a", "no type for a column", "integer"),
    ('types: {a: "integer; drop table x"}', "types.a", "no type for a column", "integer"),
    ("values: {status: {C: returnd}}", "values.status.C", "'returnd' is no word of status", "returned"),
    ("values: {channel: {C: web}}", "values.channel", "not among the columns", ""),
    ("values: {chanel: {C: web}}", "values.chanel", "no column 'chanel'", "channel"),
    ("join: {p: {path: p.csv}}", "join.p.on", "is missing", ""),
    ("join: {p: {path: p.csv, on: a = b, onn: c}}", "join.p.onn", "no key 'onn'", "on"),
    ("join: {a-b: {path: p.csv, on: a = b}}", "join", "can't name a join", ""),
    ("join: {p: {path: p.dat, on: a = b}}", "join.p.format", "doesn't tell its format", "format:"),
    ("lines: append", "lines", "order_lines only", ""),
    ("effective_at: orders", "effective_at.pattern", "one group", ""),
    ("effective_at: '(['", "effective_at.pattern", "not a regular expression", ""),
    ("timezone: Berlin", "timezone", "no time zone", ""),
    ("source_system: a:b", "source_system", "no colon", ""),
    ("currency: EURO", "currency", "is not a currency", ""),
]


@pytest.mark.parametrize(("entry", "line", "where", "what", "hint"), SOURCE, ids=[where for _, _, where, *_ in SOURCE])
def test_a_source_that_lacks_or_misspells_its_basics_is_told_so(mistakes, entry, line, where, what, hint):
    (found,) = mistakes(f"sources:\n  - {entry}\n")
    assert (found.line, found.where) == (line, f"sources[0].{where}")
    assert what in found.what
    assert hint in found.hint


@pytest.mark.parametrize(("line", "where", "what", "hint"), MORE, ids=[line for line, *_ in MORE])
def test_a_mistake_in_a_source_names_its_key_its_line_and_what_would_help(mistakes, line, where, what, hint):
    columns = "{ordered_at: at, amount: total, status: state}"
    (found,) = mistakes(f"sources:\n  - entity: orders\n    path: a.csv\n    columns: {columns}\n    {line}\n")
    assert (found.line, found.where) == (5, f"sources[0].{where}")
    assert what in found.what
    assert hint in found.hint


def test_a_constant_and_a_column_of_the_same_name_exclude_each_other(mistakes):
    (found,) = mistakes(SOUND + "      currency: cur\n    currency: EUR\n")
    assert (found.line, found.where) == (9, "sources[0].currency")


def test_a_name_given_to_two_sources_is_a_mistake(mistakes):
    entry = SOUND.removeprefix("sources:\n") + "    name: Shop\n"
    (found,) = mistakes("sources:\n" + entry + entry.replace("Shop", "shop"))
    assert (found.line, found.where) == (15, "sources[1].name")


def test_sources_without_orders_are_a_mistake(mistakes):
    (found,) = mistakes("sources:\n  - entity: products\n    path: a.csv\n    columns: {product_id: id}\n")
    assert (found.line, found.where, found.what) == (1, "sources", "one source must hold orders or order_lines")


def test_a_file_whose_name_tells_no_format_must_say_it(mistakes):
    (found,) = mistakes(SOUND.replace("orders-*.csv", "orders.dat"))
    assert (found.where, found.hint) == ("sources[0].format", "write format: csv, tsv, jsonl, parquet, xlsx")


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "the file is empty"),
        ("# nothing\n", 1, "the file is empty"),
        ("- a\n- b\n", 1, "must hold keys"),
        ("currency: EUR\n", 1, "is missing"),
        ("sources: []\n", 1, "must list at least one"),
        (SOUND + "clv: [1\nhome: x\n", 9, "not valid YAML"),
        (SOUND + "clv:\n\thorizon: 3\n", 9, "not valid YAML"),
        (SOUND + "project: a: b\n", 8, "not valid YAML"),
        (SOUND + "project: *nowhere\n", 8, "not valid YAML"),
        (SOUND + "clv: &c {horizon: *c}\n", 8, "holds itself"),
        (SOUND + "currency: EUR\ncurrency: USD\n", 9, "is given twice"),
        (SOUND + "? [a, b]\n: c\n", 8, "a key must be a text"),
        ((SOUND + "project: K").encode() + b"\xe4se\n", 8, "not UTF-8"),
        (SOUND + "project: a\x00b\n", 1, "not valid YAML"),
    ],
)
def test_a_fault_of_syntax_is_a_mistake_with_its_line(mistakes, text, line, what):
    found = mistakes(text)
    assert [m.line for m in found] == [line]
    assert what in found[0].what


def test_a_duplicate_key_and_a_bad_value_are_told_together(mistakes):
    found = mistakes(SOUND + "currency: EUR\ncurrency: USD\nclv: {horizon: x}\n")
    assert [m.line for m in found] == [9, 10]


def test_a_section_left_empty_has_its_defaults(load):
    assert load(SOUND + "clv:\n  # horizon: 3\ntiers:\n").clv.horizon == 12


def test_words_are_texts_however_they_look(load):
    source = SOUND + '      status: "1"\n    values: {status: {no: cancelled, 01: completed, 1.0: pending}}\n'
    project = load(source + "    read: {names: [1, null_, yes]}\n")
    assert project.sources[0].values["status"] == {"no": "cancelled", "01": "completed", "1.0": "pending"}
    assert project.sources[0].columns["status"] == "1"
    assert project.sources[0].read.names == ("1", "null_", "yes")


def test_sources_are_named_after_their_entity_and_made_unique(load):
    entry = SOUND.removeprefix("sources:\n")
    project = load("sources:\n" + entry + entry + entry + "    name: orders_2\n")
    assert [source.name for source in project.sources] == ["orders", "orders_3", "orders_2"]
    assert project.source("orders_3") is project.sources[1]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("a.csv", "csv"),
        ("a.CSV.gz", "csv"),
        ("a.tsv", "tsv"),
        ("a.jsonl", "jsonl"),
        ("*.parquet", "parquet"),
        ("a.xlsx", "xlsx"),
    ],
)
def test_the_format_follows_from_the_name(load, path, told):
    assert load(SOUND.replace("orders-*.csv", f'"{path}"')).sources[0].format == told


def test_effective_at_is_a_pattern_alone_or_with_its_format(load):
    alone = load(SOUND + r"    effective_at: (\d{4}-\d{2}-\d{2})").sources[0].effective_at
    both = load(SOUND + r"    effective_at: {pattern: '(\d{8})', format: '%d%m%Y'}").sources[0].effective_at
    assert (alone.format, both.format) == (None, "%d%m%Y")


def test_a_tab_may_be_written_as_a_word(load):
    assert load(SOUND + "    read: {delimiter: tab}\n").sources[0].read.delimiter == "\t"


def test_an_rfm_grid_of_patterns_names_every_cell(load):
    project = load(SOUND + "rfm: {grid: {Champions: ['[45]**'], Lost: ['[1-2]**'], Promising: ['3**']}}\n")
    assert set(project.rfm.cells) == set(RFM_CELLS)
    assert (project.rfm.cells["511"], project.rfm.cells["355"]) == ("Champions", "Promising")


def test_a_covariate_named_twice_counts_once(load):
    assert load(SOUND + PEOPLE + "clv: {covariates: [city, gender, city]}\n").clv.covariates == ("city", "gender")


@pytest.mark.parametrize(
    ("people", "told"),
    [
        ("", "no source of customers maps city"),
        (PEOPLE.replace("city: t", "country: t"), "no source of customers maps city"),
        (PEOPLE.replace(", updated_at: u", ""), "city has no date"),
    ],
)
def test_a_covariate_that_nothing_could_be_known_of_is_refused(load, people, told):
    with pytest.raises(ConfigurationError, match=told):
        load(SOUND + people + "clv: {covariates: [city]}\n")


def test_the_grid_follows_the_cadence_and_starts_with_history(load):
    project = load(SOUND + "cadence: quarterly\nhistory_start: 2020-05-01\n")
    assert project.grid_before(date(2021, 1, 1)) == date(2020, 12, 31)
    assert project.is_on_grid(date(2020, 9, 30))
    assert list(project.grid(date(2019, 1, 1), date(2020, 10, 1))) == [date(2020, 6, 30), date(2020, 9, 30)]


def test_the_hash_follows_what_moves_a_number_and_nothing_else(load):
    plain = load(SOUND).config_hash
    assert load(SOUND + "home: elsewhere\nengine: {retries: 5}\nproject: other\n").config_hash == plain
    assert load("# a comment\n" + SOUND).config_hash == plain
    # What only blocks moves no number: whoever raises it must not make a history anew.
    gate = "quality: {max_quarantine_share: 0.5, min_customers_share: 0.1}\n"
    assert load(SOUND + gate).config_hash == plain
    assert load(SOUND + "quality: {earliest_date: 2000-01-01}\n").config_hash != plain
    assert load(SOUND + "clv: {horizon: 6}\n").config_hash != plain
    assert load(SOUND + "    where: total <> '0'\n").config_hash != plain


def test_relative_paths_start_from_the_given_root(load, tmp_path):
    load(SOUND)
    project = load_project(tmp_path / "cvm.yml", {}, root=tmp_path / "else[where]")
    assert project.home.root == tmp_path / "else[where]" / ".cvm"
    assert project.glob_pattern("orders-*.csv") == str(tmp_path / "else[[]where]" / "orders-*.csv")


def test_a_file_that_cannot_be_read_is_one_mistake():
    with pytest.raises(ConfigurationError, match=r"can't be read: No such file"):
        load_project(Path("/nowhere/cvm.yml"), {})


FULL = """\
project: shop
home: .cvm
sources:
  - entity: order_lines
    name: lines
    path: a.csv
    format: csv
    read: {delimiter: ";", encoding: utf-8, header: true, names: [a], quote: "'", skip_rows: 1}
    types: {a: integer}
    columns: {order_id: a, ordered_at: b, product_id: c, quantity: d, unit_price: e, status: f}
    where: a <> b
    values: {status: {C: returned}}
    join: {p: {path: p.csv, format: csv, read: {header: true}, on: p.a = a}}
    lines: append
    effective_at: {pattern: "(x)", format: "%Y"}
    timezone: UTC
    source_system: s
    currency: EUR
  - {entity: customers, path: p.csv, columns: {customer_id: c, city: t, updated_at: u}}
clv: {horizon: 1, discount_rate_yearly: 0.1, time_unit: day, margin_rate: 0.5, backtest_customers: 100,
      models: [mbg_nbd], select_by: mae, covariates: [city]}
tiers: {method: pareto, cuts: [0.1, 0.2], band: 0.01}
rfm: {grid: {Lost: ["***"]}}
lifecycle: {lost_below: 0.1, at_risk_below: 0.2, growth: 0.1, recent: 1, new_for: 1, gap_prior: 1, default_gap: 1}
quality: {max_quarantine_share: 0.1, min_customers_share: 0.1, earliest_date: 2000-01-01, max_record_bytes: 1 MiB}
publish: {target: duckdb, keep: 1}
engine:
  memory_limit: 4GB
  alerts: {webhook: "${W}", email: {smtp_host: h, port: 1, from: a@b.c, to: [a@b.c], user: u, password: "${W}"}}
"""


@pytest.mark.parametrize(
    "odd", ["[]", "[[x]]", "{}", "{x: {y: z}}", "''", "x", "-1", "1e309", "'{what}'", "${", "!!int x", "*"]
)
def test_whatever_stands_where_it_should_not_the_answer_is_a_list_of_mistakes(load, odd):
    assert load(FULL, {"W": "https://a.b"}).tiers.cuts == (0.1, 0.2)
    lines = FULL.splitlines()
    for number, line in enumerate(lines):
        starts = [at + 2 for at in range(len(line)) if line.startswith(": ", at)]
        for start in starts:
            spoilt = [*lines[:number], line[:start] + odd, *lines[number + 1 :]]
            try:
                load("\n".join(spoilt), {"W": "https://a.b"})
            except ConfigurationError as error:
                assert error.mistakes
                assert all(mistake.line and mistake.what for mistake in error.mistakes)
