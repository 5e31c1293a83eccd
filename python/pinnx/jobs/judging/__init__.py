"""What is said of a run: numbers, checks, estimates of the error, second opinions, baselines."""
