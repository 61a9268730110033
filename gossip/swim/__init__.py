"""The SWIM core: no socket, no clock, no thread, no global randomness. Drivers are `gossip.udp` and `gossip.simulate`."""
