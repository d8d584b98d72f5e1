"""Folders of skills as the arms of one experiment: the same tasks, side by side, and what the skills did."""
