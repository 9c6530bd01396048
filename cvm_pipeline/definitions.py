"""The Dagster code location: the definitions of the project that CVM_CONFIG, ./cvm.yml or else the demo describes."""

import dagster as dg

from cvm_pipeline.config.environment import choose_config
from cvm_pipeline.config.load import load_choice
from cvm_pipeline.defs.build import build_definitions


@dg.definitions
def customer_value() -> dg.Definitions:
    """Loaded when asked for, never at import."""
    return build_definitions(load_choice(choose_config()))
