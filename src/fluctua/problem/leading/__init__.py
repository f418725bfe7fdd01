"""Least squares with more inputs than can be decomposed: the leading modes, and what the others have together."""
