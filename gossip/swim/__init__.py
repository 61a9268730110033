"""The SWIM core: no socket, no clock, no thread, no global randomness.

Its drivers are `gossip.udp` (real sockets) and `gossip.simulate` (a virtual clock).
"""
