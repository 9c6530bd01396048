"""Great Expectations itself: some checks asked of one frame, answered as plain JSON.

Belongs here: the library's traps (telemetry, progress bars, checks that it drops, numpy in its answers).
Not here: which frame answers for a table (`validate.py`, `at_scale.py`), what is made of an answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd

from cvm_pipeline.quality.frame import plain_json
from cvm_pipeline.quality.suite import Check

ROWS_SHOWN = 10

# SUMMARY gives counts and the first positions. Asking for index columns costs 30 s where a million rows fail.
_RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": ROWS_SHOWN}


class Engine:
    """An ephemeral Great Expectations context: no files, no progress bars, no telemetry."""

    def __init__(self) -> None:
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        context = gx.get_context(mode="ephemeral")
        context.enable_analytics(False)
        context.variables.progress_bars = ProgressBarsConfig(globally=False)
        asset = context.data_sources.add_pandas("gate").add_dataframe_asset("table")
        self._batches = asset.add_batch_definition_whole_dataframe("whole")

    def ask(
        self, presented: pd.DataFrame, checks: Sequence[Check], parameters: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        """The answer to each check, by name, as plain JSON. Raises where one is missing."""
        import great_expectations as gx
        from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

        # Given as JSON, an expectation of an unknown type would be logged, left out of the suite, and so passed.
        expectations = [
            ExpectationConfiguration(
                type=check.type, kwargs=check.resolved(parameters), meta={"check": check.name}
            ).to_domain_obj()
            for check in checks
        ]
        suite = gx.ExpectationSuite(name="gate", expectations=expectations)
        with _no_fingerprint(), _configured_once():
            batch = self._batches.get_batch(batch_parameters={"dataframe": presented})
            outcome = batch.validate(suite, result_format=_RESULT_FORMAT)
        configured = [(each.expectation_config, each.to_json_dict()) for each in outcome.results]
        found = {each.meta["check"]: plain_json(answer) for each, answer in configured if each and each.meta}
        if found.keys() != {check.name for check in checks}:
            raise ValueError("a check was left out by Great Expectations")
        return found


@contextmanager
def _no_fingerprint() -> Iterator[None]:
    """Without the library's hash of every frame and its index, twice, for a marker that nothing here reads.

    It held 1.3 GB and took 6 s at 40 million rows of one column.
    """
    from great_expectations.execution_engine import pandas_execution_engine as library

    honest = library.hash_pandas_dataframe
    library.hash_pandas_dataframe = lambda frame: ""
    try:
        yield
    finally:
        library.hash_pandas_dataframe = honest


@contextmanager
def _configured_once() -> Iterator[None]:
    """Without making each expectation's configuration anew, some 120 times in one validation: a seventh of a small gate's time."""
    from great_expectations.expectations.expectation import Expectation

    library: Any = Expectation
    honest = library.configuration
    made: dict[int, tuple[Any, Any]] = {}

    def configuration(expectation: Any) -> Any:
        # The expectation is kept beside it, or another could come to have its id.
        if id(expectation) not in made:
            made[id(expectation)] = (expectation, honest.fget(expectation))
        return made[id(expectation)][1]

    library.configuration = property(configuration)
    try:
        yield
    finally:
        library.configuration = honest


def error_in(answer: Mapping[str, Any]) -> str:
    """The message of an error inside Great Expectations, which answers with one record or with one per metric."""
    info = answer.get("exception_info") or {}
    records = [info] if "raised_exception" in info else [one for one in info.values() if isinstance(one, Mapping)]
    messages = [str(one.get("exception_message")) for one in records if one.get("raised_exception")]
    return messages[0] if messages else ""
