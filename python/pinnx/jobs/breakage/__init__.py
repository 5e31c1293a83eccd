"""A breakage problem: its network and terms, its run, the solvers beside it."""
