"""Every place where readers meet publications, filled by the sample run of tests/unit/warehouse."""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cvm_pipeline.config.home import Home
from cvm_pipeline.warehouse.files import HOOKS

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "unit" / "warehouse")]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture(autouse=True)
def no_hook_is_left() -> Iterator[None]:
    yield
    HOOKS.clear()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The DSN of a PostgreSQL server: the user's own where TEST_POSTGRES_DSN names one, else one of ours."""
    from postgres_server import own_server

    if given := os.environ.get("TEST_POSTGRES_DSN"):
        yield given
        return
    # Not below pytest's own folder: sessions that begin meanwhile clear old ones away there, and a server ends where its
    # files vanish.
    with tempfile.TemporaryDirectory(prefix="cvm-postgres-") as folder, own_server(Path(folder) / "data") as dsn:
        yield dsn


@pytest.fixture
def admin_dsn(server: str) -> Iterator[str]:
    """A database of the test's own, by an administrator's DSN."""
    from postgres_server import database

    with database(server, f"cvm_{uuid.uuid4().hex[:12]}") as dsn:
        yield dsn


@pytest.fixture
def dsn(admin_dsn: str) -> str:
    """The same by the DSN of a user who may publish and no more."""
    from postgres_server import login

    from cvm_pipeline.warehouse.targets.postgres.target import PostgresTarget

    PostgresTarget(admin_dsn).set_up()
    return login(admin_dsn, "etl", "cvm_writer")
