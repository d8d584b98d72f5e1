"""What a run's rows say: profile of one run, comparison of several, several merged into one."""
