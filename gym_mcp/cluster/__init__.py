"""A run on the nodes of a Ray cluster: one journal, written here; the same guarantees, the same numbers."""
