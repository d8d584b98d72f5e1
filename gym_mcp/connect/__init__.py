"""People and their own agents at an environment: seats, their records, and clients' configuration."""
