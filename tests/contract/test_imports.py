"""Who may import whom: read from the source, so that it holds for imports inside functions too."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

import cvm_pipeline

PACKAGE = Path(cvm_pipeline.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)
MODULES += ["definitions.py"]

# Layer -> the layers below it. Those of the middle know `config` and `domain`, and not one another.
MIDDLE = ("sources", "identity", "quality", "warehouse", "report")
MAY_IMPORT = {
    "cli": {"defs", *MIDDLE, "config", "domain"},
    "definitions": {"defs", "config"},
    "defs": {*MIDDLE, "config", "domain"},
    **{layer: {"config", "domain"} for layer in MIDDLE},
    "config": {"domain"},
    "domain": set(),
}

# The only layers in which a library is known: swapping one must not be felt elsewhere.
KNOWN_IN = {
    "dagster": {"defs", "definitions"},
    "dagster_dbt": {"defs"},
    "dbt": {"defs"},
    "great_expectations": {"quality"},
    "duckdb": {"sources", "quality", "warehouse", "defs"},
    "typer": {"cli"},
    "click": {"cli"},
    "rich": {"cli"},
    "ruamel": {"config"},
}
INSIDE_FUNCTIONS_ONLY = {
    "great_expectations",
    "dbt",
    "openpyxl",
    "rich",
    "pyspark",
    "altair",
    "vl_convert",
    "sklearn",
    "threadpoolctl",
    "splink",
}

# All that `domain` may import: libraries that compute, and the parts of the standard library that reach nothing outside.
PURE = {"numpy", "pandas", "pyarrow", "pyarrow.compute", "scipy"}
PURE_STANDARD = {
    "__future__", "abc", "bisect", "calendar", "collections", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions",
    "functools", "heapq", "importlib", "itertools", "math", "operator", "pkgutil", "re", "statistics", "string", "types", "typing",
}  # fmt: skip
IMPURE_CALLS = {
    "now",
    "utcnow",
    "today",
    "open",
    "print",
    "input",
    "exec",
    "eval",
    "__import__",
    "default_rng",
    "RandomState",
}
IMPURE_PREFIXES = (
    "read_",
    "to_csv",
    "to_parquet",
    "to_sql",
    "to_excel",
    "to_pickle",
    "fromfile",
    "tofile",
    "loadtxt",
    "memmap",
)
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}

NOT_FOR_HELP = {
    "pandas", "numpy", "scipy", "pyarrow", "duckdb", "dagster", "dagster_dbt", "dbt", "great_expectations", "pydantic", "ruamel",
    "openpyxl", "charset_normalizer", "rich",
}  # fmt: skip
NOT_FOR_CONFIGURATION = NOT_FOR_HELP - {"pydantic", "ruamel"}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text(encoding="utf-8"), module)


def layer_of(module: str) -> str:
    return module.removesuffix(".py").split("/")[0]


def imports_in(tree: ast.AST) -> list[str]:
    """Dotted names: of `from a.b import c` both parts, since c may be a module."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import hides the layer that it reaches"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def top(name: str) -> str:
    return name.split(".")[0]


def names_called(tree: ast.AST) -> set[str]:
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {func.id if isinstance(func, ast.Name) else getattr(func, "attr", "") for func in called}


def loaded_by(code: str) -> set[str]:
    """The libraries that a fresh process has loaded after this code."""
    code += "; import sys; print(*{name.split('.')[0] for name in sys.modules})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_every_module_stands_in_a_known_layer() -> None:
    assert {layer_of(module) for module in MODULES} <= MAY_IMPORT.keys()


def test_a_module_imports_its_own_layer_and_those_below() -> None:
    upward = {
        module: name
        for module in MODULES
        for name in imports_in(tree_of(module))
        if top(name) == "cvm_pipeline" and name.split(".")[1] not in MAY_IMPORT[layer_of(module)] | {layer_of(module)}
    }
    assert upward == {}


def test_a_library_is_known_in_its_own_layers_only() -> None:
    strangers = {
        module: name
        for module in MODULES
        for name in imports_in(tree_of(module))
        if layer_of(module) not in KNOWN_IN.get(top(name), MAY_IMPORT.keys())
    }
    assert strangers == {}


def test_heavy_libraries_are_imported_inside_the_function_that_needs_them() -> None:
    early = {
        module: name
        for module in MODULES
        for node in tree_of(module).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in imports_in(node)
        if top(name) in INSIDE_FUNCTIONS_ONLY
    }
    assert early == {}


@pytest.mark.parametrize("module", [module for module in MODULES if layer_of(module) == "domain"])
def test_the_domain_computes_and_reaches_nothing_outside(module: str) -> None:
    tree = tree_of(module)
    foreign = [name for name in imports_in(tree) if top(name) not in {"cvm_pipeline"} | PURE_STANDARD]
    assert [name for name in foreign if not is_pure(name)] == []
    called = names_called(tree)
    assert called & IMPURE_CALLS == set()
    assert {name for name in called if name.startswith(IMPURE_PREFIXES)} == set()


def is_pure(name: str) -> bool:
    """Readers of files are modules of their own: pyarrow.parquet, pyarrow.csv, pandas.io."""
    return (
        name in PURE
        or top(name) in ("numpy", "scipy", "sklearn", "threadpoolctl")
        or name.startswith("pyarrow.compute.")
    )


def test_one_module_alone_touches_the_environment() -> None:
    assert {module for module in MODULES if touches_environment(tree_of(module))} == {"config/environment.py"}


def touches_environment(tree: ast.AST) -> bool:
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return bool(attributes & ENVIRONMENT or {f"os.{name}" for name in ENVIRONMENT} & set(imports_in(tree)))


def test_modules_are_imported_by_name_in_the_registry_of_models_only() -> None:
    by_name = {module for module in MODULES if {"import_module", "__import__"} & names_called(tree_of(module))}
    assert by_name == {"domain/lifetime_value/registry.py"}


def test_the_command_line_loads_nothing_heavy() -> None:
    assert loaded_by("import cvm_pipeline.cli.main") & NOT_FOR_HELP == set()


def test_reading_a_configuration_loads_neither_frames_nor_engines() -> None:
    code = "import cvm_pipeline.config.load, cvm_pipeline.config.proposal, cvm_pipeline.config.heads"
    assert loaded_by(code) & NOT_FOR_CONFIGURATION == set()


def test_help_answers_in_under_half_a_second() -> None:
    seconds = []
    # The best of several: what is asked is the program's time, not the machine's load.
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([Path(sys.executable).with_name("cvm"), "--help"], capture_output=True, check=True)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.5
