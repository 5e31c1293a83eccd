"""The job of `pinnx sensors`."""
