"""The built wheel: all that ships is in it, nothing that a run left behind, and the demo publishes from it alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from cvm_pipeline.config.paths import package_file

ROOT = Path(__file__).parents[2]
SHIPPED = "cvm_pipeline/_shipped"
LEFT_BEHIND = ("dbt_project/target/manifest.json", "dbt_project/logs/dbt.log", "dbt_project/.user.yml")


def call(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run to its end, both streams kept, with no path into the tree."""
    environ = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(part) for part in command], cwd=folder, env=environ, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built offline from a copy of the tree in which dbt has left its traces, as it does in a developer's."""
    tree = tmp_path_factory.mktemp("tree")
    for folder in ("cvm_pipeline", "dbt_project", "expectations"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / file, tree / file)
    for name in LEFT_BEHIND:
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("left behind")
    built = call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tree / "dist", folder=tree)
    assert built.returncode == 0, built.stderr
    (found,) = (tree / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a fresh environment with the wheel, and this one's dependencies without the editable project."""
    root = tmp_path_factory.mktemp("fresh")
    made = call(sys.executable, "-m", "venv", "--without-pip", root, folder=root)
    assert made.returncode == 0, made.stderr
    python = root / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    placed = call(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel, folder=root)
    assert placed.returncode == 0, placed.stderr
    # A folder named by a .pth is searched after the wheel's own, and its own .pth files, the editable one's, are not read.
    paths = sysconfig.get_paths(vars={"base": str(root), "platbase": str(root)})
    Path(paths["purelib"], "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return root / "bin"


def test_the_wheel_holds_every_file_that_ships_and_none_that_dbt_left(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    shipped = {
        f"{SHIPPED}/{path.relative_to(ROOT)}"
        for folder in ("dbt_project", "expectations")
        for path in (ROOT / folder).rglob("*.*")
        if path.is_file() and not {"target", "logs", ".user.yml"} & set(path.parts)
    }
    assert {name for name in held if name.startswith(SHIPPED)} == shipped
    assert {f"{SHIPPED}/dbt_project/dbt_project.yml", f"{SHIPPED}/expectations/customer_value.json"} <= shipped


def test_the_wheel_holds_the_whole_package_with_its_demos_and_its_licence(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "cvm_pipeline").rglob("*.py")}
    demos = {str(path.relative_to(ROOT)) for path in (ROOT / "cvm_pipeline" / "config" / "demo").glob("*.yml")}
    package = {name for name in held if name.startswith("cvm_pipeline/") and not name.startswith(SHIPPED)}
    assert package == code | demos
    assert demos
    assert any(name.endswith("licenses/LICENSE") for name in held)


def test_the_code_is_the_wheels_and_not_the_trees(installed: Path, tmp_path: Path) -> None:
    asked = call(installed / "python", "-c", "import cvm_pipeline; print(cvm_pipeline.__file__)", folder=tmp_path)
    assert Path(asked.stdout.strip()).is_relative_to(installed.parent), asked.stderr


def test_the_demo_publishes_from_the_wheel_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    demo = call(installed / "cvm", "demo", folder=tmp_path)
    assert demo.returncode == 0, demo.stderr
    assert "Published" in demo.stderr
    assert "Proof: BG/NBD on the papers' 1/10 sample" in demo.stdout
    with duckdb.connect(str(tmp_path / ".cvm" / "warehouse" / "warehouse.duckdb"), read_only=True) as con:
        counts = con.execute("""
            select count(*), count(distinct customer_id), sum(revenue_total), sum(transactions),
              count(*) filter (where frequency > 0), any_value(as_of_date) from cvm.customer_value""").fetchall()
    assert counts == [(*counted_by_hand(), date(1998, 6, 30))]
    assert counts[0][0] == 23570
    assert [path.name for path in tmp_path.iterdir()] == [".cvm"]


def counted_by_hand() -> tuple:
    """Customers twice, revenue, days with a purchase, and those with a second one, of the raw file."""
    days: dict[str, set[str]] = {}
    revenue = Decimal(0)
    for line in package_file("lifetimes/datasets/CDNOW_master.txt").read_text().splitlines()[1:]:
        customer, day, _, spent = line.split()
        days.setdefault(customer, set()).add(day)
        revenue += Decimal(spent)
    repeaters = sum(len(bought) > 1 for bought in days.values())
    return len(days), len(days), revenue, sum(map(len, days.values())), repeaters
