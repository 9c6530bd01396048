from cvm_pipeline.config.entity_names import ENTITIES
from cvm_pipeline.config.synonyms import SYNONYMS
from cvm_pipeline.sources import entities as contract


def test_the_names_of_the_configuration_are_those_of_the_source_contract():
    assert {name: set(entity.columns) for name, entity in ENTITIES.items()} == {
        name: set(entity.names) for name, entity in contract.ENTITIES.items()
    }


def test_the_configuration_requires_what_the_source_contract_requires():
    assert {name: set(entity.required) for name, entity in ENTITIES.items()} == {
        name: set(entity.required) for name, entity in contract.ENTITIES.items()
    }


def test_the_words_of_the_configuration_are_those_of_the_source_contract():
    for name, entity in ENTITIES.items():
        declared = {field.name: field.vocabulary for field in contract.ENTITIES[name].fields if field.vocabulary}
        assert {column: set(words) for column, words in entity.vocabularies.items()} == {
            column: set(words) for column, words in declared.items()
        }


def test_synonyms_are_known_for_canonical_columns_only():
    for entity, columns in SYNONYMS.items():
        assert set(columns) <= set(ENTITIES[entity].columns)
