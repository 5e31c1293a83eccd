"""From the configuration and the case of a flow to what is trained, network, terms, weights, and to its run."""
