"""Kernels and a problem make numbers. Knows no file and no progress bar."""
