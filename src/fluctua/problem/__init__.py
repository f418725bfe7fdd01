"""What the data are: least squares, its moments, its minimum. Knows no optimiser."""
