"""Which code runs: the version that every publication carries, and a fingerprint for what is kept between runs."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import version

from cvm_pipeline.config.paths import PACKAGE


@cache
def code_version() -> str:
    """The installed version of the pipeline, such as 0.1.0."""
    return version("cvm-pipeline")


@cache
def code_fingerprint() -> str:
    """A hash over the package's own files: what other code has built is built again, a changed checkout's too."""
    digest = hashlib.sha256(code_version().encode())
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
