"""BLADE packages: a skill, runs, and a golden report that other reports about the same runs are graded against."""
