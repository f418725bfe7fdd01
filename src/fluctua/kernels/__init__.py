"""What a recipe's step does to a pair of modes: Phi. Knows no data."""
