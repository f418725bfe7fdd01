"""The law of random reshuffling, F40 to F59 (docs/shuffle.md): epochs, each in a fresh order of all samples.

The expansion: timetable, batch_cumulants, cumulants, lag_cumulants, responses, mean, memory, expansion, stationary and
transient. Epochs as they are: orders, random_map, measured, measured_run and limit; contraction bounds their steps.
"""
