"""The race of the models: what each would have forecast at earlier dates, against what came.

Belongs here: cuts and slices of the past, the entrants, what they are judged by, who wins and what the winner's intervals
are worth. Not here: any model (a folder above), where slices come from (`marts.fct_customer_slices`).
"""
