"""The functions that the models' formulas are made of, each right to the last digits from an hour to a century.

Belongs here: special functions, integrals and sums over what is hidden (a rate, a time of death), with their errors stated.
Not here: a model's own formulas (one module per model, a folder above), searching for parameters (`estimation/`).
"""
