"""The two DuckDB warehouses of a project: the work file of a run, and the versions that readers see.

Belongs here: connections, table definitions, the run lock, candidates, publication, versions and export.
Not here: what the numbers mean (`domain/`), which checks a candidate must pass (`quality/`, `expectations/`), Dagster.
"""
