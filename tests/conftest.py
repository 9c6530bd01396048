"""What holds for every test: a process environment that is nobody's, and what is skipped where a machine lacks it.

Not here: fixtures of one layer; they stand in its own folder's conftest.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# A developer's own CVM_CONFIG or DAGSTER_HOME must neither steer a test nor be written to by one.
_STEERING = ("CVM_", "DAGSTER_", "DBT_")


def pytest_configure(config: pytest.Config) -> None:
    """Runs before any test module is imported, and is inherited by every process that a test starts."""
    for name in [name for name in os.environ if name.startswith(_STEERING)]:
        del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips, with the reason, what needs something that this machine does not have."""
    lacking = {
        "shared_data": None if SHARED_DATA.is_dir() else f"{SHARED_DATA} is not there",
        "browser": None if any(map(shutil.which, _BROWSERS)) else "there is no Chromium on this machine",
    }
    for item in items:
        for marker, reason in lacking.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
