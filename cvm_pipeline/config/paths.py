"""Where the files that ship with the package lie: in the source tree beside it, in a wheel inside it.

Belongs here: finding `dbt_project/`, `expectations/`, the demo's configuration, and data files that other installed
packages carry. Not here: where a run writes (`home.py`), nor what any of these files hold.
"""

from __future__ import annotations

import glob
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
PACKAGE_PREFIX = "package:"


def shipped(name: str) -> Path:
    """The shipped folder of that name. Raises FileNotFoundError where the installation lacks it."""
    # pyproject.toml's force-include puts the folders of the tree into the wheel under _shipped.
    for candidate in (PACKAGE / "_shipped" / name, PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"{name}/ is neither beside {PACKAGE} nor inside it: install the package again")


def dbt_project_folder() -> Path:
    return shipped("dbt_project")


def expectations_folder() -> Path:
    return shipped("expectations")


def demo_config(dataset: str = "cdnow") -> Path:
    """The configuration of an embedded data set. Raises FileNotFoundError for an unknown one."""
    folder = PACKAGE / "config" / "demo"
    path = folder / f"{dataset}.yml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yml")))
        raise FileNotFoundError(f"there is no demo data set {dataset}; there are: {known}")
    return path


def package_file(inside: str) -> Path:
    """The path of a file that an installed package carries, such as `lifetimes/datasets/CDNOW_master.txt`.

    The package is found, not imported. Raises FileNotFoundError where it is not installed.
    """
    package, _, rest = inside.partition("/")
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"{PACKAGE_PREFIX}{inside}: the package {package} is not installed"
            " (for the demo: pip install 'cvm-pipeline[demo]')"
        )
    return Path(next(iter(spec.submodule_search_locations))) / rest


def glob_pattern(path: str, root: Path) -> str:
    """The absolute glob of a source's `path`: relative to `root`, absolute, or inside a package (`package:...`).

    Only the user's own part is a pattern: a bracket in the folder above stays a bracket.
    Raises FileNotFoundError where the package is not installed.
    """
    if path.startswith(PACKAGE_PREFIX):
        return glob.escape(str(package_file(path.removeprefix(PACKAGE_PREFIX))))
    user = Path(path).expanduser()
    return str(user) if user.is_absolute() else str(Path(glob.escape(str(root))) / user)
