"""Early warning: who buys or spends less than its own past explains, raised once, at a promised rate of false alarms.

Belongs here: windows, the null and its p-values, the base's common shocks, the step-up, value at risk, the record of past
alarms, the rows of the three tables. Not here: reading and writing (`warehouse/`), the lifetime models (`lifetime_value/`).
"""
