"""The sound candidate, open for one test."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from small_candidate import sound_candidate


@pytest.fixture
def candidate() -> Iterator[duckdb.DuckDBPyConnection]:
    """A sound candidate that the test may break."""
    con = sound_candidate()
    yield con
    con.close()
