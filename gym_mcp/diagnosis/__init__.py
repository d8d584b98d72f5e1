"""What went wrong in a run, and whose it is: findings with counts and the rollouts that show them."""
