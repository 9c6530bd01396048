from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.files import HOOKS

HERE = Path(__file__).parent
# Whatever import mode pytest runs in, the tests here find `warehouse_sample`.
sys.path.insert(0, str(HERE))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "a home's folder")


@pytest.fixture(autouse=True)
def no_hook_is_left() -> Iterator[None]:
    yield
    HOOKS.clear()


@pytest.fixture
def elsewhere(home: Home) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start Python code in another process; there `home` is the test's Home and the sample's names are imported."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        prelude = (
            f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
            "from pathlib import Path\nfrom warehouse_sample import *\n"
            f"home = Home(Path({str(home.root)!r}))\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", prelude + code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
