"""The law of random reshuffling: epochs, each in a fresh order of all samples."""
