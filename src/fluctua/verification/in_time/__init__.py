"""The theorem in time, against runs looked at twice."""
