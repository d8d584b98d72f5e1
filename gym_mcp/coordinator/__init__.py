"""Runs batches of episodes: plan, episodes, journal, resume."""
