"""Kept models: the same bytes for the same numbers, read only as they were written, and removed when nobody names them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from warehouse_sample import REQUIRED, fill, judge_candidate

from cvm_pipeline.config.home import Home
from cvm_pipeline.domain.lifetime_value.margin import MarginParameters
from cvm_pipeline.domain.lifetime_value.protocol import Fit
from cvm_pipeline.domain.lifetime_value.race.entrants import Probability, Timing
from cvm_pipeline.domain.lifetime_value.race.slices import Rows
from cvm_pipeline.domain.lifetime_value.registry import transaction_model
from cvm_pipeline.domain.lifetime_value.spend import Spend
from cvm_pipeline.domain.lifetime_value.valuation import Valuation
from cvm_pipeline.domain.lifetime_value.value_model import Settings
from cvm_pipeline.warehouse import fitted_models
from cvm_pipeline.warehouse.fitted_models import keep, prune, recall
from cvm_pipeline.warehouse.publication import publish
from cvm_pipeline.warehouse.work import connect

ROWS = Rows({"frequency": np.array([0.0, 4.0]), "recency": np.array([0.0, 90.0]), "T": np.array([50.0, 100.0])})

_CARD = "update {table} set metric = 'fitted_model', cut_date = 'all', note = '{digest}'"


def model_of(r: float = 0.52) -> Valuation:
    fit = Fit({"r": r, "alpha": 6.2, "a": 0.89, "b": 1.62}, {}, None, 1000.0, True, 0.0, time_unit_days=7.0)
    money = Spend(Fit({"p": 6.2, "q": 3.7, "v": 15.4}, {}, None, 900.0, True, 0.0), 30.0, False)
    margins = MarginParameters(0.35, 0.01, 2.0, 1000.0, False)
    timing = Timing(transaction_model("mbg_nbd"), fit)
    return Valuation(Settings(), money, margins, Probability(timing), 90.0, 15, timing)


def only_file(home: Home) -> Path:
    (path,) = home.models.iterdir()
    return path


def test_what_was_kept_values_as_it_did_and_only_its_owner_may_read_it(home: Home) -> None:
    kept = keep(home, model_of())
    found = recall(home, kept.digest)
    assert isinstance(found, Valuation)
    assert found.step_days == 15
    np.testing.assert_array_equal(found.transactions(ROWS), model_of().transactions(ROWS))
    path = only_file(home)
    assert (path.stem, path.stat().st_size) == (kept.digest, kept.size)
    assert path.stat().st_mode & 0o777 == 0o600
    assert home.models.stat().st_mode & 0o777 == 0o700


def test_the_same_numbers_are_the_same_bytes_whichever_objects_hold_them(home: Home) -> None:
    kept = keep(home, model_of())
    assert keep(home, pickle.loads(pickle.dumps(model_of()))) == kept
    assert keep(home, model_of(0.53)).digest != kept.digest
    assert len(list(home.models.iterdir())) == 2


@pytest.mark.parametrize("digest", [None, "", "../../secrets", "0" * 63])
def test_a_card_without_a_digest_names_no_model(home: Home, digest: str | None) -> None:
    assert recall(home, digest) == "its model card names no model that was kept"


def test_a_missing_or_altered_file_is_never_loaded(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = keep(home, model_of()).digest
    path = only_file(home)

    def load(body: bytes) -> None:
        raise AssertionError("a pickle that nobody vouches for was run")

    monkeypatch.setattr(pickle, "loads", load)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert recall(home, digest) == f"{path} is not what was written"
    path.unlink()
    assert recall(home, digest) == f"{path} is missing"


def test_a_file_that_was_damaged_is_written_again(home: Home) -> None:
    kept = keep(home, model_of())
    only_file(home).write_bytes(b"half of it")
    assert keep(home, model_of()) == kept
    assert isinstance(recall(home, kept.digest), Valuation)


@pytest.mark.parametrize("name", ["numpy", "scipy", "scikit-learn", "python", "layout"])
def test_another_version_of_what_wrote_it_is_told_and_not_loaded(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    digest = keep(home, model_of()).digest
    wrote = json.loads(only_file(home).read_bytes().partition(b"\n")[0])
    assert wrote.keys() == {"numpy", "scipy", "scikit-learn", "python", "layout"}
    monkeypatch.setattr(fitted_models, "_written_by", lambda: wrote | {name: "99"})
    assert recall(home, digest) == f"{only_file(home)} was written by other versions: {name} {wrote[name]} and not 99"


def test_what_no_card_of_a_kept_version_nor_the_work_files_names_is_removed(home: Home) -> None:
    digests = {name: keep(home, model_of(r)).digest for name, r in (("published", 0.5), ("work", 0.6), ("spare", 0.7))}
    (home.models / ".half.pickle.123.tmp").write_bytes(b"killed while writing")
    for number, told in ((1, digests["published"]), (2, "0" * 64)):
        fill(home)
        with connect(home) as con:
            con.execute(_CARD.format(table="candidate.clv_model_card", digest=told))
        publish(home, judge_candidate(home, number), REQUIRED)
    with connect(home) as con:
        con.execute("create or replace table value.clv_model_card as select * from candidate.clv_model_card")
        con.execute(_CARD.format(table="value.clv_model_card", digest=digests["work"]))
        assert prune(home, con) == [digests["spare"]]
    assert sorted(path.stem for path in home.models.iterdir()) == sorted([digests["published"], digests["work"]])
