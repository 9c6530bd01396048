"""What users bring: files are landed as text, mapped to the source contract, audited, and made the clean state.

Belongs here: reading files, mapping, casting, quarantine, which version of a record stands, row accounting.
Not here: what the numbers mean (`domain/`, `dbt_project/`), who runs it (`defs/`).
"""
