"""Slow, obvious twins of the search, the placement and the executor, and the tests that use them.

Nothing here shares code with the production search except the kernel cost functions.
"""
