"""The engine's benchmark: fits, scores and summaries beside the libraries that do the same, as ratios of one run.

Belongs here: populations of known parameters, one child process per measurement, the peers' programs, the table. Not
here: the whole job (benchmarks/retail.py). `peer_*.py` and `child.py` run in the peers' own environment too: they
import nothing of the package.
"""
