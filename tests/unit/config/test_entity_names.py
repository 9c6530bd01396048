from cvm_pipeline.config.entity_names import ENTITIES
from cvm_pipeline.config.synonyms import SYNONYMS


def test_synonyms_are_known_for_canonical_columns_only():
    for entity, columns in SYNONYMS.items():
        assert set(columns) <= set(ENTITIES[entity].columns)
