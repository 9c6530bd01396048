"""How parameters are found and how well they are known: the search, the intervals, the effects of covariates.

Belongs here: what serves every model that has a likelihood. Not here: any likelihood (beside its model, a folder above).
"""
