"""The lengths of the windows, in days: 104, 52, 26, 13 and 4 weeks, the longest (whose start is oldest) first.

Belongs here: these numbers alone, so that who only hands them to dbt need not import a model.
"""

WINDOW_DAYS = (728, 364, 182, 91, 28)
