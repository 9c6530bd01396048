"""PostgreSQL as a target: one module for its store, one for its roles, one for what a publication does there."""
