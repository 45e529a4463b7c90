"""Checks before a run: whether the model knows its rows, and whether the sets are disjoint and large enough."""
