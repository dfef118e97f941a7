"""Gates for continuous integration: limits of a simulation report, and what two reports differ in.

- metrics.py: the figures of a report that can be limited and compared
- limits.py: limits as commands take them, and what violates them
- difference.py: what changed between two reports
"""
