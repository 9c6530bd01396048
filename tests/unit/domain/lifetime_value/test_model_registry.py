"""The transaction models are found by their files."""

import pytest

from cvm_pipeline.domain.lifetime_value.registry import transaction_model, transaction_models


def test_the_registry_finds_the_models_by_their_files() -> None:
    names = [model.name for model in transaction_models()]
    assert names == sorted(names) and {"bg_nbd", "mbg_nbd"} <= set(names)
    assert transaction_model("mbg_nbd").name == "mbg_nbd"
    with pytest.raises(KeyError, match="no_such"):
        transaction_model("no_such")
