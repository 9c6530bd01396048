from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cvm_pipeline.cli import words
from cvm_pipeline.cli.init import init
from cvm_pipeline.config.errors import ConfigurationError
from cvm_pipeline.config.load import load_project

ORDERS = "order_id,customer_id,order_date,amount\n1,a,2024-01-31,9.50\n"


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(init)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_configuration_is_written_into_a_new_folder_and_the_next_step_is_told(run, tmp_path):
    result = run(tmp_path / "new" / "shop")
    assert result.exit_code == words.DONE
    assert "Next: cvm check -c" in result.stderr
    assert load_project(tmp_path / "new" / "shop" / "cvm.yml", {}).project == "shop"


def test_files_are_sniffed_and_written_relative_to_the_project(run, tmp_path):
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "orders.csv").write_text(ORDERS)
    assert run(tmp_path, "--from", tmp_path / "landing" / "orders.csv").exit_code == words.DONE
    (source,) = load_project(tmp_path / "cvm.yml", {}).sources
    assert source.path == "landing/orders.csv"
    assert source.columns["ordered_at"] == "order_date"


def test_a_file_far_away_is_written_absolutely_and_a_symlink_by_its_own_name(run, tmp_path):
    from cvm_pipeline.cli.init import _as_written

    assert _as_written(Path("/data/orders.csv"), tmp_path) == "/data/orders.csv"
    (tmp_path / "orders-january.csv").write_text(ORDERS)
    (tmp_path / "newest.csv").symlink_to("orders-january.csv")
    assert run(tmp_path / "shop", "--from", tmp_path / "newest.csv").exit_code == words.DONE
    assert load_project(tmp_path / "shop" / "cvm.yml", {}).sources[0].path == "../newest.csv"


def test_files_that_a_shell_spread_out_and_folders_are_both_taken(run, tmp_path):
    for day in ("01", "02"):
        (tmp_path / f"orders-2024-01-{day}.csv").write_text(ORDERS)
    files = sorted(tmp_path.glob("*.csv"))
    assert run(tmp_path / "a", "--from", *files).exit_code == words.DONE
    assert run(tmp_path / "b", "--from", tmp_path).exit_code == words.DONE
    by_files, by_folder = (load_project(tmp_path / name / "cvm.yml", {}).sources for name in "ab")
    assert by_files == by_folder
    assert by_files[0].path == "../orders*.csv"


def test_a_configuration_that_is_there_is_kept_unless_forced(run, tmp_path):
    (tmp_path / "cvm.yml").write_text("mine\n")
    result = run(tmp_path)
    assert result.exit_code == words.USAGE
    assert "--force" in result.stderr
    assert (tmp_path / "cvm.yml").read_text() == "mine\n"
    assert run(tmp_path, "--force").exit_code == words.DONE
    assert load_project(tmp_path / "cvm.yml", {}).sources


@pytest.mark.parametrize(("name", "content", "said"), [("a.csv", b"", "is empty"), ("a.dat", b"x", "format")])
def test_a_file_that_tells_nothing_is_named_and_nothing_is_written(run, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    result = run(tmp_path, "--from", tmp_path / name)
    assert result.exit_code == words.FAILED
    assert name in result.stderr
    assert said in result.stderr
    assert not (tmp_path / "cvm.yml").exists()


def test_a_file_that_is_not_there_is_named(run, tmp_path):
    result = run(tmp_path, "--from", tmp_path / "gone.csv")
    assert result.exit_code == words.FAILED
    assert "gone.csv can't be read: No such file" in result.stderr


def test_files_without_from_are_refused(run, tmp_path):
    assert run(tmp_path, "orders.csv").exit_code == words.USAGE


def test_mistakes_are_printed_with_their_brackets_and_end_with_usage(tmp_path, capsys):
    (tmp_path / "cvm.yml").write_text("sources:\n  - entity: ordrs\n    path: a.csv\n    columns: {a: b}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_project(tmp_path / "cvm.yml", {})
    words.messages.cache_clear()
    with pytest.raises(typer.Exit) as ended:
        words.fail_configuration(caught.value)
    assert ended.value.exit_code == words.USAGE
    told = capsys.readouterr().err
    assert "cvm.yml:2: sources[0].entity: there is no entity 'ordrs' (did you mean orders?)" in told


def test_mistakes_as_json_go_to_standard_output(tmp_path, capsys):
    import json

    with pytest.raises(ConfigurationError) as caught:
        load_project(tmp_path / "gone.yml", {})
    with pytest.raises(typer.Exit):
        words.fail_configuration(caught.value, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["mistakes"][0]["what"] == "can't be read: No such file or directory"
