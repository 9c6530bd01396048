import os
from datetime import date

import pytest

from cvm_pipeline.config.environment import choose_config, dbt_variables, in_ci, variables
from cvm_pipeline.config.errors import ConfigurationError
from cvm_pipeline.config.load import load_choice
from cvm_pipeline.config.paths import demo_config
from cvm_pipeline.domain.lifetime_value.race.cuts import plan


def _config(folder):
    folder.mkdir(exist_ok=True)
    (folder / "cvm.yml").write_text("sources: []\n")
    return folder / "cvm.yml"


def test_a_given_configuration_comes_before_all_others(tmp_path):
    here, given = _config(tmp_path), _config(tmp_path / "given")
    choice = choose_config(given, {"CVM_CONFIG": str(here)}, tmp_path)
    assert (choice.path, choice.root, choice.is_demo) == (given, given.parent, False)


def test_the_variable_comes_before_the_working_folder(tmp_path):
    _config(tmp_path)
    named = _config(tmp_path / "named")
    assert choose_config(None, {"CVM_CONFIG": "named/cvm.yml"}, tmp_path).path == named
    assert choose_config(None, {"CVM_CONFIG": str(named.parent)}, tmp_path).path == named


def test_the_working_folder_comes_before_the_demo(tmp_path):
    assert choose_config(None, {"CVM_CONFIG": ""}, tmp_path).is_demo
    here = _config(tmp_path)
    assert choose_config(None, {}, tmp_path).path == here


def test_the_demo_writes_into_the_working_folder_and_never_into_the_package(tmp_path):
    choice = choose_config(None, {}, tmp_path)
    assert choice.path == demo_config()
    project = load_choice(choice, {})
    assert project.home.root == tmp_path / ".cvm"
    assert project.glob_pattern(project.sources[0].path).endswith("CDNOW_master.txt")


@pytest.mark.parametrize("environ", [{"CVM_CONFIG": "gone.yml"}, {"CVM_CONFIG": "."}])
def test_a_named_configuration_that_is_not_there_is_a_mistake_and_no_demo(tmp_path, environ):
    with pytest.raises(ConfigurationError, match=r"there is no file .* \(CVM_CONFIG names it\)"):
        choose_config(None, environ, tmp_path)


def test_dbt_is_told_everything_that_its_models_ask_for(tmp_path):
    project = load_choice(choose_config(None, {}, tmp_path), {})
    told = dbt_variables(project, date(1998, 6, 30))
    assert told["CVM_AS_OF_DATE"] == "1998-06-30"
    assert told["CVM_WORK_DB"] == str(tmp_path / ".cvm" / "work" / "work.duckdb")
    assert (told["CVM_GAP_PRIOR"], told["CVM_DEFAULT_GAP"], told["CVM_MARGIN_RATE"]) == ("3.0", "90.0", "1.0")
    assert told["DBT_TARGET_PATH"].startswith(str(tmp_path))
    assert (told["CVM_SLICE_DATES"], told["CVM_COVARIATES"]) == ("", "")
    assert told["CVM_WARNING_WINDOWS"] == "728,364,182,91,28"


def test_dbt_is_told_the_slices_of_a_plan(tmp_path):
    project = load_choice(choose_config(None, {}, tmp_path), {})
    dates = plan(date(1998, 1, 1), date(1998, 6, 30), 60)
    told = dbt_variables(project, dates.as_of, dates)
    assert told["CVM_SLICE_DATES"].startswith("1998-") and told["CVM_SLICE_DATES"].endswith(",1998-06-30")
    assert (told["CVM_SLICE_WINDOW_DAYS"], told["CVM_SLICE_CUSTOMERS"]) == ("10", "50000")
    assert told["CVM_WHOLE_SLICE_DATES"] == ""
    more = dbt_variables(project, dates.as_of, dates, extra_slice_dates={date(1998, 5, 31), date(1998, 3, 31)})
    assert more == told | {"CVM_WHOLE_SLICE_DATES": "1998-03-31,1998-05-31"}


def test_dbt_is_told_the_covariates(tmp_path):
    source = "{entity: orders, path: a.csv, columns: {customer_id: c, ordered_at: d, amount: a}}"
    people = "{entity: customers, path: p.csv, columns: {customer_id: c, city: t, gender: g, updated_at: u}}"
    _config(tmp_path).write_text(f"sources: [{source}, {people}]\nclv: {{covariates: [city, gender]}}\n")
    project = load_choice(choose_config(None, {}, tmp_path), {})
    assert dbt_variables(project, date(1998, 6, 30))["CVM_COVARIATES"] == "city,gender"


def test_variables_are_set_for_a_block_and_put_back_even_after_an_error(monkeypatch):
    monkeypatch.setenv("CVM_TEST_OLD", "old")
    monkeypatch.delenv("CVM_TEST_NEW", raising=False)
    with pytest.raises(ZeroDivisionError), variables({"CVM_TEST_OLD": "new", "CVM_TEST_NEW": "new"}):
        assert (os.environ["CVM_TEST_OLD"], os.environ["CVM_TEST_NEW"]) == ("new", "new")
        raise ZeroDivisionError
    assert os.environ["CVM_TEST_OLD"] == "old"
    assert "CVM_TEST_NEW" not in os.environ


@pytest.mark.parametrize(("environ", "is_ci"), [({}, False), ({"CI": "true"}, True), ({"CI": "false"}, False)])
def test_a_build_machine_is_known_by_its_variable(environ, is_ci):
    assert in_ci(environ) is is_ci
