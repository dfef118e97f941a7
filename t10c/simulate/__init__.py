"""Device programs on the clock: an event-level time line, independent of the cost model's sums.

- result.py: what a simulation says.
"""
