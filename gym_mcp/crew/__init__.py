"""A run on several worker processes: one journal, the same guarantees, the same numbers."""
