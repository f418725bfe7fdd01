"""Runs on a device of torch's: the same recipes, records and measurements as the compiled loop's, replicas in batches."""
