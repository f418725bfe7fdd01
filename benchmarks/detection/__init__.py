"""What benchmarks/detectors.py is made of: runs, the true gain, our rule and its mutants, others, costs, figure."""
