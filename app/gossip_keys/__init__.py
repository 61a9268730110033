"""The key file of the gossip: what its text means, and following it while the node runs."""
