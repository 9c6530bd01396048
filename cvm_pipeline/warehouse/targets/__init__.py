"""Where else readers meet publications: a PostgreSQL database or a folder of Parquet files, beside the home's own files.

Belongs here: bringing a version to such a place unseen, showing it there in one atomic step, and removing it again.
Not here: what a version is (`versions.py`), whether it may be published (`publication.py`).

The home's DuckDB files stay the record: every publication stands there first, and a target follows it. So a target that
was down, emptied or restored from a backup is brought level by the next publication, and never ahead of the gate.
"""
