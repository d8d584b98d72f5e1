"""How good a judge is: what it says about labelled examples, and how that agrees with the labels."""
