"""Statistics of runs. Every formula names its source and is checked against scipy in the tests."""
