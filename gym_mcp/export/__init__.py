"""Writes the rollouts of a run in the formats of other systems."""
