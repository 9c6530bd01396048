import sys
from pathlib import Path

import pytest

from cvm_pipeline.config import paths


def test_the_shipped_folders_are_found_beside_the_package_in_the_tree():
    assert paths.dbt_project_folder() == paths.PACKAGE.parent / "dbt_project"
    assert paths.expectations_folder().is_dir()


def test_the_shipped_folders_are_found_inside_the_package_in_a_wheel(tmp_path, monkeypatch):
    inside = tmp_path / "cvm_pipeline" / "_shipped" / "dbt_project"
    inside.mkdir(parents=True)
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "cvm_pipeline")
    assert paths.dbt_project_folder() == inside
    with pytest.raises(FileNotFoundError, match="install the package again"):
        paths.expectations_folder()


def test_a_file_of_a_package_is_found_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "cvm_test_carrier"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "data.csv").write_text("a\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert paths.package_file("cvm_test_carrier/data.csv") == package / "data.csv"
    assert "cvm_test_carrier" not in sys.modules


@pytest.mark.parametrize("inside", ["no_such_package_here/data.csv", "../etc/passwd", "", "json.decoder/x"])
def test_a_package_that_is_not_installed_is_named(inside):
    with pytest.raises(FileNotFoundError, match="not installed"):
        paths.package_file(inside)


def test_an_unknown_demo_lists_those_there_are():
    with pytest.raises(FileNotFoundError, match="there are: cdnow"):
        paths.demo_config("nothing")


def test_only_the_users_part_of_a_path_is_a_pattern(tmp_path):
    assert paths.glob_pattern("a/*.csv", Path("/data[1]")) == "/data[[]1]/a/*.csv"
    assert paths.glob_pattern("/abs/*.csv", Path("/data[1]")) == "/abs/*.csv"
