"""What benchmarks/detectors.py is made of: real runs, the true gain, our rule and its mutants, the others, costs, figure."""
