"""The door: what was given is checked before any work starts."""
