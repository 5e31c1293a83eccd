"""What is known of a flow, and where the answer is wanted: configuration and files -> `Case`."""
