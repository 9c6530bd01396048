"""The source contract: declared once for the machinery, named once for the configuration, and both the same."""

from __future__ import annotations

import datetime as dt

import pytest

from cvm_pipeline.config import entity_names, source
from cvm_pipeline.sources.casts import TimeRules, cast_for
from cvm_pipeline.sources.entities import ENTITIES, SQL_TYPE, STATUSES, Entity
from cvm_pipeline.sources.formats import FORMATS
from cvm_pipeline.sources.spec import CleanSettings

EVERY = [pytest.param(entity, id=entity.name) for entity in ENTITIES.values()]


def test_the_configuration_knows_the_same_entities() -> None:
    assert list(entity_names.ENTITIES) == list(ENTITIES)
    assert entity_names.ORDER_STATUSES == STATUSES
    assert FORMATS == source.FORMATS


@pytest.mark.parametrize("entity", EVERY)
def test_the_configuration_names_the_same_columns(entity: Entity) -> None:
    names = entity_names.ENTITIES[entity.name]
    assert set(names.columns) == set(entity.names)
    assert set(names.required) == set(entity.required)
    assert names.vocabularies == {f.name: f.vocabulary for f in entity.fields if f.vocabulary}


@pytest.mark.parametrize("entity", EVERY)
def test_a_declaration_is_whole(entity: Entity) -> None:
    assert set(entity.key) <= set(entity.names)
    assert len(set(entity.names)) == len(entity.names)
    assert "updated_at" in entity.names
    assert ("source_system" in entity.names) == ("source_system" in entity.key)
    for field in entity.fields:
        assert (field.kind == "word") == bool(field.vocabulary)
        assert not (field.required and field.default), "a required column has no default"
    with pytest.raises(KeyError):
        entity.field("nonsense")


@pytest.mark.parametrize("kind", list(SQL_TYPE))
def test_every_kind_has_a_cast(kind: str) -> None:
    fields = [field for entity in ENTITIES.values() for field in entity.fields if field.kind == kind]
    assert fields
    settings = CleanSettings("EUR", "UTC", dt.datetime(2020, 1, 1))
    cast = cast_for(fields[0], "v", "VARCHAR", TimeRules("UTC", settings.earliest_date, settings.now), {})
    assert cast.text and cast.value
    assert bool(cast.refusals) == (kind not in ("id", "text"))
