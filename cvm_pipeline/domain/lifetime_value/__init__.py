"""Lifetime value: probability models of repeat buying and spend, and the money that follows from them.

Belongs here: one module per model, and what they share. Each is a pair: fit(small population) -> parameters,
score(rows) -> rows. Not here: clocks, files, SQL, Dagster, the reduction of orders to histories (dbt does it), tiers
and stages.
"""
