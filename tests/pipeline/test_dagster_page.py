"""What Dagster is given, pinned by name, and its page in a real browser: the asset graph and a materialisation seen."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from places import REPOSITORY, Place
from small_shop import ORDERS_CONFIG, write_config, write_orders

from cvm_pipeline.warehouse.attempts import last_attempts

MAY = "2024-05-31"
CHROMIUM = Path("/usr/bin/chromium")

# By schema: a key is what readers type. An asset that comes or goes is a change of what people see, so it is made here too.
KEYS = {
    "landing": "customers exchange_rates order_lines orders products",
    "clean": """approximations customers exchange_rates ingest_audit order_lines orders products quarantine return_allocations
        unmatched_returns""",
    "staging": "stg_customers stg_order_lines stg_orders stg_products stg_return_allocations stg_unmatched_returns",
    "intermediate": """int_cancelled_days int_current_customers int_customer_attributes int_customer_days int_customer_gaps
        int_customer_revenue int_customer_rhythms int_customer_transactions int_customers int_money_events
        int_order_lines int_orders int_orders_undone int_products int_reactivations int_return_allocations
        int_slice_attributes int_slice_dates int_slice_days int_slice_flags int_slice_histories int_slice_revenue
        int_slice_sample int_slice_transactions int_snapshot_base int_standing_days int_transactions
        int_unmatched_returns int_window_histories int_window_starts""",
    "marts": """dim_customers dim_customers_as_of dim_products fct_cohort_periods fct_customer_days fct_customer_slices
        fct_customer_snapshot fct_order_lines fct_orders fct_return_allocations fct_slice_attributes
        fct_slice_transactions fct_snapshot_base fct_transactions fct_unmatched_returns fct_window_histories""",
    "value": "clv_backtest clv_model_card customer_scores early_warning value_change warning_record warning_test",
    "candidate": """clv_backtest clv_model_card cohort_retention customer customer_pii customer_state_history customer_value
        early_warning ingest_audit pareto_curve segment_membership segment_parameter segment_summary stage_transitions
        tier_transitions unmatched_return value_change warning_record warning_test""",
    "gate": """clv_backtest clv_model_card cohort_retention customer customer_pii customer_state_history customer_value
        customer_value_history data_dictionary early_warning gate_fact ingest_audit pareto_curve segment_membership
        segment_parameter segment_summary stage_transitions tier_transitions unmatched_return value_change
        warning_record warning_test""",
    "cvm": """clv_backtest clv_model_card cohort_retention current_publication customer customer_state_history customer_value
        customer_value_history data_dictionary data_quality_result early_warning ingest_audit pareto_curve publication
        segment_membership segment_parameter segment_summary stage_transitions tier_transitions unmatched_return
        value_change warning_record warning_test""",
    "cvm_pii": "customer_pii",
}


@pytest.fixture(scope="module")
def definitions(shop):
    from cvm_pipeline.defs.build import build_definitions

    return build_definitions(shop.project)


def test_the_assets_are_exactly_these(definitions):
    found = {tuple(key.path) for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert found == {(schema, name) for schema, names in KEYS.items() for name in names.split()}


def test_groups_follow_the_data_and_every_asset_tells_its_grain_its_kind_and_its_owner(definitions):
    graph = definitions.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.get_all_asset_keys()]
    assert {node.group_name for node in nodes} == {
        "landing",
        "clean",
        "marts",
        "value",
        "segments",
        "gate",
        "published",
    }
    lacking = [node.key.to_user_string() for node in nodes if not (node.description and node.kinds and node.owners)]
    assert lacking == []


def test_there_is_one_job_one_schedule_and_one_sensor(definitions):
    assert [job.name for job in definitions.jobs] == ["customer_value"]
    assert [schedule.name for schedule in definitions.schedules] == ["after_each_period"]
    assert [sensor.name for sensor in definitions.sensors] == ["new_files"]


def test_every_critical_check_of_the_gate_blocks(definitions):
    from cvm_pipeline.defs.gate import complete_suites

    graph = definitions.resolve_asset_graph()
    suites = complete_suites()
    specs = {
        (key.asset_key.path[1], key.name): graph.get_check_spec(key)
        for key in graph.asset_check_keys
        if key.asset_key.path[0] == "gate"
    }
    expected = {
        (name, check.name): check.severity == "critical" for name, suite in suites.items() for check in suite.checks
    }
    assert {key: spec.blocking for key, spec in specs.items()} == expected


def test_publication_can_not_be_run_in_part(definitions):
    publish = next(asset for asset in definitions.assets if getattr(asset, "op", None) and asset.op.name == "publish")
    assert not publish.can_subset
    assert len(publish.keys) == 24


def test_what_the_page_launches_by_itself_runs_as_the_job_does(shop, tmp_path):
    """`dagster asset materialize` launches what the button "Materialize" does: a job of Dagster's own, here from the gate on."""
    place = shop.copy(tmp_path / "shop")
    before = place.column("select publication_id from cvm.current_publication")
    done = _materialized(place, 'group:"gate" or group:"published"')
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert place.column("select publication_id from cvm.current_publication") != before


def test_what_fails_in_a_job_of_the_pages_own_stands_in_the_log_of_runs(tmp_path):
    write_config(tmp_path, ORDERS_CONFIG)
    place = Place(tmp_path)
    assert _materialized(place, 'group:"published"').returncode == 1
    (attempt,) = last_attempts(place.home)
    assert attempt.outcome == "blocked" and "no gate has judged any candidate" in attempt.reason


def _materialized(place: Place, selection: str) -> subprocess.CompletedProcess[str]:
    from cvm_pipeline.defs.instance import ui_command

    _, own = ui_command(place.project, "127.0.0.1", 1)
    return subprocess.run(
        [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "cvm_pipeline.definitions",
         "--select", selection, "--partition", MAY],
        env={**os.environ, **own, "CVM_CONFIG": str(place.config)}, capture_output=True, text=True, timeout=280,
    )  # fmt: skip


def test_the_schedule_asks_for_the_last_day_of_the_period_that_ended(definitions, shop):
    import dagster as dg

    (schedule,) = definitions.schedules
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 1 * *", "Europe/Berlin")
    tick = dt.datetime(2024, 6, 1, 6, tzinfo=ZoneInfo("Europe/Berlin"))
    context = dg.build_schedule_context(scheduled_execution_time=tick, repository_def=definitions.get_repository_def())
    (request,) = schedule.evaluate_tick(context).run_requests
    assert request.partition_key == MAY
    assert shop.project.is_on_grid(dt.date.fromisoformat(request.partition_key))


def _sensed(place: Place, cursor: str | None = None) -> Any:
    import dagster as dg

    from cvm_pipeline.defs.build import build_definitions

    definitions = build_definitions(place.project)
    (sensor,) = definitions.sensors
    context = dg.build_sensor_context(definitions=definitions, instance=dg.DagsterInstance.ephemeral(), cursor=cursor)
    return sensor.evaluate_tick(context)


def test_the_sensor_asks_for_a_run_when_new_files_lie_still_and_for_none_when_all_is_landed(tmp_path):
    rows = [("a", "2024-01-05", "10.00"), ("b", "2024-02-20", "8.00")]
    place = Place(write_orders(tmp_path / "plain", rows).parent)
    write_config(place.folder, ORDERS_CONFIG)
    file = place.folder / "landing" / "orders.csv"
    growing = _sensed(place)
    assert growing.run_requests == []
    assert "still being written" in growing.skip_message
    os.utime(file, (time.time() - 3600, time.time() - 3600))
    asked = _sensed(place)
    (request,) = asked.run_requests
    assert request.partition_key == "2024-02-20", "data that ended in February is judged in February"
    landed = _sensed(place, asked.cursor)
    assert (landed.run_requests, landed.skip_message) == ([], "no new files")
    (again,) = _sensed(place, "what stood before").run_requests
    assert again.partition_key == "2024-02-20", "a tick that died after landing is made good by the next"


def test_the_workspace_file_gives_valid_definitions(shop, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"],
        cwd=REPOSITORY,
        env={**os.environ, "CVM_CONFIG": str(shop.config), "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Validation successful" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def page(shop, tmp_path_factory) -> Iterator[str]:
    """The address of `cvm ui` on a copy of the shop, ready; its whole process group ends with the test."""
    place = shop.copy(tmp_path_factory.mktemp("page") / "shop")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = place.folder / "ui.log"
    with log.open("w") as written:
        server = subprocess.Popen(
            [sys.executable, "-c", "from cvm_pipeline.cli.main import run; run()",
             "ui", "-c", str(place.config), "--port", str(port)],
            stdout=written, stderr=subprocess.STDOUT, start_new_session=True, cwd=place.folder,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_loaded(address, server, log)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(15)
        # What is left of the group, if anything is.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(15)


def _wait_until_loaded(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if server.poll() is not None:
            raise AssertionError(f"cvm ui ended with {server.returncode}: {log.read_text()[-2000:]}")
        try:
            if _asked(address, "{ assetNodes { id } }")["assetNodes"]:
                return
        except (urllib.error.URLError, ConnectionError, KeyError, TimeoutError):
            pass
        time.sleep(0.5)
    raise AssertionError(f"cvm ui did not answer within 120 s: {log.read_text()[-2000:]}")


def _asked(address: str, query: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer)["data"])


def _seen(address: str, profile: Path, *words: str) -> str:
    """The page as a browser has drawn it: the text of its DOM, once these words stand in it."""
    text = ""
    for attempt in range(3):
        done = subprocess.run(
            [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             f"--user-data-dir={profile}-{attempt}", "--window-size=3200,1800", "--virtual-time-budget=60000",
             "--timeout=60000", "--dump-dom", address],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(script|style)\b.*?</\1>", "", done.stdout)))
        if all(word in text for word in words):
            break
    return text


def test_the_page_knows_every_asset_and_the_run_that_the_command_line_made(page, shop):
    nodes = _asked(page, "{ assetNodes { assetKey { path } groupName assetMaterializations(limit: 1) { partition } } }")
    found = {"/".join(node["assetKey"]["path"]): node for node in nodes["assetNodes"]}
    assert len(found) == sum(len(names.split()) for names in KEYS.values())
    assert found["cvm/customer_value"]["groupName"] == "published"
    assert found["cvm/customer_value"]["assetMaterializations"] == [{"partition": MAY}]
    assert [name for name, node in found.items() if not node["assetMaterializations"]] == []
    runs = _asked(page, "{ runsOrError { ... on Runs { results { status jobName } } } }")["runsOrError"]["results"]
    assert runs == [{"status": "SUCCESS", "jobName": "customer_value"}] * 2


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM} here (Debian's package chromium)")
def test_a_browser_shows_the_asset_graph_and_a_materialisation(page, shop, tmp_path):
    ((customers,),) = shop.ask("select count(*) from cvm.customer_value")
    value = f"{page}/locations/cvm_pipeline.definitions/asset-groups/value"
    graph = _seen(value, tmp_path / "graph", "customer_scores", "Latest event", "fct_customer_snapshot")
    # The assets of the group that fit into the view as drawn nodes with their newest event, and what lies up the graph.
    in_view = [name for name in KEYS["value"].split() if name in graph]
    assert graph.count("Latest event") >= len(in_view) >= 4
    assert "fct_customer_snapshot" in graph
    asset = _seen(f"{page}/assets/cvm/customer_value", tmp_path / "asset", "Latest materialization", MAY, "Row count")
    assert f"Row count {customers}" in asset
    assert "Latest materialization" in asset and MAY in asset
    assert "One row per customer or prospect, at the newest snapshot." in asset
