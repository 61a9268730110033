"""Cluster membership and small broadcasts by SWIM gossip; knows nothing of HTTP, OCI or filters."""
