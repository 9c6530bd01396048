"""`cvm` as a person or a script meets it: exit codes, messages that say what and where, JSON, files that are safe to open."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import openpyxl
import pytest
from places import Place, cvm
from small_shop import ORDERS_CONFIG, write_config, write_csv, write_orders

_CVM = (sys.executable, "-c", "from cvm_pipeline.cli.main import run; run()")
_SOME = [("a", "2024-01-05", "10.00"), ("b", "2024-02-01", "12.50"), ("a", "2024-02-20", "8.00")]

HOLDER = """
import sys, time
from pathlib import Path
from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.lock import run_lock
with run_lock(Home(Path(sys.argv[1])), "cvm run of somebody else"):
    print("held", flush=True)
    sys.stdin.read()
"""


def _process(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("CVM_CONFIG", "DAGSTER_HOME")}
    return subprocess.run(
        [*_CVM, *arguments], cwd=cwd, env={**inherited, **environment}, capture_output=True, text=True, timeout=180
    )


@pytest.fixture
def plain(tmp_path):
    """A project of three plain orders, not yet run."""
    return Place(write_orders(tmp_path / "plain", _SOME).parent)


def test_help_is_there_in_a_moment(tmp_path):
    spent = []
    for _ in range(3):
        began = time.monotonic()
        done = _process("--help", cwd=tmp_path)
        spent.append(time.monotonic() - began)
        assert done.returncode == 0
        assert all(
            name in done.stdout for name in ("init", "run", "check", "status", "versions", "gate", "export", "doctor")
        )
    # 0.3 s alone on the machine; others may be at work on it.
    assert min(spent) < 1.0, spent


def test_a_folder_of_files_becomes_published_tables_in_three_commands(tmp_path):
    rows = [{"order_id": f"00{n}", "customer_id": f"0{n % 40}", "order_date": f"2024-0{1 + n % 5}-{1 + n % 28:02}",
             "total": f"{5 + n % 17}.90"} for n in range(200)]  # fmt: skip
    write_csv(tmp_path / "sales.csv", ("order_id", "customer_id", "order_date", "total"), rows)
    done = [
        _process("init", "shop", "--from", "sales.csv", cwd=tmp_path),
        _process("check", "-c", "shop/cvm.yml", cwd=tmp_path),
    ]
    assert [step.returncode for step in done] == [0, 0], [step.stderr for step in done]
    assert not (tmp_path / "shop" / ".cvm").exists(), "neither init nor check may leave anything but cvm.yml"
    run = _process("run", cwd=tmp_path, CVM_CONFIG=str(tmp_path / "shop" / "cvm.yml"))
    assert run.returncode == 0, run.stderr
    assert "Next: cvm status" in run.stderr
    assert "40 customers" in run.stdout
    place = Place(tmp_path / "shop")
    assert place.column("select count(*) from cvm.customer_value") == [40]
    assert "00" in place.column("select customer_id from cvm.customer_value order by 1"), "leading zeros stay"


def test_three_mistakes_are_told_at_once_each_with_its_line(plain):
    text = ORDERS_CONFIG.replace("currency: USD", "currency: Dollar").replace("amount: amount", "amuont: amount")
    write_config(plain.folder, text + "tiers: {cuts: [0.95, 0.80]}\n")
    for command in ("check", "run", "status"):
        said = plain.cvm(command)
        assert said.code == 2
        for line, word in ((3, "currency"), (9, "amuont"), (10, "tiers")):
            assert any(f"cvm.yml:{line}" in told and word in told for told in said.err.splitlines()), (
                command,
                said.err,
            )
        assert "3 mistakes" in said.err
    assert not (plain.folder / ".cvm").exists()


def test_check_materialises_nothing_and_accounts_for_every_row(plain):
    with (plain.folder / "landing" / "orders.csv").open("a") as file:
        file.write("o9,c,2024-03-01,NaN\n")
    write_config(plain.folder, ORDERS_CONFIG + "quality: {max_quarantine_share: 0.5}\n")
    said = plain.cvm("check", "--json")
    assert said.code == 0
    (source,) = said.json["sources"]
    assert (source["read"], source["accepted"], source["quarantined"]) == (4, 3, 1)
    assert "NaN" in said.json["reasons"][0] or "amount" in said.json["reasons"][0]
    assert not (plain.folder / ".cvm").exists()


def test_check_tries_what_a_run_would_use_files_that_vanished_included(plain):
    assert plain.cvm("run", "--select", 'group:"landing"').code == 0
    write_csv(plain.folder / "landing" / "orders2.csv", ("order", "customer", "at", "amount"),
              [{"order": "o8", "customer": "c", "at": "2024-03-01", "amount": "5"}])  # fmt: skip
    (plain.folder / "landing" / "orders.csv").unlink()
    before = {path: path.stat().st_mtime_ns for path in plain.home.landing.rglob("*")}
    said = plain.cvm("check", "--json")
    assert (said.json["sources"][0]["files"], said.json["sources"][0]["accepted"]) == (2, 4)
    assert [(file["name"], file["rows"]) for file in said.json["vanished"]] == [("landing/orders.csv", 3)]
    assert {path: path.stat().st_mtime_ns for path in plain.home.landing.rglob("*")} == before
    for command in ("check", "status"):
        told = plain.cvm(command)
        assert "1 file no longer there still counts: landing/orders.csv (3 rows)" in told.out + told.err


def test_too_much_quarantine_blocks_and_tells_the_commonest_reason_with_an_example(plain):
    with (plain.folder / "landing" / "orders.csv").open("a") as file:
        file.write("o9,c,2024-03-01,NaN\n")
    for command in ("check", "run"):
        said = plain.cvm(command)
        assert said.code == 3, said.err
        assert "1 of 4 rows are quarantined (25.0%, allowed 5.0%)" in said.err
        assert "orders.csv:5" in said.err
    told = plain.cvm("status").out
    assert "in the files as a run last read them (the newest was blocked at" in told
    assert "quarantined: orders:" in told


def test_what_only_reads_the_home_needs_no_secret(plain, monkeypatch, tmp_path):
    monkeypatch.delenv("CVM_WAREHOUSE_DSN", raising=False)
    write_config(plain.folder, ORDERS_CONFIG + "publish: {target: postgres, dsn: '${CVM_WAREHOUSE_DSN}'}\n")
    assert plain.cvm("status").code == plain.cvm("versions").code == 0
    # Nothing is published yet, which is another matter than what cvm.yml holds.
    assert (
        plain.cvm("gate", "explain").code == plain.cvm("export", "customer", "--to", str(tmp_path / "x.csv")).code == 1
    )
    assert "CVM_WAREHOUSE_DSN is not set" in plain.cvm("run").err


def test_a_file_that_is_not_there_is_a_failure_that_names_it(plain):
    (plain.folder / "landing" / "orders.csv").unlink()
    said = plain.cvm("run")
    assert said.code == 1
    assert "landing/orders*.csv" in said.err
    assert "Traceback" not in said.err


def test_a_configuration_that_is_not_there_is_a_mistake_of_usage(tmp_path):
    said = cvm("run", "-c", str(tmp_path / "no.yml"))
    assert said.code == 2
    assert "no.yml" in said.err


@pytest.mark.parametrize(
    "arguments",
    [("run", "--as-of", "31.12.2023"), ("run", "--as-of", "2999-01-01"), ("rnu",), ("run", "--reason", "why")],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(plain, arguments):
    said = cvm(*arguments) if arguments == ("rnu",) else plain.cvm(*arguments)
    assert said.code == 2
    assert said.err


def test_a_selection_that_leaves_publication_out_is_materialised_and_says_so(plain):
    said = plain.cvm("run", "--select", 'group:"landing" or group:"clean"')
    assert said.code == 0, said.err
    assert "nothing was published" in said.err
    assert plain.work("select count(*) from clean.orders") == [(3,)]
    assert plain.cvm("versions", "--json").json == []


@pytest.mark.parametrize(
    "command", [("status",), ("versions",), ("gate", "explain"), ("doctor",), ("check",)], ids=" ".join
)
def test_what_reports_also_reports_in_json(shop, command):
    said = shop.cvm(*command, "--json")
    assert said.code == 0, said.err
    assert said.json
    assert shop.cvm(*command).code == 0


def test_status_and_versions_tell_what_stands(shop):
    newest = shop.column("select publication_id from cvm.current_publication")[0]
    versions = shop.cvm("versions", "--json").json
    assert [version["is_current"] for version in versions] == [True, False]
    assert versions[0]["publication_id"] == newest
    facts = shop.cvm("status", "--json").json
    assert facts["newest"]["publication_id"] == newest
    assert facts["last_gate"] == {"publication_id": newest, "passed": True, "published": True}
    assert any("guest" in note or "anonymous" in note for note in facts["work"]["notes"])
    assert any("such as landing/lines-1-2023.csv:" in reason for reason in facts["work"]["quarantine"])


def test_what_was_rolled_back_is_told_so_and_forward_again_names_the_project(shop, tmp_path):
    place = shop.copy(tmp_path / "shop")
    newest, earlier = (version["publication_id"] for version in place.cvm("versions", "--json").json)
    assert f"Candidate {newest}, as of 2024-05-31: passed, and readers see it" in place.cvm("gate", "explain").out
    back = place.cvm("rollback", earlier)
    assert f"rollback -c {place.config} {newest}" in back.err
    assert "The next run uses all landed files again" in back.err
    assert f"no longer stands: readers were pointed back to {earlier}" in place.cvm("gate", "explain").out
    assert f"{earlier}, as of 2024-04-30: passed, and readers see it" in place.cvm("gate", "explain", earlier).out
    unknown = place.cvm("gate", "explain", "2020-01-01T000000Z-0000")
    assert unknown.code == 1 and "holds no record of 2020-01-01T000000Z-0000" in unknown.err
    assert place.cvm("gate", "explain", "may").code == 2


def test_status_and_the_end_of_a_run_name_what_the_gate_warned_of(shop, capsys):
    from cvm_pipeline.cli.run import report
    from cvm_pipeline.defs.launch import Outcome

    warned = shop.cvm("status", "--json").json["warnings"]
    assert warned, "the small shop's snapshots differ enough"
    newest = shop.column("select publication_id from cvm.current_publication")[0]
    report(
        shop.project,
        Outcome(0, shop.column("select as_of_date from cvm.current_publication")[0], "run", published=newest),
    )
    for said in (shop.cvm("status").out, capsys.readouterr().err):
        assert f"not so: {warned[0]['check'].replace('_', ' ')}" in said
        assert f"{newest}" in said and "gate explain" in said


def test_a_home_that_another_process_holds_is_a_failure_that_names_it(plain):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(plain.folder / ".cvm")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            said = plain.cvm("run")
            assert said.code == 1
            assert f"process {holder.pid}" in said.err
            assert "cvm run of somebody else" in said.err
            running = plain.cvm("status", "--json").json["running"]
            assert str(holder.pid) in json.dumps(running)
        finally:
            holder.kill()
    assert plain.cvm("run", "--select", 'group:"landing"').code == 0, "the lock of a dead process holds nothing"


def test_a_home_that_can_not_be_written_is_a_failure_that_names_it(plain):
    # Below a file nobody may write, whoever runs this.
    (plain.folder / "taken").write_text("")
    write_config(plain.folder, ORDERS_CONFIG.replace("home: .cvm", "home: taken/home"))
    said = plain.cvm("run")
    assert said.code == 1
    assert "taken" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("ending", ["csv", "xlsx"])
def test_an_export_holds_no_formula(shop, tmp_path, ending):
    file = tmp_path / f"people.{ending}"
    said = shop.cvm("export", "customer_pii", "--to", str(file), "--json")
    assert said.code == 0, said.err
    if ending == "csv":
        with file.open(newline="", encoding="utf-8") as opened:
            rows = list(csv.reader(opened))
    else:
        rows = [[cell.value for cell in row] for row in openpyxl.load_workbook(file).active.iter_rows()]
    assert said.json["rows"] == len(rows) - 1
    names = [row[rows[0].index("name")] for row in rows[1:]]
    phones = [row[rows[0].index("phone")] for row in rows[1:]]
    assert "'=Formula 50" in names
    assert "'+49 30 000001" in phones
    assert not any(str(text or "").startswith(("=", "+", "-", "@")) for text in (*names, *phones))


def test_an_export_of_what_is_not_there_says_what_is(shop, tmp_path):
    said = shop.cvm("export", "customer_valeu", "--to", str(tmp_path / "x.csv"))
    assert said.code == 1
    assert "Did you mean customer_value?" in said.err


def test_doctor_looks_at_all_that_a_run_needs(shop):
    findings = shop.cvm("doctor", "--json").json
    told = "\n".join(map(str, findings))
    for what in ("python", "dbt-core", "engine", "home", "disk", "lock", "published", "suites", "sources", "schedule"):
        assert what in told


def test_a_stack_trace_is_shown_only_where_it_is_asked_for(plain):
    (plain.folder / ".cvm").write_text("in the way")
    said = plain.cvm("run")
    assert said.code == 1
    assert "run.lock: File exists" in said.err
    assert "Traceback" not in said.err
    traced = plain.cvm("run", "--debug")
    assert traced.code == 1
    assert "Traceback" in traced.err and "WarehouseError" in traced.err
