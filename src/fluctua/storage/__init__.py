"""Files of results, whole or not at all, and the border to other people's bytes."""
