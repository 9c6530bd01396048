"""Benchmarks: how long the whole job takes and how much memory, on made-up bases of known parameters.

Belongs here: generators, yardsticks, measuring. Not here: tests of what is right (`tests/`); nothing in the package
imports this.
"""
