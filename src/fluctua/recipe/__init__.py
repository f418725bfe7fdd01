"""What was asked of the optimiser. Knows no data."""
