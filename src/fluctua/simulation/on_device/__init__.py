"""Runs on a device of torch's: the recipes, records and measurements of the compiled loop, all replicas at once."""
