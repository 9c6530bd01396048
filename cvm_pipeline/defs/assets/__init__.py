"""The assets, in the order in which data flows: landing, clean, facts (dbt), value, segments, candidate, published."""
