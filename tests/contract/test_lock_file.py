"""The lock files: every package pinned and hashed, no host named, and all that pyproject.toml asks for in them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "deploy").glob("*.lock"))
PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(\[[a-z0-9,._-]+\])?==(?P<version>[A-Za-z0-9.+!]+)( ; [^#]+?)?( --hash=sha256:[0-9a-f]{64})+"
)


def requirements(lock: Path) -> list[str]:
    """One text a requirement, its continued lines joined, without comments."""
    lines = [line for line in lock.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [line.rstrip() for line in joined.splitlines() if line.strip()]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_pinned_and_hashed_and_nothing_else_stands_there(lock: Path) -> None:
    found = requirements(lock)
    assert found
    assert [line for line in found if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_no_host_is_named(lock: Path) -> None:
    # Comments too: an index's address may hold a name and a password.
    assert re.findall(r"\S*(?:://|--index|--extra-index|--find-links|--trusted-host)\S*", lock.read_text()) == []


def test_the_lock_holds_all_that_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    asked = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(each for extra in extras for each in extra),
        *project["dependency-groups"]["build"],
    ]
    pins = [PINNED.fullmatch(line) for line in requirements(ROOT / "deploy" / "requirements.lock")]
    locked = {canonicalize_name(pin["name"]): pin["version"] for pin in pins if pin}
    wanted = [Requirement(each) for each in asked]
    assert [str(one) for one in wanted if canonicalize_name(one.name) not in locked] == []
    assert [str(one) for one in wanted if not one.specifier.contains(locked[canonicalize_name(one.name)])] == []


def test_there_is_a_lock_for_the_project_its_installer_and_the_benchmarks_peers() -> None:
    assert [lock.name for lock in LOCKS] == ["peers.lock", "requirements.lock", "uv.lock"]
