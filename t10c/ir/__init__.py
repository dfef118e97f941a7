"""Frozen values that every phase exchanges: expressions, graphs and plans of one operator.

`ir` imports nothing else of t10c and has no behaviour beyond derivation.
"""
