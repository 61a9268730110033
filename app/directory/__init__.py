"""Who may hold what: a Bloom filter of each node, told by gossip and made equal by anti-entropy."""
