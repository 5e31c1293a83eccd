"""The job of `pinnx benchmark`."""
