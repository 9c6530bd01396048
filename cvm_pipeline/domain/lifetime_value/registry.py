"""The transaction models there are: every module of this package that ends in `MODEL = ...`.

Belongs here: finding them. Adding a model is adding a file; nothing else lists names.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from cvm_pipeline.domain import lifetime_value
from cvm_pipeline.domain.lifetime_value.protocol import TransactionModel


@cache
def transaction_models() -> tuple[TransactionModel, ...]:
    """All models, by name. Raises ValueError where a module's MODEL has another name than the module."""
    found: list[TransactionModel] = []
    for module in pkgutil.iter_modules(lifetime_value.__path__):
        model = getattr(importlib.import_module(f"{lifetime_value.__name__}.{module.name}"), "MODEL", None)
        if model is None:
            continue
        if model.name != module.name:
            raise ValueError(f"the model in {module.name}.py calls itself {model.name}")
        found.append(model)
    return tuple(sorted(found, key=lambda model: model.name))


def transaction_model(name: str) -> TransactionModel:
    """The model of that name. Raises KeyError."""
    for model in transaction_models():
        if model.name == name:
            return model
    raise KeyError(f"no transaction model {name}")


@cache
def p_alive_models() -> tuple[str, ...]:
    """The models whose P(alive) may be published, by name (metrics.md, "P(alive)"): they say so themselves."""
    return tuple(model.name for model in transaction_models() if model.knows_p_alive)
