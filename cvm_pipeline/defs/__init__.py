"""The only place that knows Dagster: assets, checks, the job, its schedule and sensor, and how a run is launched.

Everything here is thin: an asset reads, calls one function of the layers below, writes, and says what it did.
"""
