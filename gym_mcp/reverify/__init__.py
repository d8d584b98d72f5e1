"""Scores a recorded run again: what to do with each rollout, doing it, and what it changed."""
