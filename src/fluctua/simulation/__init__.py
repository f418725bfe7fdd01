"""Real runs. Knows no law."""
